"""What is late and who holds it, and the deadlines of a case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from telephony.cases.book import DETAILS
from telephony.cases.store import CASES
from telephony.deadlines.book import DEADLINES, RUNS
from telephony.deadlines.models import DeadlineRecord
from telephony.record.query_parts import Page, Row, all_rows, equal, page_of, storable, where

if TYPE_CHECKING:
    from telephony.database import Database

KEY = (DEADLINES.c.due_at, DEADLINES.c.case_id, DEADLINES.c.key)
_SHOWN = (
    *("key", "kind", "holder", "department", "since_at", "due_at", "ended_at"),
    *("reminded_at", "escalated_at", "head_told_at"),
)
_OF_CASE = ("opened_at", "state", "owner", "first_contact", "caller", "caller_e164")


@dataclass(frozen=True, slots=True)
class OverdueFilter:
    """What is late; what is None does not matter. ``holder``: who must act."""

    department: str | None = None
    kind: str | None = None
    holder: str | None = None


async def overdue(
    database: Database,
    filters: OverdueFilter,
    *,
    now: datetime,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Deadlines that have passed, the longest ago first, each with its case.

    ``late_s``: seconds of the clock since it was due. Raises :class:`InvalidCursor`,
    :class:`DatabaseUnavailable`.
    """

    def shape(found: Any) -> Row:
        row = dict(found)
        row["department"] = row["department"] or None
        return row | {"late_s": (now - row["due_at"]).total_seconds()}

    conditions = [
        RUNS,
        DEADLINES.c.due_at <= now,
        *equal(
            DeadlineRecord,
            department=filters.department,
            kind=filters.kind,
            holder=filters.holder,
        ),
    ]
    joined = DEADLINES.join(CASES, CASES.c.case_id == DEADLINES.c.case_id).outerjoin(
        DETAILS, DETAILS.c.case_id == DEADLINES.c.case_id
    )
    columns = [
        DEADLINES.c.case_id.label("case"),
        *(DEADLINES.c[name] for name in _SHOWN),
        *(CASES.c[name] for name in _OF_CASE),
        DETAILS.c.kind.label("case_kind"),
        DETAILS.c.matter,
    ]
    query = where(select(*columns).select_from(joined), conditions)
    return await page_of(database, query, KEY, limit, cursor, shape, ascending=True)


async def of_case(database: Database, case: str, *, now: datetime) -> list[Row]:
    """The deadlines that a case has and had, in the order in which they began."""
    query = select(*(DEADLINES.c[name] for name in _SHOWN)).where(
        DEADLINES.c.case_id == storable(case)
    )
    rows = await all_rows(database, query.order_by(DEADLINES.c.since_at, DEADLINES.c.key))
    return [
        {
            **row,
            "department": row["department"] or None,
            "late": row["due_at"] <= (row["ended_at"] or now),
        }
        for row in rows
    ]
