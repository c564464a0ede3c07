"""All legs as CSV over HTTP, against psql COPY, and against a raw cursor with csv on SQLite.

    python -m bench.exports [LEGS]

The peers select the same columns in the same order. Ours also sees to it that no cell starts a
formula, and writes times as ISO 8601. What comes is thrown away.
"""

from __future__ import annotations

import asyncio
import csv
import os
import sqlite3
import statistics
import sys
import tempfile
import time

from bench.big_record import TOKEN, fill, postgres, psql, served
from telephony.record.queries import LEG_FIELDS

ROUNDS = 3
SELECT = f"SELECT {', '.join(LEG_FIELDS)} FROM legs ORDER BY at, pbx, uniqueid"


async def export(port: int) -> tuple[float, int]:
    """How long an export takes, in seconds, and its bytes."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(
        f"GET /api/v1/legs/export HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head[:20], head
    size = 0
    last = b""
    while piece := await reader.read(1 << 20):
        size += len(piece)
        last = piece[-5:]
    assert last.endswith(b"0\r\n\r\n"), "the answer broke off"
    writer.close()
    return time.monotonic() - began, size


def raw_csv(file: str) -> float:
    """How long a raw cursor with csv takes, in seconds."""
    began = time.monotonic()
    connection = sqlite3.connect(file)
    with open(os.devnull, "w", encoding="utf-8", newline="") as nowhere:
        writer = csv.writer(nowhere)
        cursor = connection.execute(SELECT)
        while rows := cursor.fetchmany(2000):
            writer.writerows(rows)
    connection.close()
    return time.monotonic() - began


def told(name: str, legs: int, ours: list[float], peer: list[float]) -> bool:
    """Print the figures; whether ours is fast enough."""
    share = statistics.median(other / one for one, other in zip(ours, peer, strict=True))
    mine, theirs = (legs / statistics.median(times) for times in (ours, peer))
    print(f"{name}: ours {mine:,.0f} rows/s, peer {theirs:,.0f}: {share:.2f} ×", flush=True)
    return share >= 0.8


async def main() -> int:
    """Exit status 0 when both databases are fast enough."""
    legs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    good = []
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/record.sqlite"
        await fill(f"sqlite:///{file}", legs)
        async with served("ours", f"sqlite:///{file}") as port:
            ours, peer = [], []
            for _ in range(ROUNDS):
                ours.append((await export(port))[0])
                peer.append(await asyncio.to_thread(raw_csv, file))
        good.append(told("SQLite, a raw cursor with csv", legs, ours, peer))
    with postgres() as url:
        await fill(url, legs)
        async with served("ours", url) as port:
            ours, peer = [], []
            for _ in range(ROUNDS):
                ours.append((await export(port))[0])
                copy = f"COPY ({SELECT}) TO STDOUT (FORMAT csv)"
                peer.append(await asyncio.to_thread(psql, url, copy))
        good.append(told("PostgreSQL, psql COPY", legs, ours, peer))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
