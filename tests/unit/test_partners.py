"""Groups, outside numbers and sides that hand calls over to us: settings, and what is rendered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from telephony.dialplan import render, targets
from telephony.errors import DeskNotFound, NumberNotAllowed, SettingsError
from telephony.plans.steps import read_steps
from telephony.settings import Pbx, Settings, load_settings

AGENTS = [{"id": "8001"}, {"id": "8002"}]
GROUP = {"id": "801", "name": "全体", "members": ["8001", "8002"]}
OUTSIDE = {"number": "0421299XXXX", "name": "救援", "dial": "PJSIP/{number}@trunk"}


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("HOTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def settings(**values: Any) -> Settings:
    return load_settings(
        pbx=Pbx(ami_secret=SecretStr("a-secret-of-tests")), agents=AGENTS, **values
    )


def refused(**values: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    [line] = caught.value.lines
    return line


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"groups": [{**GROUP, "members": ["8001", "8009"]}]}, "8009 is neither"),
        ({"groups": [{**GROUP, "members": ["8001"]}]}, "groups.0.members"),
        ({"groups": [{**GROUP, "members": ["8001", "8001"]}]}, "stands there twice"),
        ({"groups": [{**GROUP, "id": "110"}]}, "110 is a group and a desk or agent at once"),
        ({"groups": [GROUP, GROUP]}, "stands there twice"),
        ({"groups": [{**GROUP, "id": "1-10"}]}, "are one extension"),
        ({"outside": [{**OUTSIDE, "dial": "PJSIP/trunk"}]}, "outside.0.dial"),
        ({"outside": [{**OUTSIDE, "dial": "PJSIP/{number}@t,1,g"}]}, "outside.0.dial"),
        ({"outside": [{**OUTSIDE, "dial": "PJSIP/${EXTEN}@{number}"}]}, "outside.0.dial"),
        ({"outside": [{**OUTSIDE, "number": "0421."}]}, "outside.0.number"),
        ({"outside": [{**OUTSIDE, "number": "_0421XXXX"}]}, "outside.0.number"),
        ({"outside": [{**OUTSIDE, "number": "80XX"}]}, "8001 is in use here already"),
        ({"outside": [OUTSIDE, {**OUTSIDE, "number": "042129X1234"}]}, "mean one number"),
        ({"partners": [{"desk": "110"}]}, "name trunks, shared_trunks or numbers"),
        ({"partners": [{"desk": "119", "trunks": ["t"]}]}, "partner 119 is not in desks"),
        ({"partners": [{"desk": "110", "trunks": ['t"]?x']}]}, "partners.0.trunks"),
        ({"partners": [{"desk": "110", "trunks": ["t"], "case_header": "X)"}]}, "case_header"),
        (
            {"partners": [{"desk": "110", "trunks": ["t"]}, {"desk": "122", "trunks": ["t"]}]},
            "t stands there twice",
        ),
        (
            {
                "partners": [
                    {"desk": "110", "shared_trunks": ["t"]},
                    {"desk": "122", "shared_trunks": ["t"], "case_header": "x-case"},
                ]
            },
            "need different case_header",
        ),
        (
            {"partners": [{"desk": one, "numbers": ["0421110"]} for one in ("110", "122")]},
            "0421110 stands there twice",
        ),
        ({"desks": [{"id": "110", "name": "x", "dial": ""}], "keys": []}, "desks.0.dial"),
        (
            {"tokens": [{"name": "x", "role": "agent", "token": "t" * 16}]},
            "a token of role agent names its agent",
        ),
    ],
)
def test_given_settings_that_do_not_agree_then_one_line_says_which(
    values: dict[str, Any], said: str
) -> None:
    assert said in refused(**values)


def test_given_a_list_when_a_number_is_checked_then_only_what_is_on_it_passes() -> None:
    found = settings(groups=[GROUP], outside=[OUTSIDE])
    for name in ("110", "8001", "801", "04212991234"):
        found.check_target(name, outside=True)
    for number in ("04213991234", "042129912345", "0421299123", "+4212991234"):
        with pytest.raises(NumberNotAllowed):
            found.check_target(number, outside=True)
    # It is handed calls, but never called in.
    with pytest.raises(NumberNotAllowed):
        found.check_target("04212991234", outside=False)
    for name in ("999", "0421299XXXX", "0421299123٤", "", "04212991234,1"):
        with pytest.raises(DeskNotFound):
            found.check_target(name, outside=True)


def test_given_no_list_then_no_outside_number_can_be_dialled() -> None:
    found = settings()
    with pytest.raises(NumberNotAllowed):
        found.check_target("04212991234", outside=True)
    files = render(found)
    assert "include => hotline-outside" not in files["hotline/extensions/transfer.conf"]
    assert not [c for c, _, _ in read_steps(files["hotline/extensions/groups.conf"])]


def test_given_a_list_then_the_dialled_digits_alone_reach_the_trunk() -> None:
    files = render(settings(outside=[OUTSIDE, {**OUTSIDE, "number": "95500"}]))
    steps = read_steps(files["hotline/extensions/groups.conf"])
    assert {exten for context, exten, _ in steps} == {"_0421299XXXX", "95500"}
    for exten in ("_0421299XXXX", "95500"):
        step = steps["hotline-outside", exten, 1]
        assert "DESK_DIAL=PJSIP/${FILTER(0-9,${EXTEN})}@trunk," in step
    assert "include => hotline-outside" in files["hotline/extensions/transfer.conf"]


def test_given_a_member_that_must_confirm_then_the_whole_group_must() -> None:
    desks = [
        {"id": "119", "name": "消防", "dial": "PJSIP/119", "acceptance": "confirm"},
        {"id": "120", "name": "急救", "dial": "PJSIP/x@trunk"},
        {"id": "121", "name": "气象", "dial": "PJSIP/y@trunk"},
    ]
    members = ["119", "120", "121", "8001"]
    found = settings(desks=desks, keys=[], groups=[{**GROUP, "members": members, "ring_s": 7}])
    group = targets(found)[-1]
    assert (group.id, group.acceptance, group.longest_s) == ("801", "confirm", 7)
    # Two that are reached by one trunk cannot be told apart by it.
    assert group.takers() == [("PJSIP/119", "119"), ("PJSIP/8001", "8001")]


def test_given_a_group_in_order_then_waiting_lasts_for_all_of_its_members() -> None:
    group = {**GROUP, "members": ["8001", "8002", "110"], "ring": "in-order", "ring_s": 60}
    found = settings(groups=[group])
    assert targets(found)[-1].longest_s == 180
    assert f"S({2 * 180 + 30})" in render(found)["hotline/extensions/entry.conf"]


def test_given_sides_that_hand_over_then_headers_are_read_on_their_trunks_only() -> None:
    partners = [
        {"desk": "110", "trunks": ["t-110"], "numbers": ["04212110110"]},
        {"desk": "12345", "shared_trunks": ["gov"], "case_header": "X-12345"},
    ]
    files = render(settings(partners=partners))
    steps = read_steps(files["hotline/extensions/incoming.conf"])
    mine = [steps[key] for key in sorted(steps) if key[0] == "hotline-incoming"]
    assert mine == [
        "Set(FROM=${CHANNEL:0:-9})",
        'GotoIf($["${FROM}" = "PJSIP/t-110"]?hotline-partner,110,trunk)',
        'GotoIf($["${FROM}" != "PJSIP/gov"]?other2x1)',
        "GotoIf($[${LEN(${PJSIP_HEADER(read,X-12345)})} > 0]?hotline-partner,12345,header)",
        "other2x1: NoOp()",
        'GotoIf($["${CITIZEN_NUM}" = "04212110110"]?hotline-partner,110,number)',
        "Return()",
    ]
    assert "Gosub(hotline-incoming,s,1)" in files["hotline/extensions/entry.conf"]
    assert "hotline-incoming" not in render(settings())["hotline/extensions/entry.conf"]
