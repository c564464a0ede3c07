"""Several lines: what one says itself, what it takes from the first, which cannot be told apart."""

from __future__ import annotations

import os
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from telephony.calendar.book import calendar_of
from telephony.calendar.push import hours_at_pbx, wanted_hours
from telephony.checkup.people import is_open
from telephony.errors import LineNotFound, SettingsError
from telephony.office_hours import SpecialDay, text_of
from telephony.settings import Settings, as_environment, load_settings


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("HOTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(**settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**settings)
    return "\n".join(caught.value.lines)


SECOND = {"id": "night", "name": "夜间热线", "number": "2800123"}
LINE = {"queue_wait_s": 30, "breaks": ["12:00-13:30"], "number": "2800122"}


def test_given_a_further_line_then_it_takes_from_the_first_what_it_does_not_say() -> None:
    settings = load_settings(line=LINE, lines=[SECOND, {**SECOND, "id": "am", "number": "2800124"}])
    second, third = settings.lines
    assert (second.queue_wait_s, second.hours) == (30, "0830-1200,1330-1700")
    assert (second.name, second.full_number, third.id) == ("夜间热线", "04212800123", "am")
    assert [one.suffix for one in settings.every_line] == ["", "-2800123", "-2800124"]


def test_given_hours_of_its_own_then_it_has_none_of_the_others_breaks() -> None:
    settings = load_settings(line=LINE, lines=[{**SECOND, "opens": "18:00", "closes": "23:00"}])
    assert settings.lines[0].hours == "1800-2300"


WEEK = {"sat": ["09:00-12:00"], "wed": ["08:30-12:00", "13:30-20:00"], "fri": []}


def test_given_weekdays_of_their_own_then_each_day_has_its_hours_and_is_told() -> None:
    settings = load_settings(line={**LINE, "week": WEEK}, lines=[SECOND])
    for line in settings.every_line:  # a further line takes the week as well
        assert line.week_hours == [
            *("0830-1200,1330-1700", "0830-1200,1330-1700", "0830-1200,1330-2000"),
            *("0830-1200,1330-1700", "closed", "0900-1200", "closed"),
        ]
    assert settings.line.week_in_words == (
        "Monday to Friday 0830-1200,1330-1700, wed 0830-1200,1330-2000, fri closed, sat 0900-1200"
    )
    night = {**SECOND, "opens": "18:00", "closes": "23:00"}
    other = load_settings(line={**LINE, "week": WEEK}, lines=[night]).lines[0]
    assert other.week_hours == ["1800-2300"] * 5 + ["closed"] * 2
    own = load_settings(line=LINE, lines=[{**SECOND, "week": {"sun": ["10:00-11:00"]}}]).lines[0]
    assert (own.week_hours[0], own.week_hours[6]) == ("0830-1200,1330-1700", "1000-1100")


def test_given_weekdays_of_their_own_then_holidays_and_worked_weekends_go_before() -> None:
    line = load_settings(line={"week": WEEK}).line
    calendar = calendar_of(line, {date(2026, 12, 5): SpecialDay("closed", "检修")})

    def hours(day: str) -> str:
        return text_of(calendar.day(date.fromisoformat(day)).windows)

    assert hours("2026-11-28") == "0900-1200"  # a Saturday
    assert hours("2026-11-25") == "0830-1200,1330-2000"  # a Wednesday
    assert hours("2026-11-27") == "closed"  # a Friday
    assert hours("2026-11-29") == "closed"  # a Sunday
    assert hours("2026-10-03") == "closed"  # a Saturday, National Day
    assert hours("2026-10-10") == "0830-1700"  # a Saturday that is worked for it
    assert hours("2026-12-05") == "closed"  # a Saturday, by an admin
    wanted = wanted_hours(calendar, date(2026, 11, 25))
    assert [wanted[f"202611{day}"] for day in (25, 27, 28)] == [
        *("0830-1200,1330-2000", "closed", "0900-1200")
    ]
    # What a PBX goes by that has lost its days.
    for day in (date(2026, 11, 23) + timedelta(days=number) for number in range(7)):
        assert hours_at_pbx(line, None, day) == calendar.week[day.weekday()]
        noon = datetime.combine(day, time(11), ZoneInfo("Asia/Shanghai"))
        assert is_open(line, None, noon) == calendar.is_open(noon)


def test_given_no_number_of_the_first_line_then_the_first_of_the_lines_is_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "hotline.toml").write_text(
        '[line]\nqueue_wait_s = 45\n[[lines]]\nname = "甲"\nnumbers = ["2800122", "12122"]\n'
        '[[lines]]\nname = "乙"\nnumber = "2800123"\nopens = 09:30:00\n'
    )
    settings = load_settings()
    assert (settings.line.name, settings.line.number) == ("甲", "2800122")
    assert [one.name for one in settings.lines] == ["乙"]
    assert {one.queue_wait_s for one in settings.every_line} == {45}
    assert {"2800122", "12122", "+8642112122"} <= set(settings.line.dialled_forms)
    assert settings.line_named("04212800123").hours == "0930-1700"
    with pytest.raises(LineNotFound, match="there are: 2800122, 2800123"):
        settings.line_named("2800124")


def test_given_several_lines_when_sent_by_the_environment_then_they_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [{**SECOND, "opens": "18:00", "closes": "23:00", "danger_desk": "none"}]
    settings = load_settings(line={**LINE, "week": WEEK}, lines=lines)
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([{**SECOND, "number": "2800122"}], "2800122 leads to two lines"),
        ([{**SECOND, "numbers": ["04212800122"]}], "04212800122 leads to two lines"),
        ([SECOND, {**SECOND, "number": "2800124"}], "two lines are called night"),
        ([{**SECOND, "wrapup_s": 9}], "line 2800123: wrapup_s is one for all lines"),
        ([{**SECOND, "danger_desk": "911"}], "line 2800123: danger_desk is 911"),
        ([{"number": "2800123"}], "lines.0.name"),
        ([{**SECOND, "opens": "18:00"}], "lines.0: opens 18:00 is not before closes 17:00"),
        ([{**SECOND, "week": {"sat": ["12:00-09:00"]}}], "week.sat: 1200 is not before 0900"),
        (
            [{**SECOND, "week": {"sat": ["09:00-12:00", "11:00-13:00"]}}],
            "week.sat: 1100-1300 does not come after 0900-1200",
        ),
        ([{**SECOND, "week": {"sat": ["9-12"]}}], "must be two times of day, as 12:00-13:30"),
        ([{**SECOND, "week": {"saturday": []}}], "must be 'mon', 'tue', 'wed'"),
    ],
)
def test_given_lines_that_disagree_then_refused(lines: list[dict[str, Any]], why: str) -> None:
    assert why in refused(line=LINE, lines=lines)


def test_given_one_line_then_nothing_has_changed() -> None:
    assert Settings().every_line == [Settings().line]
    assert Settings().line.suffix == ""
