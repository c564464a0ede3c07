"""Random calls, presses, hang-ups, service kills and link cuts from a seed, for as long as asked.

    make soak SECONDS=1800 SEED=1

What each call and each disturbance does follows from the seed and its number alone, so a seed that
failed can be played again; only the machine's own timing differs. Exit status 0: no caller lost, no
leg missing, no hand-over without exactly one outcome, nothing left on the PBX.

A caller is lost who did not hang up and whose call ended all the same, unless goodbye was said
after somebody of the line's side had hung up, or a message had been taken.
"""

from __future__ import annotations

import asyncio
import csv
import random
import re
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from bench.handovers import outcomes, outcomes_by_id
from bench.load_legs import Load, cel_channels
from bench.plain_sip import Dialog, PlainEndpoint
from bench.stage import DESKS, BenchStage, bench_stage
from bench.wire import Wire
from telephony.cel.rows import our_layout
from telephony.demo.stage import Service
from telephony.settings import Desk, Key

AGENTS = 24
CITIZENS = tuple(f"138042100{number:02d}" for number in range(14))
ABSENT = "100"
"""A desk whose phone is not there."""
KEYS = [
    Key(code="#11", action="transfer", desk="110"),
    Key(code="#12", action="transfer", desk="12345"),
    Key(code="#13", action="transfer", desk=ABSENT),
    Key(code="#21", action="three-way", desk="110"),
    Key(code="#22", action="three-way", desk="12345"),
    Key(code="#23", action="three-way", desk=ABSENT),
]
RING_S = 3
TALK_LIMIT_S = 30.0
END_LIMIT_S = 20.0

How = Literal["http", "http-three-way", "key", "key-three-way", "refer"]


@dataclass(frozen=True, slots=True)
class Press:
    """One press of whoever talks with the citizen, and what the desk does then.

    ``answer``: the desk's SIP status after ``rings_s``; 0 lets it ring. ``leaves``: who hangs up
    ``leaves_after_s`` after the press, if anybody does.
    """

    after_s: float
    how: How
    desk: str
    answer: int
    rings_s: float
    leaves: Literal["", "agent", "target", "citizen"]
    leaves_after_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in one call; ``ends``: who hangs up at last."""

    presses: tuple[Press, ...]
    ends: Literal["citizen", "staff"]


def plan(seed: int, number: int) -> Plan:
    """The decisions of the call of this number."""
    pick = random.Random(f"{seed} call {number}")

    def press() -> Press:
        hows: tuple[How, ...] = ("http", "http-three-way", "key", "key-three-way", "refer")
        return Press(
            after_s=pick.choice((0.0, 0.05, 0.5, pick.uniform(0, 3))),
            how=pick.choice(hows),
            desk=pick.choice((*DESKS, *DESKS, *DESKS, ABSENT)),
            answer=pick.choice((200, 200, 200, 486, 603, 480, 0)),
            rings_s=pick.choice((0.0, 0.3, pick.uniform(0, RING_S), RING_S - 0.02, RING_S + 0.02)),
            leaves=pick.choice(("", "", "", "", "agent", "target", "citizen")),
            leaves_after_s=pick.choice((0.0, 0.02, 0.3, pick.uniform(0, RING_S))),
        )

    presses = tuple(press() for _ in range(pick.choice((0, 1, 1, 2, 3))))
    return Plan(presses, pick.choice(("citizen", "citizen", "staff")))


@dataclass(slots=True)
class Life:
    """A call as it goes: the citizen's dialog, and those of the line's side with it."""

    number: int
    citizen: str
    plan: Plan
    dialog: Dialog
    legs: list[tuple[PhoneBank, Dialog]] = field(default_factory=list)
    press: Press | None = None
    staff_left: bool = False
    citizen_left: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def talking(self) -> tuple[PhoneBank, Dialog] | None:
        """Who of the line's side has the call now: the last to answer who is still there."""
        for bank, leg in reversed(self.legs):
            if leg.answered.is_set() and not leg.ended.is_set():
                return bank, leg
        return None


class PhoneBank(PlainEndpoint):
    """Many phones at one port, which may ring before they answer, and have keys."""

    def _invited(self, first: str, headers: dict[str, str], arrived: float) -> None:
        known = headers["call-id"] in self.dialogs
        super()._invited(first, headers, arrived)
        dialog = self.dialogs.get(headers["call-id"])
        if not known and dialog is not None:
            self.ringing[dialog.call_id] = headers

    ringing: dict[str, dict[str, str]]

    def answer(self, dialog: Dialog, code: int) -> None:
        """Take or refuse a call that rings here; nothing when it has stopped to."""
        headers = self.ringing.pop(dialog.call_id, None)
        if headers is None or dialog.ended.is_set():
            return
        self._answer(code, headers, self._sdp() if code == 200 else "")
        if code == 200:
            dialog.code = 200
            dialog.answered.set()
        else:
            self._end(dialog, code)

    async def keys(self, dialog: Dialog, code: str) -> None:
        """Press keys (SIP INFO)."""
        for key in code:
            if dialog.ended.is_set():
                return
            dialog.cseq += 1
            body = f"Signal={key}\r\nDuration=100\r\n"
            self._request("INFO", dialog, body=body, kind="application/dtmf-relay")
            await asyncio.sleep(0.15)


class Soak:
    """The run and what came of it."""

    def __init__(self, stage: BenchStage, wire: Wire, seconds: float, seed: int) -> None:
        self.stage, self.wire, self.seconds, self.seed = stage, wire, seconds, seed
        self.done: Counter[str] = Counter()
        self.lives: dict[str, list[Life]] = defaultdict(list)
        self._now: dict[str, Life] = {}
        self._free: asyncio.Queue[str] = asyncio.Queue()
        for citizen in CITIZENS:
            self._free.put_nowait(citizen)
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        token = stage.service.settings.tokens[0].token.get_secret_value()
        self._http = httpx.AsyncClient(
            base_url=f"{stage.service.url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=5,
        )
        self.agents, self.desks = _bank(stage.agents), _bank(stage.desks)
        self.agents.decide = lambda user: 200
        self.desks.decide = lambda user: 0
        self.agents.on_invite = lambda dialog: self._rung(self.agents, dialog)
        self.desks.on_invite = lambda dialog: self._rung(self.desks, dialog)

    async def run(self) -> None:
        """Calls until the time is over, then wait for the last to end."""
        arrivals = random.Random(f"{self.seed} arrivals")
        disturbing = asyncio.create_task(self._disturb())
        until = time.monotonic() + self.seconds
        number = 0
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                citizen = await self._free.get()
                group.create_task(self._life(citizen, number))
                number += 1
                await asyncio.sleep(arrivals.uniform(0.1, 1.0))
        self._over.set()
        await disturbing
        await self._http.aclose()

    # -- one call --------------------------------------------------------------------------

    async def _life(self, citizen: str, number: int) -> None:
        dialog = self.stage.citizens.call("2800122", user=citizen)
        life = Life(number, citizen, plan(self.seed, number), dialog)
        self._now[citizen] = life
        self.lives[citizen].append(life)
        self.done["calls"] += 1
        if await self._somebody_talks(life):
            for press in life.plan.presses:
                await self._press(life, press)
        await self._end(life)
        del self._now[citizen]
        self._free.put_nowait(citizen)

    async def _somebody_talks(self, life: Life) -> bool:
        deadline = time.monotonic() + TALK_LIMIT_S
        while life.talking() is None:
            if life.dialog.ended.is_set() or time.monotonic() > deadline:
                return False
            life.changed.clear()
            try:
                async with asyncio.timeout(1):
                    await life.changed.wait()
            except TimeoutError:
                continue
        return True

    async def _press(self, life: Life, press: Press) -> None:
        await asyncio.sleep(press.after_s)
        if not await self._somebody_talks(life):
            return
        life.press = press
        leaving = asyncio.create_task(self._leave(life, press)) if press.leaves else None
        talking = life.talking()
        if talking is not None:
            self.done[press.how] += 1
            await self._do_press(life, press, *talking)
        await asyncio.sleep(press.rings_s + 1.0)
        if leaving is not None:
            await leaving

    async def _do_press(self, life: Life, press: Press, bank: PhoneBank, leg: Dialog) -> None:
        place = (*DESKS, ABSENT).index(press.desk) + 1
        if press.how == "refer":
            bank.refer(leg, press.desk)
            await asyncio.sleep(0.3)
            self._staff_hangs_up(life, bank, leg)
        elif press.how == "key":
            await bank.keys(leg, f"#1{place}")
        elif press.how == "key-three-way":
            await bank.keys(leg, f"#2{place}")
        else:
            await self._press_http(life, press)

    async def _press_http(self, life: Life, press: Press) -> None:
        what = "conference" if press.how == "http-three-way" else "transfer"
        try:
            calls = (await self._http.get("/calls")).json().get("items", [])
            for call in calls:
                if call["caller"] == life.citizen:
                    answer = await self._http.post(
                        f"/calls/{call['id']}/{what}", json={"desk": press.desk}
                    )
                    self.done[f"HTTP {answer.status_code}"] += 1
        except (httpx.TransportError, ValueError):
            self.done["HTTP away"] += 1  # the service has been killed

    async def _leave(self, life: Life, press: Press) -> None:
        await asyncio.sleep(press.leaves_after_s)
        if press.leaves == "citizen":
            self._citizen_hangs_up(life)
            return
        bank = self.agents if press.leaves == "agent" else self.desks
        for owner, leg in reversed(life.legs):
            if owner is bank and leg.answered.is_set() and not leg.ended.is_set():
                self._staff_hangs_up(life, owner, leg)
                return

    def _staff_hangs_up(self, life: Life, bank: PhoneBank, leg: Dialog) -> None:
        if not leg.ended.is_set():
            life.staff_left = True
            bank.bye(leg)

    def _citizen_hangs_up(self, life: Life) -> None:
        if life.dialog.ended.is_set():
            return
        life.citizen_left = True
        if life.dialog.answered.is_set():
            self.stage.citizens.bye(life.dialog)

    def _rung(self, bank: PhoneBank, dialog: Dialog) -> None:
        caller = re.search(r"sip:([^@;>]+)@", dialog.remote)
        life = self._now.get(caller.group(1) if caller else "")
        if life is None:
            return
        life.legs.append((bank, dialog))
        life.changed.set()
        if bank is self.desks:
            task = asyncio.create_task(self._desk(life, dialog))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _desk(self, life: Life, dialog: Dialog) -> None:
        press, life.press = life.press, None
        if press is None:  # the citizen comes back to a desk that had them
            await asyncio.sleep(0.2)
            self.desks.answer(dialog, 200)
        else:
            await asyncio.sleep(press.rings_s)
            if press.answer:
                self.desks.answer(dialog, press.answer)
        life.changed.set()

    async def _end(self, life: Life) -> None:
        if life.plan.ends == "staff" and not life.dialog.ended.is_set():
            for bank, leg in list(life.legs):
                if leg.answered.is_set():
                    self._staff_hangs_up(life, bank, leg)
            try:
                async with asyncio.timeout(END_LIMIT_S):
                    await life.dialog.ended.wait()
            except TimeoutError:
                self.done["still there at the end"] += 1
        self._citizen_hangs_up(life)
        # Two of a three-way call may go on talking: that is theirs to end.
        for bank, leg in list(life.legs):
            if leg.answered.is_set() and not leg.ended.is_set():
                self._staff_hangs_up(life, bank, leg)
        await asyncio.sleep(0.5)

    # -- the service -----------------------------------------------------------------------

    async def _over_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._over.wait()
        except TimeoutError:
            return False

    async def _disturb(self) -> None:
        pick = random.Random(f"{self.seed} service")
        while not await self._over_within(pick.uniform(5, 20)):
            how, away_s = pick.choice(("kill", "cut")), pick.choice((0.0, pick.uniform(0, 8)))
            self.done[how] += 1
            if how == "cut":
                self.wire.cut()
                await asyncio.sleep(away_s)
                self.wire.mend()
            else:
                await asyncio.to_thread(self.stage.service.kill)
                await asyncio.sleep(away_s)
                await asyncio.to_thread(self.stage.service.start)

    # -- afterwards ------------------------------------------------------------------------

    def lost(self, cel: Path, steps: Path) -> list[str]:
        """Callers who were lost, by the number of their call.

        ``steps``: Asterisk's log of what it executed, which tells to whom goodbye was said.
        """
        said, left_message = heard(steps, "Playback", "hotline/goodbye"), heard(steps, "Record")
        channels = citizen_channels(cel)
        found = []
        for citizen, lives in self.lives.items():
            theirs = channels[citizen]
            if len(theirs) != len(lives):
                found.append(f"{citizen} made {len(lives)} calls, {len(theirs)} are on record")
            for life, channel in zip(lives, theirs, strict=False):
                ended_well = channel in left_message or (life.staff_left and channel in said)
                if not life.citizen_left and not ended_well:
                    found.append(f"call {life.number}, {channel}")
        return found


def _bank(endpoint: PlainEndpoint) -> PhoneBank:
    """The endpoint with what a soak needs; it is open already."""
    endpoint.__class__ = PhoneBank
    assert isinstance(endpoint, PhoneBank)
    endpoint.ringing = {}
    return endpoint


def citizen_channels(cel: Path) -> dict[str, list[str]]:
    """The channels of each citizen's calls, in the order of their beginning."""
    layout = our_layout()
    result: dict[str, list[str]] = defaultdict(list)
    with cel.open(newline="", encoding="utf-8") as lines:
        for fields in csv.reader(lines):
            row = layout.row(fields)
            phone = row.channel.partition("/")[2].rpartition("-")[0]
            if row.event == "CHAN_START" and phone in CITIZENS:
                result[phone].append(row.channel)
    return result


def heard(steps: Path, application: str, what: str = "") -> set[str]:
    """The channels on which this was executed."""
    pattern = re.compile(rf'{application}\("([^"]+)", "{re.escape(what)}')
    with steps.open(errors="replace") as lines:
        return {found.group(1) for line in lines if (found := pattern.search(line))}


def mentions(steps: Path, handover: str) -> list[str]:
    """The steps of the PBX that name a hand-over: what to look at first when it came out wrong."""
    with steps.open(errors="replace") as lines:
        return [line[:240].rstrip() + "\n" for line in lines if handover in line][:60]


async def soak(seconds: float, seed: int) -> bool:
    """Run and print what came of it; whether all is right."""
    absent = Desk(id=ABSENT, name=ABSENT, dial=f"PJSIP/{ABSENT}", ring_s=RING_S)
    async with bench_stage(
        AGENTS, citizens=CITIZENS, desks=[absent], keys=KEYS, ring_s=RING_S, silence_s=3600
    ) as stage:
        stage.pbx.console("logger add channel steps verbose(3)")
        wire = Wire(stage.pbx.settings.pbx.ami_port)
        await wire.open()
        await asyncio.to_thread(stage.service.stop)
        stage.service.http.close()
        link = stage.pbx.settings.pbx.model_copy(update={"ami_port": wire.port})
        settings = stage.service.settings.model_copy(update={"pbx": link})
        stage.service = Service(settings, stage.pbx.folder.parent / "service.log")
        await asyncio.to_thread(stage.service.start)
        run = Soak(stage, wire, seconds, seed)
        print(f"soak of {seconds:g} s with seed {seed} ...", flush=True)
        await run.run()
        legs = await Load(stage, 0, 1.0).legs()
        channels = cel_channels(stage.pbx.cel_file)
        left = stage.pbx.console("core show channels concise").split()
        came = outcomes(stage.pbx.cel_file)
        wrong = {
            handover: ended
            for handover, ended in outcomes_by_id(stage.pbx.cel_file).items()
            if len(ended) != 1
        }
        story = {one: mentions(stage.pbx.places.log / "steps", one) for one in wrong}
        lost = run.lost(stage.pbx.cel_file, stage.pbx.places.log / "steps")
        await wire.close()
    times = Counter(channel for leg in legs for channel in leg["channels"])
    open_legs = sum(leg["state"] != "complete" for leg in legs)
    missing = sum(times[one] != 1 for one in channels) + open_legs
    print(f"what was done                {dict(run.done)}")
    print(f"outcomes                     {dict(came)}")
    print(f"callers lost                 {len(lost)} of {run.done['calls']}")
    print(f"legs missing                 {missing} of {len(legs)} ({len(channels)} channels)")
    print(f"hand-overs without outcome   {len(wrong)} of {sum(came.values())}")
    print(f"channels left                {len(left)}")
    for line in lost:
        print(f"  lost: {line}")
    for handover, ended in wrong.items():
        print(f"  outcomes of {handover}: {ended or 'none'}")
        print("".join(f"    {line}" for line in story[handover]), end="")
    for line in left:
        print(f"  left: {line}")
    right = not lost and not missing and not wrong and not left
    print("all right" if right else f"NOT RIGHT; again: make soak SECONDS={seconds:g} SEED={seed}")
    return right


def main() -> None:
    """Exit status 0 when all is right."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1800.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    sys.exit(0 if asyncio.run(soak(seconds, seed)) else 1)


if __name__ == "__main__":
    main()
