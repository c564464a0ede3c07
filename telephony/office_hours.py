"""When the line is open: working days, hours, holidays, special days. Pure, and always in Shanghai.

One day's hours are decided in this order: a special day that an admin entered; the published
schedule of the year (holidays, and weekends that are worked for them); in a year that is not
published yet the holidays that the law fixes; the week. The dialplan decides alike from what it is
given for each day (:func:`text_of`), so a call never waits for this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLOSED = "closed"
WORK = "work"
"""What a special day may say instead of hours: the hours of an ordinary working day."""
YEARS = range(2000, 2101)
"""Years that a calendar is kept for: others are typing mistakes."""
DAY_MIN = 24 * 60
LOOK_AHEAD_DAYS = 400

Why = Literal["week", "holiday", "make-up", "special"]

_WINDOW = re.compile(r"([0-9]{2})([0-9]{2})-([0-9]{2})([0-9]{2})")


class NoHours(ValueError):
    """A text that is no hours; says what is wrong with it."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The line is open from the minute ``opens`` of the day until just before ``closes``.

    Minutes since midnight in Shanghai, which has no summer time; ``closes`` may be 1440.
    """

    opens: int
    closes: int

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= DAY_MIN:
            raise NoHours(f"{_clock(self.opens)} is not before {_clock(self.closes)}")

    def __str__(self) -> str:
        return f"{_clock(self.opens)}-{_clock(self.closes)}"


Windows = tuple[Window, ...]
"""A day's hours in order, with breaks between them; empty: closed all day."""


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}{minute % 60:02d}"


def parse_windows(text: str) -> Windows:
    """``closed``, ``0830-1700`` or ``0830-1200,1330-1700``; raises :class:`NoHours`."""
    if text == CLOSED:
        return ()
    windows = []
    for part in text.split(","):
        found = _WINDOW.fullmatch(part)
        if found is None:
            raise NoHours(f"{part!r} is not like 0830-1700")
        hours = [int(one) for one in found.groups()]
        if hours[1] > 59 or hours[3] > 59:
            raise NoHours(f"{part!r} has more than 59 minutes")
        windows.append(Window(hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]))
    for before, after in pairwise(windows):
        if after.opens < before.closes:
            raise NoHours(f"{after} does not come after {before}")
    return tuple(windows)


def text_of(windows: Windows) -> str:
    """A day's hours as AstDB holds them and the dialplan reads them."""
    return ",".join(str(window) for window in windows) or CLOSED


def without(opens: time, closes: time, breaks: Windows) -> Windows:
    """From ``opens`` to ``closes`` with ``breaks`` taken out of it; raises :class:`NoHours`."""
    start, end = _minute(opens), _minute(closes)
    windows = []
    for one in sorted(breaks):
        if one.closes > end or one.opens <= start:
            raise NoHours(f"the break {one} is not inside of the hours, or overlaps another")
        windows.append(Window(start, one.opens))
        start = one.closes
    return (*windows, Window(start, end))


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


@dataclass(frozen=True, slots=True)
class PublishedYear:
    """The State Council's schedule of one year, or what stands in for one that is not published."""

    holidays: Mapping[date, str]
    workdays: frozenset[date] = frozenset()
    source: str = ""


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """What an admin decided for one day: ``hours`` is ``closed``, ``work`` or windows."""

    hours: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Statutory:
    """Holidays by law: every year's as (month, day), and those that moon and sun decide."""

    every_year: Mapping[tuple[int, int], str] = field(default_factory=dict)
    moving: Mapping[date, str] = field(default_factory=dict)

    def name(self, day: date) -> str | None:
        """The holiday that this day is whatever is published, or None."""
        return self.moving.get(day) or self.every_year.get((day.month, day.day))


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a line: its hours, why they are so, and whether that may still change."""

    day: date
    windows: Windows
    why: Why
    name: str = ""
    provisional: bool = False

    @property
    def works(self) -> bool:
        """Whether anybody works on this day at all."""
        return bool(self.windows)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours of one line on every day.

    ``week`` has the hours of Monday to Sunday, ``working`` those of a weekend day that is worked.
    ``declared`` are years whose special days are known to be all of the published schedule.
    ``suffix`` tells the line's days on the PBX from those of the first line, which has none.
    """

    line: str
    week: tuple[Windows, Windows, Windows, Windows, Windows, Windows, Windows]
    working: Windows
    published: Mapping[int, PublishedYear] = field(default_factory=dict)
    statutory: Statutory = field(default_factory=Statutory)
    special: Mapping[date, SpecialDay] = field(default_factory=dict)
    declared: frozenset[int] = frozenset()
    suffix: str = ""

    def is_provisional(self, year: int) -> bool:
        """Whether the year's schedule is not published, as far as is known here."""
        return year not in self.published and year not in self.declared

    def day(self, day: date) -> Day:
        """The hours of a day, and why."""
        provisional = self.is_provisional(day.year)
        if special := self.special.get(day):
            hours = self.working if special.hours == WORK else parse_windows(special.hours)
            return Day(day, hours, "special", special.reason, provisional=False)
        week = self.week[day.weekday()]
        if year := self.published.get(day.year):
            if name := year.holidays.get(day):
                return Day(day, (), "holiday", name)
            if day in year.workdays:
                return Day(day, self.working, "make-up", "调休上班")
        elif (name := self.statutory.name(day)) and day.year not in self.declared:
            return Day(day, (), "holiday", name, provisional)
        return Day(day, week, "week", "", provisional)

    def days(self, first: date, count: int) -> Iterator[Day]:
        """``count`` days from ``first`` on."""
        return (self.day(first + timedelta(days=number)) for number in range(count))

    def is_open(self, moment: datetime) -> bool:
        """Whether the line is open at this moment (with any zone, which must be given)."""
        here = in_shanghai(moment)
        minute = here.hour * 60 + here.minute
        return any(one.opens <= minute < one.closes for one in self.day(here.date()).windows)

    def next_opening(self, moment: datetime) -> datetime | None:
        """When the line opens next at or after this moment, if it is closed then."""
        here = in_shanghai(moment)
        for day in self.days(here.date(), LOOK_AHEAD_DAYS):
            for window in day.windows:
                opens = _moment(day.day, window.opens)
                if opens >= here:
                    return opens
        return None

    def add_working_time(self, moment: datetime, length: timedelta) -> datetime | None:
        """When this much time of open hours will have passed since ``moment``: for deadlines.

        None when the next 400 days have not so many hours.
        """
        here = in_shanghai(moment)
        for day in self.days(here.date(), LOOK_AHEAD_DAYS):
            for window in day.windows:
                begin = max(_moment(day.day, window.opens), here)
                end = _moment(day.day, window.closes)
                if begin >= end:
                    continue
                if end - begin >= length:
                    return begin + length
                length -= end - begin
        return None

    def add_working_days(self, moment: datetime, count: int) -> datetime | None:
        """The same time of day ``count`` working days on, but not after that day's closing.

        The day of ``moment`` does not count. None when the next 400 days have not so many.
        """
        here = in_shanghai(moment)
        for day in self.days(here.date() + timedelta(days=1), LOOK_AHEAD_DAYS):
            count -= day.works
            if day.works and count <= 0:
                at = datetime.combine(day.day, here.time(), SHANGHAI)
                latest = _moment(day.day, day.windows[-1].closes)
                return min(max(at, _moment(day.day, day.windows[0].opens)), latest)
        return None


def in_shanghai(moment: datetime) -> datetime:
    """The moment on Shanghai's clock; raises :class:`ValueError` for one without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone is no moment")
    return moment.astimezone(SHANGHAI)


def _moment(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(), SHANGHAI) + timedelta(minutes=minute)
