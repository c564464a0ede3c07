"""Checks the whole ledger against its hashes, streamed from the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select

from telephony.case_store import CASES, LEDGER, entry_of_row
from telephony.database import Database
from telephony.responsibility import Entry, Problem, verify


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a check of the ledger found; no problems means it is as it was written."""

    cases: int
    entries: int
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON shows it."""
        return {
            "ok": not self.problems,
            "cases": self.cases,
            "entries": self.entries,
            "problems": [asdict(problem) for problem in self.problems],
        }


async def verify_ledger(database: Database) -> LedgerReport:
    """Check every case. Raises :class:`DatabaseUnavailable`."""
    async with database.reading() as connection:
        rows = await connection.execute(select(CASES.c.case_id, CASES.c.entries, CASES.c.head))
        heads = {case: (count, head) for case, count, head in rows}
    problems: list[Problem] = []
    entries = 0
    seen: set[str] = set()
    async for ledger in _ledgers(database):
        case = ledger[0].case
        entries += len(ledger)
        seen.add(case)
        problems += verify(ledger, {case: heads[case]} if case in heads else {})
        if case not in heads:
            problems.append(Problem(case, 1, "belongs to a case that is missing"))
    for case in heads.keys() - seen:
        problems += verify([], {case: heads[case]})
    return LedgerReport(len(heads.keys() | seen), entries, sorted(problems, key=_place))


def _place(problem: Problem) -> tuple[str, int]:
    return problem.case, problem.number


async def _ledgers(database: Database) -> AsyncIterator[list[Entry]]:
    query = select(LEDGER).order_by(LEDGER.c.case_id, LEDGER.c.number)
    held: list[Entry] = []
    async with database.reading() as connection:
        async for row in (await connection.stream(query)).mappings():
            entry = entry_of_row(dict(row))
            if held and held[0].case != entry.case:
                yield held
                held = []
            held.append(entry)
    if held:
        yield held
