"""One-key transfer by the phone's key, with no service running: the PBX alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from telephony.ami_client import AmiClient
from telephony.private_pbx import PrivatePbx
from telephony.softphone import CallState, SoftCall, Softphone
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PhoneFactory,
    Talk,
    being_recorded,
    channels,
    recordings,
    sign_in,
    wait_until,
)

pytestmark = pytest.mark.pbx

KEY_110, KEY_BACKUP, KEY_CONFIRM, KEY_RING_ALL, KEY_SILENT = "*1", "*5", "*6", "*7", "*9"


def accept(call: SoftCall, citizen: SoftCall) -> None:
    """The target answers; target and citizen hear each other."""
    call.answer()
    call.play_tone(Talk.TARGET_HZ)
    citizen.wait_hears(Talk.TARGET_HZ, 3)
    call.wait_hears(Talk.CITIZEN_HZ, 3)


def assert_back_at_once(talk: Talk, agent: Softphone) -> None:
    """Agent and citizen hear each other again, and the agent's phone did not ring for it."""
    talk.citizen.wait_hears(Talk.AGENT_HZ, 4)
    talk.agent.wait_hears(Talk.CITIZEN_HZ, 4)
    assert agent.calls == [talk.agent]


def test_given_talk_when_target_answers_then_caller_is_with_target_and_agent_is_free(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf(KEY_110)
    ringing = desk.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    assert "8001" in ringing.caller_name
    accept(ringing, talk.citizen)
    assert talk.agent.wait_ended(3) == 200
    ringing.hangup()
    assert talk.citizen.wait_ended(8) == 200


@pytest.mark.parametrize("code", [486, 480, 603])
def test_given_talk_when_target_refuses_three_times_then_back_at_once_each_time(
    phone: PhoneFactory, talk: Talk, code: int
) -> None:
    desk = phone("110")
    for _ in range(3):
        talk.agent.send_dtmf(KEY_110)
        desk.wait_for_call(5).deny(code)
        assert_back_at_once(talk, phone("8001"))
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_talk_when_target_is_not_registered_then_back_at_once(
    phone: PhoneFactory, talk: Talk
) -> None:
    talk.agent.send_dtmf(KEY_110)
    assert_back_at_once(talk, phone("8001"))
    talk.agent.hangup()
    assert talk.citizen.wait_ended(8) == 200


def test_given_talk_when_target_does_not_answer_then_back_at_once_and_key_works_again(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf(KEY_110)
    ringing = desk.wait_for_call(5)
    ringing.wait_ended(4)
    assert_back_at_once(talk, phone("8001"))
    talk.agent.send_dtmf(KEY_110)
    accept(desk.wait_for_call(5), talk.citizen)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_target_rings_when_caller_hangs_up_then_ringing_stops_and_agent_is_free(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf(KEY_110)
    ringing = desk.wait_for_call(5)
    talk.citizen.hangup()
    ringing.wait_ended(3)
    assert talk.agent.wait_ended(3) == 200


async def _carry_off(pbx: PrivatePbx, channel: str) -> None:
    client = AmiClient.from_settings(pbx.settings.pbx)
    await client.start()
    await client.wait_up(5)
    place = {"Context": "elsewhere", "Exten": "s", "Priority": "1"}
    await client.action("Redirect", {"Channel": channel, **place})
    await client.stop()


def test_given_waiting_agent_when_the_callers_own_end_is_carried_off_then_the_agent_is_free(
    phone: PhoneFactory, talk: Talk, pbx: PrivatePbx
) -> None:
    """A redirect in the moment of a hang-up takes the channel's ``h`` elsewhere."""
    desk = phone("110")
    talk.agent.send_dtmf(KEY_110)
    ringing = desk.wait_for_call(5)
    [citizen] = [one for one in channels(pbx) if one.startswith(f"PJSIP/{CITIZENS[0]}-")]
    for step in ("s,1,Wait(30)", "h,1,NoOp()"):
        pbx.console(f"dialplan add extension {step} into elsewhere replace")
    asyncio.run(_carry_off(pbx, citizen))
    ringing.wait_ended(3)
    assert talk.agent.state is CallState.ANSWERED
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


def test_given_target_rings_when_agent_hangs_up_and_target_refuses_then_agent_is_rung(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk, agent = phone("110"), phone("8001")
    talk.agent.send_dtmf(KEY_110)
    ringing = desk.wait_for_call(5)
    talk.agent.hangup()
    ringing.deny(486)
    again = agent.wait_for_call(3)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    # The key works on this leg as on the first one.
    again.send_dtmf(KEY_110)
    accept(desk.wait_for_call(5), talk.citizen)
    assert again.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_target_rings_when_agent_hangs_up_then_target_can_still_answer(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf(KEY_110)
    ringing = desk.wait_for_call(5)
    talk.agent.hangup()
    accept(ringing, talk.citizen)
    talk.citizen.hangup()
    assert ringing.wait_ended(3) == 200


def test_given_target_rings_when_key_is_pressed_again_then_nothing_changes(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf(KEY_110 + KEY_110)
    ringing = desk.wait_for_call(5)
    talk.agent.send_dtmf(KEY_110)
    accept(ringing, talk.citizen)
    assert desk.calls == [ringing]
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_talk_when_caller_presses_the_key_then_nothing_happens(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.citizen.send_dtmf(KEY_110)
    talk.assert_together()
    assert desk.calls == []
    talk.citizen.hangup()


def test_given_first_route_down_when_key_pressed_then_second_route_rings(
    phone: PhoneFactory, talk: Talk
) -> None:
    backup = phone("122")
    talk.agent.send_dtmf(KEY_BACKUP)
    accept(backup.wait_for_call(5), talk.citizen)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_first_route_says_nothing_when_key_pressed_then_second_route_rings(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    backup = phone("122")
    talk.agent.send_dtmf(KEY_SILENT)
    accept(backup.wait_for_call(5), talk.citizen)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()
    assert "HOTLINE_ROUTE" in pbx.cel_file.read_text().rsplit("HOTLINE_OFFERED", 1)[1]


def test_given_ring_all_desk_when_one_declines_then_the_other_takes_it(
    phone: PhoneFactory, talk: Talk
) -> None:
    first, second = phone("110"), phone("12345")
    talk.agent.send_dtmf(KEY_RING_ALL)
    first.wait_for_call(5).deny(603)
    accept(second.wait_for_call(5), talk.citizen)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_desk_must_confirm_when_one_is_pressed_then_it_has_the_call(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("119")
    talk.agent.send_dtmf(KEY_CONFIRM)
    call = desk.wait_for_call(5)
    call.answer()
    call.send_dtmf("1")
    call.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 6)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()


def test_given_desk_must_confirm_when_two_is_pressed_then_back_at_once(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("119")
    talk.agent.send_dtmf(KEY_CONFIRM)
    call = desk.wait_for_call(5)
    call.answer()
    call.send_dtmf("2")
    assert_back_at_once(talk, phone("8001"))
    call.wait_ended(3)
    talk.citizen.hangup()


def test_given_talk_when_transferred_three_times_then_caller_is_with_the_last(
    phone: PhoneFactory, talk: Talk
) -> None:
    first, second, third = phone("110"), phone("12345"), phone("122")
    talk.agent.send_dtmf("*1")
    one = first.wait_for_call(5)
    accept(one, talk.citizen)
    one.send_dtmf("*2")
    two = second.wait_for_call(5)
    accept(two, talk.citizen)
    assert one.wait_ended(3) == 200
    two.send_dtmf("*5")
    three = third.wait_for_call(5)
    accept(three, talk.citizen)
    assert two.wait_ended(3) == 200
    talk.citizen.hangup()


# -- the phone's own transfer (REFER) ------------------------------------------------------------


def test_given_talk_when_phone_refers_and_target_answers_then_caller_is_with_target(
    phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    assert talk.agent.refer("110") == 202
    ringing = desk.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    accept(ringing, talk.citizen)
    talk.citizen.hangup()


@pytest.mark.parametrize(
    "refuse", [lambda call: call.deny(486), lambda call: call.deny(603), lambda call: None]
)
def test_given_phone_has_let_go_when_target_does_not_take_it_then_the_phone_is_rung(
    phone: PhoneFactory, talk: Talk, refuse: Callable[[SoftCall], None]
) -> None:
    desk, agent = phone("110"), phone("8001")
    talk.agent.refer("110")
    refuse(desk.wait_for_call(5))
    again = agent.wait_for_call(6)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()


def test_given_talk_when_phone_refers_to_nowhere_then_refused_and_talk_goes_on(
    phone: PhoneFactory, talk: Talk
) -> None:
    assert talk.agent.refer("99999", hang_up=False) == 404
    talk.assert_together()
    talk.citizen.hangup()


def test_given_agents_phone_is_gone_when_target_refuses_then_queue_then_message(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk, agent, other = phone("110"), phone("8001"), phone("8002")
    before = len(recordings(pbx))
    talk.agent.refer("110")
    desk.wait_for_call(5).deny(486)
    agent.wait_for_call(6).deny(480)
    # 8001 is signed in still: the queue tries, and is refused until its time is over.
    sign_in(other, pbx)
    call = other.wait_for_call(10)
    call.answer()
    call.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, call).assert_together()
    talk.citizen.hangup()
    assert len(recordings(pbx)) == before


def test_given_nobody_signed_in_when_citizen_calls_then_a_message_is_taken(
    pbx: PrivatePbx, phone: PhoneFactory
) -> None:
    before = len(recordings(pbx))
    call = phone(CITIZENS[1]).call(LINE)
    call.wait_answered(5)
    wait_until(lambda: being_recorded(pbx), "the message is being recorded", 40)
    call.play_tone(Talk.CITIZEN_HZ)
    wait_until(lambda: sum(f.stat().st_size for f in being_recorded(pbx)) > 40_000, "it grows", 20)
    call.hangup()
    wait_until(lambda: len(recordings(pbx)) == before + 1, "the message is kept")


def test_given_desk_must_confirm_when_citizen_hangs_up_meanwhile_then_nobody_accepted(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("119")
    talk.agent.send_dtmf(KEY_CONFIRM)
    call = desk.wait_for_call(5)
    call.answer()
    talk.citizen.hangup()
    call.send_dtmf("1")
    call.wait_ended(8)
    assert talk.agent.wait_ended(5) == 200
    # The agent is freed first, and then it is written down.
    wait_until(
        lambda: "outcome=caller_gone" in pbx.cel_file.read_text().rsplit("HOTLINE_OFFERED", 1)[1],
        "the outcome is on record",
    )
    assert "HOTLINE_ACCEPTED" not in pbx.cel_file.read_text().rsplit("HOTLINE_OFFERED", 1)[1]


def test_given_desk_of_another_name_when_it_must_take_the_caller_back_then_it_is_rung(
    phone: PhoneFactory, talk: Talk
) -> None:
    backup, other = phone("122"), phone("110")
    talk.agent.send_dtmf(KEY_BACKUP)  # desk 120, reached at the phone 122
    first = backup.wait_for_call(5)
    accept(first, talk.citizen)
    first.refer("110")
    other.wait_for_call(5).deny(486)
    again = backup.wait_for_call(5)
    accept(again, talk.citizen)
    talk.citizen.hangup()


def test_given_a_desks_phone_when_it_signs_in_then_refused(
    pbx: PrivatePbx, phone: PhoneFactory
) -> None:
    call = phone("110").call("*45")
    call.wait_answered(5)
    call.wait_ended(10)
    assert "PJSIP/110" not in pbx.console("queue show hotline")
