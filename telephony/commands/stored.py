"""What the commands read from the database; loaded only by commands that need one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from telephony import queries
from telephony.database import Database
from telephony.ledger_check import LedgerReport, verify_ledger
from telephony.settings import load_settings


@asynccontextmanager
async def open_database() -> AsyncIterator[Database]:
    """The database that the settings name, closed at the end."""
    database = Database.from_settings(load_settings())
    try:
        yield database
    finally:
        await database.close()


async def page_of_legs(limit: int, cursor: str | None, **filters: Any) -> queries.Page:
    """A page of the legs that fit the filters."""
    async with open_database() as database:
        return await queries.list_legs(
            database, queries.LegFilter(**filters), limit=limit, cursor=cursor
        )


async def write_legs(target: IO[bytes], **filters: Any) -> None:
    """The legs that fit the filters, as CSV."""
    async with open_database() as database:
        async for chunk in queries.export_legs_csv(database, queries.LegFilter(**filters)):
            target.write(chunk)


async def page_of_cases(limit: int, cursor: str | None, **filters: Any) -> queries.Page:
    """A page of the cases that fit the filters."""
    async with open_database() as database:
        return await queries.list_cases(
            database, queries.CaseFilter(**filters), limit=limit, cursor=cursor
        )


async def whole_case(case: str) -> queries.Row:
    """A case with its legs, hand-overs and ledger."""
    async with open_database() as database:
        return await queries.get_case(database, case)


async def checked_ledger() -> LedgerReport:
    """The whole ledger, checked against its hashes."""
    async with open_database() as database:
        return await verify_ledger(database)
