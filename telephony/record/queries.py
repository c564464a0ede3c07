"""Reads of the record, for the command line and HTTP alike.

Rows come back as plain dictionaries, ready for JSON: what is unknown is None, times are
``datetime`` in UTC (orjson writes them as ISO 8601 with their zone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from telephony.cases.book import DETAILS, FIELDS
from telephony.cases.store import CASES
from telephony.database import Database
from telephony.errors import CaseNotFound, HandoverNotFound, LegNotFound
from telephony.legs.model import epoch_of
from telephony.models import CaseDetails, CaseRecord, HandoverRecord, LedgerRecord, LegRecord
from telephony.record.query_parts import (
    InvalidCursor,
    Page,
    Row,
    all_rows,
    between,
    caller_conditions,
    col,
    columns_of,
    equal,
    page_of,
    storable,
    where,
)

__all__ = ["InvalidCursor", "Page", "Row"]  # used by others from here too


@dataclass(frozen=True, slots=True)
class LegFilter:
    """Which legs; what is None does not matter.

    ``caller``: the citizen's number in any form (every leg of the citizen's calls matches).
    ``agent``: legs of this agent. ``since`` (included) and ``until`` (excluded): when it began.
    """

    caller: str | None = None
    agent: str | None = None
    department: str | None = None
    case: str | None = None
    role: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases; what is None does not matter. ``owner``: who answers for it now.

    ``their_case``: the number it had with the side that handed it over (``handed_over_by``).
    ``late``: whether a deadline of it has passed. ``line``: the number of the line that was called,
    with its area code.
    """

    caller: str | None = None
    line: str | None = None
    owner: str | None = None
    state: str | None = None
    handed_over_by: str | None = None
    their_case: str | None = None
    kind: str | None = None
    matter: str | None = None
    late: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which entries of the ledger; what is None does not matter. ``by``: who did it."""

    case: str | None = None
    event: str | None = None
    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class HandoverFilter:
    """Which hand-overs; what is None does not matter. ``by``: the agent who handed over."""

    case: str | None = None
    desk: str | None = None
    by: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_legs(
    database: Database, filters: LegFilter, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """Legs, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
    return await page_of(database, legs_query(database, filters), LEG_KEY, limit, cursor, _leg)


async def get_leg(database: Database, uniqueid: str, *, pbx: str | None = None) -> Row:
    """The leg with this key; raises :class:`LegNotFound`."""
    query = select(*_LEGS).where(
        col(LegRecord, "epoch") == epoch_of(uniqueid),
        col(LegRecord, "uniqueid") == storable(uniqueid),
    )
    if pbx is not None:
        query = query.where(col(LegRecord, "pbx") == storable(pbx))
    rows = await all_rows(database, query.limit(1))
    if not rows:
        raise LegNotFound(f"no leg {uniqueid!r} is on record")
    return _leg(rows[0])


async def list_cases(
    database: Database,
    filters: CaseFilter,
    *,
    limit: int = 50,
    cursor: str | None = None,
    by_due: bool = False,
) -> Page:
    """Cases, newest first; ``by_due``: those with a deadline, the earliest first.

    Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`.
    """
    query = cases_query(database, filters)
    if not by_due:
        return await page_of(database, query, CASE_KEY, limit, cursor, _case)
    query = query.where(CASES.c.due_at.is_not(None))
    return await page_of(database, query, _DUE_KEY, limit, cursor, _case, ascending=True)


def cases_query(database: Database, filters: CaseFilter) -> Select[Any]:
    """The cases that fit, in no order."""
    conditions = [
        *caller_conditions(database, CaseRecord, filters.caller),
        *equal(
            CaseRecord,
            line=filters.line,
            owner=filters.owner,
            state=filters.state,
            handed_over_by=filters.handed_over_by,
            their_case=filters.their_case,
        ),
        *equal(CaseDetails, kind=filters.kind, matter=filters.matter),
        *between(col(CaseRecord, "opened_at"), filters.since, filters.until),
    ]
    if filters.late is not None:
        passed = CASES.c.due_at <= datetime.now(UTC)
        conditions.append(passed if filters.late else or_(CASES.c.due_at.is_(None), ~passed))
    return where(_cases(), conditions)


async def get_case(database: Database, case: str) -> Row:
    """A case with its ``details``, ``legs``, ``handovers`` and ``ledger``; the legs and hand-overs
    of calls that were attached to it (``attached``: their own cases) are among them.

    Raises :class:`CaseNotFound`.
    """
    row = await get_case_row(database, case)
    attached = select(CASES.c.case_id).where(CASES.c.merged_into == case).order_by(CASES.c.case_id)
    own_cases = [row["case_id"] for row in await all_rows(database, attached)]
    family = [case, *own_cases]
    legs = select(*_LEGS).where(col(LegRecord, "case_id").in_(family))
    handovers = select(*_HANDOVERS).where(col(HandoverRecord, "case_id").in_(family))
    return {
        **row,
        "attached": own_cases,
        "details": await get_details(database, case),
        "legs": [
            _leg(row)
            for row in await all_rows(database, legs.order_by(col(LegRecord, "at"), *LEG_KEY))
        ],
        "handovers": [
            dict(row) for row in await all_rows(database, handovers.order_by(*HANDOVER_KEY))
        ],
        "ledger": await ledger(database, case),
    }


async def get_case_row(database: Database, case: str) -> Row:
    """A case as lists show it; raises :class:`CaseNotFound`."""
    rows = await all_rows(database, _cases().where(col(CaseRecord, "case_id") == storable(case)))
    if not rows:
        raise CaseNotFound(f"no case {case!r} is on record")
    return _case(rows[0])


async def get_details(database: Database, case: str) -> Row:
    """What people wrote about a case; version 0 and nothing where nobody wrote."""
    rows = await all_rows(database, select(*_DETAILS).where(DETAILS.c.case_id == storable(case)))
    if rows:
        return dict(rows[0])
    empty: Row = {"version": 0, "changed_at": None, "changed_by": None}
    return empty | dict.fromkeys(FIELDS)


async def cases_of(database: Database, party: str, cases: Sequence[str]) -> set[str]:
    """Those of these cases in which a party had a part: it answers or answered for it, was offered
    it, or has a leg in it."""
    if not cases:
        return set()
    mine = [
        select(CASES.c.case_id).where(
            CASES.c.case_id.in_(cases), or_(CASES.c.owner == party, CASES.c.first_contact == party)
        ),
        select(col(LegRecord, "case_id")).where(
            col(LegRecord, "case_id").in_(cases), col(LegRecord, "agent") == party
        ),
        select(col(HandoverRecord, "case_id")).where(
            col(HandoverRecord, "case_id").in_(cases),
            or_(col(HandoverRecord, "by") == party, col(HandoverRecord, "desk") == party),
        ),
    ]
    found: set[str] = set()
    for query in mine:
        found |= {row["case_id"] for row in await all_rows(database, query)}
    return found


async def list_handovers(
    database: Database, filters: HandoverFilter, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """Hand-overs, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
    query = handovers_query(database, filters)
    return await page_of(database, query, HANDOVER_KEY, limit, cursor, dict)


def handovers_query(_database: Database, filters: HandoverFilter) -> Select[Any]:
    """The hand-overs that fit, in no order."""
    conditions = [
        *equal(
            HandoverRecord,
            case_id=filters.case,
            desk=filters.desk,
            by=filters.by,
            state=filters.state,
        ),
        *between(col(HandoverRecord, "offered_at"), filters.since, filters.until),
    ]
    return where(select(*_HANDOVERS), conditions)


async def get_handover(database: Database, handover: str) -> Row:
    """One hand-over with the ``details`` of its case; raises :class:`HandoverNotFound`."""
    query = select(*_HANDOVERS).where(col(HandoverRecord, "id") == storable(handover))
    rows = await all_rows(database, query)
    if not rows:
        raise HandoverNotFound(f"no hand-over {handover!r} is on record")
    return {**rows[0], "details": await get_details(database, rows[0]["case"])}


async def ledger(database: Database, case: str) -> list[Row]:
    """The ledger of a case in its order; empty for a case without one."""
    query = select(*_LEDGER).where(col(LedgerRecord, "case_id") == storable(case))
    rows = await all_rows(database, query.order_by(col(LedgerRecord, "number")))
    return [dict(row) for row in rows]


def ledger_query(_database: Database, filters: LedgerFilter) -> Select[Any]:
    """The entries of all ledgers that fit, in no order."""
    conditions = [
        *equal(LedgerRecord, case_id=filters.case, event=filters.event, by=filters.by),
        *between(col(LedgerRecord, "at"), filters.since, filters.until),
    ]
    return where(select(*_LEDGER), conditions)


def legs_query(database: Database, filters: LegFilter) -> Select[Any]:
    """The legs that fit, in no order; ``_at`` is what they are sorted by."""
    return where(select(*_LEGS), _leg_conditions(database, filters))


LEG_FIELDS = [
    *("pbx", "uniqueid", "channels", "channel_names", "linkedid", "case_id", "role"),
    *("party", "party_e164", "caller", "caller_e164", "agent", "department"),
    *("started_at", "answered_at", "ended_at", "ring_s", "talk_s", "hold_s"),
    *("cause", "cause_text", "hung_up_by", "state", "handover", "segments"),
]
_LEGS = [*columns_of(LegRecord, LEG_FIELDS), col(LegRecord, "at").label("_at")]
_HIDDEN = ("head", "due_pending")
_CASES = columns_of(CaseRecord, [name for name in CaseRecord.model_fields if name not in _HIDDEN])
_DETAILS = [DETAILS.c[name] for name in ("version", "changed_at", "changed_by", *FIELDS)]
_HANDOVERS = columns_of(HandoverRecord, list(HandoverRecord.model_fields))
_LEDGER = columns_of(LedgerRecord, list(LedgerRecord.model_fields))
LEG_KEY = tuple(col(LegRecord, name) for name in ("at", "pbx", "uniqueid"))
CASE_KEY = tuple(col(CaseRecord, name) for name in ("opened_at", "case_id"))
_DUE_KEY = tuple(col(CaseRecord, name) for name in ("due_at", "case_id"))
LEDGER_KEY = tuple(col(LedgerRecord, name) for name in ("case_id", "number"))
HANDOVER_KEY = tuple(col(HandoverRecord, name) for name in ("offered_at", "id"))


def _cases() -> Any:
    """Cases, each with its kind and matter."""
    more = (DETAILS.c.kind, DETAILS.c.matter)
    joined = CASES.outerjoin(DETAILS, CASES.c.case_id == DETAILS.c.case_id)
    return select(*_CASES, *more).select_from(joined)


def _case(row: Mapping[str, Any]) -> Row:
    """A case as lists show it, with whether it is late at this moment."""
    due = row["due_at"]
    return {**row, "late": due is not None and due <= datetime.now(UTC)}


def _leg(row: Mapping[str, Any]) -> Row:
    leg = dict(row)
    leg.pop("_at")
    return leg


def _leg_conditions(database: Database, filters: LegFilter) -> list[ColumnElement[bool]]:
    return [
        *caller_conditions(database, LegRecord, filters.caller),
        *equal(
            LegRecord,
            agent=filters.agent,
            department=filters.department,
            role=filters.role,
        ),
        *_of_case(filters.case),
        *between(col(LegRecord, "at"), filters.since, filters.until),
    ]


def _of_case(case: str | None) -> list[ColumnElement[bool]]:
    """Legs of a case, and of the calls that were attached to it."""
    if case is None:
        return []
    own = col(LegRecord, "case_id") == storable(case)
    attached = select(CASES.c.case_id).where(CASES.c.merged_into == case)
    return [or_(own, col(LegRecord, "case_id").in_(attached))]
