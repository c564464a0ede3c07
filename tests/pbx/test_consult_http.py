"""Hand-overs told over HTTP: consult, complete, cancel, join, confirm, decline."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.demo.stage import Service
from telephony.softphone import SoftCall
from tests.pbx.scene import PhoneFactory, Talk, wait_until
from tests.pbx.served import live_call, whole_case

pytestmark = pytest.mark.pbx


def tell(service: Service, handover: str, command: str, expect: int = 202) -> dict[str, Any]:
    """Tell a hand-over something."""
    answer = service.post(f"/handovers/{handover}/{command}", {})
    assert answer.status_code == expect, answer.text
    told: dict[str, Any] = answer.json()
    return told


def running_state(service: Service) -> str:
    """The state of the hand-over that runs, or "" for none."""
    items = service.get("/handovers/running")["items"]
    return str(items[0]["state"]) if items else ""


def ask(service: Service, phone: PhoneFactory, talk: Talk) -> tuple[str, str, SoftCall]:
    """Hand-over, case, and the leg of the desk that is asked and speaks with the agent."""
    desk, call = phone("110"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/consult", {"desk": "110", "reason": "先问"})
    assert answer.status_code == 202, answer.text
    ringing = desk.wait_for_call(5)
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.agent.wait_hears(Talk.TARGET_HZ, 4)
    wait_until(lambda: running_state(service) == "answered", "the service knows that 110 answered")
    return answer.json()["id"], call["case"], ringing


def test_given_desk_asked_when_completed_then_it_answers_for_the_case(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    handover, case, asked = ask(service, phone, talk)
    tell(service, handover, "complete")
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    assert talk.agent.wait_ended(3) == 200
    assert running_state(service) == ""
    talk.citizen.hangup()
    assert asked.wait_ended(3) == 200
    whole = whole_case(service, case)
    [recorded] = whole["handovers"]
    assert (recorded["kind"], recorded["state"]) == ("consult", "accepted")
    assert whole["owner"] == "110"
    assert sorted(leg["role"] for leg in whole["legs"]) == ["agent", "citizen", "target"]
    assert service.get(f"/handovers/{handover}")["state"] == "accepted"
    tell(service, handover, "complete", 404)


def test_given_desk_asked_when_cancelled_then_agent_has_the_citizen_and_the_case(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    handover, case, asked = ask(service, phone, talk)
    tell(service, handover, "cancel")
    assert asked.wait_ended(3) == 200
    talk.assert_together()
    talk.agent.hangup()
    talk.citizen.wait_ended(8)
    whole = whole_case(service, case)
    assert whole["handovers"][0]["state"] == "cancelled"
    assert whole["owner"] == "8001"
    assert [entry["event"] for entry in whole["ledger"]] == ["taken", "offered", "withdrawn"]


def test_given_asked_desk_rings_when_cancelled_then_it_stops_and_agent_has_the_citizen(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    desk, call = phone("110"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/consult", {"desk": "110"})
    ringing = desk.wait_for_call(5)
    tell(service, answer.json()["id"], "complete", 409)  # nobody to hand over to yet
    tell(service, answer.json()["id"], "cancel")
    ringing.wait_ended(3)
    talk.assert_together()
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_desk_asked_when_joined_then_all_talk_and_the_agent_answers_for_the_case(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    handover, case, asked = ask(service, phone, talk)
    tell(service, handover, "join")
    talk.citizen.wait_hears(Talk.TARGET_HZ, 6, threshold=0.2)
    talk.citizen.wait_hears(Talk.AGENT_HZ, 6, threshold=0.2)
    asked.wait_hears(Talk.CITIZEN_HZ, 6, threshold=0.2)
    talk.citizen.hangup()
    asked.wait_hears(Talk.AGENT_HZ, 4)  # agent and desk may finish
    asked.hangup()
    talk.agent.wait_ended(8)
    assert whole_case(service, case)["owner"] == "8001"


def test_given_desk_must_confirm_when_confirmed_over_http_then_accepted(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    desk, call = phone("119"), live_call(service)
    handover = service.post(f"/calls/{call['id']}/transfer", {"desk": "119"}).json()["id"]
    answered = desk.wait_for_call(5)
    tell(service, handover, "confirm", 409)  # it still rings
    answered.answer()
    answered.play_tone(Talk.TARGET_HZ)
    wait_until(lambda: running_state(service) == "answered", "119 has answered")
    tell(service, handover, "confirm")
    talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()
    assert whole_case(service, call["case"])["owner"] == "119"


@pytest.mark.parametrize("answers", [False, True])
def test_given_desk_when_it_declines_over_http_then_back_at_once(
    phone: PhoneFactory, talk: Talk, service: Service, answers: bool
) -> None:
    desk, call = phone("119"), live_call(service)
    handover = service.post(f"/calls/{call['id']}/transfer", {"desk": "119"}).json()["id"]
    ringing = desk.wait_for_call(5)
    if answers:
        ringing.answer()
        wait_until(lambda: running_state(service) == "answered", "119 has answered")
    tell(service, handover, "decline")
    ringing.wait_ended(3)
    talk.assert_together()
    talk.agent.hangup()
    talk.citizen.wait_ended(8)
    assert whole_case(service, call["case"])["handovers"][0]["state"] == "declined"


def test_given_desk_asked_when_service_restarts_then_it_can_still_be_completed(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    handover, case, _asked = ask(service, phone, talk)
    service.kill()
    service.start()
    wait_until(lambda: running_state(service) == "answered", "it is taken up again")
    tell(service, handover, "complete")
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    talk.citizen.hangup()
    assert whole_case(service, case)["owner"] == "110"
