"""CEL rows -> legs: rows a second on one core, and the memory it takes.

Usage: python -m bench.legs_build [ROWS] [--file]
The rows are recorded calls (tests/replay/cel_*.csv) repeated with new uniqueids, 50 calls at once;
they are made on the way, so that any number of them fits, and their making is not counted.
``--file``: from a CEL file on disk, sorted, to legs, as ``hotline legs build`` does it.
"""

from __future__ import annotations

import csv
import gc
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from telephony.call_legs import Row, build_legs
from telephony.cel.rows import OUR_COLUMNS, CelRow, our_layout, read_lines
from telephony.cel.sort import read_cel

REPLAY = Path(__file__).resolve().parent.parent / "tests" / "replay"
STEP_US = 20_000
RUNS = 5


def recorded() -> list[list[CelRow]]:
    """The recorded calls that every run begins with."""
    layout = our_layout()
    calls = []
    for path in sorted(REPLAY.glob("cel_*.csv")):
        with path.open(newline="") as lines:
            fields = read_lines(lines, layout, print)
            calls.append([layout.row(one) for _, one in fields])
    return calls


class Traffic:
    """Rows in the order of time: calls that overlap, each with uniqueids of its own."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.made = 0
        self.making_s = 0.0  # processor time that went into making rows
        # What a crash left open stays in memory for a day; here each call ends.
        self._calls = [call for call in recorded() if _ends(call)]
        self._count = 0

    def __iter__(self) -> Iterator[Row]:
        waiting: list[Row] = []
        while self.made < self.wanted:
            begun = time.process_time()
            waiting += self._round()
            waiting.sort(key=itemgetter(0))
            # What comes later can still mix with the next round.
            until = BASE * 1_000_000 + self._count * STEP_US
            ready = next((i for i, row in enumerate(waiting) if row[0] > until), len(waiting))
            batch, waiting = waiting[:ready], waiting[ready:]
            self.made += len(batch)
            self.making_s += time.process_time() - begun
            yield from batch
        self.made += len(waiting)
        yield from waiting

    def _round(self) -> list[Row]:
        """Each recorded call once more."""
        rows = []
        for call in self._calls:
            self._count += 1
            moved = self._count * STEP_US - call[0].at
            second = BASE + self._count * STEP_US // 1_000_000
            names: dict[str, str] = {}
            for row in call:
                for one in (row.uniqueid, row.linkedid):
                    if one not in names:
                        names[one] = f"{second}.{self._count * 10 + len(names)}"
                extra = row.extra
                if extra:
                    extra = extra.replace('"bridge_id":"', f'"bridge_id":"{self._count}-')
                    for old, new in names.items():
                        extra = extra.replace(old, new)
                fields = list(row)
                fields[0] = BASE * 1_000_000 + row.at + moved
                fields[3], fields[4] = names[row.uniqueid], names[row.linkedid]
                if row.account:
                    fields[10] = f"20261124-{names[row.linkedid]}"
                fields[13] = extra
                rows.append(tuple(fields))
        return rows


def _ends(call: list[CelRow]) -> bool:
    ended = {row.uniqueid for row in call if row.event == "CHAN_END"}
    return ended == {row.uniqueid for row in call}


BASE = 1_795_000_000


def of_rows(wanted: int) -> tuple[int, int, float]:
    """Rows, legs, and seconds of the pure function."""
    traffic = Traffic(wanted)
    begun = time.process_time()
    legs = sum(1 for _ in build_legs(traffic))
    return traffic.made, legs, time.process_time() - begun - traffic.making_s


def of_file(path: Path, rows: int) -> tuple[int, int, float]:
    """Rows, legs, and seconds from the file to the legs."""
    begun = time.process_time()
    with path.open(encoding="utf-8-sig", newline="") as lines:
        legs = sum(1 for _ in build_legs(read_cel(lines, print)))
    return rows, legs, time.process_time() - begun


def write_file(path: Path, wanted: int) -> int:
    """A CEL file with a header row; returns how many rows it has."""
    traffic = Traffic(wanted)
    places = ("eventtype", "eventtime", "channame", "uniqueid", "linkedid")
    more = ("cid_num", "exten", "context", "appname", "appdata", "accountcode", "peer")
    names = (*places, *more, "userdeftype", "eventextra")
    with path.open("w", newline="") as target:
        writer = csv.DictWriter(target, OUR_COLUMNS, restval="", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in traffic:
            at = f"{row[0] // 1_000_000}.{row[0] % 1_000_000:06}"
            writer.writerow(dict(zip(names, (row[1], at, *row[2:]), strict=True)))
    return traffic.made


def main() -> None:
    """Print the median of five runs (one run from a million rows on)."""
    numbers = [one for one in sys.argv[1:] if one.isdecimal()]
    wanted = int(numbers[0]) if numbers else 200_000
    runs = RUNS if wanted < 1_000_000 else 1
    with tempfile.TemporaryDirectory() as folder:
        if "--file" in sys.argv:
            path = Path(folder) / "cel.csv"
            rows = write_file(path, wanted)
            gc.collect()
            results = [of_file(path, rows) for _ in range(runs)]
        else:
            results = [of_rows(wanted) for _ in range(runs)]
    rows, legs, _ = results[0]
    rate = statistics.median(rows / took for _, _, took in results)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    what = "file -> legs" if "--file" in sys.argv else "rows -> legs"
    print(f"{what}: {rows} rows, {legs} legs: {rate:,.0f} rows/s, {peak:.0f} MiB at most")


if __name__ == "__main__":
    main()
