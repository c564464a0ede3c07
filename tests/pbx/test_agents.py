"""What agents do by codes on the phone and what follows a call, with no service running."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from telephony.legs.model import Leg
from telephony.private_pbx import PrivatePbx
from tests.pbx.agents_scene import (
    CALL_BACK,
    PAUSE,
    PICK_UP,
    RESUME,
    WRAPUP_S,
    Record,
    agents_pbx,
    assert_free,
    dial,
    is_free,
    is_paused,
    member,
)
from tests.pbx.scene import CITIZENS, LINE, PhoneFactory, Talk, begin_talk, sign_in, wait_until

pytestmark = pytest.mark.pbx


@pytest.fixture(scope="module")
def shared_pbx() -> Iterator[PrivatePbx]:
    with agents_pbx() as pbx:
        yield pbx


@pytest.fixture
def record(pbx: PrivatePbx) -> Record:
    return Record(pbx)


# -- pause and wrap-up ---------------------------------------------------------------


def test_given_ready_agent_when_pausing_by_code_then_no_call_comes_until_resumed(
    phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    agent = phone("8001")
    sign_in(agent, pbx)
    dial(agent, PAUSE + "2")
    assert is_paused(pbx, "8001", "2")
    dial(agent, PAUSE + "3")
    assert is_paused(pbx, "8001", "3")
    waiting = phone(CITIZENS[0]).call(LINE)
    waiting.wait_answered(5)
    dial(agent, RESUME)
    call = agent.wait_for_call(8)
    call.answer()
    waiting.play_tone(Talk.CITIZEN_HZ)
    call.wait_hears(Talk.CITIZEN_HZ, 6)
    waiting.hangup()
    assert call.wait_ended(5) == 200


def test_given_agent_who_is_not_signed_in_when_pausing_then_nothing_changes(
    phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    dial(phone("8001"), PAUSE + "1")
    dial(phone("8001"), RESUME)
    assert member(pbx, "8001") == ""


def test_given_paused_agent_when_pbx_restarts_then_the_pause_and_its_reason_are_still_there(
    phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    sign_in(phone("8001"), pbx)
    dial(phone("8001"), PAUSE + "4")
    pbx.stop()
    pbx.start()
    pbx.console("logger add channel steps verbose(3),notice,warning,error")
    assert is_paused(pbx, "8001", "4")


@pytest.mark.parametrize("who", ["citizen", "agent"])
def test_given_talk_when_it_ends_then_the_agent_has_time_and_is_free_after_it(
    phone: PhoneFactory, talk: Talk, pbx: PrivatePbx, who: str
) -> None:
    (talk.citizen if who == "citizen" else talk.agent).hangup()
    wait_until(lambda: is_paused(pbx, "8001", "wrap-up"), "the wrap-up has begun")
    wait_until(lambda: is_free(pbx, "8001"), "the wrap-up is over", WRAPUP_S + 3)
    talk.citizen.wait_ended(10)


def test_given_wrap_up_when_resuming_then_a_call_comes_at_once_and_the_timer_changes_nothing(
    phone: PhoneFactory, talk: Talk, pbx: PrivatePbx
) -> None:
    talk.citizen.hangup()
    wait_until(lambda: is_paused(pbx, "8001", "wrap-up"), "the wrap-up has begun")
    dial(phone("8001"), RESUME)
    assert_free(pbx, "8001")
    dial(phone("8001"), PAUSE + "1")
    wait_until(lambda: not _timers(pbx), "the timer has ended", WRAPUP_S + 3)
    assert is_paused(pbx, "8001", "1")


def _timers(pbx: PrivatePbx) -> list[str]:
    lines = pbx.console("core show channels concise").splitlines()
    return [line for line in lines if "wrap-up-timer" in line]


def test_given_call_that_came_back_when_it_ends_then_the_agent_has_time(
    phone: PhoneFactory, talk: Talk, pbx: PrivatePbx
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf("*1")
    desk.wait_for_call(5).deny(486)
    talk.assert_together()
    assert not is_paused(pbx, "8001", "wrap-up")
    talk.citizen.hangup()
    wait_until(lambda: is_paused(pbx, "8001", "wrap-up"), "the wrap-up has begun")


def test_given_call_that_was_handed_over_then_the_agent_has_time(
    phone: PhoneFactory, talk: Talk, pbx: PrivatePbx
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf("*1")
    third = desk.wait_for_call(5)
    third.answer()
    wait_until(lambda: is_paused(pbx, "8001", "wrap-up"), "the wrap-up has begun")
    third.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
    third.hangup()
    talk.citizen.wait_ended(10)


def test_given_agent_who_does_not_answer_then_there_is_no_wrap_up(
    phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    sign_in(phone("8001"), pbx)
    waiting = phone(CITIZENS[0]).call(LINE)
    phone("8001").wait_for_call(15).wait_ended(5)
    waiting.hangup()
    assert not is_paused(pbx, "8001", "wrap-up")


def test_given_pbx_that_crashed_in_a_wrap_up_when_a_citizen_calls_then_the_agent_is_rung(
    phone: PhoneFactory, talk: Talk, pbx: PrivatePbx
) -> None:
    talk.citizen.hangup()
    wait_until(lambda: is_paused(pbx, "8001", "wrap-up"), "the wrap-up has begun")
    wait_until(lambda: "wrap-up" in _on_disk(pbx), "the pause is on disk")
    pbx.kill()
    pbx.start()
    pbx.console("logger add channel steps verbose(3),notice,warning,error")
    assert is_paused(pbx, "8001", "wrap-up")
    # A phone counts as away until the PBX has asked it once.
    wait_until(lambda: "Not in use" in member(pbx, "8001"), "the phone is there")
    waiting = phone(CITIZENS[0]).call(LINE)
    again = phone("8001").wait_for_call(15)
    again.answer()
    waiting.wait_answered(5)
    waiting.hangup()
    again.wait_ended(5)


def _on_disk(pbx: PrivatePbx) -> str:
    """The queue's members as AstDB has them on disk; it is written once a second."""
    with sqlite3.connect(f"file:{pbx.places.var}/astdb.sqlite3?mode=ro", uri=True) as database:
        rows = database.execute("select value from astdb where key like '/Queue/Persistent%'")
        return "".join(value for (value,) in rows)


# -- picking up ---------------------------------------------------------------


@pytest.mark.parametrize("code", [PICK_UP, PICK_UP + "8001"])
def test_given_ringing_colleague_when_picking_up_then_the_two_talk_and_the_record_says_who(
    phone: PhoneFactory, pbx: PrivatePbx, record: Record, code: str
) -> None:
    sign_in(phone("8001"), pbx)
    citizen = phone(CITIZENS[0]).call(LINE)
    ringing = phone("8001").wait_for_call(15)
    picked = phone("8002").call(code)
    picked.wait_answered(5)
    citizen.play_tone(Talk.CITIZEN_HZ)
    picked.play_tone(Talk.AGENT_HZ)
    Talk(citizen, picked).assert_together()
    ringing.wait_ended(3)
    taken = record.fact("TAKEN")
    assert taken["agent"] == "8002"
    citizen.hangup()
    assert picked.wait_ended(5) == 200
    legs = {leg.uniqueid: leg for leg in _ended(record, 3)}
    leg = legs[taken["leg"]]
    assert (leg.role, leg.party, leg.case) == ("agent", "8002", taken["case"])
    assert leg.caller == CITIZENS[0]
    assert [legs[other].role for part in leg.segments for other in part.others][-1] == "citizen"
    assert {one.party for one in legs.values()} >= {"8001", "8002", CITIZENS[0]}
    assert next(one for one in legs.values() if one.party == "8001").answered is None


def _ended(record: Record, count: int) -> list[Leg]:
    wait_until(
        lambda: len([one for one in record.legs() if one.case and one.ended]) >= count, "legs"
    )
    return [one for one in record.legs() if one.case]


@pytest.mark.parametrize(("key", "desk"), [("*1", "110"), ("*2", "12345"), ("*3", "12345")])
def test_given_picked_up_call_when_a_key_is_pressed_then_the_desk_is_called(
    phone: PhoneFactory, pbx: PrivatePbx, key: str, desk: str
) -> None:
    sign_in(phone("8001"), pbx)
    target = phone(desk)
    citizen = phone(CITIZENS[0]).call(LINE)
    phone("8001").wait_for_call(15)
    picked = phone("8002").call(PICK_UP)
    picked.wait_answered(5)
    citizen.play_tone(Talk.CITIZEN_HZ)
    picked.play_tone(Talk.AGENT_HZ)
    both = Talk(citizen, picked)
    both.assert_together()
    picked.send_dtmf(key)
    refused = target.wait_for_call(5)
    assert refused.caller_number == CITIZENS[0]
    assert "8002" in refused.caller_name
    refused.deny(486)
    both.assert_together()
    picked.send_dtmf(key)
    third = target.wait_for_call(5)
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    citizen.wait_hears(Talk.TARGET_HZ, 5, threshold=0.25)
    if key == "*3":
        picked.wait_hears(Talk.TARGET_HZ, 5, threshold=0.25)
        picked.hangup()
    else:
        assert picked.wait_ended(5) == 200
    citizen.hangup()
    assert third.wait_ended(5) == 200


@pytest.mark.parametrize("who", ["8004", "110"])
def test_given_somebody_of_another_group_when_picking_up_then_the_phone_rings_on(
    phone: PhoneFactory, pbx: PrivatePbx, who: str
) -> None:
    sign_in(phone("8001"), pbx)
    citizen = phone(CITIZENS[0]).call(LINE)
    ringing = phone("8001").wait_for_call(15)
    stranger = phone(who).call(PICK_UP)
    stranger.wait_answered(5)
    ringing.answer()
    citizen.play_tone(Talk.CITIZEN_HZ)
    ringing.wait_hears(Talk.CITIZEN_HZ, 5)
    stranger.wait_ended(10)
    citizen.hangup()
    ringing.wait_ended(5)


def test_given_nothing_rings_when_picking_up_then_it_is_said_and_a_talk_is_not_touched(
    phone: PhoneFactory, talk: Talk
) -> None:
    dial(phone("8002"), PICK_UP)
    talk.assert_together()
    talk.citizen.hangup()


def test_given_two_who_pick_up_at_once_then_one_has_the_call_and_the_other_is_told(
    phone: PhoneFactory, pbx: PrivatePbx, record: Record
) -> None:
    sign_in(phone("8001"), pbx)
    first, second = phone("8002"), phone("8003")
    citizen = phone(CITIZENS[0]).call(LINE)
    phone("8001").wait_for_call(15)
    calls = [first.call(PICK_UP), second.call(PICK_UP)]
    for call in calls:
        call.wait_answered(5)
        call.play_tone(Talk.AGENT_HZ)
    taken = record.fact("TAKEN")
    winner, loser = calls if taken["agent"] == "8002" else calls[::-1]
    citizen.play_tone(Talk.CITIZEN_HZ)
    Talk(citizen, winner).assert_together()
    loser.wait_ended(10)
    assert len(record.facts("TAKEN")) == 1
    citizen.hangup()
    assert winner.wait_ended(5) == 200


# -- calling back ---------------------------------------------------------------


def test_given_code_and_number_when_dialled_then_the_citizen_sees_the_line_and_keys_work(
    phone: PhoneFactory, pbx: PrivatePbx, record: Record
) -> None:
    sign_in(phone("8001"), pbx)
    citizen, desk = phone(CITIZENS[0]), phone("110")
    agent = phone("8001").call(CALL_BACK + CITIZENS[0])
    rung = citizen.wait_for_call(5)
    assert rung.caller_number == "04212800122"
    rung.answer()
    rung.play_tone(Talk.CITIZEN_HZ)
    agent.play_tone(Talk.AGENT_HZ)
    both = Talk(rung, agent)
    both.assert_together()
    ended = record.fact("CALLBACK_ENDED")
    assert (ended["outcome"], ended["agent"], ended["number"]) == ("reached", "8001", CITIZENS[0])
    agent.send_dtmf("*1")
    third = desk.wait_for_call(5)
    assert third.caller_number == CITIZENS[0]
    third.deny(486)
    both.assert_together()
    agent.send_dtmf("*1")
    third = desk.wait_for_call(5)
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    rung.wait_hears(Talk.TARGET_HZ, 5)
    assert agent.wait_ended(5) == 200
    wait_until(lambda: is_paused(pbx, "8001", "wrap-up"), "the wrap-up has begun")
    rung.hangup()
    assert third.wait_ended(5) == 200
    legs = _ended(record, 4)
    by_role = {leg.role: leg for leg in legs}
    assert {leg.case for leg in legs} == {ended["case"]}
    assert by_role["citizen"].party == CITIZENS[0]
    assert by_role["citizen"].uniqueid == ended["citizen"]
    assert by_role["agent"].party == "8001"
    assert by_role["target"].party == "110"


@pytest.mark.parametrize(
    ("code", "outcome"), [(486, "busy"), (603, "declined"), (404, "failed"), (None, "unanswered")]
)
def test_given_citizen_who_does_not_take_it_then_the_agent_is_told_and_the_outcome_recorded(
    phone: PhoneFactory, pbx: PrivatePbx, record: Record, code: int | None, outcome: str
) -> None:
    sign_in(phone("8001"), pbx)
    citizen = phone(CITIZENS[0])
    agent = phone("8001").call(CALL_BACK + CITIZENS[0])
    rung = citizen.wait_for_call(5)
    if code is not None:
        rung.deny(code)
    agent.wait_ended(12)
    rung.wait_ended(2)
    assert record.fact("CALLBACK_ENDED")["outcome"] == outcome
    assert record.facts("TAKEN") == []
    assert_free(pbx, "8001")


def test_given_citizen_rings_when_the_agent_hangs_up_then_the_ringing_stops(
    phone: PhoneFactory, record: Record
) -> None:
    citizen = phone(CITIZENS[0])
    agent = phone("8001").call(CALL_BACK + CITIZENS[0])
    rung = citizen.wait_for_call(5)
    agent.hangup()
    rung.wait_ended(3)
    assert record.fact("CALLBACK_ENDED")["outcome"] == "agent_gone"


@pytest.mark.parametrize("number", ["110", "0085212345678", "13804", "12345"])
def test_given_number_that_is_not_allowed_when_dialled_then_nobody_is_called(
    phone: PhoneFactory, record: Record, number: str
) -> None:
    desk = phone("110")
    dial(phone("8001"), CALL_BACK + number)
    assert desk.calls == []
    assert record.facts("CALLBACK") == []


# -- asking afterwards ---------------------------------------------------------------


def _is_asked(pbx: PrivatePbx) -> bool:
    lines = pbx.console("core show channels concise").splitlines()
    return any("!Read!" in line for line in lines)


def test_given_agent_hangs_up_when_the_citizen_presses_a_key_then_it_is_on_record(
    talk: Talk, pbx: PrivatePbx, record: Record
) -> None:
    talk.agent.hangup()
    wait_until(lambda: _is_asked(pbx), "the question")
    talk.citizen.send_dtmf("2")
    survey = record.fact("SURVEY")
    assert (survey["agent"], survey["score"], survey["of"]) == ("8001", "2", "3")
    assert survey["case"].endswith(survey["citizen"])
    assert talk.citizen.wait_ended(10) == 200


@pytest.mark.parametrize("what", ["silence", "another key", "hang up"])
def test_given_the_question_when_it_is_not_answered_then_the_call_ends_without_a_score(
    talk: Talk, pbx: PrivatePbx, record: Record, what: str
) -> None:
    talk.agent.hangup()
    wait_until(lambda: _is_asked(pbx), "the question")
    if what == "another key":
        talk.citizen.send_dtmf("9")
    elif what == "hang up":
        talk.citizen.hangup()
    assert talk.citizen.wait_ended(20) == 200
    assert record.facts("SURVEY") == []


def test_given_call_that_was_handed_over_then_the_citizen_is_not_asked(
    phone: PhoneFactory, talk: Talk, pbx: PrivatePbx, record: Record
) -> None:
    desk = phone("110")
    talk.agent.send_dtmf("*1")
    third = desk.wait_for_call(5)
    assert not _is_asked(pbx)
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
    assert talk.agent.wait_ended(5) == 200
    third.hangup()
    steps = _steps(pbx)
    assert talk.citizen.wait_ended(10) == 200
    assert "hotline/survey-3" not in _steps(pbx)[len(steps) :]
    assert record.facts("SURVEY") == []


def _steps(pbx: PrivatePbx) -> str:
    return (pbx.places.log / "steps").read_text(errors="replace")


def test_given_agents_phone_that_has_gone_then_the_citizen_is_not_asked(
    phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    agent = phone("8004")  # its silence is noticed after two seconds
    sign_in(agent, pbx)
    both = begin_talk(phone(CITIZENS[0]), agent)
    before = len(_steps(pbx))
    agent.vanish()
    wait_until(lambda: "hotline-way-back" in _steps(pbx)[before:], "the citizen is back", 10)
    assert "hotline/survey-3" not in _steps(pbx)[before:]
    both.citizen.hangup()
