"""Numbers as those see them who may not see them whole."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.masking import (
    mask_call,
    mask_case,
    mask_channel,
    mask_details,
    mask_frame,
    mask_leg,
    mask_number,
    mask_text,
)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("13812345678", "138****5678"),
        ("013812345678", "0138****5678"),
        ("+8613812345678", "+86138****5678"),
        ("8613812345678", "86138****5678"),
        ("008613812345678", "0086138****5678"),
        ("04212800122", "0421*****22"),
        ("0421-2800122", "0421*****22"),
        ("01062345678", "010******78"),
        ("+864212800122", "+86421*****22"),
        ("2800122", "*****22"),
        ("86123456", "******56"),
        ("+4915112345678", "+***********78"),
        ("１３８１２３４５６７８", "138****5678"),
        ("110", "110"),
        ("12345", "12345"),
        ("8001", "8001"),
        ("anonymous", "anonymous"),
        ("", ""),
    ],
)
def test_given_a_number_then_its_middle_is_hidden(number: str, shown: str) -> None:
    assert mask_number(number) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("电话 13812345678，请回电", "电话 138****5678，请回电"),
        ("138 1234 5678 or 0421-2800122", "138****5678 or 0421*****22"),
        ("case 20261124-1795499761.5 leg 1795497294.19", None),
        ("recorded 20261124-1795499761.5~1795499761.9", None),
        ("on 2026-11-24 08:30 at 110", None),
        (
            "电话１３８１２３４５６７８，案号20261124-1795499761.5",
            "电话138****5678，案号20261124-1795499761.5",
        ),
        ("＋８６ １３８－１２３４－５６７８", "+86138****5678"),
        ("时间２０２６-11-24，１１０或１２３４５", None),
        ("٠٤٢١٢٨٠٠١٢٢", "0421*****22"),
    ],
)
def test_given_text_then_only_numbers_in_it_are_masked(text: str, shown: str | None) -> None:
    assert mask_text(text) == (text if shown is None else shown)


def test_given_a_channel_then_the_number_in_its_name_is_masked() -> None:
    assert mask_channel("Local/13812345678@out-0000001;1") == "Local/138****5678@out-0000001;1"
    assert mask_channel("PJSIP/8001-0000000a") == "PJSIP/8001-0000000a"


def test_given_a_leg_then_an_agents_number_stays_and_a_citizens_does_not() -> None:
    leg: dict[str, Any] = {
        "role": "citizen",
        "party": "13812345678",
        "party_e164": "+8613812345678",
    }
    leg |= {"caller": "13812345678", "caller_e164": "+8613812345678", "channel_names": []}
    masked = mask_leg(leg)
    assert "13812345678" not in str(masked)
    assert masked["party"] == "138****5678"
    ours = mask_leg(leg | {"role": "agent", "party": "80012345", "party_e164": None})
    assert (ours["party"], ours["caller"]) == ("80012345", "138****5678")


def test_given_details_then_no_name_number_or_place_is_left() -> None:
    details = {"citizen_name": "张三丰", "citizen_phone": "13812345678", "phone": None}
    details |= {"citizen_address": "朝阳大街1号", "position": "41.5,120.4", "place": None}
    details |= {"summary": "回电 13812345678", "what": None, "matter": "停车", "kind": "求助"}
    masked = mask_details(details)
    assert masked["citizen_name"] == "张**"
    assert (masked["citizen_phone"], masked["summary"]) == ("138****5678", "回电 138****5678")
    assert (masked["citizen_address"], masked["position"]) == ("***", "***")
    assert (masked["place"], masked["matter"], masked["kind"]) == (None, "停车", "求助")


def test_given_a_case_whose_matter_is_any_words_then_the_number_in_it_is_masked() -> None:
    case = {"caller": "13812345678", "caller_e164": None, "matter": "回电 13812345678"}
    assert mask_case(case) == {**case, "caller": "138****5678", "matter": "回电 138****5678"}
    assert mask_case({"caller": None, "matter": None}) == {"caller": None, "matter": None}


def test_given_a_live_call_then_the_citizen_is_masked_everywhere() -> None:
    party = {"role": "citizen", "party": "13812345678", "channel": "PJSIP/trunk-1"}
    call = {"caller": "13812345678", "parties": [party, party | {"role": "agent", "party": "8001"}]}
    masked = mask_call(call)
    assert "13812345678" not in str(masked)
    assert [one["party"] for one in masked["parties"]] == ["138****5678", "8001"]


def test_given_what_was_written_about_a_live_call_then_the_numbers_in_it_are_masked() -> None:
    told = {"id": "1", "desk": "13812345678", "reason": "请回电 13812345678"}
    call: dict[str, Any] = {"caller": "1", "parties": [], "handover": told}
    call["nuisance"] = {"kind": "骚扰", "reason": "又用 13812345678 打"}
    masked = mask_frame({"calls": [call], "handovers": [told, told | {"reason": None}]})
    (shown,) = masked["calls"]
    assert shown["handover"]["reason"] == "请回电 138****5678"
    assert shown["nuisance"]["reason"] == "又用 138****5678 打"
    assert [one["reason"] for one in masked["handovers"]] == ["请回电 138****5678", None]
    assert shown["handover"]["desk"] == "13812345678"  # an institution's
