"""The doctor's rules: steps, hours, devices, the CEL file."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from telephony.checkup.dialplan import our_steps
from telephony.checkup.model import NotChecked
from telephony.checkup.people import devices, is_open
from telephony.checkup.record import (
    last_row_at,
)
from telephony.plans.steps import Difference, compare, read_steps
from telephony.settings import TIME_ZONE, Line
from tests.unit.doctor_scene import settings_for

SHANGHAI = ZoneInfo(TIME_ZONE)
TUESDAY = datetime(2026, 11, 24, tzinfo=SHANGHAI)
ROW = '"HANGUP","{at}","","","","","","s","x","PJSIP/1-1","","","3","","1.1","1.1","","","",""\n'


# -- the dialplan -------------------------------------------------------------------------------


def test_given_an_extensions_file_when_it_is_read_then_steps_are_those_asterisk_loads() -> None:
    text = """
        ; exten => no,1,Hangup()
        [one] ; the first
        exten => *45,1,Set(A=$[1 + (2)]) ; why
         same => n(there),Goto(two,s,1)
         same => 7,NoOp
        exten => s,1,Set(H=a\\;b)
        [two]
        exten => s,1,Playback(a,b)
    """
    assert read_steps(text) == {
        ("one", "*45", 1): "Set(A=$[1 + (2)])",
        ("one", "*45", 2): "there: Goto(two,s,1)",
        ("one", "*45", 7): "NoOp()",
        ("one", "s", 1): "Set(H=a;b)",
        ("two", "s", 1): "Playback(a,b)",
    }


def test_given_settings_when_their_steps_are_read_then_every_dialled_form_has_a_way_in() -> None:
    settings = settings_for(5038)
    steps = our_steps(settings)
    for form in settings.line.dialled_forms:
        assert steps["hotline-trunk", form, 2] == "Goto(hotline-case,s,1)"


def test_given_two_dialplans_when_compared_then_changed_missing_and_foreign_steps_are_named() -> (
    None
):
    ours = {("a", "s", 1): "One()", ("a", "s", 2): "Two()", ("trunk", "1", 1): "In()"}
    theirs = {
        ("a", "s", 1): "Other()",
        ("a", "s", 9): "More()",
        ("trunk", "1", 1): "In()",
        ("trunk", "999", 1): "Theirs()",
    }
    found = compare(ours, theirs, shared="trunk")
    assert found == [
        Difference(("a", "s", 1), "One()", "Other()"),
        Difference(("a", "s", 2), "Two()", ""),
        Difference(("a", "s", 9), "", "More()"),
    ]
    assert [str(one) for one in found] == [
        "a,s,1: Other() instead of One()",
        "a,s,2: missing, ours is Two()",
        "a,s,9: More() is not ours",
    ]


# -- hours, devices, the CEL file -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("special", "day", "at", "expected"),
    [
        (None, 24, time(8, 29, 59), False),
        (None, 24, time(8, 30), True),
        (None, 24, time(16, 59, 59), True),
        (None, 24, time(17, 0), False),
        (None, 28, time(12, 0), False),  # Saturday
        ("0900-1200", 28, time(9, 0), True),
        ("0900-1200", 24, time(12, 0), False),
        ("0000-2400", 24, time(23, 59), True),
        ("closed", 24, time(12, 0), False),
    ],
)
def test_given_a_moment_when_asked_then_the_line_is_open_as_the_dialplan_decides(
    special: str | None, day: int, at: time, expected: bool
) -> None:
    moment = datetime.combine(TUESDAY.replace(day=day), at, SHANGHAI)
    assert is_open(Line(), special, moment) is expected


def test_given_hours_that_are_none_when_asked_then_that_is_said() -> None:
    with pytest.raises(NotChecked, match="holds 'open', no hours"):
        is_open(Line(), "open", TUESDAY)


@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("PJSIP/110", [("PJSIP", "110")]),
        ("PJSIP/110@city", [("PJSIP", "city")]),
        ("PJSIP/city/sip:110@10.0.0.1", [("PJSIP", "city")]),
        ("PJSIP/110&Local/9@desks", [("PJSIP", "110"), ("Local", "9@desks")]),
    ],
)
def test_given_a_dial_string_when_read_then_the_devices_that_must_be_there_are_known(
    dial: str, expected: list[tuple[str, str]]
) -> None:
    assert devices(dial) == expected


def test_given_a_cel_file_when_read_then_the_last_whole_row_counts(tmp_path: Path) -> None:
    file = tmp_path / "hotline.csv"
    assert last_row_at(file) is None
    file.write_text(ROW.format(at="100.000000") + ROW.format(at="200.500000") + '"HANGUP","30')
    assert last_row_at(file) == 200.5
    file.write_text("nonsense\n")
    with pytest.raises(NotChecked, match="cannot be read: 'nonsense'"):
        last_row_at(file)
