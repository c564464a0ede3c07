"""What the commands read from the database; loaded only by commands that need one."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telephony import audit
from telephony.bulk import export as bulk_export
from telephony.cases import queries as case_queries
from telephony.database import Database
from telephony.deadlines import queries as deadline_queries
from telephony.record import queries
from telephony.record.ledger_check import LedgerReport, verify_ledger
from telephony.settings import load_settings

if TYPE_CHECKING:
    from telephony.bulk.tables import Spec

Shown = Callable[[bulk_export.Progress], AbstractAsyncContextManager[None]]
"""Shows how far an export is while it goes on."""

COMMAND = "command"
"""What stands as the role in the audit log for a look at the machine itself."""


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


async def export(spec: Spec, target: Path | None, shown: Shown) -> None:
    """The record in bulk, into a file or (None) to standard output; it is in the audit log."""
    asked = audit.in_words(spec.to_dict()["filters"])
    what: audit.What = f"{spec.what}-export"  # type: ignore[assignment]
    progress = bulk_export.Progress()
    async with open_database() as database:
        await audit.note(database, who=user(), role=COMMAND, what=what, which=asked)
        async with shown(progress):
            if target is None:
                await bulk_export.stream(database, spec, sys.stdout.buffer, progress=progress)
            else:
                await bulk_export.write(database, spec, target, progress=progress)


async def page_of_cases(
    limit: int, cursor: str | None, *, by_due: bool = False, **filters: Any
) -> queries.Page:
    """A page of the cases that fit the filters."""
    filters["line"] = load_settings().number_of_line(filters.get("line"))
    async with open_database() as database:
        return await queries.list_cases(
            database, queries.CaseFilter(**filters), limit=limit, cursor=cursor, by_due=by_due
        )


async def page_of_overdue(limit: int, cursor: str | None, **filters: Any) -> queries.Page:
    """A page of the deadlines that have passed and fit the filters."""
    async with open_database() as database:
        return await deadline_queries.overdue(
            database,
            deadline_queries.OverdueFilter(**filters),
            now=datetime.now(UTC),
            limit=limit,
            cursor=cursor,
        )


async def whole_case(case: str) -> queries.Row:
    """A case with its legs, hand-overs and ledger; who looked is in the audit log."""
    async with open_database() as database:
        found = await queries.get_case(database, case)
        await audit.note(database, who=user(), role=COMMAND, what="case", which=case)
        return found


async def case_story(case: str) -> queries.Row:
    """A case in the order of time; who looked is in the audit log."""
    async with open_database() as database:
        found = await case_queries.story(database, case)
        await audit.note(database, who=user(), role=COMMAND, what="story", which=case)
        return found


async def case_figures(since: datetime | None, until: datetime | None) -> queries.Row:
    """Figures of the cases that were opened in this time."""
    async with open_database() as database:
        return await case_queries.figures(database, since=since, until=until)


def user() -> str:
    """Who sits at the machine, by its own accounts."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user may have no name
        return str(os.getuid())


async def checked_ledger() -> LedgerReport:
    """The whole ledger, checked against its hashes."""
    async with open_database() as database:
        return await verify_ledger(database)
