"""Key pressed -> INVITE at the target: over HTTP, beside bare AMI Redirects and a phone's REFER.

    python -m bench.transfer_key [ROUNDS]

One call; each round presses all in a new order, the target refuses (486), the caller is back
with the agent. Times are from the request's first byte sent to the INVITE's arrival.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import time

from bench.plain_sip import Dialog
from bench.stage import CITIZEN, BenchStage, HttpLine, bench_stage

WAIT_S = 5.0


class BareAmi:
    """A warm AMI connection with nothing around it: the least that a Redirect can cost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, stage: BenchStage) -> BareAmi:
        link = stage.pbx.settings.pbx
        reader, writer = await asyncio.open_connection(link.host, link.ami_port)
        ami = cls(reader, writer)
        await reader.readline()
        secret = link.ami_secret.get_secret_value()
        await ami.ask(
            f"Action: Login\r\nUsername: {link.ami_user}\r\nSecret: {secret}\r\nEvents: off"
        )
        return ami

    async def ask(self, action: str) -> str:
        self.send(action)
        return (await self._reader.readuntil(b"\r\n\r\n")).decode()

    def send(self, action: str) -> None:
        self._writer.write(action.encode() + b"\r\n\r\n")

    async def answer(self) -> str:
        return (await self._reader.readuntil(b"\r\n\r\n")).decode()

    async def set(self, channel: str, name: str, value: str) -> None:
        answer = await self.ask(
            f"Action: Setvar\r\nChannel: {channel}\r\nVariable: {name}\r\nValue: {value}"
        )
        if "Success" not in answer:
            raise RuntimeError(answer)

    def close(self) -> None:
        self._writer.close()


class KeyBench:
    """One call of one agent, pressed again and again."""

    def __init__(self, stage: BenchStage, http: HttpLine, ami: BareAmi) -> None:
        self.stage, self.http, self.ami = stage, http, ami
        self.invites: asyncio.Queue[Dialog] = asyncio.Queue()
        self.agent_calls: asyncio.Queue[Dialog] = asyncio.Queue()
        stage.desks.decide = lambda user: 486
        stage.desks.on_invite = self.invites.put_nowait
        stage.agents.on_invite = self.agent_calls.put_nowait
        self.agent: Dialog
        self.call: dict[str, str] = {}

    async def begin(self) -> None:
        """A citizen talks with the agent."""
        self.stage.citizens.call("2800122")
        self.agent = await asyncio.wait_for(self.agent_calls.get(), 15)
        await self.together()

    async def together(self) -> None:
        """Wait until citizen and agent are bridged and no hand-over runs."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            _, answer = await self.http.ask("GET", "/calls")
            assert isinstance(answer, dict)
            for call in answer["items"]:
                if call["state"] == "talking" and call["caller"] == CITIZEN:
                    citizen, agent = call["parties"][:2]
                    self.call = {
                        "id": call["id"],
                        "citizen": citizen["channel"],
                        "agent": agent["channel"],
                    }
                    return
            await asyncio.sleep(0.01)
        raise RuntimeError(f"citizen and agent are not together: {json.dumps(answer)}")

    async def press_http(self) -> float:
        sent = time.monotonic()
        asked = asyncio.create_task(
            self.http.ask("POST", f"/calls/{self.call['id']}/transfer", {"desk": "110"})
        )
        invite = await asyncio.wait_for(self.invites.get(), WAIT_S)
        status, answer = await asked
        if status != 202:
            raise RuntimeError(str(answer))
        return invite.arrived - sent

    async def press_redirect(self) -> float:
        """Into a Dial and nothing else. What brings the caller back is set before."""
        citizen, agent = self.call["citizen"], self.call["agent"]
        await self.ami.set(citizen, "SHARED(WAITS)", agent)
        await self.ami.set(citizen, "AGENT_CHAN", agent)
        return await self._redirect(citizen, "bench-bare")

    async def press_same(self) -> float:
        """Into the hotline's own transfer context, which records and watches over the call."""
        citizen, agent = self.call["citizen"], self.call["agent"]
        await self.ami.set(citizen, "SHARED(PRESS)", f"one-key|8100|{agent}|")
        return await self._redirect(citizen, "hotline-transfer")

    async def _redirect(self, citizen: str, context: str) -> float:
        sent = time.monotonic()
        self.ami.send(
            f"Action: Redirect\r\nChannel: {citizen}\r\nContext: {context}\r\n"
            "Exten: 110\r\nPriority: 1"
        )
        invite = await asyncio.wait_for(self.invites.get(), WAIT_S)
        await self.ami.answer()
        return invite.arrived - sent

    async def press_refer(self) -> float:
        """The phone lets go after its REFER, so it is rung again and answers."""
        sent = time.monotonic()
        self.stage.agents.refer(self.agent, "110")
        invite = await asyncio.wait_for(self.invites.get(), WAIT_S)
        self.agent = await asyncio.wait_for(self.agent_calls.get(), WAIT_S)
        return invite.arrived - sent


async def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each press, by the way it was pressed."""
    async with bench_stage(agents=1) as stage:
        desk = next(one for one in stage.pbx.settings.desks if one.id == "110")
        for step in (f"110,1,Dial({desk.dial},15,g)", "110,2,Goto(hotline-way-back,s,1)"):
            stage.pbx.console(f"dialplan add extension {step} into bench-bare")
        http, ami = await HttpLine.open(stage.service), await BareAmi.open(stage)
        bench = KeyBench(stage, http, ami)
        await bench.begin()
        ways = {
            "http": bench.press_http,
            "redirect": bench.press_redirect,
            "same": bench.press_same,
            "refer": bench.press_refer,
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        order = list(ways)
        for number in range(rounds + 3):
            random.Random(number).shuffle(order)
            for way in order:
                taken = await ways[way]()
                if number >= 3:
                    times[way].append(taken * 1000)
                await asyncio.sleep(0.05)
                await bench.together()
        http.close()
        ami.close()
    return times


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    times = asyncio.run(measure(rounds))
    base = statistics.median(times["redirect"])
    print(f"key pressed -> INVITE at the target, {rounds} rounds, ms")
    print(f"{'way':<30}{'median':>8}{'p99':>8}{'x Redirect':>12}")
    labels = {
        "redirect": "bare Redirect, bare Dial",
        "same": "bare Redirect, our dialplan",
        "http": "HTTP key",
        "refer": "a phone's REFER",
    }
    for way, label in labels.items():
        ordered = sorted(times[way])
        middle, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        print(f"{label:<30}{middle:>8.2f}{p99:>8.2f}{middle / base:>12.2f}")


if __name__ == "__main__":
    main()
