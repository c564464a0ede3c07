"""Who is let into a three-way call over HTTP, how it ends, and whose case it is then."""

from __future__ import annotations

import pytest

from telephony.softphone import SoftCall
from tests.pbx.conference_scene import Scene, room
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, wait_until
from tests.pbx.served import whole_case

__all__ = ["room"]  # fixtures

pytestmark = pytest.mark.pbx

FOURTH_HZ = 2100.0


def invite(room: Scene, phone: PhoneFactory, desk: str) -> SoftCall:
    """Another desk is called in and answers."""
    called = phone(desk)
    answer = room.service.post(f"{room.path}/invite", {"desk": desk})
    assert answer.status_code == 202, answer.text
    fourth = called.wait_for_call(5)
    fourth.answer()
    fourth.play_tone(FOURTH_HZ)
    for listener in (room.citizen, room.agent, room.third):
        listener.wait_hears(FOURTH_HZ, 4, threshold=0.15)
    return fourth


def test_given_another_call_when_its_party_is_named_then_not_in_this_room(
    room: Scene, phone: PhoneFactory
) -> None:
    other = phone(CITIZENS[1]).call("2800122")
    wait_until(lambda: len(room.service.get("/calls")["items"]) == 2, "both calls are shown")
    calls = room.service.get("/calls")["items"]
    stranger = next(call["id"] for call in calls if call["id"] != room.call)
    answer = room.service.post(f"{room.path}/parties/{stranger}/mute", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-in-room")
    other.hangup()
    room.citizen.hangup()
    room.third.hangup()
    assert room.agent.wait_ended(5) == 200


def test_given_three_way_when_others_are_invited_then_all_hear_each_other_until_it_is_full(
    room: Scene, phone: PhoneFactory
) -> None:
    fourth = invite(room, phone, "110")
    fourth.wait_hears(Talk.CITIZEN_HZ, 3, threshold=0.15)
    fifth = invite(room, phone, "122")
    wait_until(lambda: len(room.now()["parties"]) == 5, "the fifth is shown")
    full = room.service.post(f"{room.path}/invite", {"desk": "119"})
    assert (full.status_code, full.json()["code"]) == (409, "room-full")
    assert len(room.now()["parties"]) == 5
    for one in (fifth, fourth, room.third):
        one.hangup()
    room.assert_two()
    room.citizen.hangup()
    assert room.agent.wait_ended(5) == 200
    case = whole_case(room.service, room.case)
    assert [one["state"] for one in case["handovers"]] == ["accepted"] * 3
    assert case["owner"] == "8001"


def test_given_three_way_when_locked_then_nobody_is_let_in_until_unlocked(
    room: Scene, phone: PhoneFactory
) -> None:
    assert room.service.post(f"{room.path}/lock", {}).json()["locked"]
    assert room.service.post(f"{room.path}/lock", {}).status_code == 200
    refused = room.service.post(f"{room.path}/invite", {"desk": "110"})
    assert (refused.status_code, refused.json()["code"]) == (409, "room-locked")
    room.post("12345", "hold")
    room.post("12345", "resume")  # a lock keeps nobody out who belongs to it
    assert not room.service.post(f"{room.path}/unlock", {}).json()["locked"]
    # Locked while it rings: who answers is not let in, and the three talk on.
    desk = phone("110")
    room.service.post(f"{room.path}/invite", {"desk": "110"})
    ringing = desk.wait_for_call(5)
    running = room.service.post(f"{room.path}/invite", {"desk": "122"})
    assert (running.status_code, running.json()["code"]) == (409, "handover-running")
    room.service.post(f"{room.path}/lock", {})
    ringing.answer()
    ringing.wait_ended(5)
    room.third.wait_hears(Talk.CITIZEN_HZ, 3, threshold=0.25)
    room.citizen.hangup()
    room.third.hangup()
    assert room.agent.wait_ended(5) == 200


@pytest.mark.parametrize("refusal", [486, 603])
def test_given_invited_party_refuses_then_the_three_talk_on_and_two_are_a_call_of_two(
    room: Scene, phone: PhoneFactory, refusal: int
) -> None:
    desk = phone("110")
    room.service.post(f"{room.path}/invite", {"desk": "110"})
    ringing = desk.wait_for_call(5)
    room.citizen.wait_hears(Talk.TARGET_HZ, 3, threshold=0.25)
    # One leaves while it rings: the room waits for the fourth before it is a call of two.
    room.third.hangup()
    room.citizen.wait_hears(Talk.AGENT_HZ, 3, threshold=0.8)
    ringing.deny(refusal)
    room.assert_two()
    room.citizen.hangup()
    assert room.agent.wait_ended(5) == 200


def test_given_invited_party_rings_when_both_desks_leave_then_citizen_waits_and_is_with_it(
    room: Scene, phone: PhoneFactory
) -> None:
    desk = phone("110")
    room.service.post(f"{room.path}/invite", {"desk": "110"})
    ringing = desk.wait_for_call(5)
    room.third.hangup()
    room.agent.hangup()
    room.citizen.wait_silent(Talk.AGENT_HZ, 3)
    ringing.answer()
    ringing.play_tone(FOURTH_HZ)
    room.citizen.wait_hears(FOURTH_HZ, 4, threshold=0.8)
    ringing.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
    room.citizen.hangup()
    assert ringing.wait_ended(5) == 200


@pytest.mark.parametrize("held", [False, True])
def test_given_three_way_when_ended_as_taken_then_desk_and_citizen_go_on_and_the_case_is_theirs(
    room: Scene, held: bool
) -> None:
    if held:
        room.post(CITIZENS[0], "hold")
    body = {"outcome": "taken-by", "desk": "12345", "by": "8001"}
    answer = room.service.post(f"{room.path}/end", body)
    assert answer.status_code == 200, answer.text
    assert room.agent.wait_ended(3) == 200
    room.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.8)
    room.third.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
    room.citizen.hangup()
    assert room.third.wait_ended(5) == 200
    case = whole_case(room.service, room.case)
    assert (case["first_contact"], case["owner"]) == ("8001", "12345")
    assert case["state"] == "handed_over"
    last = case["ledger"][-1]
    assert (last["event"], last["by"], last["to"]) == ("accepted", "8001", "12345")
    assert last["handover"] == answer.json()["room"]


def test_given_three_way_when_ended_undecided_then_agent_and_citizen_go_on_and_the_case_stays(
    room: Scene, phone: PhoneFactory
) -> None:
    # First 12345 says it takes it, then they think again: the last word counts.
    first = room.service.post(f"{room.path}/outcome", {"outcome": "taken-by", "desk": "12345"})
    assert first.status_code == 200, first.text
    assert len(room.now()["parties"]) == 3
    desk = phone("110")
    room.service.post(f"{room.path}/invite", {"desk": "110"})
    ringing = desk.wait_for_call(5)
    answer = room.service.post(f"{room.path}/end", {"outcome": "undecided"})
    assert answer.status_code == 200, answer.text
    assert room.third.wait_ended(3) == 200
    ringing.wait_ended(3)
    room.assert_two()
    room.citizen.hangup()
    assert room.agent.wait_ended(5) == 200
    case = whole_case(room.service, room.case)
    assert (case["first_contact"], case["owner"], case["state"]) == ("8001", "8001", "taken")
    events = [entry["event"] for entry in case["ledger"] if entry["key"].startswith("decided")]
    assert events == ["accepted", "undecided"]
    assert [one["state"] for one in case["handovers"]] == ["accepted", "cancelled"]


def test_given_three_way_is_over_when_outcome_is_noted_then_it_counts(room: Scene) -> None:
    room.third.hangup()
    room.assert_two()
    room.citizen.hangup()
    assert room.agent.wait_ended(5) == 200
    whole_case(room.service, room.case)
    # The record knows it, and not only the service that saw it.
    room.service.kill()
    room.service.start()
    wait_until(lambda: room.service.http.get("/readyz").status_code == 200, "ready", 15)
    body = {"outcome": "taken-by", "desk": "110", "by": "8001"}
    assert room.service.post(f"{room.path}/outcome", body).status_code == 409
    body["desk"] = "12345"
    answer = room.service.post(f"{room.path}/outcome", body)
    assert answer.status_code == 200, answer.text
    wait_until(
        lambda: whole_case(room.service, room.case)["owner"] == "12345", "the case is theirs"
    )
    # The last word on that room counts, until the case has gone on.
    for outcome in ({"outcome": "undecided", "by": "8001"}, body):
        again = room.service.post(f"{room.path}/outcome", outcome)
        assert (again.status_code, again.json()["room"]) == (200, answer.json()["room"])
    wait_until(lambda: len(whole_case(room.service, room.case)["ledger"]) == 6, "all are noted")
    closed = room.service.post(f"/cases/{room.case}/close", {"result": "办结"})
    assert closed.status_code == 200, closed.text
    late = room.service.post(f"{room.path}/outcome", {"outcome": "undecided", "by": "8001"})
    assert (late.status_code, late.json()["code"]) == (409, "wrong-state")
    assert whole_case(room.service, room.case)["owner"] == "12345"


@pytest.mark.parametrize("code", [None, 486])
def test_given_three_way_when_citizen_is_handed_over_out_of_it_then_others_are_released(
    room: Scene, phone: PhoneFactory, code: int | None
) -> None:
    desk = phone("110")
    wrong = room.service.post(f"{room.path}/transfer", {"desk": "999"})
    assert wrong.status_code == 404
    refused = room.service.post(f"/calls/{room.call}/transfer", {"desk": "110"})
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")
    answer = room.service.post(f"{room.path}/transfer", {"desk": "110"})
    assert answer.status_code == 202, answer.text
    assert room.third.wait_ended(3) == 200
    ringing = desk.wait_for_call(5)
    if code is None:
        ringing.answer()
        ringing.play_tone(FOURTH_HZ)
        room.citizen.wait_hears(FOURTH_HZ, 4, threshold=0.8)
        assert room.agent.wait_ended(3) == 200
    else:
        ringing.deny(code)
        room.assert_two()
    room.citizen.hangup()
    case = whole_case(room.service, room.case)
    assert case["owner"] == ("110" if code is None else "8001")


def test_given_three_way_when_service_restarts_then_it_is_shown_as_it_is(room: Scene) -> None:
    room.post("12345", "mute")
    joined = {one["party"]: one["joined_at"][:18] for one in room.now()["parties"]}
    room.service.kill()
    room.service.start()
    wait_until(lambda: room.service.http.get("/readyz").status_code == 200, "ready", 15)
    shown = room.now()
    assert {one["party"]: one["joined_at"][:18] for one in shown["parties"]} == joined
    assert [one["party"] for one in shown["parties"] if one["muted"]] == ["12345"]
    room.put_out("12345")
    room.assert_two()
    room.citizen.hangup()
    assert room.agent.wait_ended(5) == 200
