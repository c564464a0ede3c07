"""The controls around a three-way call over HTTP: who hears whom after each of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, wait_until
from tests.pbx.served import live_call, whole_case
from tests.pbx.test_three_way import join
from tests.pbx.test_three_way_keys import people

pytestmark = pytest.mark.pbx

FOURTH_HZ = 2100.0


class Scene:
    """A three-way call of citizen, agent 8001 and desk 12345, and its address over HTTP."""

    def __init__(self, service: Service, talk: Talk, third: SoftCall, call: dict[str, Any]) -> None:
        self.service, self.third = service, third
        self.citizen, self.agent = talk.citizen, talk.agent
        self.call, self.case = call["id"], call["case"]
        self.path = f"/conferences/{self.case}"

    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service.get(self.path)
        return found

    def party(self, party: str) -> dict[str, Any]:
        return next(one for one in self.now()["parties"] if one["party"] == party)

    def post(self, party: str, what: str, *, by: str = "channel") -> dict[str, Any]:
        address = f"{self.path}/parties/{quote(self.party(party)[by])}/{what}"
        answer = self.service.post(address, {})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def put_out(self, party: str) -> None:
        address = f"/api/v1{self.path}/parties/{quote(self.party(party)['uniqueid'])}"
        answer = self.service.http.delete(address)
        assert answer.status_code == 204, answer.text

    def assert_two(self) -> None:
        """Citizen and agent are a call of two again, whose keys work."""
        wait_until(
            lambda: self.service.http.get(f"/api/v1{self.path}").status_code == 404,
            "the room is no more",
        )
        assert live_call(self.service)["id"] == self.call
        self.citizen.wait_hears(Talk.AGENT_HZ, 4, threshold=0.8)
        self.agent.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
        gone = self.service.http.get(f"/api/v1{self.path}")
        assert (gone.status_code, gone.json()["code"]) == (404, "conference-not-found")


@pytest.fixture
def room(phone: PhoneFactory, talk: Talk, service: Service) -> Scene:
    desk, call = phone("12345"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/conference", {"desk": "12345"})
    assert answer.status_code == 202, answer.text
    third = desk.wait_for_call(5)
    join(talk, third)
    scene = Scene(service, talk, third, call)
    wait_until(lambda: len(scene.now()["parties"]) == 3, "all three are shown")
    return scene


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


def test_given_three_way_when_asked_then_it_shows_who_is_in_it_and_who_speaks(room: Scene) -> None:
    shown = room.now()
    assert (shown["id"], shown["call"], shown["locked"]) == (room.case, room.call, False)
    assert {(one["role"], one["party"]) for one in shown["parties"]} == {
        ("citizen", CITIZENS[0]),
        ("agent", "8001"),
        ("target", "12345"),
    }
    assert not any(one["muted"] or one["held"] for one in shown["parties"])
    assert all(one["joined_at"] >= shown["started_at"] for one in shown["parties"])
    assert room.service.get("/conferences")["items"][0]["id"] == room.case
    assert room.service.get(f"/conferences/{room.call}")["id"] == room.case
    # They all play their tones: all speak, until one is silent for a while.
    wait_until(lambda: all(one["talking"] for one in room.now()["parties"]), "all speak")
    room.third.play_tone(None)
    wait_until(lambda: not room.party("12345")["talking"], "12345 is silent", 8)
    assert room.party("8001")["talking"]
    room.citizen.hangup()
    room.third.hangup()
    assert room.agent.wait_ended(5) == 200


def test_given_three_way_when_one_is_muted_then_only_that_one_is_not_heard(room: Scene) -> None:
    shown = room.post("12345", "mute")
    assert [one["party"] for one in shown["parties"] if one["muted"]] == ["12345"]
    room.citizen.wait_silent(Talk.TARGET_HZ, 3)
    room.agent.wait_silent(Talk.TARGET_HZ, 3)
    room.third.wait_hears(Talk.CITIZEN_HZ, 3, threshold=0.25)
    room.citizen.wait_hears(Talk.AGENT_HZ, 3, threshold=0.8)
    room.post("12345", "mute", by="uniqueid")  # twice is once
    shown = room.post("12345", "unmute", by="uniqueid")
    assert not any(one["muted"] for one in shown["parties"])
    room.citizen.wait_hears(Talk.TARGET_HZ, 3, threshold=0.25)
    room.citizen.hangup()
    room.third.hangup()
    assert room.agent.wait_ended(5) == 200


@pytest.mark.parametrize("who", ["citizen", "12345"])
def test_given_three_way_when_one_is_held_then_music_until_resumed(room: Scene, who: str) -> None:
    held, party = (room.citizen, CITIZENS[0]) if who == "citizen" else (room.third, "12345")
    tone = Talk.CITIZEN_HZ if who == "citizen" else Talk.TARGET_HZ
    room.post(party, "mute")
    shown = room.post(party, "hold")
    assert [one["party"] for one in shown["parties"] if one["held"]] == [party]
    held.wait_silent(Talk.AGENT_HZ, 3)
    room.agent.wait_silent(tone, 3)
    refused = room.service.post(
        f"{room.path}/parties/{quote(room.party('8001')['channel'])}/hold", {}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")
    room.post(party, "hold")
    shown = room.post(party, "resume")
    assert not any(one["held"] for one in shown["parties"])
    held.wait_hears(Talk.AGENT_HZ, 4, threshold=0.25)
    assert room.party(party)["muted"]  # as it was before
    room.post(party, "unmute")
    room.agent.wait_hears(tone, 4, threshold=0.25)
    room.citizen.hangup()
    room.third.hangup()
    assert room.agent.wait_ended(5) == 200


@pytest.mark.parametrize("leaver", ["agent", "third"])
def test_given_citizen_is_held_when_one_of_the_two_leaves_then_citizen_is_with_the_other(
    room: Scene, leaver: str
) -> None:
    room.post(CITIZENS[0], "hold")
    (room.agent if leaver == "agent" else room.third).hangup()
    other, tone = (room.third, Talk.TARGET_HZ) if leaver == "agent" else (room.agent, Talk.AGENT_HZ)
    room.citizen.wait_hears(tone, 4, threshold=0.8)
    other.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
    room.citizen.hangup()
    assert other.wait_ended(5) == 200


def test_given_third_is_held_when_citizen_leaves_then_the_desks_talk(room: Scene) -> None:
    room.post("12345", "hold")
    room.citizen.hangup()
    room.agent.wait_hears(Talk.TARGET_HZ, 4, threshold=0.8)
    room.agent.hangup()
    assert room.third.wait_ended(5) == 200


def test_given_citizen_is_held_when_both_leave_at_once_then_the_agent_is_rung(
    room: Scene, phone: PhoneFactory
) -> None:
    room.post(CITIZENS[0], "hold")
    room.agent.hangup()
    room.third.hangup()
    # Who had the citizen last: agent or desk, by who left a moment before the other.
    phones = [phone("8001"), phone("12345")]
    wait_until(lambda: any(one.calls for one in phones), "one of them is rung", 5)
    again = next(one for one in phones if one.calls).wait_for_call(1)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(room.citizen, again).assert_together()
    room.citizen.hangup()
    assert again.wait_ended(5) == 200


def test_given_three_way_when_third_is_put_out_then_it_is_a_call_of_two(room: Scene) -> None:
    room.put_out("12345")
    assert room.third.wait_ended(3) == 200
    room.assert_two()
    room.citizen.hangup()
    assert room.agent.wait_ended(5) == 200


def test_given_three_way_when_agent_is_put_out_then_the_other_two_go_on(room: Scene) -> None:
    room.put_out("8001")
    assert room.agent.wait_ended(3) == 200
    room.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.8)
    room.third.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
    room.citizen.hangup()
    assert room.third.wait_ended(5) == 200


def test_given_three_way_when_requests_are_wrong_then_refused_and_nobody_is_touched(
    room: Scene, pbx: PrivatePbx
) -> None:
    def refused(path: str, body: dict[str, Any]) -> tuple[int, str]:
        answer = room.service.post(path, body)
        return answer.status_code, answer.json()["code"]

    citizen = quote(room.party(CITIZENS[0])["uniqueid"])
    assert refused("/conferences/1.1/lock", {}) == (404, "conference-not-found")
    assert refused(f"{room.path}/parties/1.1/mute", {}) == (404, "party-not-found")
    assert refused(f"{room.path}/invite", {"desk": "999"}) == (404, "desk-not-found")
    assert refused(f"{room.path}/invite", {"desk": "12345"}) == (409, "wrong-state")
    bad = {"desk": "110\r\nAction: Hangup"}
    assert refused(f"{room.path}/invite", bad) == (422, "request-invalid")
    for body, expected in (
        ({"outcome": "taken-by"}, (422, "value-invalid")),
        ({"outcome": "taken-by", "desk": "110"}, (409, "not-in-room")),
        ({"outcome": "taken-by", "desk": "999"}, (404, "desk-not-found")),
        ({"outcome": "undecided", "desk": "110"}, (422, "value-invalid")),
        ({"outcome": "undecided", "by": "8002"}, (409, "not-in-room")),
        ({"outcome": "perhaps"}, (422, "request-invalid")),
    ):
        assert refused(f"{room.path}/end", body) == expected
        assert refused(f"{room.path}/outcome", body) == expected
    assert refused(f"{room.path}/recording/pause", {}) == (409, "wrong-state")
    out = room.service.http.delete(f"/api/v1{room.path}/parties/{citizen}")
    assert (out.status_code, out.json()["code"]) == (409, "wrong-state")
    assert len(people(pbx)) == 3
    for listener, tone in ((room.citizen, Talk.TARGET_HZ), (room.third, Talk.CITIZEN_HZ)):
        listener.wait_hears(tone, 3, threshold=0.25)
    room.citizen.hangup()
    room.third.hangup()
    assert room.agent.wait_ended(5) == 200


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
