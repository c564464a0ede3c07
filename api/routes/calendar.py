"""The calendar: on which days and hours the lines are open, special days, and "closed now"."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api.dependencies import TheService, each_once
from api.errors import problem, problems
from api.schemas import calendar as bodies
from api.security import AsAdmin, AsAgent, AsSupervisor, Identity
from telephony import audit
from telephony.calendar.files import MAX_BYTES, parse_days
from telephony.calendar.push import HOURS, ShutNow, hours_at_pbx, pushed_at_all
from telephony.errors import (
    CalendarFileRefused,
    CalendarNotPushed,
    DatabaseUnavailable,
    HotlineError,
    InvalidValue,
    LineNotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    SpecialDayNotFound,
    WrongState,
)
from telephony.office_hours import YEARS, Day, in_shanghai, text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from telephony.line_settings import Line
    from telephony.service import Service
    from telephony.site import Site

Done = TypeVar("Done")

router = APIRouter(tags=["calendar"], dependencies=[Depends(each_once)])

_PBX = (PbxUnavailable, PbxTimeout, PbxRefused)
KINDS = ("text/csv", "text/calendar")

OneLine = Annotated[bodies.WhichLine, Query()]
Lines = Annotated[bodies.WhichLines, Query()]


class KindNotSupported(HotlineError):
    """A body that is said to be neither CSV nor iCalendar."""

    code = "kind-not-supported"
    status = 415
    title = "Send CSV or iCalendar"


def _line(service: Service, name: str | None) -> Line | None:
    return service.settings.line_named(name) if name is not None else None


@router.get("/calendar/now", responses=problems(*_PBX, LineNotFound))
async def hours_now(query: OneLine, service: TheService, _who: AsAgent) -> bodies.HoursNow:
    """Whether a citizen who calls now is queued, as the PBX itself decides it."""
    now = in_shanghai(datetime.now(UTC))
    line = _line(service, query.line) or service.settings.line
    site = service.sites.seen()[0]  # all PBXs are told the same
    entry = await site.pbx.db_get(HOURS + line.suffix, f"{now:%Y%m%d}")
    shut = await site.switch.of(line).now(now)
    windows = hours_at_pbx(line, entry, now.date())
    minute = now.hour * 60 + now.minute
    within = any(one.opens <= minute < one.closes for one in windows)
    return bodies.HoursNow(
        line=line.number,
        open=within and shut is None,
        hours=text_of(windows),
        known=entry is not None,
        shut=_shut(shut) if shut else None,
    )


@router.get("/calendar/{year}", responses=problems(DatabaseUnavailable, LineNotFound))
async def calendar_year(
    year: Annotated[int, Path(ge=YEARS[0], le=YEARS[-1])],
    query: OneLine,
    service: TheService,
    _who: AsAgent,
) -> bodies.CalendarYear:
    """A year: every day with its hours."""
    calendar = await service.calendar_book.of(_line(service, query.line)).calendar()
    first = date(year, 1, 1)
    days = calendar.days(first, (date(year + 1, 1, 1) - first).days)
    return bodies.CalendarYear(
        year=year,
        line=calendar.line,
        provisional=calendar.is_provisional(year),
        days=[_day(one) for one in days],
    )


@router.post("/calendar/days", responses=problems(InvalidValue, LineNotFound, DatabaseUnavailable))
async def set_day(body: bodies.SpecialDay, service: TheService, who: AsAdmin) -> bodies.SpecialDay:
    """Close all lines (or one) on a day, or open them with other hours; the PBX is told at once."""
    book = service.calendar_book.of(_line(service, body.line))
    entry = await book.set_day(body.day, body.hours, body.reason, by=who.name)
    await _note(service, who, f"{entry.day} {entry.hours}", body.line)
    service.poke_calendars()
    return bodies.SpecialDay(day=entry.day, hours=entry.hours, reason=entry.reason, line=body.line)


@router.delete(
    "/calendar/days/{day}",
    status_code=204,
    responses=problems(SpecialDayNotFound, LineNotFound, DatabaseUnavailable),
)
async def remove_day(day: bodies.TheDay, query: Lines, service: TheService, who: AsAdmin) -> None:
    """Take a special day back, of all lines or one."""
    await service.calendar_book.of(_line(service, query.line)).remove_day(day)
    await _note(service, who, f"{day} removed", query.line)
    service.poke_calendars()


@router.post(
    "/calendar/import",
    response_model=bodies.CalendarImport,
    responses=problems(CalendarFileRefused, KindNotSupported, LineNotFound, DatabaseUnavailable),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": {"type": "string"}} for kind in KINDS},
        }
    },
)
async def import_days(
    query: Annotated[bodies.ImportQuery, Query()],
    request: Request,
    service: TheService,
    who: AsAdmin,
) -> Response:
    """Take special days from a file, CSV (`date,hours,reason`) or ICS: all of it, or nothing.

    The problem's `broken` names every mistake by line and reason. The import is in the audit log.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise KindNotSupported(f"the body is {kind or 'not named'}; send {' or '.join(KINDS)}")
    book = service.calendar_book.of(_line(service, query.line))
    try:
        entries = await asyncio.to_thread(parse_days, await _body(request))
    except CalendarFileRefused as error:
        broken = [{"line": line, "reason": why} for line, why in error.broken[: bodies.MAX_NAMED]]
        return problem(error.status, error.code, error.title, error.detail, broken=broken)
    done = await book.store(
        entries, by=who.name, role=who.role, declares=query.declares, dry_run=query.dry_run
    )
    if not query.dry_run:
        service.poke_calendars()
    told = bodies.CalendarImport(
        added=done.added,
        changed=done.changed,
        unchanged=done.unchanged,
        days=[
            bodies.SpecialDay(day=one.day, hours=one.hours, reason=one.reason, line=query.line)
            for one in entries
        ],
    )
    return Response(told.model_dump_json(), media_type="application/json")


async def _body(request: Request) -> bytes:
    """The body; of one that is too long nothing is taken, and the rest is not read."""
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MAX_BYTES:
            raise CalendarFileRefused([f"it is larger than {MAX_BYTES} bytes"])
    return data


@router.post(
    "/calendar/push",
    responses=problems(*_PBX, CalendarNotPushed, DatabaseUnavailable, reads_input=False),
)
async def push_now(service: TheService, _who: AsAdmin) -> bodies.Push:
    """Tell the PBX the hours of a year ahead now, and read them back; of several PBXs each."""
    pushed = await _at_every_pbx(service, lambda site: site.calendar.push())
    names = [site.name for site in service.sites]
    done = pushed_at_all(dict(zip(names, pushed, strict=True)))
    return bodies.Push(
        written=done.written,
        deleted=done.deleted,
        by_hand=dict(done.by_hand),
        until=done.until,
        provisional=list(done.provisional),
    )


@router.post(
    "/calendar/closed", responses=problems(*_PBX, CalendarNotPushed, InvalidValue, LineNotFound)
)
async def close_now(
    body: bodies.CloseRequest, service: TheService, who: AsSupervisor
) -> bodies.Shut:
    """Close all lines (or one) now until a time of today; they open again by themselves."""
    line = _line(service, body.line)

    async def shut(site: Site) -> ShutNow:
        return await site.switch.of(line).shut(body.until, body.reason, by=who.name)

    return _shut((await _at_every_pbx(service, shut))[0])


@router.delete(
    "/calendar/closed", status_code=204, responses=problems(*_PBX, LineNotFound, WrongState)
)
async def open_again(query: Lines, service: TheService, _who: AsSupervisor) -> None:
    """End it early, of all lines or one."""
    line = _line(service, query.line)

    async def end(site: Site) -> bool:
        try:
            await site.switch.of(line).open()
        except WrongState:
            return False
        return True

    if not any(await _at_every_pbx(service, end)):
        raise WrongState("the line is not closed by hand")


async def _at_every_pbx(service: Service, do: Callable[[Site], Awaitable[Done]]) -> list[Done]:
    """What was done at each PBX; with one that did not do it, an error, after all were asked."""
    done = await asyncio.gather(*(do(site) for site in service.sites), return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if not isinstance(one, BaseException)]


async def _note(service: Service, who: Identity, which: str, line: str | None) -> None:
    said = f"{which}, line {line}" if line else which
    await audit.note(service.database, who=who.name, role=who.role, what="calendar-day", which=said)


def _day(one: Day) -> bodies.CalendarDay:
    return bodies.CalendarDay(
        day=one.day,
        hours=text_of(one.windows),
        why=one.why,
        name=one.name,
        provisional=one.provisional,
    )


def _shut(one: ShutNow) -> bodies.Shut:
    return bodies.Shut(until=one.until, by=one.by, reason=one.reason)
