"""Calls that come to us already handed over: by their trunk, their number, or their case number."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    NUMBER_OF_110,
    PhoneFactory,
    Talk,
    set_hours,
    sign_in,
    wait_until,
)
from tests.pbx.served import live_call, service_settings, serving, whole_case

pytestmark = pytest.mark.pbx

THEIRS = "JQ-2026.11_0007"
"""Stands for the other side's case number, which is another one in each test."""
Ledger = list[tuple[str, str | None, str | None, str | None]]


@pytest.fixture
def theirs(tmp_path: Path) -> str:
    """Their case number: the PBX's record holds the calls of the tests before, too."""
    return f"JQ-{tmp_path.name[-12:]}.{next(_numbers)}"


_numbers = itertools.count(1)


def ledger_of(case: dict[str, Any]) -> Ledger:
    """Event, by, to and who answers for the case then."""
    return [(one["event"], one["by"], one["to"], one["responsible"]) for one in case["ledger"]]


def answered(outgoing: SoftCall, incoming: SoftCall) -> Talk:
    """The agent answers the call that was handed to us; both hear each other."""
    incoming.answer()
    outgoing.wait_answered(5)
    outgoing.play_tone(Talk.CITIZEN_HZ)
    incoming.play_tone(Talk.AGENT_HZ)
    both = Talk(outgoing, incoming)
    both.assert_together()
    return both


def cases(service: Service, **query: str) -> list[dict[str, Any]]:
    """Cases on record."""
    answer = service.http.get("/api/v1/cases", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def only_case(service: Service, **query: str) -> dict[str, Any]:
    """The one case there is for this query, whole, once it is all on record."""
    wait_until(lambda: cases(service, **query), f"a case {query} is on record", 10)
    [found] = cases(service, **query)
    return whole_case(service, found["case"])


@pytest.mark.parametrize(
    ("trunk", "header", "value", "by", "told"),
    [
        ("trunk-110", "X-Case", THEIRS, "110", True),
        ("trunk-110", "X-12345-Case", THEIRS, "110", False),
        ("gov", "X-12345-Case", THEIRS, "12345", True),
        # The number is theirs, but nobody vouches for a header on this trunk.
        (NUMBER_OF_110, "X-Case", THEIRS, "110", False),
        # What had to be cut or changed would be a wrong number.
        ("trunk-110", "X-Case", "JQ 1,2)${SHELL(id)}", "110", False),
        ("gov", "X-12345-Case", "9" * 65, "12345", False),
    ],
)
def test_given_another_sides_call_when_our_agent_answers_then_first_contact_is_theirs_and_it_is_accepted(  # noqa: E501
    pbx: PrivatePbx,
    phone: PhoneFactory,
    service: Service,
    theirs: str,
    trunk: str,
    header: str,
    value: str,
    by: str,
    told: bool,
) -> None:
    agent = phone("8001")
    sign_in(agent, pbx)
    outgoing = phone(trunk).call(LINE, headers={header: value.replace(THEIRS, theirs)})
    incoming = agent.wait_for_call(15)
    assert incoming.caller_name == (f"{by} {theirs}" if told else by)
    talk = answered(outgoing, incoming)
    live = live_call(service)
    number = theirs if told else None
    assert (live["handed_over_by"], live["their_case"]) == (by, number)
    assert live["handover"] is None
    talk.citizen.hangup()
    assert talk.agent.wait_ended(5) == 200
    case = whole_case(service, live["case"])
    assert (case["first_contact"], case["owner"], case["state"]) == (by, "8001", "handed_over")
    assert (case["handed_over_by"], case["their_case"]) == (by, number)
    assert ledger_of(case) == [
        ("taken", by, None, by),
        ("offered", by, LINE, by),
        ("accepted", None, "8001", "8001"),
    ]
    [handover] = case["handovers"]
    assert (handover["kind"], handover["by"], handover["desk"]) == ("incoming", by, LINE)
    [agents_leg] = [leg for leg in case["legs"] if leg["role"] == "agent"]
    assert (handover["state"], handover["leg"]) == ("accepted", agents_leg["uniqueid"])
    found = [one["case"] for one in cases(service, their_case=theirs)]
    assert found == ([case["case"]] if told else [])


@pytest.mark.parametrize(
    ("trunk", "headers"),
    [
        (CITIZENS[0], {"X-Case": THEIRS, "X-12345-Case": THEIRS}),
        ("gov", {}),
        ("gov", {"X-Case": THEIRS}),
    ],
)
def test_given_a_citizens_call_when_an_untrusted_header_comes_along_then_first_contact_is_ours(
    pbx: PrivatePbx,
    phone: PhoneFactory,
    service: Service,
    trunk: str,
    headers: dict[str, str],
) -> None:
    agent = phone("8001")
    sign_in(agent, pbx)
    outgoing = phone(trunk).call(LINE, headers=headers)
    talk = answered(outgoing, agent.wait_for_call(15))
    live = live_call(service)
    assert (live["handed_over_by"], live["their_case"]) == (None, None)
    talk.agent.hangup()
    talk.citizen.wait_ended(8)
    case = whole_case(service, live["case"])
    assert (case["first_contact"], case["owner"]) == ("8001", "8001")
    assert (case["handed_over_by"], case["their_case"], case["handovers"]) == (None, None, [])


def test_given_another_sides_call_when_the_caller_hangs_up_before_an_answer_then_it_stays_theirs(
    pbx: PrivatePbx, phone: PhoneFactory, service: Service, theirs: str
) -> None:
    agent = phone("8001")
    sign_in(agent, pbx)
    outgoing = phone("gov").call(LINE, headers={"X-12345-Case": theirs})
    incoming = agent.wait_for_call(15)
    outgoing.hangup()
    incoming.wait_ended(5)
    case = only_case(service, their_case=theirs)
    assert (case["first_contact"], case["owner"], case["state"]) == ("12345", "12345", "taken")
    assert ledger_of(case)[2:] == [("failed", None, LINE, "12345")]
    [handover] = case["handovers"]
    assert (handover["state"], handover["leg"]) == ("caller_gone", None)


def test_given_another_sides_call_after_hours_when_a_message_is_left_then_it_stays_theirs(
    pbx: PrivatePbx, phone: PhoneFactory, service: Service, theirs: str
) -> None:
    set_hours(pbx, "closed")
    outgoing = phone("trunk-110").call(LINE, headers={"X-Case": theirs})
    outgoing.wait_answered(5)
    wait_until(
        lambda: [one["state"] for one in service.get("/calls")["items"]] == ["message"],
        "a message",
        5,
    )
    [live] = service.get("/calls")["items"]
    assert (live["handed_over_by"], live["their_case"]) == ("110", theirs)
    outgoing.hangup()
    case = only_case(service, handed_over_by="110", their_case=theirs)
    assert (case["first_contact"], case["owner"]) == ("110", "110")
    assert ledger_of(case)[2:] == [("unanswered", None, LINE, "110")]
    assert case["handovers"][0]["state"] == "closed"


def test_given_another_sides_call_goes_on_when_the_service_starts_then_it_is_shown_and_recorded(
    pbx: PrivatePbx, phone: PhoneFactory, tmp_path: Path
) -> None:
    agent = phone("8001")
    sign_in(agent, pbx)
    outgoing = phone("trunk-110").call(LINE, headers={"X-Case": THEIRS})
    talk = answered(outgoing, agent.wait_for_call(15))
    with serving(service_settings(pbx, tmp_path), tmp_path) as service:
        live = live_call(service)
        assert (live["handed_over_by"], live["their_case"]) == ("110", THEIRS)
        talk.citizen.hangup()
        case = whole_case(service, live["case"])
        assert (case["first_contact"], case["owner"]) == ("110", "8001")


def test_given_another_sides_call_accepted_when_handed_on_then_the_ledger_tells_both(
    pbx: PrivatePbx, phone: PhoneFactory, service: Service
) -> None:
    agent, desk = phone("8001"), phone("122")
    sign_in(agent, pbx)
    outgoing = phone("trunk-110").call(LINE, headers={"X-Case": THEIRS})
    talk = answered(outgoing, agent.wait_for_call(15))
    live = live_call(service)
    assert service.post(f"/calls/{live['id']}/transfer", {"desk": "122"}).status_code == 202
    ringing = desk.wait_for_call(5)
    ringing.deny(486)
    talk.assert_together()
    # Back from the desk the agent has it still; a second agent's answer would be no acceptance.
    assert service.post(f"/calls/{live['id']}/transfer", {"desk": "122"}).status_code == 202
    second = desk.wait_for_call(5)
    second.answer()
    assert talk.agent.wait_ended(5) == 200
    outgoing.hangup()
    second.wait_ended(5)
    case = whole_case(service, live["case"])
    assert ledger_of(case) == [
        ("taken", "110", None, "110"),
        ("offered", "110", LINE, "110"),
        ("accepted", None, "8001", "8001"),
        ("offered", "8001", "122", "8001"),
        ("failed", None, "122", "8001"),
        ("offered", "8001", "122", "8001"),
        ("accepted", None, "122", "122"),
    ]
    assert case["first_contact"] == "110"
