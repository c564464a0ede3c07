"""What a supervisor looks for as they type, and all legs of one call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select

from telephony.cases.store import CASES
from telephony.models import LegRecord
from telephony.record import queries
from telephony.record.query_parts import Row, all_rows, col

if TYPE_CHECKING:
    from telephony.database import Database

MOST = 8
"""How many callers and how many cases are shown while somebody types."""
LONGEST_CALL = 500
"""Legs of one call; no real one has a tenth of them."""
_CALLER = re.compile(r"\+?[0-9]{3,20}")
_CASE = re.compile(r"(?P<year>20[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})?(-[0-9.]*)?")
_HIGHEST = "9" * 24


class Found(NamedTuple):
    """Something that begins with what was typed."""

    what: str
    """``caller`` or ``case``"""
    value: str
    calls: int
    last_at: datetime | None


async def beginning_with(database: Database, typed: str, *, callers: bool) -> list[Found]:
    """Callers (only if ``callers``) and case numbers that begin with what was typed.

    Both go by an index at any size of the record: callers in the order of their numbers, cases of
    the month or day that the typed number names, newest first. Raises
    :class:`~telephony.errors.DatabaseUnavailable`.
    """
    found: list[Found] = []
    digits = re.sub(r"[ \-()]", "", typed)
    if callers and _CALLER.fullmatch(digits):
        found += await _callers(database, digits)
    if (case := _CASE.fullmatch(typed.strip())) is not None:
        found += await _cases(database, case)
    return found


async def legs_of_call(database: Database, pbx: str, uniqueid: str) -> tuple[str, list[Row]]:
    """The linkedid of a leg's call, and all legs of that call, oldest first.

    Raises :class:`~telephony.errors.LegNotFound`, :class:`~telephony.errors.DatabaseUnavailable`.
    """
    leg = await queries.get_leg(database, uniqueid, pbx=pbx)
    query = queries.legs_query(database, queries.LegFilter()).where(
        col(LegRecord, "pbx") == pbx, col(LegRecord, "linkedid") == leg["linkedid"]
    )
    order = (col(LegRecord, "at"), col(LegRecord, "uniqueid"))
    rows = await all_rows(database, query.order_by(*order).limit(LONGEST_CALL))
    shown = [{name: value for name, value in row.items() if name != "_at"} for row in rows]
    return leg["linkedid"], shown


async def _callers(database: Database, digits: str) -> list[Found]:
    number = CASES.c.caller_e164 if digits.startswith("+") else CASES.c.caller
    # A range of digits is the same in every collation, and goes by the index.
    query = (
        select(number.label("value"), func.count().label("calls"), _last())
        .where(number >= digits, number <= digits + _HIGHEST)
        .group_by(number)
        .order_by(number)
        .limit(MOST)
    )
    return _found("caller", await all_rows(database, query))


async def _cases(database: Database, typed: re.Match[str]) -> list[Found]:
    span = _days(typed)
    if span is None:
        return []
    query = (
        select(CASES.c.case_id.label("value"), CASES.c.opened_at.label("last_at"))
        .where(
            CASES.c.opened_at >= span[0],
            CASES.c.opened_at < span[1],
            CASES.c.case_id.startswith(typed[0], autoescape=True),
        )
        .order_by(CASES.c.opened_at.desc(), CASES.c.case_id.desc())
        .limit(MOST)
    )
    return _found("case", await all_rows(database, query))


def _last() -> Any:
    return func.max(CASES.c.opened_at).label("last_at")


def _found(what: str, rows: Sequence[Any]) -> list[Found]:
    return [Found(what, row["value"], row.get("calls", 1), row["last_at"]) for row in rows]


def _days(typed: re.Match[str]) -> tuple[datetime, datetime] | None:
    """When cases with such a number were opened: a day more on both sides, for any time zone."""
    year, month, day = int(typed["year"]), int(typed["month"]), typed["day"]
    try:
        first = datetime(year, month, int(day or 1), tzinfo=UTC)
    except ValueError:
        return None
    days = 1 if day else 31
    return first - timedelta(days=1), first + timedelta(days=days + 1)
