"""Checks the whole ledger against its hashes, streamed from the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from telephony.cases.store import CASES, LEDGER, entry_of_row, table
from telephony.database import Database
from telephony.errors import CaseNotFound
from telephony.record.query_parts import storable
from telephony.responsibility import Entry, Problem, verify
from telephony.retention.models import DeletedCase, DeletionRecord
from telephony.retention.rules import head_line, verify_deletions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

DELETIONS, DELETED_CASES = map(table, (DeletionRecord, DeletedCase))


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a check of the ledger found; no problems means it is as it was written."""

    cases: int
    entries: int
    problems: list[Problem]
    deleted: int = 0
    """Cases that were deleted by rule: the ledger of deletions says when, and how each ended."""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON shows it."""
        return {
            "ok": not self.problems,
            "cases": self.cases,
            "entries": self.entries,
            "deleted_cases": self.deleted,
            "problems": [asdict(problem) for problem in self.problems],
        }


async def verify_ledger(database: Database) -> LedgerReport:
    """Check every case, and the ledger of deletions. Raises :class:`DatabaseUnavailable`."""
    problems: list[Problem] = []
    entries = 0
    seen: set[str] = set()
    async with _one_moment(database) as connection:
        found = await connection.execute(select(DELETIONS).order_by(DELETIONS.c.number))
        deletions = [dict(row) for row in found.mappings()]
        asked = select(DELETED_CASES).order_by(DELETED_CASES.c.deletion)
        times = (await connection.execute(asked)).all()
        gone = {row.case_id: row for row in times}
        rows = await connection.execute(select(CASES.c.case_id, CASES.c.entries, CASES.c.head))
        heads = {case: (count, head) for case, count, head in rows}
        async for ledger in _ledgers(connection):
            case = ledger[0].case
            entries += len(ledger)
            seen.add(case)
            problems += verify(ledger, {case: heads[case]} if case in heads else {})
            if case not in heads:
                problems.append(Problem(case, 1, "belongs to a case that is missing"))
    for case in heads.keys() - seen:
        problems += verify([], {case: heads[case]})
    lines: dict[int, list[bytes]] = {}
    for row in times:
        lines.setdefault(row.deletion, []).append(head_line(row.case_id, row.entries, row.head))
    problems += verify_deletions(deletions, lines)
    known = {entry["number"] for entry in deletions}
    problems += [
        Problem(row.case_id, 1, f"was deleted by entry {row.deletion}, which is missing")
        for row in times
        if row.deletion not in known
    ]
    problems += [
        Problem(case, 1, f"was deleted by entry {gone[case].deletion} and is on record again")
        for case in gone.keys() & (heads.keys() | seen)
    ]
    cases = len(heads.keys() | seen)
    return LedgerReport(cases, entries, sorted(problems, key=_place), len(gone))


async def verify_case(database: Database, case: str) -> LedgerReport:
    """Check one case. Raises :class:`CaseNotFound`, :class:`DatabaseUnavailable`."""
    async with _one_moment(database) as connection:
        asked = select(CASES.c.entries, CASES.c.head).where(CASES.c.case_id == storable(case))
        head = (await connection.execute(asked)).one_or_none()
        if head is None:
            raise CaseNotFound(f"no case {case!r} is on record")
        query = select(LEDGER).where(LEDGER.c.case_id == case).order_by(LEDGER.c.number)
        rows = (await connection.execute(query)).mappings()
        ledger = [entry_of_row(dict(row)) for row in rows]
    problems = list(verify(ledger, {case: (head.entries, head.head)}))
    return LedgerReport(1, len(ledger), problems)


def _place(problem: Problem) -> tuple[str, int]:
    return problem.case, problem.number


@asynccontextmanager
async def _one_moment(database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection whose reads all see the same moment of the record.

    An entry written between two reads would look as if somebody else had written it.
    """
    async with database.reading() as connection:
        await connection.exec_driver_sql(
            "BEGIN" if database.is_sqlite else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        )
        yield connection


async def _ledgers(connection: AsyncConnection) -> AsyncIterator[list[Entry]]:
    query = select(LEDGER).order_by(LEDGER.c.case_id, LEDGER.c.number)
    held: list[Entry] = []
    async for row in (await connection.stream(query)).mappings():
        entry = entry_of_row(dict(row))
        if held and held[0].case != entry.case:
            yield held
            held = []
        held.append(entry)
    if held:
        yield held
