"""One-key transfer by the phone's key, with no service running: the PBX alone."""

from __future__ import annotations

import pytest

from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import PhoneFactory, Talk

pytestmark = pytest.mark.pbx


def test_given_talk_when_key_pressed_and_target_answers_then_caller_is_with_target(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf("*1")
    ringing = desk.wait_for_call(5)
    assert ringing.caller_number == "13804210001"
    assert "8001" in ringing.caller_name
    assert ringing.header("X-Hotline-From") == "8001"
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    ringing.wait_hears(Talk.CITIZEN_HZ, 3)
    assert talk.agent.wait_ended(3) == 200
    ringing.hangup()
    assert talk.citizen.wait_ended(5) == 200
