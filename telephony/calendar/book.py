"""Where the calendar comes from: the schedules that ship with the program, and what admins entered.

Rules are in :mod:`telephony.office_hours`; what the PBX is given in :mod:`telephony.calendar.push`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, tuple_

from telephony.errors import InvalidValue, SpecialDayNotFound
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
    from telephony.settings import Line, Settings

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
    windows = line.windows
    return Calendar(
        line=line.number,
        week=(windows, windows, windows, windows, windows, (), ()),
        working=windows,
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
    """The special days and declared years of the line, in the database.

    Every method raises :class:`DatabaseUnavailable`.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._line = settings.line

    async def calendar(self) -> Calendar:
        """The line's calendar as it stands now."""
        mine = DAYS.c.line == self._line.number
        async with self._database.reading() as connection:
            rows = await connection.execute(select(DAYS).where(mine))
            special = {row.day: SpecialDay(row.hours, row.reason) for row in rows}
            years = await connection.execute(
                select(DECLARED.c.year).where(DECLARED.c.line == self._line.number)
            )
            declared = [row.year for row in years]
        return calendar_of(self._line, special, declared)

    async def set_day(self, day: date, hours: str, reason: str, *, by: str) -> Entry:
        """Enter a special day, or replace it; raises :class:`InvalidValue`."""
        entry = checked_entry(day, hours, reason)
        await self.store([entry], by=by)
        return entry

    async def remove_day(self, day: date) -> None:
        """Take a special day back; raises :class:`SpecialDayNotFound`."""
        async with self._database.writing() as connection:
            gone = await connection.execute(
                delete(DAYS).where(DAYS.c.line == self._line.number, DAYS.c.day == day)
            )
            if not gone.rowcount:
                raise SpecialDayNotFound(f"{day} is no special day")

    async def store(
        self, entries: Iterable[Entry], *, by: str, declares: int | None = None
    ) -> Imported:
        """Store special days, all or none; the same ones again change nothing.

        ``declares``: with these, all special days of that year are known (its schedule is
        published), so it is provisional no more. Raises :class:`InvalidValue` when none of them
        lies in that year.
        """
        wanted = {entry.day: entry for entry in entries}
        if declares is not None and not any(day.year == declares for day in wanted):
            raise InvalidValue(f"no day of {declares} is in it, so it is not that year's schedule")
        async with self._database.writing() as connection:
            there = await self._there(connection)
            changed = [one for one in wanted.values() if one.day in there and there[one.day] != one]
            added = [one for one in wanted.values() if one.day not in there]
            await self._replace(connection, [*changed, *added], by)
            if declares is not None:
                await self._declare(connection, declares, by)
        return Imported(len(added), len(changed), len(wanted) - len(added) - len(changed))

    async def _there(self, connection: AsyncConnection) -> dict[date, Entry]:
        rows = await connection.execute(select(DAYS).where(DAYS.c.line == self._line.number))
        return {row.day: Entry(row.day, row.hours, row.reason) for row in rows}

    async def _replace(
        self, connection: AsyncConnection, entries: Iterable[Entry], by: str
    ) -> None:
        now = datetime.now(UTC)
        rows: list[dict[str, Any]] = [
            {"line": self._line.number, "day": one.day, "hours": one.hours, "reason": one.reason}
            | {"entered_by": by, "entered_at": now}
            for one in entries
        ]
        if not rows:
            return
        keys = [(row["line"], row["day"]) for row in rows]
        await connection.execute(delete(DAYS).where(tuple_(DAYS.c.line, DAYS.c.day).in_(keys)))
        await connection.execute(insert(DAYS), rows)

    async def _declare(self, connection: AsyncConnection, year: int, by: str) -> None:
        mine = (DECLARED.c.line == self._line.number, DECLARED.c.year == year)
        await connection.execute(delete(DECLARED).where(*mine))
        row = {"line": self._line.number, "year": year}
        row |= {"entered_by": by, "entered_at": datetime.now(UTC)}
        await connection.execute(insert(DECLARED), [row])
