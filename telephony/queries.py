"""Reads of the record, for the command line and HTTP alike.

Rows come back as plain dictionaries, ready for JSON: what is unknown is None, times are
``datetime`` in UTC (orjson writes them as ISO 8601 with their zone).
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, or_, select, tuple_
from sqlmodel import SQLModel

from telephony.database import Database
from telephony.errors import (
    CaseNotFound,
    HandoverNotFound,
    HotlineError,
    InvalidValue,
    LegNotFound,
)
from telephony.legs.model import epoch_of
from telephony.models import CaseRecord, HandoverRecord, LedgerRecord, LegRecord
from telephony.numbers import to_e164

MAX_PAGE = 500

Row = dict[str, Any]


class InvalidCursor(HotlineError):
    """A page cursor that this service did not give out."""

    code = "cursor-invalid"
    status = 422
    title = "The cursor is not valid"


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
    """

    caller: str | None = None
    owner: str | None = None
    state: str | None = None
    handed_over_by: str | None = None
    their_case: str | None = None
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


@dataclass(frozen=True, slots=True)
class Page:
    """One page, newest first; ``next`` is the cursor of the following one, None at the end."""

    items: list[Row]
    next: str | None


async def list_legs(
    database: Database, filters: LegFilter, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """Legs, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
    query = _where(select(*_LEGS), _leg_conditions(database, filters))
    return await _page(database, query, _LEG_KEY, limit, cursor, _leg)


async def get_leg(database: Database, uniqueid: str, *, pbx: str | None = None) -> Row:
    """The leg with this key; raises :class:`LegNotFound`."""
    query = select(*_LEGS).where(
        _col(LegRecord, "epoch") == epoch_of(uniqueid),
        _col(LegRecord, "uniqueid") == _storable(uniqueid),
    )
    if pbx is not None:
        query = query.where(_col(LegRecord, "pbx") == _storable(pbx))
    rows = await _all(database, query.limit(1))
    if not rows:
        raise LegNotFound(f"no leg {uniqueid!r} is on record")
    return _leg(rows[0])


def export_legs_csv(database: Database, filters: LegFilter) -> AsyncIterator[bytes]:
    """Legs as CSV in chunks (header row first, UTF-8, JSON in the columns that hold lists).

    Oldest first, read by a server-side cursor: memory stays the same whatever the length.
    A caller may send any text as a name or number, so a text that a spreadsheet could run as a
    formula comes with an apostrophe before it: one that starts with ``= + - @``, their full-width
    forms, a tab or a line break. A ``+`` and nothing but digits, such as ``+8613804210001``, is no
    formula and stays as it is.
    """
    query = _where(select(*_LEGS), _leg_conditions(database, filters))
    ordered = query.order_by(*(column.asc() for column in _LEG_KEY))
    return _csv(database, ordered, _LEG_COLUMNS)


async def list_cases(
    database: Database, filters: CaseFilter, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """Cases, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
    conditions = [
        *_caller_conditions(database, CaseRecord, filters.caller),
        *_equal(
            CaseRecord,
            owner=filters.owner,
            state=filters.state,
            handed_over_by=filters.handed_over_by,
            their_case=filters.their_case,
        ),
        *_between(_col(CaseRecord, "opened_at"), filters.since, filters.until),
    ]
    query = _where(select(*_CASES), conditions)
    return await _page(database, query, _CASE_KEY, limit, cursor, dict)


async def get_case(database: Database, case: str) -> Row:
    """A case with its ``legs``, ``handovers`` and ``ledger``; raises :class:`CaseNotFound`."""
    rows = await _all(
        database, select(*_CASES).where(_col(CaseRecord, "case_id") == _storable(case))
    )
    if not rows:
        raise CaseNotFound(f"no case {case!r} is on record")
    legs = select(*_LEGS).where(_col(LegRecord, "case_id") == case)
    handovers = select(*_HANDOVERS).where(_col(HandoverRecord, "case_id") == case)
    return {
        **dict(rows[0]),
        "legs": [
            _leg(row)
            for row in await _all(database, legs.order_by(_col(LegRecord, "at"), *_LEG_KEY))
        ],
        "handovers": [
            dict(row) for row in await _all(database, handovers.order_by(*_HANDOVER_KEY))
        ],
        "ledger": await ledger(database, case),
    }


async def list_handovers(
    database: Database, filters: HandoverFilter, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """Hand-overs, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
    conditions = [
        *_equal(
            HandoverRecord,
            case_id=filters.case,
            desk=filters.desk,
            by=filters.by,
            state=filters.state,
        ),
        *_between(_col(HandoverRecord, "offered_at"), filters.since, filters.until),
    ]
    query = _where(select(*_HANDOVERS), conditions)
    return await _page(database, query, _HANDOVER_KEY, limit, cursor, dict)


async def get_handover(database: Database, handover: str) -> Row:
    """One hand-over; raises :class:`HandoverNotFound`, :class:`DatabaseUnavailable`."""
    query = select(*_HANDOVERS).where(_col(HandoverRecord, "id") == _storable(handover))
    rows = await _all(database, query)
    if not rows:
        raise HandoverNotFound(f"no hand-over {handover!r} is on record")
    return dict(rows[0])


async def ledger(database: Database, case: str) -> list[Row]:
    """The ledger of a case in its order; empty for a case without one."""
    query = select(*_LEDGER).where(_col(LedgerRecord, "case_id") == _storable(case))
    rows = await _all(database, query.order_by(_col(LedgerRecord, "number")))
    return [dict(row) for row in rows]


def _col(table: type[SQLModel], name: str) -> ColumnElement[Any]:
    return table.__table__.c[name]  # type: ignore[attr-defined, no-any-return]


def _columns(table: type[SQLModel], names: Sequence[str]) -> list[ColumnElement[Any]]:
    renamed = {"case_id": "case"}
    return [_col(table, name).label(renamed.get(name, name)) for name in names]


_LEG_FIELDS = [
    *("pbx", "uniqueid", "channels", "channel_names", "linkedid", "case_id", "role"),
    *("party", "party_e164", "caller", "caller_e164", "agent", "department"),
    *("started_at", "answered_at", "ended_at", "ring_s", "talk_s", "hold_s"),
    *("cause", "cause_text", "hung_up_by", "state", "handover", "segments"),
]
_LEG_COLUMNS = ["case" if name == "case_id" else name for name in _LEG_FIELDS]
_LEGS = [*_columns(LegRecord, _LEG_FIELDS), _col(LegRecord, "at").label("_at")]
_CASES = _columns(CaseRecord, [name for name in CaseRecord.model_fields if name != "head"])
_HANDOVERS = _columns(HandoverRecord, list(HandoverRecord.model_fields))
_LEDGER = _columns(LedgerRecord, list(LedgerRecord.model_fields))
_LEG_KEY = tuple(_col(LegRecord, name) for name in ("at", "pbx", "uniqueid"))
_CASE_KEY = tuple(_col(CaseRecord, name) for name in ("opened_at", "case_id"))
_HANDOVER_KEY = tuple(_col(HandoverRecord, name) for name in ("offered_at", "id"))


def _leg(row: Mapping[str, Any]) -> Row:
    leg = dict(row)
    leg.pop("_at")
    return leg


def _leg_conditions(database: Database, filters: LegFilter) -> list[ColumnElement[bool]]:
    return [
        *_caller_conditions(database, LegRecord, filters.caller),
        *_equal(
            LegRecord,
            agent=filters.agent,
            department=filters.department,
            case_id=filters.case,
            role=filters.role,
        ),
        *_between(_col(LegRecord, "at"), filters.since, filters.until),
    ]


def _equal(table: type[SQLModel], **values: str | None) -> list[ColumnElement[bool]]:
    return [
        _col(table, name) == _storable(value) for name, value in values.items() if value is not None
    ]


def _storable(text: str) -> str:
    """Refuse what no database can hold, and so cannot be on record."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidValue("a value holds a character that is no text")
    return text


def _between(
    column: ColumnElement[Any], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    conditions = []
    if since is not None:
        conditions.append(column >= since)
    if until is not None:
        conditions.append(column < until)
    return conditions


def _caller_conditions(
    database: Database, table: type[SQLModel], caller: str | None
) -> list[ColumnElement[bool]]:
    if caller is None:
        return []
    e164 = to_e164(caller, database.area_code, database.country_code)
    dialled = _col(table, "caller") == _storable(caller)
    return [dialled if e164 is None else or_(dialled, _col(table, "caller_e164") == e164)]


def _where(query: Select[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
    return query.where(*conditions) if conditions else query


async def _all(database: Database, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
    async with database.reading() as connection:
        rows: Sequence[Mapping[str, Any]] = (await connection.execute(query)).mappings().all()
        return rows


async def _page(
    database: Database,
    query: Select[Any],
    key: tuple[ColumnElement[Any], ...],
    limit: int,
    cursor: str | None,
    shape: Any,
) -> Page:
    limit = max(1, min(limit, MAX_PAGE))
    if cursor is not None:
        query = query.where(tuple_(*key) < tuple_(*_read_cursor(cursor, key)))
    query = query.order_by(*(column.desc() for column in key)).limit(limit + 1)
    rows = await _all(database, query)
    following = None
    if len(rows) > limit:
        last = dict(rows[limit - 1])
        following = _write_cursor([_key_value(last, column) for column in key])
    return Page([shape(row) for row in rows[:limit]], following)


def _key_value(row: Row, column: ColumnElement[Any]) -> Any:
    name = str(column.key)
    if name == "case_id":
        name = "case"
    return row["_at"] if name == "at" else row[name]


def _write_cursor(values: list[Any]) -> str:
    moment: datetime = values[0]
    return (
        base64.urlsafe_b64encode(
            orjson.dumps([int(moment.timestamp()), moment.microsecond, *values[1:]])
        )
        .decode()
        .rstrip("=")
    )


def _read_cursor(cursor: str, key: tuple[ColumnElement[Any], ...]) -> list[Any]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seconds, micros, *rest = orjson.loads(raw)
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    except (ValueError, TypeError, OverflowError, OSError):
        raise InvalidCursor("the cursor is not one of ours; start from the first page") from None
    if len(rest) != len(key) - 1 or not all(isinstance(part, str) for part in rest):
        raise InvalidCursor("the cursor belongs to another list; start from the first page")
    return [moment, *map(_storable, rest)]


CHUNK = 64 * 1024
_FORMULA = re.compile(r"(?!\+[0-9]+\Z)[=+\-@\t\r\n＝＋－＠]")


async def _csv(
    database: Database, query: Select[Any], columns: Sequence[str]
) -> AsyncIterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    async with database.reading() as connection:
        result = await connection.stream(query)
        async for rows in result.mappings().partitions(1000):
            writer.writerows([[_cell(row[name]) for name in columns] for row in rows])
            if buffer.tell() >= CHUNK:
                yield buffer.getvalue().encode()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value
