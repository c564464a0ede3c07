"""A thousand hand-overs in a row: is a caller lost, is anything left, does memory stay flat?

    python -m bench.handovers [HAND_OVERS] [A_SECOND] [BEFORE]

Each is a call of its own: a citizen calls the line, an agent answers and presses the key over HTTP;
of four desks two answer, one is busy and one declines. Some seconds later the citizen hangs up.
A caller is lost when the PBX ends the call. Memory (VmRSS) is that of the whole process, sampled at
each hand-over; the mean of the first 200 is compared with the mean of the last 200. The means of
all parts show whether it goes on growing or has found its size. A PBX keeps every SIP transaction
for 32 s (RFC 3261, timers H and J), and buffers of a fixed length fill: that takes the first
minutes of any load. BEFORE hand-overs are made first and not compared.
"""

from __future__ import annotations

import asyncio
import csv
import itertools
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import mean

from bench.load_legs import cel_channels
from bench.stage import BenchStage, HttpLine, bench_stage
from telephony.cel.rows import our_layout, read_fact

AGENTS = 110
CONNECTIONS = 8
TALK_S = 2.0
"""How long citizen and desk (or agent) talk after the hand-over."""
BEGIN_LIMIT_S = 30.0
QUIET_LIMIT_S = 15.0
ANSWERS = (200, 486, 200, 603)
PART = 200


class HandOvers:
    """The run and what came of it."""

    def __init__(self, stage: BenchStage, count: int, rate: float) -> None:
        self.stage, self.count, self.rate = stage, count, rate
        self.answered: Counter[int] = Counter()
        self.lost = 0
        self.memory: dict[str, list[int]] = {"Asterisk": [], "service": []}
        answers = itertools.cycle(ANSWERS)
        stage.desks.decide = lambda user: next(answers)
        self._lines: asyncio.Queue[HttpLine] = asyncio.Queue()
        self._talking: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Make all calls at the rate and hand each over."""
        for _ in range(CONNECTIONS):
            self._lines.put_nowait(await HttpLine.open(self.stage.service))
        watcher = asyncio.create_task(self._watch())
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.count):
                    await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
                    group.create_task(self._call())
        finally:
            watcher.cancel()

    async def _watch(self) -> None:
        """Tell which calls have come to an agent."""
        http = await HttpLine.open(self.stage.service)
        seen: set[str] = set()
        while True:
            _, answer = await http.ask("GET", "/calls")
            for call in answer["items"] if isinstance(answer, dict) else ():
                if call["state"] == "talking" and call["id"] not in seen:
                    seen.add(call["id"])
                    self._talking.put_nowait(call["id"])
            await asyncio.sleep(0.1)

    async def _call(self) -> None:
        """One call. Which citizen it is that an agent talks with first does not matter."""
        citizens = self.stage.citizens
        dialog = citizens.call("2800122")
        async with asyncio.timeout(BEGIN_LIMIT_S):
            call = await self._talking.get()
        http = await self._lines.get()
        status, _ = await http.ask("POST", f"/calls/{call}/transfer", {"desk": "110"})
        self._lines.put_nowait(http)
        self.answered[status] += 1
        self._weigh()
        await asyncio.sleep(TALK_S)
        if dialog.ended.is_set():
            self.lost += 1
        else:
            citizens.bye(dialog)

    def _weigh(self) -> None:
        for name, process in (
            ("Asterisk", self.stage.pbx.process),
            ("service", self.stage.service.process),
        ):
            if process is not None:
                self.memory[name].append(resident_kb(process.pid))

    async def left(self) -> list[str]:
        """Channels on the PBX when all should be over."""
        deadline = time.monotonic() + QUIET_LIMIT_S
        while True:
            left = self.stage.pbx.console("core show channels concise").split()
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(0.5)


def resident_kb(pid: int) -> int:
    """VmRSS of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def outcomes(cel: Path) -> Counter[str]:
    """The outcomes of all hand-overs; those without exactly one are counted as such."""
    return Counter(
        came[0] if len(came) == 1 else f"{len(came)} outcomes"
        for came in outcomes_by_id(cel).values()
    )


def outcomes_by_id(cel: Path) -> dict[str, list[str]]:
    """What came of each hand-over, by its id."""
    layout = our_layout()
    by_id: dict[str, list[str]] = {}
    with cel.open(newline="", encoding="utf-8") as lines:
        for fields in csv.reader(lines):
            fact = read_fact(layout.row(fields))
            if fact is None:
                continue
            if fact.kind == "OFFERED":
                by_id.setdefault(fact.values["id"], [])
            elif fact.kind in ("ACCEPTED", "ENDED"):
                came = "accepted" if fact.kind == "ACCEPTED" else fact.values["outcome"]
                by_id.setdefault(fact.values["id"], []).append(came)
    return by_id


def growth(samples: list[int]) -> tuple[float, float, float]:
    """Mean of the first and of the last part in MB, and the growth in percent."""
    part = min(PART, len(samples) // 2)
    first, last = mean(samples[:part]), mean(samples[-part:])
    return first / 1024, last / 1024, 100 * (last - first) / first


async def measure(count: int, rate: float, before: int) -> bool:
    """Run and print; whether nobody was lost and nothing is left."""
    count += before
    async with bench_stage(agents=AGENTS) as stage:
        run = HandOvers(stage, count, rate)
        print(f"{count} hand-overs at {rate:g} a second, {before} not compared ...", flush=True)
        await run.run()
        left = await run.left()
        came = outcomes(stage.pbx.cel_file)
        channels = len(cel_channels(stage.pbx.cel_file))
    print(f"key answered       {dict(run.answered)}")
    print(f"outcomes           {dict(came)}")
    print(f"callers lost       {run.lost}")
    print(f"channels left      {len(left)} of {channels}")
    for name, samples in run.memory.items():
        first, last, percent = growth(samples[before:])
        print(
            f"memory {name:<12}first {PART}: {first:.1f} MB, last {PART}: {last:.1f} MB, "
            f"{percent:+.1f} %"
        )
        parts = [samples[at : at + PART] for at in range(0, len(samples), PART)]
        print(f"{'':<19}each {PART}: {', '.join(f'{mean(part) / 1024:.0f}' for part in parts)} MB")
    whole = sum(came.values()) == count and not any("outcomes" in one for one in came)
    return whole and not run.lost and not left


def main() -> None:
    """Exit status 0 when nobody was lost, each has one outcome, and nothing is left."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    before = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    sys.exit(0 if asyncio.run(measure(count, rate, before)) else 1)


if __name__ == "__main__":
    main()
