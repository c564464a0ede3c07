"""Days, weeks and months as supervisors count them: in Asia/Shanghai, weeks from Monday (pure)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from telephony.errors import InvalidValue
from telephony.office_hours import SHANGHAI

Grain = Literal["day", "week", "month"]
GRAINS: tuple[Grain, ...] = ("day", "week", "month")
ONE_DAY = timedelta(days=1)
_MONTH = re.compile(r"(2[0-9]{3})-(0[1-9]|1[0-2])")


def day_of(moment: datetime) -> date:
    """The day in Shanghai on which a moment falls."""
    return moment.astimezone(SHANGHAI).date()


def bounds(first: date, last: date) -> tuple[datetime, datetime]:
    """The moments from the beginning of one day to the end of another, in UTC: ``[from, to)``."""
    since = datetime.combine(first, time(), SHANGHAI)
    until = datetime.combine(last + ONE_DAY, time(), SHANGHAI)
    return since.astimezone(UTC), until.astimezone(UTC)


def period_of(day: date, grain: Grain) -> str:
    """The period of a day: ``2026-11-24``, ``2026-W48`` (ISO 8601) or ``2026-11``."""
    if grain == "day":
        return day.isoformat()
    if grain == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    return f"{day:%Y-%m}"


def span(day: date, grain: Grain) -> tuple[date, date]:
    """The first and the last day of the period in which a day lies."""
    if grain == "day":
        return day, day
    if grain == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day.replace(day=1), following - ONE_DAY


def month_of(text: str) -> tuple[date, date]:
    """The first and the last day of ``2026-11``; raises :class:`InvalidValue`."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise InvalidValue(f"{text!r} is no month; a month looks like 2026-11")
    return span(date(int(found.group(1)), int(found.group(2)), 1), "month")
