"""CEL rows -> legs: rows a second of the pure function on one core, and the memory it takes.

Usage: python bench/legs_build.py [ROWS]
The rows are recorded calls (tests/replay/cel_*.csv) repeated with new uniqueids, 50 calls at once.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from telephony.call_legs import build_legs
from telephony.cel import CelRow, our_layout, read_lines

REPLAY = Path(__file__).resolve().parent.parent / "tests" / "replay"
STEP_US = 20_000


def recorded() -> list[list[CelRow]]:
    """The recorded calls that every run begins with."""
    layout = our_layout()
    calls = []
    for path in sorted(REPLAY.glob("cel_*.csv")):
        with path.open(newline="") as lines:
            fields = read_lines(lines, layout, print)
            calls.append([layout.row(one) for _, one in fields])
    return calls


def repeated(calls: list[list[CelRow]], wanted: int) -> Iterator[CelRow]:
    """Rows in the order of time: calls that overlap, each with uniqueids of its own."""
    base = 1_795_000_000
    batch: list[CelRow] = []
    made = count = 0
    while made < wanted:
        for call in calls:
            count += 1
            start = call[0].at
            second = base + count * STEP_US // 1_000_000
            names: dict[str, str] = {}
            for row in call:
                for one in (row.uniqueid, row.linkedid):
                    if one not in names:
                        names[one] = f"{second}.{count * 10 + len(names)}"
                extra, account = row.extra, row.account
                if extra:
                    extra = extra.replace('"bridge_id":"', f'"bridge_id":"{count}-')
                    for old, new in names.items():
                        extra = extra.replace(old, new)
                if account:
                    account = f"20261124-{names[row.linkedid]}"
                batch.append(
                    row._replace(
                        at=base * 1_000_000 + count * STEP_US + row.at - start,
                        uniqueid=names[row.uniqueid],
                        linkedid=names[row.linkedid],
                        extra=extra,
                        account=account,
                    )
                )
        made += len(batch)
        batch.sort(key=lambda row: row.at)
        yield from batch
        batch = []


def main() -> None:
    """Print the median of five runs."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rows = list(repeated(recorded(), wanted))
    rates = []
    legs = 0
    for _ in range(5):
        begun = time.process_time()
        legs = sum(1 for _ in build_legs(rows))
        rates.append(len(rows) / (time.process_time() - begun))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(rows)} rows, {legs} legs: {statistics.median(rates):,.0f} rows/s, {peak:.0f} MiB")


if __name__ == "__main__":
    main()
