"""Hold with music and resume, park and fetch: who hears whom, and that nobody is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.softphone import CallState, SoftCall
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, begin_talk, channels, sign_in, wait_until
from tests.pbx.served import live_call, service_settings, serving, whole_case

pytestmark = pytest.mark.pbx

PARK = "#7"


@pytest.fixture
def service(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Service]:
    with serving(service_settings(pbx, tmp_path), tmp_path) as one:
        yield one


def hears_music(call: SoftCall) -> bool:
    """Sound, but nobody's tone."""
    tones = (Talk.AGENT_HZ, Talk.TARGET_HZ, Talk.CITIZEN_HZ)
    return call.level_db(window_s=0.5) > -45 and all(call.hears(one) < 0.3 for one in tones)


def wait_music(call: SoftCall, timeout: float = 5.0) -> None:
    wait_until(lambda: hears_music(call), "music is heard", timeout)


def facts(pbx: PrivatePbx, case: str) -> list[str]:
    """Our own rows of a case in CEL, in their order: kind and facts."""
    lines = pbx.cel_file.read_text().splitlines()
    return [line for line in lines if "HOTLINE_" in line and case in line]


def kinds(pbx: PrivatePbx, case: str) -> list[str]:
    return [line.split(",", 1)[0].strip('"') for line in facts(pbx, case)]


def fact(pbx: PrivatePbx, case: str, kind: str) -> dict[str, str]:
    """The last fact of this kind."""
    line = [one for one in facts(pbx, case) if one.startswith(f'"{kind}"')][-1]
    text = line[line.index("case=") :].split('"', 1)[0].split("\\", 1)[0]
    return dict(pair.split("=", 1) for pair in text.split("&"))


def case_now(pbx: PrivatePbx) -> str:
    """The case that was opened last."""
    line = [one for one in pbx.cel_file.read_text().splitlines() if "HOTLINE_CASE" in one][-1]
    return line[line.index("case=") + 5 :].split("&", 1)[0]


def parked(pbx: PrivatePbx, talk: Talk, case: str) -> str:
    """The agent's key was pressed: the citizen is parked; returns the place."""
    wait_until(lambda: "HOTLINE_PARKED" in kinds(pbx, case), "parked")
    wait_music(talk.citizen)
    return fact(pbx, case, "HOTLINE_PARKED")["slot"]


def fetch(phone: PhoneFactory, who: str, slot: str) -> SoftCall:
    call = phone(who).call(f"*47{slot}")
    call.wait_answered(5)
    call.play_tone(Talk.TARGET_HZ)
    return call


def test_given_talk_when_the_phone_holds_then_music_and_after_resume_both_hear_each_other(
    talk: Talk,
) -> None:
    for _ in range(2):
        talk.agent.hold()
        wait_music(talk.citizen)
        talk.agent.hold(False)
        talk.assert_together()
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_held_by_the_phone_when_transfer_key_is_pressed_then_nothing_until_resumed(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.hold()
    wait_music(talk.citizen)
    with pytest.raises(Exception, match="not sent"):
        talk.agent.send_dtmf("*1")
    wait_music(talk.citizen)
    assert desk.calls == []
    talk.agent.hold(False)
    talk.assert_together()
    talk.agent.send_dtmf("*1")
    ringing = desk.wait_for_call(5)
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_held_by_the_phone_when_citizen_hangs_up_then_agent_is_free(talk: Talk) -> None:
    talk.agent.hold()
    wait_music(talk.citizen)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_talk_when_parked_and_fetched_then_the_fetcher_has_the_citizen_and_keys_work(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk, case = phone("110"), case_now(pbx)
    talk.agent.send_dtmf(PARK)
    slot = parked(pbx, talk, case)
    assert talk.agent.wait_ended(15) == 200  # told the place first
    fetched = fetch(phone, "8002", slot)
    Talk(talk.citizen, fetched)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
    fetched.wait_hears(Talk.CITIZEN_HZ, 5)
    assert fact(pbx, case, "HOTLINE_PARKED")["by"] == "8001"
    assert fact(pbx, case, "HOTLINE_FETCHED")["agent"] == "8002"
    # The key works on the fetcher's leg; refused, the citizen is back with the fetcher at once.
    fetched.send_dtmf("*1")
    desk.wait_for_call(5).deny(486)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    fetched.wait_hears(Talk.CITIZEN_HZ, 4)
    assert phone("8002").calls == [fetched]
    fetched.send_dtmf("*1")
    ringing = desk.wait_for_call(5)
    ringing.answer()
    ringing.play_tone(Talk.AGENT_HZ)
    talk.citizen.wait_hears(Talk.AGENT_HZ, 3)
    assert fetched.wait_ended(3) == 200
    talk.citizen.hangup()
    assert "by=8002" in [one for one in facts(pbx, case) if "HOTLINE_OFFERED" in one][-1]


def test_given_fetched_when_the_phone_refers_and_target_refuses_then_the_fetcher_is_rung(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk, case = phone("110"), case_now(pbx)
    talk.agent.send_dtmf(PARK)
    fetched = fetch(phone, "8002", parked(pbx, talk, case))
    talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
    fetched.refer("110")
    desk.wait_for_call(5).deny(486)
    again = phone("8002").wait_for_call(6)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()


def test_given_parked_when_nobody_fetches_then_the_parker_is_rung(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    case = case_now(pbx)
    talk.agent.send_dtmf(PARK)
    parked(pbx, talk, case)
    talk.agent.hangup()
    again = phone("8001").wait_for_call(8)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    assert fact(pbx, case, "HOTLINE_RETURNED")["to"] == "phone"
    talk.citizen.hangup()
    assert again.wait_ended(3) == 200


def test_given_parked_when_the_parker_does_not_answer_then_the_queue_has_the_citizen(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    case = case_now(pbx)
    talk.agent.send_dtmf(PARK)
    parked(pbx, talk, case)
    talk.agent.hangup()
    phone("8001").wait_for_call(8).deny(480)
    other = phone("8002")
    sign_in(other, pbx)
    call = other.wait_for_call(10)
    call.answer()
    call.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, call).assert_together()
    assert fact(pbx, case, "HOTLINE_RETURNED")["to"] == "queue"
    talk.citizen.hangup()


def test_given_parked_when_citizen_hangs_up_then_the_place_is_free_and_fetching_is_refused(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    talk.agent.send_dtmf(PARK)
    slot = parked(pbx, talk, case_now(pbx))
    talk.citizen.hangup()
    talk.agent.wait_ended(15)
    wait_until(lambda: not channels(pbx), "the line is quiet")
    late = fetch(phone, "8002", slot)
    late.wait_ended(10)


def test_given_parked_when_two_fetch_at_once_then_one_has_the_citizen_and_the_other_is_told(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    first, second = phone("8002"), phone("8003")
    talk.agent.send_dtmf(PARK)
    slot = parked(pbx, talk, case_now(pbx))
    calls = [one.call(f"*47{slot}") for one in (first, second)]
    for call, tone in zip(calls, (Talk.AGENT_HZ, Talk.TARGET_HZ), strict=True):
        call.play_tone(tone)
    wait_until(
        lambda: sum(one.state is not CallState.ENDED for one in calls) == 1, "one was told", 15
    )
    [has] = [one for one in calls if one.state is not CallState.ENDED]
    tone = Talk.AGENT_HZ if has is calls[0] else Talk.TARGET_HZ
    talk.citizen.wait_hears(tone, 5)
    has.wait_hears(Talk.CITIZEN_HZ, 5)
    talk.citizen.hangup()
    assert has.wait_ended(3) == 200


def test_given_all_places_taken_when_parked_then_citizen_and_agent_are_back_together(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    talks, cases = [talk], [case_now(pbx)]
    for citizen, agent in zip(CITIZENS[1:], ("8002", "8003"), strict=True):
        sign_in(phone(agent), pbx)
        talks.append(begin_talk(phone(citizen), phone(agent)))
        cases.append(case_now(pbx))
    slots = set()
    for one, case in zip(talks[:2], cases[:2], strict=True):
        one.agent.send_dtmf(PARK)
        slots.add(parked(pbx, one, case))
    assert len(slots) == 2
    talks[2].agent.send_dtmf(PARK)
    talks[2].assert_together()
    assert "HOTLINE_PARKED" not in kinds(pbx, cases[2])
    for one in talks:
        one.citizen.hangup()
    for one in talks:
        assert one.agent.wait_ended(15) == 200


def test_given_citizen_presses_the_park_key_then_nothing_happens(
    pbx: PrivatePbx, talk: Talk
) -> None:
    case = case_now(pbx)
    talk.citizen.send_dtmf(PARK)
    talk.assert_together()
    assert "HOTLINE_PARKED" not in kinds(pbx, case)
    talk.citizen.hangup()


# -- over HTTP -----------------------------------------------------------------------------------


def test_given_talk_when_held_and_resumed_over_http_then_music_then_together_and_on_record(
    talk: Talk, service: Service
) -> None:
    call = live_call(service)
    held = service.post(f"/calls/{call['id']}/hold", {})
    assert held.status_code == 200, held.text
    assert (held.json()["state"], held.json()["by"]) == ("held", "8001")
    wait_music(talk.citizen)
    assert service.get(f"/calls/{call['id']}")["state"] == "held"
    again = service.post(f"/calls/{call['id']}/hold", {})
    assert (again.status_code, again.json()["code"]) == (409, "wrong-state")
    assert service.post(f"/calls/{call['id']}/transfer", {"desk": "110"}).status_code == 409
    time.sleep(1)
    resumed = service.post(f"/calls/{call['id']}/resume", {})
    assert resumed.status_code == 200, resumed.text
    talk.assert_together()
    assert service.post(f"/calls/{call['id']}/resume", {}).status_code == 409
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200
    case = whole_case(service, call["case"])
    assert [(leg["role"], leg["party"]) for leg in case["legs"]] == [
        ("citizen", CITIZENS[0]),
        ("agent", "8001"),
    ]
    assert all(1.0 <= leg["hold_s"] < 4 for leg in case["legs"]), case["legs"]


def test_given_held_over_http_when_citizen_hangs_up_then_agent_is_free(
    talk: Talk, service: Service
) -> None:
    call = live_call(service)
    assert service.post(f"/calls/{call['id']}/hold", {}).status_code == 200
    wait_music(talk.citizen)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


@pytest.mark.parametrize("answers", [True, False])
def test_given_held_over_http_when_agents_leg_ends_then_agent_is_rung_then_the_queue(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, service: Service, answers: bool
) -> None:
    call = live_call(service)
    assert service.post(f"/calls/{call['id']}/hold", {}).status_code == 200
    wait_music(talk.citizen)
    service.kill()  # whatever becomes of the service
    talk.agent.hangup()
    again = phone("8001").wait_for_call(6)
    if not answers:
        # While the phone rings: a queue without anybody would take a message at once.
        sign_in(phone("8002"), pbx)
        pbx.console("queue remove member PJSIP/8001 from hotline")
        again.deny(480)
        again = phone("8002").wait_for_call(8)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
    assert again.wait_ended(3) == 200


def test_given_phone_holds_when_service_runs_then_hold_is_on_record_of_both_legs(
    pbx: PrivatePbx, talk: Talk, service: Service
) -> None:
    call = live_call(service)
    talk.agent.hold()
    wait_music(talk.citizen)
    time.sleep(1)
    talk.agent.hold(False)
    talk.assert_together()
    wait_until(lambda: "HOTLINE_UNHOLD" in kinds(pbx, call["case"]), "noted")
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200
    case = whole_case(service, call["case"])
    assert len(case["legs"]) == 2
    assert all(1.0 <= leg["hold_s"] < 5 for leg in case["legs"]), case["legs"]
    assert fact(pbx, call["case"], "HOTLINE_UNHOLD")["how"] == "phone"


def test_given_no_service_when_phone_holds_then_seconds_on_hold_are_unknown(
    pbx: PrivatePbx, talk: Talk, tmp_path: Path
) -> None:
    case = case_now(pbx)
    talk.agent.hold()
    wait_music(talk.citizen)
    talk.agent.hold(False)
    talk.assert_together()
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200
    with serving(service_settings(pbx, tmp_path), tmp_path) as service:
        assert {leg["hold_s"] for leg in whole_case(service, case)["legs"]} == {None}


def test_given_talk_when_parked_and_fetched_over_http_then_the_fetcher_has_the_citizen(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    call, other = live_call(service), phone("8002")
    parked_at = service.post(f"/calls/{call['id']}/park", {})
    assert parked_at.status_code == 200, parked_at.text
    assert parked_at.json()["slot"] in {"11", "12"}
    wait_music(talk.citizen)
    assert service.get(f"/calls/{call['id']}")["state"] == "parked"
    unknown = service.post(f"/calls/{call['id']}/fetch", {"agent": "9999"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "agent-not-found")
    assert service.post(f"/calls/{call['id']}/fetch", {"agent": "8002"}).status_code == 202
    ringing = other.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
    ringing.wait_hears(Talk.CITIZEN_HZ, 5)
    assert service.post(f"/calls/{call['id']}/fetch", {"agent": "8003"}).status_code == 409
    talk.citizen.hangup()
    assert ringing.wait_ended(3) == 200
    talk.agent.wait_ended(15)
    case = whole_case(service, call["case"])
    assert [(leg["role"], leg["party"]) for leg in case["legs"]] == [
        ("citizen", CITIZENS[0]),
        ("agent", "8001"),
        ("agent", "8002"),
    ]
    events = [(one["event"], one["by"]) for one in case["ledger"]]
    assert events[1:3] == [("parked", "8001"), ("fetched", "8002")]
    assert case["owner"] == "8001"


def test_given_fetched_phone_does_not_answer_then_the_citizen_stays_parked_and_returns(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    call = live_call(service)
    assert service.post(f"/calls/{call['id']}/park", {}).status_code == 200
    talk.agent.hangup()
    assert service.post(f"/calls/{call['id']}/fetch", {"agent": "8002"}).status_code == 202
    phone("8003")  # 8002 has no phone at all
    wait_music(talk.citizen)
    again = phone("8001").wait_for_call(8)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
