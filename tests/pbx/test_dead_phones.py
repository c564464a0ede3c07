"""A phone that goes without a word: power, network or browser page lost. The citizen stays."""

from __future__ import annotations

import pytest

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, begin_talk, sign_in, wait_until
from tests.pbx.served import live_call, whole_case

pytestmark = pytest.mark.pbx


def test_given_talk_when_agents_phone_dies_then_citizen_is_with_the_next_agent(
    pbx: PrivatePbx, phone: PhoneFactory
) -> None:
    dying, other = phone("8004"), phone("8002")
    sign_in(dying, pbx)
    talk = begin_talk(phone(CITIZENS[0]), dying)
    sign_in(other, pbx)
    dying.vanish()
    again = other.wait_for_call(10)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
    assert again.wait_ended(3) == 200


def test_given_agent_holds_the_citizen_when_its_phone_dies_then_the_next_agent_has_them_in_seconds(
    pbx: PrivatePbx, phone: PhoneFactory, service: Service
) -> None:
    """A phone on hold may be silent for long, so its silence does not show it; SIP OPTIONS does."""
    dying, other = phone("8004"), phone("8002")
    sign_in(dying, pbx)
    talk = begin_talk(phone(CITIZENS[0]), dying)
    call = live_call(service)
    sign_in(other, pbx)
    talk.agent.hold()
    wait_until(
        lambda: "Avail" in pbx.console("pjsip show contacts").split("8004", 1)[1][:200],
        "the PBX asks the phone",
    )
    dying.vanish()
    again = other.wait_for_call(20)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
    assert again.wait_ended(3) == 200
    case = whole_case(service, call["case"])
    [lost] = [leg for leg in case["legs"] if leg["agent"] == "8004"]
    assert lost["cause"] == 27


def test_given_target_rings_when_waiting_agents_phone_dies_and_target_refuses_then_next_agent(
    pbx: PrivatePbx, phone: PhoneFactory
) -> None:
    dying, other, desk = phone("8004"), phone("8002"), phone("119")
    sign_in(dying, pbx)
    talk = begin_talk(phone(CITIZENS[0]), dying)
    sign_in(other, pbx)
    talk.agent.send_dtmf("*6")
    ringing = desk.wait_for_call(5)
    dying.vanish()
    ringing.deny(486)
    again = other.wait_for_call(10)
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    talk.citizen.hangup()
    assert again.wait_ended(3) == 200
