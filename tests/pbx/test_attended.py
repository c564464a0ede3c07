"""A phone's own attended transfer, with no service running: the PBX alone."""

from __future__ import annotations

import pytest

from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.agents_scene import Record
from tests.pbx.scene import PhoneFactory, Talk, wait_until

pytestmark = pytest.mark.pbx


def facts_of_last_offer(pbx: PrivatePbx) -> str:
    """What was noted since the last hand-over began."""
    return pbx.cel_file.read_text().rsplit("HOTLINE_OFFERED", 1)[1]


def second_line(talk: Talk, phone: PhoneFactory) -> tuple[SoftCall, SoftCall]:
    """The agent holds the citizen and speaks to 110 on a second line."""
    desk = phone("110")
    talk.agent.hold()
    second = phone("8001").call("110")
    ringing = desk.wait_for_call(5)
    assert "8001" in ringing.caller_name
    ringing.answer()
    second.wait_answered(5)
    second.play_tone(Talk.AGENT_HZ)
    ringing.play_tone(Talk.TARGET_HZ)
    second.wait_hears(Talk.TARGET_HZ, 4)
    ringing.wait_hears(Talk.AGENT_HZ, 4)
    return second, ringing


def test_given_desk_on_second_line_when_joined_then_citizen_and_desk_talk_on_record(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    second, asked = second_line(talk, phone)
    assert talk.agent.refer_to_call(second) == 202
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    asked.wait_hears(Talk.CITIZEN_HZ, 4)
    talk.agent.wait_ended(3)
    second.wait_ended(3)
    facts = facts_of_last_offer(pbx)
    assert "kind=attended" in facts
    assert "HOTLINE_ACCEPTED" in facts
    # Who has the citizen now may hand them on, and has them back when nobody answers.
    other = phone("12345")
    asked.send_dtmf("*2")
    other.wait_for_call(5).deny(486)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    asked.wait_hears(Talk.CITIZEN_HZ, 4)
    talk.citizen.hangup()
    assert asked.wait_ended(3) == 200


def test_given_desk_on_second_line_when_it_is_hung_up_then_agent_resumes(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    second, asked = second_line(talk, phone)
    second.hangup()
    assert asked.wait_ended(3) == 200
    talk.agent.hold(False)
    talk.assert_together()
    assert "outcome=cancelled" in facts_of_last_offer(pbx)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


@pytest.mark.parametrize("code", [486, 603])
def test_given_desk_called_on_second_line_when_it_refuses_then_agent_resumes(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, code: int
) -> None:
    desk = phone("110")
    talk.agent.hold()
    second = phone("8001").call("110")
    desk.wait_for_call(5).deny(code)
    second.wait_ended(5)
    talk.agent.hold(False)
    talk.assert_together()
    expected = "outcome=busy" if code == 486 else "outcome=declined"
    assert expected in facts_of_last_offer(pbx)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200


@pytest.mark.parametrize("answers", [True, False])
def test_given_desk_rings_on_second_line_when_joined_then_answer_or_back(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, answers: bool
) -> None:
    desk, agent = phone("110"), phone("8001")
    talk.agent.hold()
    second = agent.call("110")
    ringing = desk.wait_for_call(5)
    second.wait_ringing(5)
    assert talk.agent.refer_to_call(second) == 202
    if answers:
        ringing.answer()
        ringing.play_tone(Talk.TARGET_HZ)
        talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
        ringing.wait_hears(Talk.CITIZEN_HZ, 5)
        wait_until(lambda: "HOTLINE_ACCEPTED" in facts_of_last_offer(pbx), "accepted on record")
        talk.citizen.hangup()
        ringing.wait_ended(5)
        return
    ringing.deny(486)
    again = agent.wait_for_call(8)  # the agent's phone has let go, so it is rung
    again.answer()
    again.play_tone(Talk.AGENT_HZ)
    Talk(talk.citizen, again).assert_together()
    assert "outcome=busy" in facts_of_last_offer(pbx)
    talk.citizen.hangup()
    assert again.wait_ended(3) == 200


def test_given_desk_rings_on_second_line_when_citizen_hangs_up_then_it_stops_and_one_outcome(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk, record = phone("110"), Record(pbx)
    talk.agent.hold()
    second = phone("8001").call("110")
    ringing = desk.wait_for_call(5)
    second.wait_ringing(5)
    talk.citizen.hangup()
    # Well before the desk's time to ring is over, and nobody at the agent's phone does anything.
    ringing.wait_ended(1)
    second.wait_ended(3)
    talk.agent.wait_ended(3)
    assert record.fact("ENDED")["outcome"] == "caller_gone"
    assert not record.facts("ACCEPTED")


def test_given_desk_on_second_line_when_citizen_hangs_up_then_nothing_is_left(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    second, asked = second_line(talk, phone)
    talk.citizen.hangup()
    talk.agent.wait_ended(3)
    asked.wait_hears(Talk.AGENT_HZ, 3)  # agent and desk may finish
    second.hangup()
    asked.wait_ended(3)
    facts = facts_of_last_offer(pbx)
    assert "outcome=caller_gone" in facts
    assert "HOTLINE_ACCEPTED" not in facts
