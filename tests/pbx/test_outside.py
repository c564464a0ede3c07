"""Hand-overs to an agent, a group, an outside number; and what is refused before it begins."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.demo.stage import Service
from telephony.softphone import CallState, SoftCall
from tests.pbx.scene import CITIZENS, TOKEN_OF_8002, PhoneFactory, Talk
from tests.pbx.served import live_call, whole_case
from tests.pbx.test_incoming import ledger_of

pytestmark = pytest.mark.pbx

GROUP, IN_ORDER, RESCUE = "801", "802", "04212991234"


def press(service: Service, desk: str) -> dict[str, Any]:
    """Hand the one call over; returns the call as it was."""
    call = live_call(service)
    answer = service.post(f"/calls/{call['id']}/transfer", {"desk": desk})
    assert answer.status_code == 202, answer.text
    return call


def take(ringing: SoftCall, talk: Talk) -> None:
    """The target answers; citizen and target hear each other and the agent is free."""
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    ringing.wait_hears(Talk.CITIZEN_HZ, 3)
    assert talk.agent.wait_ended(3) == 200


def ended(service: Service, talk: Talk, target: SoftCall, case: str) -> dict[str, Any]:
    """The citizen hangs up; the case as it is on record."""
    talk.citizen.hangup()
    assert target.wait_ended(5) == 200
    return whole_case(service, case)


def test_given_talk_when_handed_to_an_agent_then_that_agent_answers_for_the_case(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    colleague = phone("8002")
    call = press(service, "8002")
    ringing = colleague.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    take(ringing, talk)
    case = ended(service, talk, ringing, call["case"])
    assert (case["first_contact"], case["owner"]) == ("8001", "8002")


def test_given_talk_when_handed_to_ones_own_group_then_the_others_ring_and_who_answers_has_it(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    agent, second, third = phone("8001"), phone("8002"), phone("8003")
    call = press(service, GROUP)
    ringing, other = second.wait_for_call(5), third.wait_for_call(5)
    other.deny(486)
    assert agent.calls == [talk.agent]
    take(ringing, talk)
    case = ended(service, talk, ringing, call["case"])
    assert (case["owner"], case["state"]) == ("8002", "handed_over")
    [handover] = case["handovers"]
    assert (handover["desk"], handover["state"]) == (GROUP, "accepted")
    assert ledger_of(case)[-1] == ("accepted", None, "8002", "8002")
    [target] = [leg for leg in case["legs"] if leg["role"] == "target"]
    assert (target["party"], target["uniqueid"]) == ("8002", handover["leg"])


def test_given_a_group_rings_when_members_decline_over_http_then_only_their_own_phones_stop(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    second, third, call = phone("8002"), phone("8003"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/transfer", {"desk": GROUP})
    decline = f"/handovers/{answer.json()['id']}/decline"
    ringing, other = second.wait_for_call(5), third.wait_for_call(5)
    as_8002 = {"Authorization": f"Bearer {TOKEN_OF_8002}"}
    declined = service.http.post(f"/api/v1{decline}", headers=as_8002)
    assert declined.status_code == 202, declined.text
    ringing.wait_ended(3)
    assert other.state is CallState.RINGING
    again = service.http.post(f"/api/v1{decline}", headers=as_8002)
    assert (again.status_code, again.json()["code"]) == (409, "wrong-state")
    # For a supervisor all who still ring are refused for: the citizen is back at once.
    assert service.post(decline, {}).status_code == 202
    other.wait_ended(3)
    talk.assert_together()
    assert phone("8001").calls == [talk.agent]
    talk.agent.hangup()
    talk.citizen.wait_ended(8)
    case = whole_case(service, call["case"])
    assert case["owner"] == "8001"
    assert ledger_of(case)[-1] == ("declined", None, GROUP, "8001")


def test_given_talk_when_nobody_of_the_group_answers_then_agent_and_citizen_are_back_at_once(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    second, third = phone("8002"), phone("8003")
    call = press(service, GROUP)
    for ringing in [one.wait_for_call(5) for one in (second, third)]:
        ringing.wait_ended(6)
    talk.assert_together()
    assert phone("8001").calls == [talk.agent]
    talk.agent.hangup()
    talk.citizen.wait_ended(8)
    case = whole_case(service, call["case"])
    assert case["owner"] == "8001"
    assert ledger_of(case)[-1] == ("unanswered", None, GROUP, "8001")


def test_given_a_group_in_order_when_one_declines_and_one_is_silent_then_the_next_one_has_it(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    first, second, third = phone("110"), phone("8002"), phone("122")
    call = press(service, IN_ORDER)
    declining = first.wait_for_call(5)
    assert not second.calls
    declining.deny(603)
    silent = second.wait_for_call(5)
    assert not third.calls
    silent.wait_ended(5)
    ringing = third.wait_for_call(5)
    take(ringing, talk)
    case = ended(service, talk, ringing, call["case"])
    [handover] = case["handovers"]
    # The third one that was tried is on record as such.
    assert (handover["desk"], handover["route"], handover["state"]) == (IN_ORDER, 3, "accepted")
    assert case["owner"] == "122"


def test_given_a_group_in_order_when_the_citizen_hangs_up_in_between_then_nobody_rings_on(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    first, second, third = phone("110"), phone("8002"), phone("122")
    press(service, IN_ORDER)
    first.wait_for_call(5).deny(486)
    ringing = second.wait_for_call(5)
    talk.citizen.hangup()
    ringing.wait_ended(3)
    assert talk.agent.wait_ended(3) == 200
    assert not third.calls


def test_given_a_desks_first_route_is_down_when_handed_over_then_the_second_try_is_on_record(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    backup = phone("122")
    call = press(service, "120")
    ringing = backup.wait_for_call(5)
    take(ringing, talk)
    case = ended(service, talk, ringing, call["case"])
    [handover] = case["handovers"]
    assert (handover["desk"], handover["route"], handover["state"]) == ("120", 2, "accepted")
    assert case["owner"] == "120"


def test_given_an_outside_number_of_the_list_when_handed_over_then_it_answers_for_the_case(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    rescue = phone("outside")
    call = press(service, RESCUE)
    ringing = rescue.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    take(ringing, talk)
    case = ended(service, talk, ringing, call["case"])
    assert (case["first_contact"], case["owner"]) == ("8001", RESCUE)
    [target] = [leg for leg in case["legs"] if leg["role"] == "target"]
    assert target["party"] == RESCUE


def test_given_an_outside_number_of_the_list_when_referred_there_and_declined_then_agent_is_rung(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    agent, rescue, call = phone("8001"), phone("outside"), live_call(service)
    talk.agent.refer(RESCUE)
    rescue.wait_for_call(5).deny(486)
    again = agent.wait_for_call(5)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    again.hangup()
    talk.citizen.wait_ended(8)
    case = whole_case(service, call["case"])
    [handover] = case["handovers"]
    assert (handover["desk"], handover["kind"], handover["state"]) == (RESCUE, "refer", "busy")
    assert case["owner"] == "8001"


@pytest.mark.parametrize("number", ["04213991234", "042129912345", "999", "8009", "0421299123X"])
def test_given_talk_when_referred_to_what_is_not_on_the_list_then_both_still_talk(
    phone: PhoneFactory, talk: Talk, number: str
) -> None:
    rescue = phone("outside")
    talk.agent.refer(number)
    talk.assert_together()
    assert phone("8001").calls == [talk.agent]
    assert not rescue.calls
    talk.citizen.hangup()
    assert talk.agent.wait_ended(5) == 200


REFUSED = [
    ("transfer", "04213991234", 403, "number-not-allowed"),
    ("transfer", "042129912345", 403, "number-not-allowed"),
    ("transfer", "+4212991234", 403, "number-not-allowed"),
    ("conference", RESCUE, 403, "number-not-allowed"),
    ("transfer", "999", 404, "desk-not-found"),
    ("transfer", "0421299123X", 404, "desk-not-found"),
    ("transfer", "04212991234,1,System(x)", 404, "desk-not-found"),
    ("transfer", "04212991234&PJSIP/8002", 404, "desk-not-found"),
    ("transfer", "04212991234\r\nAction: Logoff", 422, "request-invalid"),
    ("transfer", "", 422, "request-invalid"),
]


def test_given_talk_when_handed_to_what_is_not_there_then_refused_before_the_caller_is_touched(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    rescue, call = phone("outside"), live_call(service)
    for key, desk, status, code in REFUSED:
        answer = service.post(f"/calls/{call['id']}/{key}", {"desk": desk})
        assert (answer.status_code, answer.json()["code"]) == (status, code), (key, desk)
    answer = service.post("/calls/1795500000.9/transfer", {"desk": "110"})
    assert (answer.status_code, answer.json()["code"]) == (404, "call-not-found")
    # Nothing happened: no hand-over began, the two talk on.
    assert live_call(service) == call
    talk.assert_together()
    assert not rescue.calls
    talk.citizen.hangup()
    assert talk.agent.wait_ended(5) == 200
    case = whole_case(service, call["case"])
    assert case["handovers"] == []


def test_given_a_call_of_another_agent_when_an_agents_token_moves_it_then_refused(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    call = live_call(service)
    for key in ("transfer", "conference"):
        answer = service.http.post(
            f"/api/v1/calls/{call['id']}/{key}",
            json={"desk": "110"},
            headers={"Authorization": f"Bearer {TOKEN_OF_8002}"},
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed"), key
    assert live_call(service) == call
    talk.assert_together()
    talk.citizen.hangup()
    assert talk.agent.wait_ended(5) == 200
