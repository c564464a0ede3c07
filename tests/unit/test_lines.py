"""Several lines: what one says itself, what it takes from the first, which cannot be told apart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from telephony.errors import LineNotFound, SettingsError
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
    settings = load_settings(line=LINE, lines=lines)
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
    ],
)
def test_given_lines_that_disagree_then_refused(lines: list[dict[str, Any]], why: str) -> None:
    assert why in refused(line=LINE, lines=lines)


def test_given_one_line_then_nothing_has_changed() -> None:
    assert Settings().every_line == [Settings().line]
    assert Settings().line.suffix == ""
