"""A supervisor listens, whispers or speaks to both: who hears whom. It changes nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.settings import Token
from telephony.softphone import SoftCall
from tests.pbx.scene import CITIZENS, PASSWORD, PhoneFactory, Talk, wait_until
from tests.pbx.served import live_call, service_settings, serving, whole_case
from tests.pbx.test_hold_park import case_now, fact, facts, kinds

pytestmark = pytest.mark.pbx

BOSS_HZ = 1700.0
MODES = {"listen": "1", "whisper": "2", "barge": "3"}


@pytest.fixture
def service(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Service]:
    tokens = [Token(name="班长", role="supervisor", token=SecretStr(PASSWORD), may_monitor=True)]
    settings = service_settings(pbx, tmp_path).model_copy(update={"tokens": tokens})
    with serving(settings, tmp_path) as one:
        yield one


def dial(phone: PhoneFactory, pbx: PrivatePbx, mode: str, pin: str = "4711") -> SoftCall:
    """The supervisor dials the code for agent 8001 and gives the PIN."""
    call = phone("8901").call(f"*48{MODES[mode]}8001")
    call.wait_answered(5)
    call.send_dtmf(pin + "#")
    call.play_tone(BOSS_HZ)
    return call


def started(pbx: PrivatePbx, case: str) -> None:
    wait_until(lambda: "HOTLINE_MONITOR" in kinds(pbx, case), "the listening is on record")


def assert_heard_by(boss: SoftCall, mode: str, talk: Talk) -> None:
    """The supervisor hears both; who hears the supervisor is a matter of the mode."""
    boss.wait_hears(Talk.CITIZEN_HZ, 5, threshold=0.25)
    boss.wait_hears(Talk.AGENT_HZ, 5, threshold=0.25)
    if mode == "listen":
        talk.assert_together()
    else:
        talk.agent.wait_hears(BOSS_HZ, 5, threshold=0.25)
    assert talk.agent.hears(Talk.CITIZEN_HZ) > 0.25
    if mode == "barge":
        talk.citizen.wait_hears(BOSS_HZ, 5, threshold=0.25)
    else:
        assert talk.citizen.hears(BOSS_HZ, window_s=0.5) < 0.02
    if mode == "listen":
        assert talk.agent.hears(BOSS_HZ, window_s=0.5) < 0.02
    assert talk.citizen.hears(Talk.AGENT_HZ) > 0.25


@pytest.mark.parametrize("mode", MODES)
def test_given_talk_when_supervisor_dials_in_then_heard_as_the_mode_says_and_both_are_on_record(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, mode: str
) -> None:
    case = case_now(pbx)
    boss = dial(phone, pbx, mode)
    started(pbx, case)
    assert_heard_by(boss, mode, talk)
    boss.hangup()
    wait_until(lambda: kinds(pbx, case).count("HOTLINE_MONITOR") == 2, "start and stop")
    said = fact(pbx, case, "HOTLINE_MONITOR")
    assert (said["what"], said["who"], said["mode"], said["to"]) == (
        "stopped",
        "8901",
        mode,
        "8001",
    )
    talk.assert_together()
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


@pytest.mark.parametrize("mode", MODES)
def test_given_supervisor_listens_when_key_is_pressed_then_handed_over_as_ever(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, mode: str
) -> None:
    desk, case = phone("110"), case_now(pbx)
    boss = dial(phone, pbx, mode)
    started(pbx, case)
    assert_heard_by(boss, mode, talk)
    talk.agent.send_dtmf("*1")
    desk.wait_for_call(5).deny(486)
    boss.play_tone(None)
    talk.assert_together()
    assert phone("8001").calls == [talk.agent]
    talk.agent.send_dtmf("*1")
    ringing = desk.wait_for_call(5)
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    assert talk.agent.wait_ended(3) == 200
    if mode == "whisper":
        assert boss.wait_ended(3) == 200  # it must never be heard by anybody else
    else:
        boss.wait_hears(Talk.TARGET_HZ, 4, threshold=0.25)
    talk.citizen.hangup()
    assert ringing.wait_ended(3) == 200
    if mode != "whisper":
        assert boss.wait_ended(3) == 200
    assert kinds(pbx, case)[-1] == "HOTLINE_MONITOR" or mode == "whisper"
    assert fact(pbx, case, "HOTLINE_MONITOR")["what"] == "stopped"


def test_given_supervisor_listens_when_three_way_is_formed_then_all_three_are_heard(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("12345")
    boss = dial(phone, pbx, "listen")
    started(pbx, case_now(pbx))
    talk.agent.send_dtmf("*3")
    third = desk.wait_for_call(5)
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    for tone in (Talk.CITIZEN_HZ, Talk.AGENT_HZ, Talk.TARGET_HZ):
        boss.wait_hears(tone, 6, threshold=0.15)
    talk.agent.hangup()
    third.wait_hears(Talk.CITIZEN_HZ, 5)
    third.hangup()
    assert talk.citizen.wait_ended(15) == 200
    assert boss.wait_ended(3) == 200


def test_given_wrong_pin_three_times_when_supervisor_dials_then_refused_and_on_record(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    case = case_now(pbx)
    boss = dial(phone, pbx, "barge", "1111")
    for _ in range(2):
        boss.send_dtmf("47110#")
    assert boss.wait_ended(20) == 200
    assert "HOTLINE_MONITOR" not in kinds(pbx, case)
    assert "HOTLINE_MONITOR_REFUSED" in pbx.cel_file.read_text()
    talk.assert_together()
    talk.citizen.hangup()


def test_given_an_agents_phone_when_it_dials_the_code_then_refused(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    call = phone("8002").call("*4818001")
    call.wait_answered(5)
    call.play_tone(BOSS_HZ)
    assert call.wait_ended(10) == 200
    assert "HOTLINE_MONITOR" not in kinds(pbx, case_now(pbx))
    talk.citizen.hangup()


@pytest.mark.parametrize("mode", MODES)
def test_given_talk_when_monitored_over_http_then_no_party_of_the_call_and_in_the_ledger(
    phone: PhoneFactory, talk: Talk, service: Service, pbx: PrivatePbx, mode: str
) -> None:
    call, boss_phone, desk = live_call(service), phone("8901"), phone("110")
    path = f"/calls/{call['id']}/monitor"
    assert service.post(path, {"mode": mode, "phone": "8002"}).status_code == 404
    assert service.post(path, {"mode": "spy", "phone": "8901"}).status_code == 422
    answer = service.post(path, {"mode": mode, "phone": "8901"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["agent"] == "8001"
    boss = boss_phone.wait_for_call(5)
    boss.answer()
    boss.play_tone(BOSS_HZ)
    started(pbx, call["case"])
    assert_heard_by(boss, mode, talk)
    [now] = service.get("/calls")["items"]
    assert (now["state"], [one["role"] for one in now["parties"]]) == (
        "talking",
        ["citizen", "agent"],
    )
    assert service.post(f"/calls/{call['id']}/transfer", {"desk": "110"}).status_code == 202
    ringing = desk.wait_for_call(5)
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3, threshold=0.25)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()
    assert boss.wait_ended(3) == 200
    case = whole_case(service, call["case"])
    assert [(leg["role"], leg["party"]) for leg in case["legs"]] == [
        ("citizen", CITIZENS[0]),
        ("agent", "8001"),
        ("supervisor", "8901"),
        ("target", "110"),
    ]
    listened = [one for one in case["ledger"] if one["event"] == "monitored"]
    assert [(one["by"], one["to"], one["detail"]) for one in listened] == [
        ("8901", "8001", f"{mode} started"),
        ("8901", "8001", f"{mode} stopped"),
    ]
    assert (case["first_contact"], case["owner"]) == ("8001", "110")
    assert "token=" in next(one for one in facts(pbx, call["case"]) if "what=started" in one)
