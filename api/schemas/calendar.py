"""What the calendar's routes take and answer."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from api.schemas.base import Reason, Schema, Word
from telephony.office_hours import YEARS, Why

MAX_NAMED = 100
"""So many mistakes of a file are named in an answer."""


def _written(value: object) -> object:
    # pydantic would read 1795478400 as seconds since 1970.
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("must be a date such as 2026-10-01")
    return value


TheDay = Annotated[date, BeforeValidator(_written)]
ALL_LINES = "a line's id, name or number; null: every line"


class WhichLine(Schema):
    """Of which line is asked; without one of the first."""

    line: Word | None = Field(None, description="its id, name or number")


class WhichLines(Schema):
    """Which line is meant; without one all are."""

    line: Word | None = Field(None, description=ALL_LINES)


class CalendarDay(Schema):
    """One day: its hours as `closed` or `0830-1200,1330-1700`, and why they are so."""

    day: date
    hours: str
    why: Why
    name: str = Field(description="the holiday, or the reason of a special day")
    provisional: bool


class CalendarYear(Schema):
    """A year at a glance; provisional while its schedule is not published or not imported."""

    year: int
    line: str
    provisional: bool
    days: list[CalendarDay]


class SpecialDay(Schema):
    """What an admin decides for a day, before holidays and week."""

    day: TheDay
    hours: Word = Field(
        description="`closed`, `work` (as an ordinary working day) or `0830-1200,1330-1700`",
        examples=["closed"],
    )
    reason: Reason = ""
    line: Word | None = Field(None, description=ALL_LINES)


class ImportQuery(WhichLines):
    """How a calendar file is taken."""

    dry_run: bool = Field(False, description="only check it and say what would change")
    declares: int | None = Field(
        None,
        ge=YEARS[0],
        le=YEARS[-1],
        description="it is the whole published schedule of this year, which is provisional no more",
    )


class CalendarImport(Schema):
    """What an import did, or would do, in days; a day counts once, however many lines it is for."""

    added: int
    changed: int
    unchanged: int
    days: list[SpecialDay] = Field(description="what the file says, in order")


class CloseRequest(Schema):
    """Close lines now."""

    until: str = Field(
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="today, Asia/Shanghai"
    )
    reason: Reason = ""
    line: Word | None = Field(None, description=ALL_LINES)


class Shut(Schema):
    """The line is closed by hand, and opens by itself."""

    until: datetime
    by: str
    reason: str


class HoursNow(Schema):
    """How the PBX decides at this moment."""

    line: str
    open: bool
    hours: str = Field(description="of today, as the PBX takes them")
    known: bool = Field(description="false: the PBX has nothing for today, the week counts")
    shut: Shut | None


class Push(Schema):
    """What the PBX was told."""

    written: int
    deleted: int
    by_hand: dict[str, str] = Field(description="days entered at the PBX by hand, left alone")
    until: date
    provisional: list[int]
