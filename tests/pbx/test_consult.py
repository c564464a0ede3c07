"""Consult first, by the phone's key, with no service running: the PBX alone."""

from __future__ import annotations

import pytest

from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, wait_until

pytestmark = pytest.mark.pbx

KEY_CONSULT, KEY_THREE_WAY = "*4", "*3"


def facts_of_last_offer(pbx: PrivatePbx) -> str:
    """What was noted since the last hand-over began."""
    return pbx.cel_file.read_text().rsplit("HOTLINE_OFFERED", 1)[1]


def ask(talk: Talk, phone: PhoneFactory) -> SoftCall:
    """The agent asks 110, which answers: they hear each other, the citizen hears neither."""
    desk = phone("110")
    talk.agent.send_dtmf(KEY_CONSULT)
    ringing = desk.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    assert "8001" in ringing.caller_name
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.agent.wait_hears(Talk.TARGET_HZ, 4)
    ringing.wait_hears(Talk.AGENT_HZ, 4)
    assert talk.citizen.hears(Talk.TARGET_HZ) < 0.1
    return ringing


def test_given_desk_asked_when_agent_hangs_up_then_desk_and_citizen_talk(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    asked = ask(talk, phone)
    talk.agent.hangup()
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    asked.wait_hears(Talk.CITIZEN_HZ, 4)
    facts = facts_of_last_offer(pbx)
    assert "kind=consult" in facts
    assert "HOTLINE_ACCEPTED" in facts
    # The keys work for who has the citizen now.
    third = phone("12345")
    asked.send_dtmf("*2")
    other = third.wait_for_call(5)
    other.answer()
    other.play_tone(Talk.AGENT_HZ)
    talk.citizen.wait_hears(Talk.AGENT_HZ, 4)
    assert asked.wait_ended(3) == 200
    talk.citizen.hangup()


@pytest.mark.parametrize("code", [486, 603])
def test_given_desk_asked_when_it_refuses_then_back_at_once_three_times(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, code: int
) -> None:
    desk = phone("110")
    for _ in range(3):
        talk.agent.send_dtmf(KEY_CONSULT)
        desk.wait_for_call(5).deny(code)
        talk.assert_together()
    assert phone("8001").calls == [talk.agent]
    outcome = "outcome=busy" if code == 486 else "outcome=declined"
    assert outcome in facts_of_last_offer(pbx)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_desk_asked_when_it_hangs_up_then_agent_and_citizen_talk_again(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    asked = ask(talk, phone)
    asked.hangup()
    talk.assert_together()
    assert "outcome=declined" in facts_of_last_offer(pbx)
    talk.agent.hangup()
    assert talk.citizen.wait_ended(8) == 200


def test_given_desk_asked_when_key_pressed_again_then_agent_has_the_citizen_back(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    asked = ask(talk, phone)
    talk.agent.send_dtmf(KEY_CONSULT)
    assert asked.wait_ended(3) == 200
    talk.assert_together()
    assert "outcome=cancelled" in facts_of_last_offer(pbx)
    # One key works after it as ever.
    talk.agent.send_dtmf("*1")
    phone("110").wait_for_call(5).deny(486)
    talk.assert_together()
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_desk_asked_when_three_way_key_pressed_then_all_talk_and_agent_may_leave(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    asked = ask(talk, phone)
    talk.agent.send_dtmf(KEY_THREE_WAY)
    # Two tones at once: each has about half of what is heard.
    talk.citizen.wait_hears(Talk.TARGET_HZ, 6, threshold=0.2)
    talk.citizen.wait_hears(Talk.AGENT_HZ, 6, threshold=0.2)
    asked.wait_hears(Talk.CITIZEN_HZ, 6, threshold=0.2)
    assert "way=three-way" in facts_of_last_offer(pbx)
    talk.agent.hangup()
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    talk.citizen.hangup()
    assert asked.wait_ended(5) == 200


def test_given_asked_desk_rings_when_agent_hangs_up_then_agents_phone_rings_for_the_citizen(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf(KEY_CONSULT)
    ringing = desk.wait_for_call(5)
    talk.agent.hangup()
    ringing.wait_ended(3)
    again = phone("8001").wait_for_call(5)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    assert "outcome=cancelled" in facts_of_last_offer(pbx)
    talk.citizen.hangup()
    assert again.wait_ended(3) == 200


def test_given_asked_desk_rings_when_citizen_hangs_up_then_all_are_free(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf(KEY_CONSULT)
    ringing = desk.wait_for_call(5)
    talk.citizen.hangup()
    ringing.wait_ended(3)
    assert talk.agent.wait_ended(3) == 200
    # The agent is freed first, and then it is written down.
    wait_until(lambda: "outcome=caller_gone" in facts_of_last_offer(pbx), "it is on record")


def test_given_desk_asked_when_citizen_hangs_up_then_agent_and_desk_may_finish(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    asked = ask(talk, phone)
    talk.citizen.hangup()
    asked.wait_hears(Talk.AGENT_HZ, 3)
    talk.agent.hangup()
    assert asked.wait_ended(3) == 200
    assert "outcome=caller_gone" in facts_of_last_offer(pbx)
