"""Calls with transfers under load: is every CEL channel in exactly one leg?

    python -m bench.load_legs [CALLS] [CALLS_PER_SECOND]

Citizens call the line, agents answer, each call is handed over by the HTTP key: half of them to a
desk that answers, half to one that is busy (the citizen is back with the agent). Citizens hang up.
"""

from __future__ import annotations

import asyncio
import csv
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.stage import BenchStage, HttpLine, bench_stage
from telephony.dialplan import CEL_FIELDS

AGENTS = 90
CALL_S = 8.0
CONNECTIONS = 8
RECORD_LIMIT_S = 60.0


class Load:
    """The load and what came of it."""

    def __init__(self, stage: BenchStage, calls: int, rate: float) -> None:
        self.stage, self.calls, self.rate = stage, calls, rate
        self.pressed: dict[str, int] = {}
        self.refused: Counter[str] = Counter()
        self.answers: list[float] = []
        stage.desks.decide = lambda user: 200 if user == "110" else 486

    async def run(self) -> None:
        """Place all calls at the rate, press the keys meanwhile, wait for the last to end."""
        presser = asyncio.create_task(self._press_all())
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(self.calls):
                await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
                group.create_task(self._citizen())
        presser.cancel()

    async def _citizen(self) -> None:
        dialog = self.stage.citizens.call("2800122")
        await asyncio.sleep(CALL_S)
        if not dialog.ended.is_set():
            self.stage.citizens.bye(dialog)

    async def _press_all(self) -> None:
        http = await HttpLine.open(self.stage.service)
        lines: asyncio.Queue[HttpLine] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            lines.put_nowait(await HttpLine.open(self.stage.service))
        async with asyncio.TaskGroup() as group:
            while True:
                _, answer = await http.ask("GET", "/calls")
                for call in _items(answer):
                    if call["state"] == "talking" and call["id"] not in self.pressed:
                        self.pressed[call["id"]] = 0
                        desk = "110" if len(self.pressed) % 2 else "12345"
                        group.create_task(self._press(lines, call["id"], desk))
                await asyncio.sleep(0.1)

    async def _press(self, lines: asyncio.Queue[HttpLine], call: str, desk: str) -> None:
        http = await lines.get()
        began = time.monotonic()
        status, problem = await http.ask("POST", f"/calls/{call}/transfer", {"desk": desk})
        self.answers.append(time.monotonic() - began)
        lines.put_nowait(http)
        self.pressed[call] = status
        if status != 202 and isinstance(problem, dict):
            self.refused[str(problem.get("code"))] += 1

    async def legs(self) -> list[dict[str, Any]]:
        """All legs, once none is open any more."""
        http = await HttpLine.open(self.stage.service)
        deadline = time.monotonic() + RECORD_LIMIT_S
        while True:
            legs: list[dict[str, Any]] = []
            cursor = ""
            while True:
                _, page = await http.ask("GET", f"/legs?limit=500{cursor}")
                legs += _items(page)
                following = page.get("next") if isinstance(page, dict) else None
                if not following:
                    break
                cursor = f"&cursor={following}"
            if legs and all(leg["state"] == "complete" for leg in legs):
                return legs
            if time.monotonic() > deadline:
                return legs
            await asyncio.sleep(0.5)


def _items(page: object) -> list[dict[str, Any]]:
    return list(page["items"]) if isinstance(page, dict) else []


def cel_channels(file: Path) -> set[str]:
    """The uniqueids of all channels that the PBX wrote."""
    fields = list(CEL_FIELDS)
    kind, uniqueid = fields.index("eventtype"), fields.index("uniqueid")
    with file.open(newline="", encoding="utf-8") as lines:
        return {row[uniqueid] for row in csv.reader(lines) if row[kind] == "CHAN_START"}


async def measure(calls: int, rate: float) -> bool:
    """Run the load and print what came of it; whether all is right."""
    async with bench_stage(agents=AGENTS) as stage:
        load = Load(stage, calls, rate)
        print(f"{calls} calls at {rate:g} a second ...", flush=True)
        await load.run()
        ended = time.monotonic()
        legs = await load.legs()
        lag = time.monotonic() - ended
        channels = cel_channels(stage.pbx.cel_file)
        left = stage.pbx.console("core show channels concise").split()
    times = Counter(channel for leg in legs for channel in leg["channels"])
    once = sum(1 for channel in channels if times[channel] == 1)
    states = Counter(leg["state"] for leg in legs)
    presses = Counter(load.pressed.values())
    print(f"hand-overs pressed  {len(load.pressed)} (202: {presses[202]}; {dict(load.refused)})")
    middle = statistics.median(load.answers) * 1000
    print(f"key answered after  {middle:.0f} ms (median)")
    print(f"CEL channels        {len(channels)}")
    print(f"in exactly one leg  {once} = {100 * once / len(channels):.2f} %")
    several, none = sum(times[c] > 1 for c in channels), sum(not times[c] for c in channels)
    print(f"in several / none   {several} / {none}")
    print(
        f"legs                {len(legs)} {dict(states)}; all on record {lag:.1f} s after the last"
    )
    print(f"left on the PBX     {left or 'no channel'}")
    return once == len(channels) and set(states) == {"complete"} and not left


def main() -> None:
    """Exit status 0 when every channel is in exactly one complete leg."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    sys.exit(0 if asyncio.run(measure(calls, rate)) else 1)


if __name__ == "__main__":
    main()
