"""Databases as earlier versions left them: brought up to date, nothing is lost and all is readable.

Each dump in tests/fixtures/upgrades was written by a version of its time: its own ``hotline demo``
on a real Asterisk, and people who then worked on the cases over its HTTP interface.
"""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from sqlalchemy import MetaData, Table, create_engine, insert, select, text

from telephony.calendar.book import CalendarBook
from telephony.cases.store import CASES
from telephony.database import Database, migrate
from telephony.messages.book import MessageBook, MessageFilter
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.record.leg_pages import LegPages
from telephony.settings import Settings
from tests.unit.cel_samples import REPLAY
from tests.unit.day_of_calls import make

DUMPS = Path(__file__).resolve().parent.parent / "fixtures" / "upgrades"
NAMES = sorted(file.name.partition(".")[0] for file in DUMPS.glob("*.sql*"))
TOUCHED = "figure_days_touched"
COUNTED = frozenset(("outbox", TOUCHED))
"""Tables whose rows the database numbers."""
Rows = list[dict[str, Any]]


class Dump(NamedTuple):
    """A database as it was: its form, its tables and what they held."""

    sql: str
    revision: str
    tables: MetaData
    rows: Mapping[str, Rows]


@cache
def dump(name: str) -> Dump:
    [file] = DUMPS.glob(f"{name}.sql*")
    data = file.read_bytes()
    sql = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    lite = sqlite3.connect(":memory:", check_same_thread=False)
    lite.executescript(sql)
    engine = create_engine("sqlite://", creator=lambda: lite)
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        version = tables.tables["alembic_version"]
        revision: str = connection.execute(select(version)).scalar_one()
        tables.remove(version)
        rows = {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in tables.sorted_tables
        }
    return Dump(sql, revision, tables, rows)


def put(old: Dump, url: str) -> None:
    """The database as it was then, and as it is after an upgrade."""
    if url.startswith("sqlite"):
        lite = sqlite3.connect(url.removeprefix("sqlite:///"))
        lite.executescript(old.sql)
        lite.close()
    else:  # the tables that the migrations made then, and the same rows
        migrate(url, old.revision)
        asyncio.run(_fill(old, url))
    migrate(url)


async def _fill(old: Dump, url: str) -> None:
    database = Database(url)
    # The triggers note days as the rows are written: what they had noted then comes last.
    names = sorted(old.rows, key=lambda name: name == TOUCHED)
    async with database.writing() as connection:
        for name in names:
            if name == TOUCHED:
                await connection.execute(text(f"DELETE FROM {name}"))
            if old.rows[name]:
                there = await connection.run_sync(_reflected, name)
                await connection.execute(insert(there), [_with_zone(row) for row in old.rows[name]])
        for name in COUNTED & old.rows.keys():
            last = f"(SELECT coalesce(max(id), 0) + 1 FROM {name})"
            own = f"pg_get_serial_sequence('{name}', 'id')"
            await connection.execute(text(f"SELECT setval({own}, {last}, false)"))
    await database.close()


def _reflected(connection: Any, name: str) -> Table:
    return Table(name, MetaData(), autoload_with=connection)


def _with_zone(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


async def rows_now(database: Database, table: Table) -> Rows:
    """What stands in the columns that a table had then."""
    async with database.reading() as connection:
        there = await connection.run_sync(_reflected, table.name)
        query = select(*(there.c[column.name] for column in table.columns))
        return [dict(row) for row in (await connection.execute(query)).mappings()]


def plain(rows: Rows) -> list[bytes]:
    """Rows in a form that is the same for both databases, in one order."""

    def told(value: Any) -> Any:
        if isinstance(value, datetime):
            return (value.replace(tzinfo=UTC) if value.tzinfo is None else value).timestamp()
        return value

    option = orjson.OPT_SORT_KEYS
    return sorted(
        orjson.dumps(
            {str(name): told(value) for name, value in row.items()}, option=option, default=str
        )
        for row in rows
    )


async def everything(ask: Any, database: Database, filters: Any) -> Rows:
    """All pages of a list."""
    items: Rows = []
    cursor = None
    while True:
        page = await ask(database, filters, limit=7, cursor=cursor)
        items += page.items
        cursor = page.next
        if cursor is None:
            return items


@pytest.mark.parametrize("name", NAMES)
def test_given_a_database_of_an_earlier_version_when_brought_up_to_date_then_all_of_it_is_readable(
    name: str, empty_database_url: str, tmp_path: Path
) -> None:
    old = dump(name)
    put(old, empty_database_url)
    asyncio.run(_is_whole(old, empty_database_url, tmp_path))


async def _is_whole(old: Dump, url: str, folder: Path) -> None:
    database = Database(url)
    try:
        for table in old.tables.sorted_tables:
            assert plain(await rows_now(database, table)) == plain(old.rows[table.name]), table.name
        await _legs_are_readable(old, database)
        await _cases_are_readable(old, database)
        await _messages_are_readable(old, database)
        await _record_goes_on(old, database, folder)
    finally:
        await database.close()


async def _legs_are_readable(old: Dump, database: Database) -> None:
    assert old.rows["legs"]
    legs = await everything(queries.list_legs, database, queries.LegFilter())
    assert {leg["uniqueid"] for leg in legs} == {row["uniqueid"] for row in old.rows["legs"]}
    for leg in legs:
        assert await queries.get_leg(database, leg["uniqueid"], pbx=leg["pbx"]) == leg
    pages = LegPages(database)
    page = orjson.loads(await pages.page(queries.LegFilter(role="citizen"), limit=500))
    await pages.close()
    citizens = [row["uniqueid"] for row in old.rows["legs"] if row["role"] == "citizen"]
    assert sorted(leg["uniqueid"] for leg in page["items"]) == sorted(citizens)


async def _cases_are_readable(old: Dump, database: Database) -> None:
    assert old.rows["cases"]
    cases = await everything(queries.list_cases, database, queries.CaseFilter())
    assert {one["case"] for one in cases} == {row["case_id"] for row in old.rows["cases"]}
    handovers = await everything(queries.list_handovers, database, queries.HandoverFilter())
    assert {one["id"] for one in handovers} == {row["id"] for row in old.rows["handovers"]}
    for case in cases:
        whole = await queries.get_case(database, case["case"])
        told = [row for row in old.rows["ledger"] if row["case_id"] == case["case"]]
        assert len(whole["ledger"]) == len(told)
        # Worked out by a migration for those that are older than the figure.
        offered = [entry for entry in whole["ledger"] if entry["event"] == "offered"]
        assert whole["handover_count"] == len(offered)
    report = await verify_ledger(database)
    assert (report.problems, report.entries) == ([], len(old.rows["ledger"]))


async def _messages_are_readable(old: Dump, database: Database) -> None:
    settings = Settings(database_url="sqlite://")
    book = MessageBook(database, settings, CalendarBook(database, settings))
    page = await book.page(MessageFilter(), limit=500)
    assert len(page.items) == len(old.rows.get("messages", []))
    for one in page.items:
        assert (await book.get(one["id"]))["id"] == one["id"]


async def _record_goes_on(old: Dump, database: Database, folder: Path) -> None:
    (folder / "Master.csv").write_bytes((REPLAY / "cel_house_chain.csv").read_bytes())
    await make(database, folder).catch_up()
    async with database.reading() as connection:
        known = (await connection.execute(select(CASES.c.case_id))).scalars().all()
    assert len(known) == len(old.rows["cases"]) + 1
    report = await verify_ledger(database)
    assert report.problems == []
    assert report.entries > len(old.rows["ledger"])
