"""The hours of every day and every boundary second, against the published schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calendar.book import calendar_of
from telephony.office_hours import (
    SHANGHAI,
    Calendar,
    NoHours,
    SpecialDay,
    Window,
    parse_windows,
    text_of,
    without,
)
from telephony.settings import Line

PUBLISHED = Path(__file__).with_name("published_days.txt")
SECOND = timedelta(seconds=1)


def published() -> Iterator[tuple[date, bool]]:
    """Every day from 2024 to 2026, and whether it is worked."""
    for row in PUBLISHED.read_text(encoding="utf-8").splitlines():
        if row.startswith("#"):
            continue
        month, days = row.split()
        for number, letter in enumerate(days, 1):
            yield date.fromisoformat(f"{month}-{number:02d}"), letter == "W"


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return calendar_of(Line())


def at(day: str, clock: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone)


def test_given_every_day_of_three_years_when_asked_then_worked_as_published(
    calendar: Calendar,
) -> None:
    days = list(published())
    assert len(days) == 366 + 365 + 365
    wrong = [day for day, worked in days if calendar.day(day).works is not worked]
    assert wrong == []
    assert not any(calendar.day(day).provisional for day, _ in days)


def test_given_every_boundary_second_of_three_years_when_asked_then_open_as_published(
    calendar: Calendar,
) -> None:
    boundaries = [time(0), time(8, 30), time(17)]
    wrong = []
    for day, worked in published():
        for boundary in boundaries:
            moment = datetime.combine(day, boundary, SHANGHAI)
            for tried in (moment - SECOND, moment, moment + SECOND):
                inside = time(8, 30) <= tried.time() < time(17)
                expected = inside and (worked if tried.date() == day else False)
                if calendar.is_open(tried.astimezone(UTC)) is not expected:
                    wrong.append(tried)
    assert wrong == []


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Shanghai", "Pacific/Kiritimati"])
def test_given_any_zone_when_asked_then_shanghais_clock_counts(
    calendar: Calendar, zone: str
) -> None:
    opens = at("2026-11-24", "08:30:00").astimezone(ZoneInfo(zone))
    assert not calendar.is_open(opens - SECOND)
    assert calendar.is_open(opens)
    with pytest.raises(ValueError, match="no moment"):
        calendar.is_open(datetime(2026, 11, 24, 8, 30))


def test_given_the_years_end_when_asked_then_each_day_is_its_own_years(calendar: Calendar) -> None:
    assert calendar.is_open(at("2025-12-31", "16:59:59"))
    assert not calendar.is_open(at("2025-12-31", "17:00:00"))
    assert calendar.day(date(2026, 1, 1)).name == "元旦"
    assert calendar.is_open(at("2026-01-04", "08:30:00"))  # a Sunday that is worked
    assert calendar.next_opening(at("2025-12-31", "17:00:00")) == at("2026-01-04", "08:30:00")


def test_given_a_year_that_is_not_published_then_it_is_provisional_and_the_law_counts(
    calendar: Calendar,
) -> None:
    assert calendar.is_provisional(2027)
    assert calendar.day(date(2027, 2, 5)).name == "春节"
    assert calendar.day(date(2027, 2, 5)).provisional
    assert not calendar.day(date(2027, 10, 1)).works
    assert calendar.day(date(2027, 10, 8)).works  # a Friday, whatever will be moved
    assert not calendar.day(date(2027, 10, 9)).works
    # Past what is worked out here, the days that the law fixes still count, and nothing raises.
    assert not calendar.day(date(2091, 5, 1)).works
    assert calendar.day(date(2091, 5, 3)).provisional


def test_given_special_days_then_they_count_before_everything(calendar: Calendar) -> None:
    special = {
        date(2026, 10, 1): SpecialDay("0900-1200", "国庆值班"),
        date(2026, 11, 24): SpecialDay("closed", "停电"),
        date(2026, 11, 28): SpecialDay("work", "补班"),
    }
    changed = calendar_of(Line(), special=special)
    assert changed.is_open(at("2026-10-01", "11:59:59"))
    assert not changed.is_open(at("2026-10-01", "12:00:00"))
    assert not changed.day(date(2026, 11, 24)).works
    assert changed.day(date(2026, 11, 24)).name == "停电"
    assert changed.is_open(at("2026-11-28", "16:59:59"))
    assert not calendar.is_open(at("2026-11-28", "16:59:59"))


def test_given_a_declared_year_then_its_special_days_are_all_there_is() -> None:
    declared = calendar_of(
        Line(), special={date(2027, 2, 6): SpecialDay("closed", "春节")}, declared={2027}
    )
    assert not declared.is_provisional(2027)
    assert not declared.day(date(2027, 2, 6)).works
    assert declared.day(date(2027, 2, 5)).works  # Friday; the law's own table steps back


def test_given_a_break_when_asked_then_closed_in_it_to_the_second() -> None:
    calendar = calendar_of(Line(breaks=["12:00-13:30"]))
    expected = {"11:59:59": True, "12:00:00": False, "13:29:59": False, "13:30:00": True}
    found = {clock: calendar.is_open(at("2026-11-24", clock)) for clock in expected}
    assert found == expected
    noon = at("2026-11-24", "12:00:00")
    assert calendar.next_opening(noon) == at("2026-11-24", "13:30:00")


def test_given_a_deadline_in_working_time_then_nights_and_holidays_do_not_count(
    calendar: Calendar,
) -> None:
    eve = at("2026-09-30", "16:00:00")
    assert calendar.add_working_time(eve, timedelta(hours=2)) == at("2026-10-08", "09:30:00")
    assert calendar.add_working_time(eve, timedelta(hours=1)) == at("2026-09-30", "17:00:00")
    assert calendar.add_working_time(eve, timedelta(days=4000)) is None
    assert calendar.add_working_days(eve, 1) == at("2026-10-08", "16:00:00")
    assert calendar.add_working_days(at("2026-09-30", "20:00:00"), 3) == at(
        "2026-10-10", "17:00:00"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "open", "0830", "0830-2500", "0860-1700", "1700-0830", "0830-0830"),
        *("0830-1200,1100-1300", "0830-1200, 1330-1700", "CLOSED", "0830-1700\n", "٠٨٣٠-١٧٠٠"),
    ],
)
def test_given_what_is_no_hours_when_read_then_refused(text: str) -> None:
    with pytest.raises(NoHours):
        parse_windows(text)


def test_given_a_break_outside_of_the_hours_then_refused() -> None:
    for wrong in ("0800-0900", "1630-1730", "0830-0900"):
        with pytest.raises(NoHours):
            without(time(8, 30), time(17), parse_windows(wrong))


minutes = st.lists(st.integers(0, 1440), min_size=2, max_size=12, unique=True)


@given(minutes)
def test_given_any_windows_when_written_and_read_then_the_same(numbers: list[int]) -> None:
    ordered = sorted(numbers)[: len(numbers) // 2 * 2]
    windows = tuple(Window(*pair) for pair in zip(ordered[::2], ordered[1::2], strict=True))
    assert parse_windows(text_of(windows)) == windows
