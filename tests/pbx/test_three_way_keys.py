"""In a three-way call, with no service running: the agent's keys, and nobody is left alone."""

from __future__ import annotations

import pytest

from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, begin_talk, channels, sign_in, wait_until
from tests.pbx.test_three_way import KEY, join

pytestmark = pytest.mark.pbx

MUTE, MUTE_OTHERS, PUT_OUT, END, TAKEN = "*6", "*7", "*8", "*9", "*0"


@pytest.fixture
def third(phone: PhoneFactory, talk: Talk) -> SoftCall:
    """Desk 12345 was called in: all three hear each other."""
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    call = desk.wait_for_call(5)
    join(talk, call)
    return call


def facts(pbx: PrivatePbx, kind: str) -> list[str]:
    """The PBX's own record: what was noted of this kind."""
    rows = pbx.cel_file.read_text(encoding="utf-8").splitlines()
    return [row for row in rows if f'"{kind}"' in row]


def people(pbx: PrivatePbx) -> list[str]:
    """The channels at whose other end is a phone."""
    return [name for name in channels(pbx) if name.startswith("PJSIP/")]


def assert_two(talk: Talk, phone: PhoneFactory) -> None:
    """Citizen and agent are a call of two again, whose keys work."""
    talk.citizen.wait_hears(Talk.AGENT_HZ, 4, threshold=0.8)
    talk.agent.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
    other = phone("110")
    talk.agent.send_dtmf("*1")
    other.wait_for_call(5).deny(486)
    talk.assert_together()


@pytest.mark.parametrize("who", ["agent", "third"])
def test_given_three_way_when_own_mute_is_pressed_then_not_heard_until_pressed_again(
    talk: Talk, third: SoftCall, who: str
) -> None:
    one, tone = (talk.agent, Talk.AGENT_HZ) if who == "agent" else (third, Talk.TARGET_HZ)
    one.send_dtmf(MUTE)
    talk.citizen.wait_silent(tone, 4)
    one.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.25)
    one.send_dtmf(MUTE)
    talk.citizen.wait_hears(tone, 4, threshold=0.25)
    talk.citizen.hangup()
    third.hangup()
    assert talk.agent.wait_ended(5) == 200


def test_given_three_way_when_agent_mutes_the_others_then_only_the_agent_is_heard(
    talk: Talk, third: SoftCall
) -> None:
    talk.agent.send_dtmf(MUTE_OTHERS)
    third.wait_silent(Talk.CITIZEN_HZ, 4)
    talk.citizen.wait_silent(Talk.TARGET_HZ, 4)
    talk.citizen.wait_hears(Talk.AGENT_HZ, 4, threshold=0.8)
    talk.agent.send_dtmf(MUTE_OTHERS)
    third.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.25)
    talk.citizen.hangup()
    third.hangup()
    assert talk.agent.wait_ended(5) == 200


def test_given_three_way_when_agent_puts_the_third_out_then_it_is_a_call_of_two(
    talk: Talk, third: SoftCall, phone: PhoneFactory
) -> None:
    talk.agent.send_dtmf(PUT_OUT)
    assert third.wait_ended(5) == 200
    assert_two(talk, phone)
    # And again: a three-way call after it is as the first.
    talk.agent.send_dtmf(KEY)
    again = phone("12345").wait_for_call(5)
    join(talk, again)
    talk.citizen.hangup()
    again.hangup()
    assert talk.agent.wait_ended(5) == 200


def test_given_three_way_when_agent_ends_it_then_it_is_a_call_of_two_and_undecided(
    talk: Talk, third: SoftCall, phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    before = len(facts(pbx, "HOTLINE_DECIDED"))
    talk.agent.send_dtmf(END)
    assert third.wait_ended(5) == 200
    assert_two(talk, phone)
    [row] = facts(pbx, "HOTLINE_DECIDED")[before:]
    assert "outcome=undecided&desk=&by=8001" in row
    talk.citizen.hangup()
    assert talk.agent.wait_ended(5) == 200


def test_given_three_way_when_agent_says_the_desk_takes_it_then_desk_and_citizen_go_on(
    talk: Talk, third: SoftCall, pbx: PrivatePbx
) -> None:
    before = len(facts(pbx, "HOTLINE_DECIDED"))
    talk.agent.send_dtmf(TAKEN)
    assert talk.agent.wait_ended(5) == 200
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.8)
    third.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
    [row] = facts(pbx, "HOTLINE_DECIDED")[before:]
    assert "outcome=taken&desk=12345&by=8001" in row
    talk.citizen.hangup()
    assert third.wait_ended(5) == 200


@pytest.mark.parametrize("who", ["citizen", "third"])
def test_given_three_way_when_others_press_the_agents_keys_then_nothing_happens(
    talk: Talk, third: SoftCall, who: str, pbx: PrivatePbx
) -> None:
    (talk.citizen if who == "citizen" else third).send_dtmf(PUT_OUT + END + TAKEN)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.25)
    third.wait_hears(Talk.AGENT_HZ, 4, threshold=0.25)
    assert len(people(pbx)) == 3
    talk.citizen.hangup()
    third.hangup()
    assert talk.agent.wait_ended(5) == 200


def test_given_three_way_when_both_desks_leave_at_once_then_a_phone_rings_for_the_citizen(
    talk: Talk, third: SoftCall, phone: PhoneFactory
) -> None:
    talk.agent.hangup()
    third.hangup()
    # That of who had the citizen last: which of the two is a matter of some microseconds.
    phones = [phone("8001"), phone("12345")]
    wait_until(lambda: any(one.calls for one in phones), "one of them is rung", 5)
    again = next(one for one in phones if one.calls).wait_for_call(1)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
    assert again.wait_ended(5) == 200


@pytest.mark.parametrize("leaver", ["agent", "third"])
def test_given_three_way_when_citizen_and_one_desk_leave_at_once_then_the_other_is_released(
    talk: Talk, third: SoftCall, leaver: str
) -> None:
    left = third if leaver == "agent" else talk.agent
    talk.citizen.hangup()
    (talk.agent if leaver == "agent" else third).hangup()
    assert left.wait_ended(5) == 200


def test_given_three_way_when_the_room_is_cleared_then_citizen_is_back_with_the_agent(
    talk: Talk, third: SoftCall, phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    [room] = [line.split()[0] for line in pbx.console("confbridge list").splitlines()[2:]]
    pbx.console(f"confbridge kick {room} all")
    assert third.wait_ended(5) == 200
    assert talk.agent.wait_ended(5) == 200
    again = phone("8001").wait_for_call(5)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
    assert again.wait_ended(5) == 200


def test_given_three_way_when_agents_phone_dies_then_the_other_two_go_on(
    pbx: PrivatePbx, phone: PhoneFactory
) -> None:
    dying, desk = phone("8004"), phone("12345")
    sign_in(dying, pbx)
    talk = begin_talk(phone(CITIZENS[0]), dying)
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    join(talk, third)
    dying.vanish()
    wait_until(lambda: len(people(pbx)) == 2, "the dead phone is noticed", 8)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.8)
    third.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
    third.hangup()
    assert talk.citizen.wait_ended(10) == 200


def test_given_third_has_left_with_a_dead_agent_then_citizen_is_with_the_next_agent(
    pbx: PrivatePbx, phone: PhoneFactory
) -> None:
    dying, desk, other = phone("8004"), phone("12345"), phone("8002")
    sign_in(dying, pbx)
    talk = begin_talk(phone(CITIZENS[0]), dying)
    sign_in(other, pbx)
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    join(talk, third)
    dying.vanish()
    third.hangup()
    again = other.wait_for_call(12)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
    assert again.wait_ended(5) == 200


def test_given_three_way_when_agents_phone_transfers_then_refused_and_all_talk_on(
    talk: Talk, third: SoftCall, phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    other = phone("110")
    assert talk.agent.refer("110", hang_up=False) >= 400
    assert other.calls == []
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.25)
    assert len(people(pbx)) == 3
    # Once it is a call of two, the phone's own transfer works again.
    third.hangup()
    talk.citizen.wait_hears(Talk.AGENT_HZ, 4, threshold=0.8)
    talk.agent.refer("110")
    taken = other.wait_for_call(5)
    taken.answer()
    taken.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    talk.citizen.hangup()
    assert taken.wait_ended(5) == 200
