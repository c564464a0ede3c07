"""The calendar: on which days and hours the line is open, special days, and "closed now"."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BeforeValidator, Field

from api import schemas
from api.dependencies import TheService, each_once
from api.errors import problems
from api.security import AsAdmin, AsAgent, AsSupervisor
from telephony.calendar.push import HOURS, ShutNow, hours_at_pbx
from telephony.errors import (
    CalendarNotPushed,
    DatabaseUnavailable,
    InvalidValue,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    SpecialDayNotFound,
    WrongState,
)
from telephony.office_hours import YEARS, Day, Why, in_shanghai, text_of

router = APIRouter(tags=["calendar"], dependencies=[Depends(each_once)])

_PBX = (PbxUnavailable, PbxTimeout, PbxRefused)


def _written(value: object) -> object:
    # pydantic would read 1795478400 as seconds since 1970.
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("must be a date such as 2026-10-01")
    return value


TheDay = Annotated[date, BeforeValidator(_written)]


class CalendarDay(schemas.Schema):
    """One day: its hours as `closed` or `0830-1200,1330-1700`, and why they are so."""

    day: date
    hours: str
    why: Why
    name: str = Field(description="the holiday, or the reason of a special day")
    provisional: bool


class CalendarYear(schemas.Schema):
    """A year at a glance; provisional while its schedule is not published or not imported."""

    year: int
    line: str
    provisional: bool
    days: list[CalendarDay]


class SpecialDay(schemas.Schema):
    """What an admin decides for a day, before holidays and week."""

    day: TheDay
    hours: schemas.Word = Field(
        description="`closed`, `work` (as an ordinary working day) or `0830-1200,1330-1700`",
        examples=["closed"],
    )
    reason: schemas.Reason = ""


class CloseRequest(schemas.Schema):
    """Close the line now."""

    until: str = Field(
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="today, Asia/Shanghai"
    )
    reason: schemas.Reason = ""


class Shut(schemas.Schema):
    """The line is closed by hand, and opens by itself."""

    until: datetime
    by: str
    reason: str


class HoursNow(schemas.Schema):
    """How the PBX decides at this moment."""

    open: bool
    hours: str = Field(description="of today, as the PBX takes them")
    known: bool = Field(description="false: the PBX has nothing for today, the week counts")
    shut: Shut | None


class Push(schemas.Schema):
    """What the PBX was told."""

    written: int
    deleted: int
    by_hand: dict[str, str] = Field(description="days entered at the PBX by hand, left alone")
    until: date
    provisional: list[int]


@router.get("/calendar/now", responses=problems(*_PBX, reads_input=False))
async def hours_now(service: TheService, _who: AsAgent) -> HoursNow:
    """Whether a citizen who calls now is queued, as the PBX itself decides it."""
    now = in_shanghai(datetime.now(UTC))
    entry = await service.pbx.db_get(HOURS, f"{now:%Y%m%d}")
    shut = await service.switch.now(now)
    windows = hours_at_pbx(service.settings.line, entry, now.date())
    minute = now.hour * 60 + now.minute
    within = any(one.opens <= minute < one.closes for one in windows)
    return HoursNow(
        open=within and shut is None,
        hours=text_of(windows),
        known=entry is not None,
        shut=_shut(shut) if shut else None,
    )


@router.get("/calendar/{year}", responses=problems(DatabaseUnavailable))
async def calendar_year(
    year: Annotated[int, Path(ge=YEARS[0], le=YEARS[-1])], service: TheService, _who: AsAgent
) -> CalendarYear:
    """A year: every day with its hours."""
    calendar = await service.calendar_book.calendar()
    first = date(year, 1, 1)
    days = calendar.days(first, (date(year + 1, 1, 1) - first).days)
    return CalendarYear(
        year=year,
        line=calendar.line,
        provisional=calendar.is_provisional(year),
        days=[_day(one) for one in days],
    )


@router.post("/calendar/days", responses=problems(InvalidValue, DatabaseUnavailable))
async def set_day(body: SpecialDay, service: TheService, who: AsAdmin) -> SpecialDay:
    """Close the line on a day, or open it with other hours; the PBX is told at once."""
    entry = await service.calendar_book.set_day(body.day, body.hours, body.reason, by=who.name)
    service.calendar.poke()
    return SpecialDay(day=entry.day, hours=entry.hours, reason=entry.reason)


@router.delete(
    "/calendar/days/{day}",
    status_code=204,
    responses=problems(SpecialDayNotFound, DatabaseUnavailable),
)
async def remove_day(day: TheDay, service: TheService, _who: AsAdmin) -> None:
    """Take a special day back."""
    await service.calendar_book.remove_day(day)
    service.calendar.poke()


@router.post(
    "/calendar/push",
    responses=problems(*_PBX, CalendarNotPushed, DatabaseUnavailable, reads_input=False),
)
async def push_now(service: TheService, _who: AsAdmin) -> Push:
    """Tell the PBX the hours of a year ahead now, and read them back."""
    done = await service.calendar.push()
    return Push(
        written=done.written,
        deleted=done.deleted,
        by_hand=dict(done.by_hand),
        until=done.until,
        provisional=list(done.provisional),
    )


@router.post("/calendar/closed", responses=problems(*_PBX, CalendarNotPushed, InvalidValue))
async def close_now(body: CloseRequest, service: TheService, who: AsSupervisor) -> Shut:
    """Close the line now until a time of today; it opens again by itself."""
    return _shut(await service.switch.shut(body.until, body.reason, by=who.name))


@router.delete(
    "/calendar/closed", status_code=204, responses=problems(*_PBX, WrongState, reads_input=False)
)
async def open_again(service: TheService, _who: AsSupervisor) -> None:
    """End it early."""
    await service.switch.open()


def _day(one: Day) -> CalendarDay:
    return CalendarDay(
        day=one.day,
        hours=text_of(one.windows),
        why=one.why,
        name=one.name,
        provisional=one.provisional,
    )


def _shut(one: ShutNow) -> Shut:
    return Shut(until=one.until, by=one.by, reason=one.reason)
