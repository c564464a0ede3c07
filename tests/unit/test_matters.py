"""The directory of matters: what is checked, how it is searched, whom it proposes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.matters.files import read_matters, sample
from telephony.matters.rules import Desks, Matter, difference, matter_of, propose
from telephony.matters.search import Directory, normal, with_sounds

DESKS = Desks(frozenset({"110", "12345", "122"}))
SAMPLE = with_sounds(read_matters(sample(), DESKS).matters)
DIRECTORY = Directory(SAMPLE, version=1)
ROW = {"code": "7", "name": "噪声扰民", "category": "治安", "direction": "双向", "desk": "12345"}


def names(query: str) -> list[str]:
    return [one.name for one in DIRECTORY.search(query).matters]


# -- a row ----------------------------------------------------------------------------------------


def test_given_a_row_with_all_that_may_be_said_then_the_matter_says_it() -> None:
    more = {"urgency": "特急", "feedback_h": "2小时", "keywords": "夜间；施工、夜间", "danger": "√"}
    found, wrong = matter_of(ROW | more | {"name": " 噪声（夜间） "}, DESKS)
    assert wrong == []
    assert found == Matter(
        "7",
        "噪声（夜间）",
        "治安",
        "both",
        "12345",
        "emergency",
        2,
        ("夜间", "施工"),
        danger=True,
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("code", "", "is no code"),
        ("code", "a/b", "is no code"),
        ("code", "Versions", "address of its own"),
        ("name", "", "is empty"),
        ("name", "字" * 61, "61 characters"),
        ("name", "=1+1", "begins a formula"),
        ("name", "＠x", "begins a formula"),
        ("name", "上\n下", "cannot be seen"),
        ("category", "  ", "is empty"),
        ("direction", "", "is no direction"),
        ("direction", "120", "is no direction"),
        ("desk", "119", "is no desk of the settings: 110, 122, 12345"),
        ("desk", "", "goes either way names its desk"),
        ("urgency", "马上", "is no urgency"),
        ("feedback_h", "0", "working hours"),
        ("feedback_h", "2001", "working hours"),
        ("feedback_h", "2.5", "working hours"),
        ("feedback_h", "-2", "working hours"),
        ("keywords", ";".join(map(str, range(21))), "21 words"),
        ("keywords", "好;=坏", "begins a formula"),
        ("stability", "也许", "neither"),
    ],
)
def test_given_a_wrong_value_then_field_and_reason_are_named(
    field: str, value: str, reason: str
) -> None:
    found, wrong = matter_of(ROW | {field: value}, DESKS)
    assert found is None
    assert [one.field for one in wrong] == [field]
    assert reason in wrong[0].reason


def test_given_several_wrong_values_then_all_are_named_at_once() -> None:
    _, wrong = matter_of({"code": "7", "urgency": "x", "danger": "x"}, DESKS)
    assert [one.field for one in wrong] == ["name", "category", "direction", "urgency", "danger"]


@pytest.mark.parametrize(
    ("direction", "desk", "found"),
    [
        ("12345转110", "", "110"),
        ("to_110", "122", "122"),
        ("110转12345", "", "12345"),
        ("转12345", "12345", "12345"),
        ("to-110", "12345", None),
        ("to_12345", "110", None),
    ],
)
def test_given_a_direction_then_its_side_is_the_desk_unless_named(
    direction: str, desk: str, found: str | None
) -> None:
    matter, wrong = matter_of(ROW | {"direction": direction, "desk": desk}, DESKS)
    if found is None:
        assert [one.field for one in wrong] == ["desk"]
    else:
        assert matter is not None
        assert matter.desk == found


# -- search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("道路交通事故", "道路交通事故"),
        ("sample-121", "道路交通事故"),
        ("dljtsg", "道路交通事故"),
        ("daolujiaotongshigu", "道路交通事故"),
        ("dao lu jiao tong shi gu", "道路交通事故"),
        ("jtsgty", "交通事故逃逸"),
        ("ＪＴＳＧＴＹ", "交通事故逃逸"),
        ("事故 伤", "有人受伤的交通事故"),
        ("追尾", "道路交通事故"),
        ("hongludeng", None),
        ("honglvdeng", "信号灯配时建议"),
        ("hlüd", None),
        ("绿灯 路口", "信号灯配时建议"),
        ("警务", "投诉民警执法"),
        ("", "正在发生的刑事案件"),
    ],
)
def test_given_words_or_pinyin_when_searched_then_the_right_matter_comes_first(
    query: str, first: str | None
) -> None:
    assert next(iter(names(query)), None) == first


def test_given_equal_hits_then_what_goes_to_110_at_once_comes_before_the_rest() -> None:
    found = DIRECTORY.search("jtsg")
    assert found.exact
    assert [one.name for one in found.matters] == [
        "交通事故逃逸",
        "有人受伤的交通事故",
        "道路交通事故",
    ]


def test_given_nothing_holds_it_then_the_nearest_are_shown_and_marked() -> None:
    found = DIRECTORY.search("道路交通意外事故")
    assert not found.exact
    assert found.matters[0].name == "道路交通事故"
    assert list(DIRECTORY.search("完全无关〇").matters) == []
    assert [one.name for one in DIRECTORY.nearest("噪音扰民的问题")] == ["噪声扰民"]


def test_given_no_directory_then_nothing_is_found_and_nothing_fails() -> None:
    empty = Directory()
    assert not empty.is_loaded
    assert list(empty.search("x").matters) == []
    assert empty.get("x") is None


@given(st.text(max_size=40))
def test_given_any_text_when_searched_then_matters_of_the_directory_each_once(query: str) -> None:
    found = DIRECTORY.search(query).matters
    assert {one.code for one in found} <= {one.code for one in SAMPLE}
    assert len({one.code for one in found}) == len(found)
    assert list(DIRECTORY.search(query).matters) == list(found)


@given(st.sampled_from(SAMPLE), st.data())
def test_given_part_of_how_a_matter_is_written_or_spoken_then_it_is_found(
    matter: Matter, data: st.DataObject
) -> None:
    syllables = matter.sounds[0].split()
    begin = data.draw(st.integers(0, len(syllables) - 1))
    spoken = "".join(syllables[begin:])
    initials = "".join(one[0] for one in syllables)[begin:]
    written = normal(matter.name)[begin:]
    for text in (spoken, initials, written):
        part = text[: data.draw(st.integers(1, len(text)))]
        assert matter in DIRECTORY.search(part).matters, part
    for whole in (matter.name, matter.code, matter.code.lower()):
        assert DIRECTORY.search(whole).matters[0] == matter
        assert DIRECTORY.get(whole) == matter


@settings(max_examples=30)
@given(st.lists(st.text("上下东西南北ABc1ü、 ", min_size=1, max_size=8), min_size=1, max_size=6))
def test_given_any_names_when_indexed_then_each_is_found_by_its_name(texts: list[str]) -> None:
    unique = {normal(text): text for text in texts if normal(text).strip("、 ")}
    rows = [
        Matter(f"c{place}", text, "x", "both", "110") for place, text in enumerate(unique.values())
    ]
    directory = Directory(with_sounds(rows), version=1)
    for one in rows:
        assert directory.search(one.name).matters[0].code == one.code


# -- two directories ------------------------------------------------------------------------------


def test_given_another_directory_then_the_difference_names_codes_and_not_sounds() -> None:
    before = SAMPLE[:4]
    after = [replace(before[1], feedback_h=9), replace(before[0], sounds=()), SAMPLE[9], before[3]]
    found = difference(before, after)
    assert (found.new, found.changed) == ((SAMPLE[9].code,), (before[1].code,))
    assert (found.removed, found.unchanged) == ((before[2].code,), 2)
    assert found.moved
    assert difference(SAMPLE, SAMPLE).is_none
    assert not difference(SAMPLE, SAMPLE[::-1]).is_none


# -- whom it proposes -----------------------------------------------------------------------------

MATTER = Matter("1", "x", "y", "both", "12345")


@pytest.mark.parametrize(
    ("changes", "holder", "desk", "why"),
    [
        ({}, None, "12345", "matter"),
        ({}, "8001", "12345", "matter"),
        ({}, "12345", "110", "other-side"),
        ({"desk": "110"}, "110", "12345", "other-side"),
        ({"desk": "122"}, "122", None, "with-it"),
        ({"direction": "to_12345"}, "110", "12345", "matter"),
        ({"direction": "to_12345"}, "12345", None, "with-it"),
        ({"stability": True}, "8001", "110", "stability"),
        ({"danger": True}, "12345", "110", "danger"),
        ({"danger": True, "stability": True}, None, "110", "stability"),
        ({"danger": True}, "110", None, "with-it"),
    ],
)
def test_given_a_matter_and_who_has_the_case_then_the_table_says_whom_to_hand_it_to(
    changes: dict[str, object], holder: str | None, desk: str | None, why: str
) -> None:
    found = propose(replace(MATTER, **changes), holder, DESKS)  # type: ignore[arg-type]
    assert (found.desk, found.why) == (desk, why)
    assert found.urgent == (why in ("stability", "danger"))


def test_given_no_matter_or_an_agent_of_the_desks_side_then_nothing_is_proposed() -> None:
    assert propose(None, "8001", DESKS).desk is None
    to_110 = replace(MATTER, direction="to_110", desk="110")
    found = propose(to_110, "8110", DESKS, lambda desk, party: (desk, party) == ("110", "8110"))
    assert (found.desk, found.why) == (None, "with-it")


def test_given_no_alarm_desk_in_the_settings_then_danger_goes_to_the_matters_own_desk() -> None:
    found = propose(replace(MATTER, danger=True), "8001", Desks(frozenset({"12345"})))
    assert (found.desk, found.urgent) == ("12345", False)
