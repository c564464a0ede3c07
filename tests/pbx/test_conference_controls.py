"""The controls within a three-way call over HTTP: who hears whom after each of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from telephony.private_pbx import PrivatePbx
from tests.pbx.conference_scene import Scene, room
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, wait_until
from tests.pbx.test_three_way_keys import people

__all__ = ["room"]  # fixtures

pytestmark = pytest.mark.pbx


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
