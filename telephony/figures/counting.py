"""Counts what is on record in a stretch of time, by department, agent, matter and desk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, exists, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.cases.store import CASES, HANDOVERS, table
from telephony.figures.measures import ANSWER_WITHIN_S, HANDOVER
from telephony.messages.models import MessageRecord
from telephony.models import CaseDetails, LegRecord
from telephony.retention.models import DeletionRecord

Dimension = Literal["all", "department", "agent", "matter", "desk"]
LEGS, DETAILS, MESSAGES, DELETIONS = map(
    table, (LegRecord, CaseDetails, MessageRecord, DeletionRecord)
)
CAME_IN = and_(CASES.c.line.is_not(None), CASES.c.case_id.not_like("%.8_________"))
"""Cases that a call of a citizen to our line began. A call of ours to a citizen is noted with no
line, and a case that another platform sent has a number that is no call's."""
AFTER_HOURS = ("shut", "day", "hours")
"""Why a message or missed call of a closed line was taken."""

Key = tuple[str, str, str]
"""Dimension, member, measure."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that is counted: where it stands, when it was, whose it is, and what of it.

    ``kept_as``: what it is counted from, by its names in the ledger of deletions: where some of it
    was deleted nothing is counted again.
    ``measures``: which rows, and the seconds that are summed. ``by_state`` counts by a column.
    """

    kept_as: tuple[str, ...]
    rows: FromClause
    at: ColumnElement[datetime]
    members: dict[Dimension, ColumnElement[Any]]
    measures: dict[str, tuple[ColumnElement[bool], ColumnElement[Any] | None]]
    by_state: ColumnElement[Any] | None = None


def sources(*, sqlite: bool) -> tuple[Source, ...]:
    """All that is counted."""
    return _cases(), _talks(), _handovers(), _messages(sqlite=sqlite)


def _with_matter(rows: FromClause, case_id: ColumnElement[Any]) -> FromClause:
    return rows.outerjoin(DETAILS, DETAILS.c.case_id == case_id)


def _cases() -> Source:
    columns = CASES.c
    waited = columns.time_to_answer_s
    first = and_(LEGS.c.case_id == columns.case_id, LEGS.c.uniqueid == columns.first_leg)
    judged = columns.first_contact_resolution
    noted = exists().where(MESSAGES.c.case_id == columns.case_id)
    closed = MESSAGES.c.why.in_(AFTER_HOURS)
    in_vain = and_(CAME_IN, waited.is_(None))
    return Source(
        kept_as=("cases", "legs", "messages"),
        rows=_with_matter(CASES.outerjoin(LEGS, first), columns.case_id),
        at=columns.opened_at,
        members={
            "department": LEGS.c.department,
            "agent": columns.first_contact,
            "matter": DETAILS.c.matter,
        },
        measures={
            "calls": (CAME_IN, None),
            "answered": (and_(CAME_IN, waited.is_not(None)), waited),
            "answered_in_time": (and_(CAME_IN, waited <= ANSWER_WITHIN_S), None),
            "abandoned": (and_(in_vain, noted.where(MESSAGES.c.kind == "missed", ~closed)), None),
            "after_hours": (and_(in_vain, noted.where(closed)), None),
            "judged": (judged.is_not(None), None),
            "resolved": (judged.is_(True), None),
        },
    )


def _talks() -> Source:
    return Source(
        kept_as=("legs", "cases"),
        rows=_with_matter(LEGS, LEGS.c.case_id),
        at=LEGS.c.at,
        members={
            "department": LEGS.c.department,
            "agent": LEGS.c.agent,
            "matter": DETAILS.c.matter,
        },
        measures={
            "talks": (and_(LEGS.c.role == "agent", LEGS.c.talk_s.is_not(None)), LEGS.c.talk_s)
        },
    )


def _handovers() -> Source:
    columns = HANDOVERS.c
    theirs = select(func.max(LEGS.c.department)).where(
        LEGS.c.case_id == columns.case_id, LEGS.c.agent == columns.by
    )
    return Source(
        kept_as=("cases", "legs"),
        rows=_with_matter(HANDOVERS, columns.case_id),
        at=columns.offered_at,
        members={
            "department": theirs.scalar_subquery(),
            "agent": columns.by,
            "matter": DETAILS.c.matter,
            "desk": columns.desk,
        },
        measures={HANDOVER: (literal(True), None)},
        by_state=columns.state,
    )


def _messages(*, sqlite: bool) -> Source:
    columns = MESSAGES.c
    message = columns.kind == "message"
    took: ColumnElement[Any] = (
        (func.julianday(columns.closed_at) - func.julianday(columns.at)) * 86_400.0
        if sqlite
        else func.extract("epoch", columns.closed_at - columns.at)
    )
    return Source(
        kept_as=("messages", "cases"),
        rows=_with_matter(MESSAGES, columns.case_id),
        at=columns.at,
        members={
            "agent": func.coalesce(columns.closed_by, columns.holder),
            "matter": DETAILS.c.matter,
        },
        measures={
            "messages": (message, None),
            "replied": (and_(message, columns.state == "answered"), took),
        },
    )


async def count(
    connection: AsyncConnection,
    source: Source,
    since: datetime,
    until: datetime,
    *,
    by_member: bool = True,
) -> dict[Key, tuple[int, float]]:
    """What of a source lies in ``[since, until)``; counts of nothing are left out.

    ``by_member``: by department, agent and so on as well, not only in all.
    """
    found: dict[Key, tuple[int, float]] = {}
    for dimension, member in {"all": literal(""), **(source.members if by_member else {})}.items():
        query = _query(source, member).where(source.at >= since, source.at < until)
        for row in (await connection.execute(query)).mappings():
            for name, (times, total) in _read(source, row):
                if times:
                    found[dimension, row["f_member"] or "", name] = (times, total)
    return found


def _query(source: Source, member: ColumnElement[Any]) -> Select[Any]:
    state = source.by_state if source.by_state is not None else literal("")
    asked: list[Any] = [member.label("f_member"), state.label("f_state")]
    for name, (which, seconds) in source.measures.items():
        asked.append(func.sum(case((which, 1), else_=0)).label(f"n_{name}"))
        total = literal(0.0) if seconds is None else seconds
        asked.append(func.sum(case((which, total), else_=0.0)).label(f"s_{name}"))
    return select(*asked).select_from(source.rows).group_by("f_member", "f_state")


def _read(source: Source, row: Any) -> Iterator[tuple[str, tuple[int, float]]]:
    for name in source.measures:
        shown = f"{name}{row['f_state']}" if source.by_state is not None else name
        yield shown, (int(row[f"n_{name}"] or 0), float(row[f"s_{name}"] or 0.0))


async def was_deleted(
    connection: AsyncConnection, source: Source, since: datetime, until: datetime
) -> bool:
    """Whether something of a source from this time was deleted by rule."""
    columns = DELETIONS.c
    query = select(columns.number).where(
        columns.what.in_(source.kept_as), columns.oldest < until, columns.newest >= since
    )
    return (await connection.execute(query.limit(1))).first() is not None
