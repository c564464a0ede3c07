"""Does the PBX know its hours a year ahead, and are they the calendar's?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from telephony.calendar.book import CalendarBook, calendar_of
from telephony.calendar.push import (
    HOURS,
    PUSHED,
    SHUT,
    plan,
    provisional_warning,
    shut_now,
    wanted_hours,
)
from telephony.checkup.model import (
    NOTHING,
    SEE_DATABASE,
    Patient,
    Verdict,
    Words,
    ok,
    warning,
)
from telephony.checkup.record import DATABASE_LIMIT_S, is_there
from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.office_hours import Calendar, in_shanghai
from telephony.pbx import Pbx

if TYPE_CHECKING:
    from telephony.line_settings import Line
    from telephony.settings import Settings

IMPORT = Words(
    "get it as a file, then: hotline calendar import FILE --declares YEAR",
    "取得放假安排的文件，然后：hotline calendar import 文件 --declares 年份",
)
PUSH = Words(
    "hotline calendar push, or start the service",
    "运行 hotline calendar push，或启动服务",
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is to be said of one line's hours; ``todo`` where something is not well."""

    found: str
    todo: Words = NOTHING
    means: Words = NOTHING


async def check_calendar(patient: Patient) -> Verdict:
    """Compare the PBX's hours of each line with the calendar, day by day."""
    patient.must_be_allowed("DBGetTree", "system")
    pbx = Pbx(patient.link, patient.settings)
    now = datetime.now(UTC)
    calendars, source = await _calendars(patient.settings)
    seen = []
    for line, calendar in zip(patient.settings.every_line, calendars, strict=True):
        one = await _look(pbx, line, calendar, source, now)
        prefix = f"line {line.number}: " if len(calendars) > 1 else ""
        seen.append(replace(one, found=prefix + one.found))
    found = "; ".join(one.found for one in seen) + source
    if bad := next((one for one in seen if one.todo), None):
        return warning(found, bad.todo, bad.means)
    return warning(found, SEE_DATABASE) if source else ok(found)


async def _look(pbx: Pbx, line: Line, calendar: Calendar, source: str, now: datetime) -> _Seen:
    families = (HOURS + line.suffix, PUSHED + line.suffix)
    there, pushed = await asyncio.gather(*(pbx.db_family(one) for one in families))
    wanted = wanted_hours(calendar, in_shanghai(now).date())
    if not any(key in there for key in wanted):
        return _Seen(
            f"the PBX has no hours of any day; the week counts ({line.week_in_words})",
            PUSH,
            Words(
                "On holidays citizens are queued for nobody, on weekends that are worked turned "
                "away.",
                "节假日来电会排队而无人接听，调休上班的周末来电却被告知已下班。",
            ),
        )
    todo = plan(wanted, there, pushed)
    lost = [key for key in todo.write if key not in there]
    # Without its special days the calendar cannot say that the PBX is wrong.
    other = [] if source else [key for key in todo.write if key in there]
    if lost or other:
        found = []
        if lost:
            found.append(f"{len(lost)} of {len(wanted)} days are missing on it, first {lost[0]}")
        if other:
            found.append(f"{len(other)} are other than the calendar's, first {other[0]}")
        return _Seen(
            "; ".join(found),
            PUSH,
            Words(
                "Where a day is missing the week counts, on holidays too.",
                "缺少的日子按每周的时间开放，节假日也是如此。",
            ),
        )
    notes = [f"hours of {len(wanted)} days, until {max(wanted)}"]
    if todo.by_hand:
        days = ", ".join(f"{key} {value}" for key, value in sorted(todo.by_hand.items())[:3])
        notes.append(f"{len(todo.by_hand)} made at the PBX by hand count ({days})")
    if shut := shut_now(await pbx.db_get(SHUT, line.number) or "", now):
        notes.append(f"closed by hand until {shut.until:%H:%M} ({shut.by}: {shut.reason})")
    years = sorted({int(key[:4]) for key in wanted})
    provisional = [year for year in years if calendar.is_provisional(year)]
    if told := provisional_warning(provisional, now):
        return _Seen("; ".join([*notes, told]), IMPORT)
    if provisional:
        notes.append(f"{provisional[-1]} is not published yet and provisional")
    return _Seen("; ".join(notes))


async def _calendars(settings: Settings) -> tuple[list[Calendar], str]:
    """The calendars of all lines, and what is to be said when its special days cannot be read."""
    bare = [calendar_of(line) for line in settings.every_line]
    unknown = bare, " (special days are not known: no database)"
    database = Database.from_settings(settings)
    if not is_there(database):
        return unknown
    try:
        async with asyncio.timeout(DATABASE_LIMIT_S):
            return await CalendarBook(database, settings).calendars(), ""
    except (DatabaseUnavailable, TimeoutError):
        return unknown
    finally:
        await database.close()
