"""The calendar in the PBX's own database (AstDB), a year ahead, so that the dialplan decides alone.

``hotline-hours/YYYYMMDD`` holds a day's hours, ``hotline-pushed/YYYYMMDD`` what we wrote there; for
a line besides the first the families are ``hotline-hours-<line>`` and ``hotline-pushed-<line>``. An
entry that says otherwise was made at the PBX by hand; it counts, and is left alone and told of.
``hotline-shut/<line>`` holds until when a line is shut by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from telephony.calendar.book import checked_reason
from telephony.errors import CalendarNotPushed, InvalidValue, WrongState
from telephony.line_settings import WEEKDAYS
from telephony.office_hours import (
    DAY_MIN,
    SHANGHAI,
    Calendar,
    NoHours,
    Windows,
    in_shanghai,
    parse_windows,
    text_of,
)
from telephony.pbx import Ask, Pbx

if TYPE_CHECKING:
    from telephony.line_settings import Line
    from telephony.settings import Settings

HOURS = "hotline-hours"
PUSHED = "hotline-pushed"
SHUT = "hotline-shut"
AHEAD_DAYS = 366
AT_ONCE = 100
"""How many entries are written in one go: a call's own reading must not wait long behind them."""
WARN_FROM = (12, 1)
"""The next year's schedule is published in autumn: from this month and day on it is missed."""
# The dialplan reads at most 255 bytes of an entry.
MAX_SHUT_BYTES = 200
_DAY_KEY = re.compile(r"\d{8}", re.ASCII)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to change on the PBX: entries to write, to delete, and those made there by hand."""

    write: Mapping[str, str]
    delete: frozenset[str]
    by_hand: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: numbers of entries, what was left alone, and how far the PBX now knows."""

    written: int
    deleted: int
    by_hand: Mapping[str, str]
    until: date
    provisional: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ShutNow:
    """The line is shut by hand until a moment."""

    until: datetime
    by: str
    reason: str


def wanted_hours(calendar: Calendar, today: date) -> dict[str, str]:
    """The hours that the PBX shall have, from today a year ahead, by AstDB's keys."""
    return {f"{one.day:%Y%m%d}": text_of(one.windows) for one in calendar.days(today, AHEAD_DAYS)}


def plan(
    wanted: Mapping[str, str],
    there: Mapping[str, str],
    pushed: Mapping[str, str],
    *,
    replace: bool = False,
) -> Plan:
    """What makes ``there`` what is ``wanted``; with ``replace`` entries made by hand go as well.

    Days that have passed are deleted, whoever wrote them.
    """
    first = min(wanted)
    by_hand = {
        key: value
        for key, value in there.items()
        if _DAY_KEY.fullmatch(key)
        and key >= first
        and value != wanted.get(key)
        and value != pushed.get(key)
        and not replace
    }
    write = {
        key: value
        for key, value in wanted.items()
        if there.get(key) != value and key not in by_hand
    }
    delete = {
        key for key in there if _DAY_KEY.fullmatch(key) and key not in wanted and key not in by_hand
    }
    return Plan(write, frozenset(delete), by_hand)


def provisional_warning(years: Iterable[int], now: datetime | None = None) -> str:
    """What to say of years that are not published; "" while there is time."""
    today = in_shanghai(now or datetime.now(UTC)).date()
    late = [year for year in years if today >= date(year - 1, *WARN_FROM)]
    if not late:
        return ""
    named = ", ".join(map(str, late))
    return f"the holidays of {named} are provisional: import the published schedule"


async def push(
    pbx: Pbx, calendar: Calendar, *, now: datetime | None = None, replace: bool = False
) -> Pushed:
    """Bring the PBX's hours of one line up to date, and read them back.

    Only differences are written. Raises :class:`PbxUnavailable`, :class:`PbxTimeout`,
    :class:`PbxRefused`, and :class:`CalendarNotPushed` when it did not keep them.
    """
    today = in_shanghai(now or datetime.now(UTC)).date()
    wanted = wanted_hours(calendar, today)
    hours, marks = HOURS + calendar.suffix, PUSHED + calendar.suffix
    there, pushed = await pbx.db_family(hours), await pbx.db_family(marks)
    todo = plan(wanted, there, pushed, replace=replace)
    asks: list[Ask] = []
    # The entry first and its mark after it: cut off in between, the next push writes the mark.
    for key, value in todo.write.items():
        asks += [_put(hours, key, value), _put(marks, key, value)]
    for key, value in wanted.items():
        if there.get(key) == value and pushed.get(key) != value:
            asks.append(_put(marks, key, value))
    for first in range(0, len(asks), AT_ONCE):
        await pbx.together(*asks[first : first + AT_ONCE])
    for key in sorted(todo.delete):
        await pbx.db_del(hours, key)
    for key in sorted(key for key in pushed if key not in wanted):
        await pbx.db_del(marks, key)
    await _read_back(pbx, hours, wanted, todo)
    last = today + timedelta(days=AHEAD_DAYS - 1)
    years = range(today.year, last.year + 1)
    provisional = tuple(year for year in years if calendar.is_provisional(year))
    return Pushed(len(todo.write), len(todo.delete), todo.by_hand, last, provisional)


async def push_all(
    pbx: Pbx, calendars: Sequence[Calendar], *, now: datetime | None = None, replace: bool = False
) -> Pushed:
    """Bring the hours of all these lines up to date, one after the other, as :func:`push` does.

    Days that were left alone are named with their line where it is not the first.
    """
    now = now or datetime.now(UTC)
    done = [await push(pbx, one, now=now, replace=replace) for one in calendars]
    by_hand = {
        (f"{calendar.line}/{day}" if calendar.suffix else day): hours
        for calendar, one in zip(calendars, done, strict=True)
        for day, hours in one.by_hand.items()
    }
    provisional = sorted({year for one in done for year in one.provisional})
    return Pushed(
        sum(one.written for one in done),
        sum(one.deleted for one in done),
        by_hand,
        done[0].until,
        tuple(provisional),
    )


def pushed_at_all(done: Mapping[str, Pushed]) -> Pushed:
    """What was done at several PBXs, by their names; days left alone are named with their PBX
    where there are several."""
    ones = list(done.values())
    by_hand = {
        (day if len(done) == 1 else f"{pbx}/{day}"): hours
        for pbx, one in done.items()
        for day, hours in one.by_hand.items()
    }
    written, deleted = sum(one.written for one in ones), sum(one.deleted for one in ones)
    return Pushed(written, deleted, by_hand, ones[0].until, ones[0].provisional)


async def _read_back(pbx: Pbx, hours: str, wanted: Mapping[str, str], todo: Plan) -> None:
    there = await pbx.db_family(hours)
    lost = [
        key for key, value in wanted.items() if key not in todo.by_hand and there.get(key) != value
    ]
    if lost:
        raise CalendarNotPushed(
            f"the PBX did not keep the hours of {len(lost)} days, the first is {lost[0]}: "
            f"{there.get(lost[0], 'nothing')} instead of {wanted[lost[0]]}; look at its disk"
        )


def _put(family: str, key: str, value: str) -> Ask:
    return Ask("DBPut", {"Family": family, "Key": key, "Val": value})


def hours_at_pbx(line: Line, entry: str | None, day: date) -> Windows:
    """The hours of a day as the dialplan takes them from its entry: without one, or with one that
    is no hours, the week counts."""
    if entry is not None:
        with suppress(NoHours):
            return parse_windows(entry)
    return line.windows_on(WEEKDAYS[day.weekday()])


class Switch:
    """Shuts lines until a moment; they open by themselves, as the PBX itself looks at its clock.

    All lines, or those that :meth:`of` narrows it to.
    """

    def __init__(self, pbx: Pbx, settings: Settings, lines: Sequence[Line] | None = None) -> None:
        self._pbx = pbx
        self._settings = settings
        self._lines = [line.number for line in lines or settings.every_line]

    def of(self, line: Line | None) -> Switch:
        """The switch of one line; None: of all."""
        return self if line is None else Switch(self._pbx, self._settings, [line])

    async def shut(
        self, until: str, reason: str, *, by: str, now: datetime | None = None
    ) -> ShutNow:
        """Shut the line until ``HH:MM`` of today (``24:00``: all of it), Shanghai's time.

        Raises :class:`InvalidValue` for a time that has passed, and the errors of :class:`Pbx`.
        """
        here = in_shanghai(now or datetime.now(UTC))
        end = _today_at(here, until)
        if end <= here:
            raise InvalidValue(f"{until} has passed; it is {here:%H:%M}")
        reason = checked_reason(reason)
        by = by.replace("|", " ")
        value = f"{int(end.timestamp())}|{by}|{reason}"
        if len(value.encode()) > MAX_SHUT_BYTES:
            raise InvalidValue("the reason is too long for the PBX; use fewer words")
        for line in self._lines:
            await self._pbx.db_put(SHUT, line, value)
            if await self._pbx.db_get(SHUT, line) != value:
                raise CalendarNotPushed("the PBX did not keep that it is shut; look at its disk")
        return ShutNow(end, by, reason)

    async def open(self) -> None:
        """Open again now, where the hours say so; raises :class:`WrongState` if none was shut."""
        at = datetime.now(UTC)
        was_shut = False
        for line in self._lines:
            was_shut |= shut_now(await self._pbx.db_get(SHUT, line) or "", at) is not None
            await self._pbx.db_del(SHUT, line)
        if not was_shut:
            raise WrongState("the line is not closed by hand")

    async def now(self, now: datetime | None = None) -> ShutNow | None:
        """Until when the (first) line is shut by hand; None when it is not (any more)."""
        value = await self._pbx.db_get(SHUT, self._lines[0])
        return shut_now(value or "", now or datetime.now(UTC))


def shut_now(value: str, now: datetime) -> ShutNow | None:
    """What an entry of the switch means at this moment."""
    epoch, _, rest = value.partition("|")
    by, _, reason = rest.partition("|")
    if not (epoch.isascii() and epoch.isdecimal()) or len(epoch) > 10:
        return None
    until = datetime.fromtimestamp(int(epoch), SHANGHAI)
    return ShutNow(until, by, reason) if until > now else None


def _today_at(here: datetime, clock: str) -> datetime:
    found = _CLOCK.fullmatch(clock)
    if found is None:
        raise InvalidValue(f"{clock!r} is no time such as 14:30")
    minutes = int(found[1]) * 60 + int(found[2]) if found[1] else DAY_MIN
    midnight = datetime.combine(here.date(), time(), SHANGHAI)
    return midnight + timedelta(minutes=minutes)
