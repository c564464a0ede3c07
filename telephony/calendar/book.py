"""Where the calendar comes from: the schedules that ship with the program, and what admins entered.

Rules are in :mod:`telephony.office_hours`; what the PBX is given in :mod:`telephony.calendar.push`.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, tuple_

from telephony.audit import AUDIT, entry_of
from telephony.errors import InvalidValue, SpecialDayNotFound
from telephony.line_settings import WEEKDAYS
from telephony.models import CalendarDay, CalendarYear
from telephony.office_hours import (
    CLOSED,
    WORK,
    YEARS,
    Calendar,
    NoHours,
    PublishedYear,
    SpecialDay,
    Statutory,
    parse_windows,
    text_of,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.line_settings import Line
    from telephony.settings import Settings

MAX_REASON = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

DAYS = CalendarDay.__table__  # type: ignore[attr-defined]
DECLARED = CalendarYear.__table__  # type: ignore[attr-defined]


@cache
def shipped() -> tuple[Mapping[int, PublishedYear], Statutory]:
    """The published schedules that come with the program, and the holidays by law."""
    text = (files("telephony") / "data" / "holidays.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    published = {
        one["year"]: PublishedYear(
            holidays=dict(_spread(one["holidays"])),
            workdays=frozenset(date.fromisoformat(day) for day in one["workdays"]),
            source=one["source"],
        )
        for one in data["published"]
    }
    fixed = [
        {**one, "from": f"2000-{one['from']}", "to": f"2000-{one['to']}"}
        for one in data["statutory"]["every_year"]
    ]
    by_day = {(day.month, day.day): name for day, name in _spread(fixed)}
    return published, Statutory(by_day, dict(_spread(data["statutory"]["moving"])))


def _spread(entries: Iterable[Mapping[str, str]]) -> Iterator[tuple[date, str]]:
    for one in entries:
        first, last = date.fromisoformat(one["from"]), date.fromisoformat(one["to"])
        for number in range((last - first).days + 1):
            yield first + timedelta(days=number), one["name"]


def calendar_of(
    line: Line,
    special: Mapping[date, SpecialDay] | None = None,
    declared: Iterable[int] = (),
) -> Calendar:
    """The calendar of a line with these special days."""
    published, statutory = shipped()
    mon, tue, wed, thu, fri, sat, sun = (line.windows_on(day) for day in WEEKDAYS)
    return Calendar(
        line=line.number,
        suffix=line.suffix,
        week=(mon, tue, wed, thu, fri, sat, sun),
        working=line.windows,
        published=published,
        statutory=statutory,
        special=special or {},
        declared=frozenset(declared),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A special day as it is to be stored."""

    day: date
    hours: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import changed."""

    added: int
    changed: int
    unchanged: int


def checked_entry(day: date, hours: str, reason: str) -> Entry:
    """A special day that may be stored; raises :class:`InvalidValue`."""
    if day.year not in YEARS:
        raise InvalidValue(f"{day}: the year must be {YEARS[0]} to {YEARS[-1]}")
    if hours not in (CLOSED, WORK):
        try:
            hours = text_of(parse_windows(hours))
        except NoHours as error:
            raise InvalidValue(
                f"{day}: {error}; say closed, work, 0830-1700 or 0830-1200,1330-1700"
            ) from None
    return Entry(day, hours, checked_reason(reason))


def checked_reason(reason: str) -> str:
    """A reason of one line and at most 100 characters; raises :class:`InvalidValue`."""
    reason = reason.strip()
    if _CONTROL.search(reason) or len(reason) > MAX_REASON:
        raise InvalidValue(f"a reason is one line of at most {MAX_REASON} characters")
    return reason


class CalendarBook:
    """The special days and declared years of the lines, in the database.

    What is entered is entered for all of its lines, which :meth:`of` narrows. Every method raises
    :class:`DatabaseUnavailable`.
    """

    def __init__(
        self, database: Database, settings: Settings, lines: Sequence[Line] | None = None
    ) -> None:
        self._database = database
        self._settings = settings
        self.lines: tuple[Line, ...] = tuple(lines or settings.every_line)

    def of(self, line: Line | None) -> CalendarBook:
        """The same of one line; None: of all."""
        return self if line is None else CalendarBook(self._database, self._settings, [line])

    async def calendar(self) -> Calendar:
        """The calendar of the first of its lines as it stands now."""
        return (await self.calendars())[0]

    async def by_line(self) -> dict[str, Calendar]:
        """The calendar of each of its lines, by the line's number."""
        return {one.line: one for one in await self.calendars()}

    async def calendars(self) -> list[Calendar]:
        """The calendar of each of its lines as they stand now."""
        numbers = [line.number for line in self.lines]
        special: defaultdict[str, dict[date, SpecialDay]] = defaultdict(dict)
        declared: defaultdict[str, list[int]] = defaultdict(list)
        async with self._database.reading() as connection:
            days = select(DAYS).where(DAYS.c.line.in_(numbers))
            for row in await connection.execute(days):
                special[row.line][row.day] = SpecialDay(row.hours, row.reason)
            years = select(DECLARED).where(DECLARED.c.line.in_(numbers))
            for row in await connection.execute(years):
                declared[row.line].append(row.year)
        return [
            calendar_of(line, special[line.number], declared[line.number]) for line in self.lines
        ]

    async def set_day(self, day: date, hours: str, reason: str, *, by: str) -> Entry:
        """Enter a special day, or replace it; raises :class:`InvalidValue`."""
        entry = checked_entry(day, hours, reason)
        await self.store([entry], by=by)
        return entry

    async def remove_day(self, day: date) -> None:
        """Take a special day back; raises :class:`SpecialDayNotFound` where no line has it."""
        numbers = [line.number for line in self.lines]
        async with self._database.writing() as connection:
            gone = await connection.execute(
                delete(DAYS).where(DAYS.c.line.in_(numbers), DAYS.c.day == day)
            )
            if not gone.rowcount:
                raise SpecialDayNotFound(f"{day} is no special day")

    async def store(
        self,
        entries: Iterable[Entry],
        *,
        by: str,
        role: str | None = None,
        declares: int | None = None,
        dry_run: bool = False,
    ) -> Imported:
        """Store special days for every line, all or none; the same ones again change nothing.

        ``declares``: with these, all special days of that year are known (its schedule is
        published), so it is provisional no more. Raises :class:`InvalidValue` when none of them
        lies in that year. ``dry_run``: only say what it would change. ``role``: of whoever imports
        them; with it the import is in the audit log. A day counts as added or changed where it is
        so for any line.
        """
        wanted = {entry.day: entry for entry in entries}
        if declares is not None and not any(day.year == declares for day in wanted):
            raise InvalidValue(f"no day of {declares} is in it, so it is not that year's schedule")
        reach = self._database.reading if dry_run else self._database.writing
        added: set[date] = set()
        changed: set[date] = set()
        async with reach() as connection:
            for line in self.lines:
                there = await _there(connection, line)
                new = [one for one in wanted.values() if one.day not in there]
                other = [one for one in wanted.values() if there.get(one.day, one) != one]
                added |= {one.day for one in new}
                changed |= {one.day for one in other}
                if dry_run:
                    continue
                await _replace(connection, line, [*other, *new], by)
                if declares is not None:
                    await _declare(connection, line, declares, by)
            changed -= added
            done = Imported(len(added), len(changed), len(wanted) - len(added) - len(changed))
            if role is not None and not dry_run:
                which = _in_words(self.lines, wanted, done, declares)
                note = entry_of(by, role, "calendar-import", which)
                await connection.execute(insert(AUDIT), [note])
        return done


def _in_words(
    lines: Sequence[Line], days: Iterable[date], done: Imported, declares: int | None
) -> str:
    spread = sorted(days)
    said = f"{spread[0]} to {spread[-1]}: " if spread else ""
    said += f"{done.added} added, {done.changed} changed, {done.unchanged} as before"
    said += f"; all of {declares}" if declares is not None else ""
    return f"{said}; line {', '.join(line.number for line in lines)}"


async def _there(connection: AsyncConnection, line: Line) -> dict[date, Entry]:
    rows = await connection.execute(select(DAYS).where(DAYS.c.line == line.number))
    return {row.day: Entry(row.day, row.hours, row.reason) for row in rows}


async def _replace(
    connection: AsyncConnection, line: Line, entries: Iterable[Entry], by: str
) -> None:
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {"line": line.number, "day": one.day, "hours": one.hours, "reason": one.reason}
        | {"entered_by": by, "entered_at": now}
        for one in entries
    ]
    if not rows:
        return
    keys = [(row["line"], row["day"]) for row in rows]
    await connection.execute(delete(DAYS).where(tuple_(DAYS.c.line, DAYS.c.day).in_(keys)))
    await connection.execute(insert(DAYS), rows)


async def _declare(connection: AsyncConnection, line: Line, year: int, by: str) -> None:
    mine = (DECLARED.c.line == line.number, DECLARED.c.year == year)
    await connection.execute(delete(DECLARED).where(*mine))
    row = {"line": line.number, "year": year}
    row |= {"entered_by": by, "entered_at": datetime.now(UTC)}
    await connection.execute(insert(DECLARED), [row])
