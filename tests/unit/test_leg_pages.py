"""Pages of legs as finished JSON: what they hold is what the plain query finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import insert

from telephony.cases.store import CASES
from telephony.database import Database
from telephony.errors import DatabaseUnavailable, InvalidValue
from telephony.record import queries
from telephony.record.leg_pages import CONNECTIONS, LegPages
from telephony.record.queries import InvalidCursor, LegFilter
from tests.unit.day_of_calls import DAY, make

TRANSFER = "20261124-1795497294.19"
OTHER = "20261124-1795497295.99"


@pytest.fixture
async def day(database: Database, tmp_path: Path) -> Database:
    """A database with a day of recorded calls; a call of another case is attached to one."""
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    attached = {"case_id": OTHER, "pbx": "pbx1", "opened_at": datetime.now(UTC), "state": "merged"}
    attached |= {"merged_into": TRANSFER, "handover_count": 0, "entries": 0, "head": ""}
    async with database.writing() as connection:
        await connection.execute(insert(CASES), [attached])
    return database


@pytest.fixture
async def pages(day: Database) -> AsyncIterator[LegPages]:
    pages = LegPages(day)
    yield pages
    await pages.close()


def plain(page: queries.Page) -> Any:
    return orjson.loads(orjson.dumps({"items": page.items, "next": page.next}))


EARLY = datetime(2026, 11, 24, 5, 14, 55, tzinfo=UTC)


async def test_given_any_filter_then_the_page_is_that_of_the_plain_query(
    day: Database, pages: LegPages
) -> None:
    for filters in (
        LegFilter(),
        LegFilter(case=TRANSFER),
        LegFilter(case=TRANSFER, role="target"),
        LegFilter(caller="+8613900000001"),
        LegFilter(caller="8613900000001", since=EARLY),
        LegFilter(caller="nobody"),
        LegFilter(agent="8001", until=EARLY),
        LegFilter(department="车管窗口", case=TRANSFER),
        LegFilter(agent="8001", department="车管窗口", role="agent", since=EARLY, until=EARLY),
    ):
        cursor = None
        while True:
            want = await queries.list_legs(day, filters, limit=7, cursor=cursor)
            got = orjson.loads(await pages.page(filters, limit=7, cursor=cursor))
            assert got == plain(want)
            cursor = want.next
            if cursor is None:
                break


async def test_given_what_cannot_be_then_the_error_is_that_of_the_plain_query(
    day: Database, pages: LegPages
) -> None:
    with pytest.raises(InvalidCursor):
        await pages.page(LegFilter(), cursor="x")
    with pytest.raises(InvalidValue):
        await pages.page(LegFilter(caller="a\x00"))
    async with day.writing() as connection:
        await connection.exec_driver_sql("DROP TABLE legs")
    with pytest.raises(DatabaseUnavailable):
        await pages.page(LegFilter())


async def test_given_a_file_that_was_taken_away_then_none_is_made_and_a_new_one_is_read(
    tmp_path: Path,
) -> None:
    file = tmp_path / "record.sqlite"
    database = Database(f"sqlite:///{file}")
    await database.migrate()
    pages = LegPages(database)
    for _ in range(CONNECTIONS):
        assert orjson.loads(await pages.page(LegFilter()))["items"] == []
    put_aside(file, tmp_path / "aside.sqlite")
    with pytest.raises(DatabaseUnavailable):
        await pages.page(LegFilter())
    assert not file.exists()
    (tmp_path / "Master.csv").write_bytes(DAY)
    other = Database(f"sqlite:///{file}")
    await other.migrate()
    await make(other, tmp_path).catch_up()
    for _ in range(CONNECTIONS):
        assert orjson.loads(await pages.page(LegFilter()))["items"] != []
    await pages.close()
    await database.close()
    await other.close()


def put_aside(file: Path, to: Path) -> None:
    file.rename(to)
    for beside in ("-wal", "-shm"):
        Path(f"{file}{beside}").unlink(missing_ok=True)
