"""Three-way calls by the phone's key, with no service running: the PBX alone."""

from __future__ import annotations

import pytest

from telephony.private_pbx import PrivatePbx
from telephony.softphone import CallState, SoftCall
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, channels, wait_until

pytestmark = pytest.mark.pbx

KEY, KEY_CONFIRM = "*3", "*8"


def join(talk: Talk, third: SoftCall) -> None:
    """The third party answers and all three hear each other."""
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    for listener, tones in (
        (talk.citizen, (Talk.AGENT_HZ, Talk.TARGET_HZ)),
        (talk.agent, (Talk.CITIZEN_HZ, Talk.TARGET_HZ)),
        (third, (Talk.CITIZEN_HZ, Talk.AGENT_HZ)),
    ):
        for tone in tones:
            listener.wait_hears(tone, 4, threshold=0.25)


def test_given_talk_when_third_party_answers_then_all_three_hear_each_other(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    assert third.caller_number == CITIZENS[0]
    assert "8001" in third.caller_name
    talk.assert_together()  # they go on talking while it rings
    join(talk, third)
    talk.citizen.hangup()
    # Two of the desk are left: they may go on talking until one of them leaves.
    third.wait_hears(Talk.AGENT_HZ, 3)
    third.hangup()
    assert talk.agent.wait_ended(5) == 200


def test_given_three_way_when_agent_leaves_then_the_other_two_go_on(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    join(talk, third)
    talk.agent.hangup()
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3, threshold=0.8)
    third.wait_hears(Talk.CITIZEN_HZ, 3, threshold=0.8)
    talk.citizen.hangup()
    assert third.wait_ended(5) == 200


def test_given_three_way_when_third_party_leaves_then_citizen_and_agent_go_on(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    join(talk, third)
    third.hangup()
    talk.citizen.wait_hears(Talk.AGENT_HZ, 3, threshold=0.8)
    talk.agent.wait_hears(Talk.CITIZEN_HZ, 3, threshold=0.8)
    # It is a call of two again, and the key works as in any other.
    other = phone("110")
    for _ in range(2):
        talk.agent.send_dtmf("*1")
        other.wait_for_call(5).deny(486)
        talk.assert_together()
    talk.agent.send_dtmf("*1")
    taken = other.wait_for_call(5)
    taken.answer()
    taken.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_three_way_when_agent_then_desk_leave_then_it_was_a_normal_end(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    join(talk, third)
    talk.agent.hangup()
    third.wait_hears(Talk.CITIZEN_HZ, 3, threshold=0.8)
    third.hangup()
    assert talk.citizen.wait_ended(8) == 200
    assert phone("8001").calls == []


@pytest.mark.parametrize("third_answers", [True, False])
def test_given_third_party_rings_when_agent_refers_to_another_desk_then_that_talk_is_not_touched(
    phone: PhoneFactory, talk: Talk, third_answers: bool
) -> None:
    first, other = phone("12345"), phone("110")
    talk.agent.send_dtmf(KEY)
    third = first.wait_for_call(5)
    talk.agent.refer("110")
    taken = other.wait_for_call(5)
    taken.answer()
    taken.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    if third.state is CallState.RINGING:
        if third_answers:
            third.answer()
        else:
            third.deny(486)
    third.wait_ended(5)
    taken.wait_hears(Talk.CITIZEN_HZ, 3, threshold=0.8)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3, threshold=0.8)
    talk.citizen.hangup()


@pytest.mark.parametrize("code", [486, 603, 480])
def test_given_talk_when_third_party_refuses_three_times_then_the_two_just_talk_on(
    phone: PhoneFactory, talk: Talk, code: int, pbx: PrivatePbx
) -> None:
    desk = phone("12345")
    for _ in range(3):
        talk.agent.send_dtmf(KEY)
        desk.wait_for_call(5).deny(code)
        wait_until(lambda: len(channels(pbx)) == 2, "only citizen and agent are left")
        talk.assert_together()
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_third_party_rings_when_citizen_hangs_up_then_ringing_stops(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    talk.citizen.hangup()
    third.wait_ended(3)
    assert talk.agent.wait_ended(3) == 200


def test_given_third_party_rings_when_agent_hangs_up_then_citizen_waits_and_is_with_the_third(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    talk.agent.hangup()
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    talk.citizen.hangup()
    assert third.wait_ended(5) == 200


def test_given_agent_has_left_when_third_party_refuses_then_the_agent_is_rung(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk, agent = phone("12345"), phone("8001")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    talk.agent.hangup()
    third.deny(486)
    again = agent.wait_for_call(5)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()


def test_given_third_party_rings_when_key_is_pressed_again_then_nothing_changes(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk, other = phone("12345"), phone("110")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    talk.agent.send_dtmf(KEY + "*1")
    join(talk, third)
    assert desk.calls == [third]
    assert other.calls == []
    talk.citizen.hangup()
    third.hangup()


def test_given_third_party_must_confirm_when_one_is_pressed_then_all_three_hear_each_other(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("119")
    talk.agent.send_dtmf(KEY_CONFIRM)
    third = desk.wait_for_call(5)
    third.answer()
    third.send_dtmf("1")
    third.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 6, threshold=0.25)
    third.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.25)
    talk.citizen.hangup()
    third.hangup()


@pytest.mark.parametrize("how", ["press 2", "hang up"])
def test_given_third_party_must_confirm_when_it_does_not_then_the_two_just_talk_on(
    phone: PhoneFactory, talk: Talk, how: str, pbx: PrivatePbx
) -> None:
    desk = phone("119")
    talk.agent.send_dtmf(KEY_CONFIRM)
    third = desk.wait_for_call(5)
    third.answer()
    if how == "press 2":
        third.send_dtmf("2")
        third.wait_ended(5)
    else:
        third.hangup()
    wait_until(lambda: len(channels(pbx)) == 2, "only citizen and agent are left")
    talk.assert_together()
    # The key works again: nothing is left of the try.
    talk.agent.send_dtmf(KEY_CONFIRM)
    desk.wait_for_call(5).deny(486)
    talk.assert_together()
    talk.citizen.hangup()
