"""The three-way key: how long citizen and agent do not hear each other, and how soon the third
party's phone is called beside a bare AMI Originate.

    python -m bench.three_way [GAPS [INVITES]]

The gap is the longest time without the other's tone at each of the two phones, from the key to one
second after the third party's answer: they talk on while it rings, and move into the room when it
answers. The times to the INVITE are from the first byte sent; the third party refuses (486).
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.stage import BenchStage, HttpLine, bench_stage
from bench.transfer_key import WAIT_S, BareAmi, KeyBench
from telephony.asterisk_program import cache_dir
from telephony.demo.scenes import AGENT_HZ, CITIZEN_HZ, HEAR_LIMIT_S, Talk, sign
from telephony.demo.stage import AGENTS, CITIZENS, Stage

DESK = "110"
SETTLED_S = 1.0


def gap(stage: Stage, talk: Talk) -> tuple[float, float]:
    """One three-way call; the gaps in milliseconds at the citizen and at the agent."""
    desk = stage.phone(DESK)
    pressed = time.monotonic()
    talk.press(stage, "conference", DESK)
    ringing = desk.wait_for_call(HEAR_LIMIT_S)
    ringing.answer()
    ringing.wait_hears(CITIZEN_HZ, HEAR_LIMIT_S, threshold=0.25)
    ringing.wait_hears(AGENT_HZ, HEAR_LIMIT_S, threshold=0.25)
    time.sleep(SETTLED_S)
    at_citizen = talk.citizen.longest_gap_s(AGENT_HZ, pressed)
    at_agent = talk.agent.longest_gap_s(CITIZEN_HZ, pressed)
    ringing.hangup()
    talk.together()
    return at_citizen * 1000, at_agent * 1000


def gaps(rounds: int) -> list[tuple[float, float]]:
    """The gaps of so many three-way calls, one after the other in one call."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache_dir()) as name:
        os.chmod(name, 0o755)
        with Stage(Path(name) / "stage", lambda text: None) as stage:
            sign(stage, AGENTS[0], stage.settings.sign_in_code)
            stage.service.wait_until_ready()
            talk = Talk(stage, CITIZENS[0], AGENTS[0])
            found = []
            for _ in range(rounds):
                found.append(gap(stage, talk))
                _talking(stage, talk)
            talk.citizen.hangup()
    return found


def _talking(stage: Stage, talk: Talk) -> None:
    deadline = time.monotonic() + HEAR_LIMIT_S
    while stage.service.get(f"/calls/{talk.id}")["state"] != "talking":
        if time.monotonic() > deadline:
            raise RuntimeError("it did not become a call of two again")
        time.sleep(0.02)


class InviteBench(KeyBench):
    """One call of one agent, into which a desk is called again and again."""

    async def press_three_way(self) -> float:
        sent = time.monotonic()
        address = f"/calls/{self.call['id']}/conference"
        asked = asyncio.create_task(self.http.ask("POST", address, {"desk": DESK}))
        invite = await asyncio.wait_for(self.invites.get(), WAIT_S)
        status, answer = await asked
        if status != 202:
            raise RuntimeError(str(answer))
        return invite.arrived - sent

    async def originate(self) -> float:
        """The least that calling the same phone can cost: no dialplan, no record, no citizen."""
        sent = time.monotonic()
        self.ami.send(
            f"Action: Originate\r\nChannel: PJSIP/{DESK}\r\nContext: hotline-third-idle\r\n"
            "Exten: s\r\nPriority: 1\r\nAsync: true"
        )
        invite = await asyncio.wait_for(self.invites.get(), WAIT_S)
        await self.ami.answer()
        return invite.arrived - sent

    async def local(self) -> float:
        """The same by a Local channel and a bare Dial, which can look what became of it."""
        sent = time.monotonic()
        self.ami.send(
            f"Action: Originate\r\nChannel: Local/{DESK}@bench-third/n\r\n"
            "Context: hotline-third-idle\r\nExten: s\r\nPriority: 1\r\nAsync: true"
        )
        invite = await asyncio.wait_for(self.invites.get(), WAIT_S)
        await self.ami.answer()
        return invite.arrived - sent


async def invites(rounds: int) -> dict[str, list[float]]:
    """Milliseconds from the order to the INVITE, by the way it was given."""
    async with bench_stage(agents=1) as stage:
        http, ami = await HttpLine.open(stage.service), await BareAmi.open(stage)
        bench = InviteBench(stage, http, ami)
        await bench.begin()
        ways = {
            "three-way": bench.press_three_way,
            "originate": bench.originate,
            "local": bench.local,
        }
        desk = next(one for one in stage.pbx.settings.desks if one.id == DESK)
        stage.pbx.console(f"dialplan add extension {DESK},1,Dial({desk.dial},15) into bench-third")
        times: dict[str, list[float]] = {way: [] for way in ways}
        order = list(ways)
        for number in range(rounds + 3):
            random.Random(number).shuffle(order)
            for way in order:
                taken = await ways[way]()
                if number >= 3:
                    times[way].append(taken * 1000)
                await _quiet(stage, bench)
        http.close()
        ami.close()
    return times


async def _quiet(stage: BenchStage, bench: InviteBench) -> None:
    """Until only citizen and agent are left: the refused third party has gone."""
    deadline = time.monotonic() + WAIT_S
    while True:
        await bench.together()
        _, call = await bench.http.ask("GET", f"/calls/{bench.call['id']}")
        assert isinstance(call, dict)
        if len(call["parties"]) == 2 and call["handover"] is None:
            await asyncio.sleep(0.05)
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the third party does not go: {call}")
        await asyncio.sleep(0.01)


def main() -> None:
    """Print both tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    presses = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    found = gaps(rounds)
    print(f"three-way key -> room: the longest silence, {rounds} calls, ms (limit 100)")
    for who, values in zip(("citizen", "agent"), zip(*found, strict=True), strict=True):
        print(f"{who:<30} median {statistics.median(values):5.1f}   max {max(values):5.1f}")
    times = asyncio.run(invites(presses))
    base = statistics.median(times["originate"])
    print(f"\nkey -> INVITE at the third party, {presses} rounds, ms (limit 1.3 x)")
    print(f"{'way':<34}{'median':>8}{'p99':>8}{'x Originate':>13}")
    labels = {
        "originate": "bare AMI Originate",
        "local": "bare Originate, Local, bare Dial",
        "three-way": "HTTP three-way key",
    }
    for way, label in labels.items():
        ordered = sorted(times[way])
        middle, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        print(f"{label:<34}{middle:>8.2f}{p99:>8.2f}{middle / base:>13.2f}")


if __name__ == "__main__":
    main()
