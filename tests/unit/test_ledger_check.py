"""Checking the ledger while people go on working: what they write is no sign of a forgery."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only

from telephony.cases.store import CaseStore, micros_of
from telephony.cases.work import WORK, work_fact
from telephony.cel.rows import Fact
from telephony.database import Database
from telephony.record.ledger_check import LedgerReport, verify_case, verify_ledger
from tests.unit.day_of_calls import DAY, make

TRANSFER = "20261124-1795497294.19"


@pytest.fixture
async def colleague(database: Database, database_url: str) -> AsyncIterator[Database]:
    """The same database, as another process sees it."""
    other = Database(database_url)
    yield other
    await other.close()


async def note(database: Database) -> None:
    """One more entry in the ledger of a case."""
    store = CaseStore(database, "pbx1")
    at = micros_of(datetime.now(UTC))
    async with database.writing() as connection:
        stored, entries = await store.locked(connection, TRANSFER)
        values = work_fact(TRANSFER, "message", "m1", "8001", detail="taken")
        await store.append(connection, stored, entries, Fact(at, WORK, values, ""))


async def of_one(database: Database) -> LedgerReport:
    return await verify_case(database, TRANSFER)


@pytest.mark.parametrize("check", [verify_ledger, of_one])
async def test_given_an_entry_written_while_the_ledger_is_read_then_nothing_is_wrong_with_it(
    database: Database,
    colleague: Database,
    tmp_path: Path,
    check: Callable[[Database], Awaitable[LedgerReport]],
) -> None:
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    before = await check(database)
    written: list[str] = []

    def wrote_meanwhile(*told: Any) -> None:
        statement: str = told[2]
        if "FROM cases" in statement and not written:
            written.append(statement)
            await_only(note(colleague))

    engine = database.engine.sync_engine
    event.listen(engine, "after_cursor_execute", wrote_meanwhile)
    report = await check(database)
    event.remove(engine, "after_cursor_execute", wrote_meanwhile)
    assert len(written) == 1
    assert (report.problems, report.entries) == ([], before.entries)
    assert (await check(database)).entries == before.entries + 1
