"""Does the PBX know its hours a year ahead, and are they the calendar's?"""

from __future__ import annotations

import asyncio
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
from telephony.checkup.model import Patient, Verdict, ok, warning
from telephony.checkup.record import DATABASE_LIMIT_S, is_there
from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.office_hours import Calendar, in_shanghai
from telephony.pbx import Pbx

if TYPE_CHECKING:
    from telephony.settings import Settings

IMPORT = "get it as a file, then: hotline calendar import FILE --declares YEAR"
PUSH = "hotline calendar push, or start the service"


async def check_calendar(patient: Patient) -> Verdict:
    """Compare the PBX's hours with the calendar, day by day."""
    patient.must_be_allowed("DBGetTree", "system")
    pbx = Pbx(patient.link, patient.settings)
    there, pushed = await pbx.db_family(HOURS), await pbx.db_family(PUSHED)
    now = datetime.now(UTC)
    calendar, source = await _calendar(patient.settings)
    wanted = wanted_hours(calendar, in_shanghai(now).date())
    known = [key for key in wanted if key in there]
    if not known:
        week = patient.settings.line.hours
        return warning(
            f"the PBX has no hours of any day; the week counts (Monday to Friday {week})",
            PUSH,
            "On holidays citizens are queued for nobody, on weekends that are worked turned away.",
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
        means = "Where a day is missing the week counts, on holidays too."
        return warning("; ".join(found) + source, PUSH, means)
    notes = [f"hours of {len(wanted)} days, until {max(wanted)}"]
    if todo.by_hand:
        days = ", ".join(f"{key} {value}" for key, value in sorted(todo.by_hand.items())[:3])
        notes.append(f"{len(todo.by_hand)} made at the PBX by hand count ({days})")
    if shut := shut_now(await pbx.db_get(SHUT, patient.settings.line.number) or "", now):
        notes.append(f"shut by hand until {shut.until:%H:%M} ({shut.by}: {shut.reason})")
    years = sorted({int(key[:4]) for key in wanted})
    provisional = [year for year in years if calendar.is_provisional(year)]
    if told := provisional_warning(provisional, now):
        return warning("; ".join([*notes, told]) + source, IMPORT)
    if provisional:
        notes.append(f"{provisional[-1]} is not published yet and provisional")
    if source:
        return warning("; ".join(notes) + source, "see the line database")
    return ok("; ".join(notes))


async def _calendar(settings: Settings) -> tuple[Calendar, str]:
    """The calendar, and what is to be said when its special days cannot be read."""
    unknown = calendar_of(settings.line), " (special days are not known: no database)"
    database = Database.from_settings(settings)
    if not is_there(database):
        return unknown
    try:
        async with asyncio.timeout(DATABASE_LIMIT_S):
            return await CalendarBook(database, settings).calendar(), ""
    except (DatabaseUnavailable, TimeoutError):
        return unknown
    finally:
        await database.close()
