"""A page of 50 legs over HTTP at any depth, against the best query written by hand with orjson.

    python -m bench.lists [LEGS] [SECONDS]

The peer is an ASGI app that does nothing else: no token, no filters, no checks, one query of its
driver. Both are served by uvicorn in a process of their own and asked in turns. Half of the
requests are for one agent's legs, and every request is somewhere else in the five weeks.
"""

from __future__ import annotations

import asyncio
import base64
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import orjson

from bench.big_record import AGENTS, TOKEN, fill, moment, postgres, served
from telephony.record.queries import LEG_FIELDS
from telephony.record.query_parts import write_cursor

CONNECTIONS = 4
ROUNDS = 3
PLACES = 5000
_JSON = [LEG_FIELDS.index(name) for name in ("channels", "channel_names", "segments")]


def peer_postgres(url: str) -> Any:
    """The best that was written by hand, for PostgreSQL."""
    pool: Any = None

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        nonlocal pool
        asked = dict(parse_qsl(scope["query_string"].decode()))
        if pool is None:
            pool = await asyncpg.create_pool(url, min_size=0, max_size=CONNECTIONS, reset=_nothing)
        sql, values = _by_hand(asked, "${}", _moment(asked["cursor"]))
        async with pool.acquire() as connection:
            rows = [list(row) for row in await connection.fetch(sql, *values)]
        await _send(send, rows)

    return app


async def _nothing(_connection: Any) -> None:
    """No reset between two reads, as ours."""


def peer_sqlite(url: str) -> Any:
    """The best that was written by hand, for SQLite."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), check_same_thread=False)

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        asked = dict(parse_qsl(scope["query_string"].decode()))
        at, *rest = _moment(asked["cursor"])
        key = [at.strftime("%Y-%m-%d %H:%M:%S.%f"), *rest]
        sql, values = _by_hand(asked, "?{}", key)
        await _send(send, [list(row) for row in connection.execute(sql, values)])

    return app


def _by_hand(asked: dict[str, str], place: str, key: list[Any]) -> tuple[str, list[Any]]:
    values = [*key, *([asked["agent"]] if "agent" in asked else [])]
    agent = f"AND agent = {place.format(4)} " if "agent" in asked else ""
    places = ", ".join(place.format(number) for number in (1, 2, 3))
    return (
        f"SELECT {', '.join(LEG_FIELDS)} FROM legs WHERE (at, pbx, uniqueid) < ({places}) {agent}"
        "ORDER BY at DESC, pbx DESC, uniqueid DESC LIMIT 51",
        values,
    )


def _moment(cursor: str) -> list[Any]:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    seconds, _, *rest = orjson.loads(raw)
    return [datetime.fromtimestamp(seconds, UTC), *rest]


async def _send(send: Any, rows: list[list[Any]]) -> None:
    for row in rows:
        for place in _JSON:
            row[place] = orjson.Fragment(row[place])
    items = [dict(zip(LEG_FIELDS, row, strict=True)) for row in rows[:50]]
    body = orjson.dumps({"items": items, "next": rows[-1][1]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def requests(legs: int) -> list[bytes]:
    """What is asked: anywhere, half of it one agent's."""
    chosen = random.Random(4)
    found = []
    for number in range(PLACES):
        cursor = write_cursor([moment(chosen.randrange(1000, legs)), "pbx1", "9"])
        agent = f"&agent={8001 + chosen.randrange(1, AGENTS, 2)}" if number % 2 else ""
        found.append(
            f"GET /api/v1/legs?limit=50&cursor={cursor}{agent} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
    return found


async def load(port: int, asked: list[bytes], seconds: float) -> tuple[float, list[float]]:
    """Requests a second, and how long each took."""
    ends = time.monotonic() + seconds
    took: list[float] = []

    async def one(offset: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = offset
        while time.monotonic() < ends:
            began = time.monotonic()
            writer.write(asked[number % len(asked)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head[:20], head
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.monotonic() - began)
            number += CONNECTIONS
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    return len(took) / (time.monotonic() - began), took


async def compare(name: str, url: str, peer: str, legs: int, seconds: float) -> bool:
    """Both in turns; whether ours is fast enough."""
    asked = requests(legs)
    async with served("ours", url) as ours, served(peer, url) as theirs:
        for port in (ours, theirs):
            await load(port, asked, min(2.0, seconds))
        rates: dict[int, list[float]] = {ours: [], theirs: []}
        took: dict[int, list[float]] = {ours: [], theirs: []}
        for _ in range(ROUNDS):
            for port in (ours, theirs):
                rate, times = await load(port, asked, seconds)
                rates[port].append(rate)
                took[port] += times
    shares = [one / other for one, other in zip(rates[ours], rates[theirs], strict=True)]
    share = statistics.median(shares)
    p99 = {port: statistics.quantiles(times, n=100)[98] * 1000 for port, times in took.items()}
    print(
        f"{name}: ours {statistics.median(rates[ours]):.0f} pages/s, p99 {p99[ours]:.1f} ms; "
        f"by hand {statistics.median(rates[theirs]):.0f}, p99 {p99[theirs]:.1f} ms: {share:.2f} ×",
        flush=True,
    )
    return share >= 0.6 and p99[ours] < 30


async def main() -> int:
    """Exit status 0 when both databases are fast enough."""
    legs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    good = []
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/record.sqlite"
        await fill(url, legs)
        good.append(await compare("SQLite", url, "bench.lists:peer_sqlite", legs, seconds))
    with postgres() as url:
        await fill(url, legs)
        good.append(await compare("PostgreSQL", url, "bench.lists:peer_postgres", legs, seconds))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
