"""Agents and callbacks without a PBX: rules of the settings, and what AMI may answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr, ValidationError

from telephony.agent_settings import Callback, PauseReason, Survey
from telephony.call_control import CallControl
from telephony.callbacks import as_dialled
from telephony.dialplan import render
from telephony.errors import (
    AgentBusy,
    AgentNotFound,
    AgentSignedIn,
    AgentSignedOut,
    CallbacksOff,
    HotlineError,
    InvalidValue,
    NumberNotAllowed,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
)
from telephony.settings import TIME_ZONE, Agent, Pbx, load_settings
from tests.unit.simulated_pbx import SimulatedPbx

NUMBER = "13804210001"


# -- settings -------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    ["13804210001", "2800122", "28001220", "0421280012", "04212800122", "010123456789"],
)
def test_a_domestic_number_may_be_called_back(number: str) -> None:
    assert Callback().allows(number)


@pytest.mark.parametrize(
    "number",
    ["110", "12345", "0085212345678", "12804210001", "138042100011", "1380421000a", "١٣٨٠٤٢١٠٠٠١"],
)
def test_no_other_number_may_be_called_back(number: str) -> None:
    assert not Callback().allows(number)


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("+86 138-0421-0001", "13804210001"),
        ("008613804210001", "13804210001"),
        ("+86 (421) 2800122", "04212800122"),
        ("0421 2800122", "04212800122"),
        ("+85212345678", "+85212345678"),
    ],
)
def test_a_number_is_dialled_as_at_home(written: str, dialled: str) -> None:
    assert as_dialled(written) == dialled


@pytest.mark.parametrize("pattern", ["X.", "1[3-9", "[3-9,5]XX", "XX", "1380421000!", "0${EXTEN}"])
def test_a_pattern_that_means_more_than_it_says_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        Callback(numbers=[pattern])


@pytest.mark.parametrize("dial", ["PJSIP/trunk", "PJSIP/{number}&PJSIP/110", "PJSIP/{number},30"])
def test_a_way_out_that_does_more_than_call_the_number_is_refused(dial: str) -> None:
    with pytest.raises(ValidationError):
        Callback(dial=dial)


def test_a_score_is_one_of_three_or_of_five() -> None:
    with pytest.raises(ValidationError):
        Survey.model_validate({"levels": 4})


@pytest.mark.parametrize(
    "wrong",
    [
        {"resume_code": "*45"},
        {"pause_code": "*4"},  # with reason 5 it would be the code to sign in
        {"callback": Callback(code="*43")},
        {
            "pause_reasons": [
                PauseReason(code="1", zh="小休", en="a"),
                PauseReason(code="1", zh="b", en="b"),
            ]
        },
    ],
)
def test_codes_that_mean_two_things_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(HotlineError, match="stands there twice"):
        load_settings(**wrong)


def dialplan(**more: object) -> dict[str, str]:
    return render(load_settings(pbx=Pbx(ami_secret=SecretStr("a-secret-of-tests")), **more))


def test_a_group_is_who_has_the_same_department() -> None:
    agents = [
        Agent(id="8001", department="甲"),
        Agent(id="8002", department="甲", interface="PJSIP/desk+2.a"),
        Agent(id="8003", department="乙"),
    ]
    text = dialplan(agents=agents)["hotline/extensions/pickup.conf"]
    assert "exten => 8001,1,Return(PJSIP/desk[+]2[.]a)" in text
    assert "exten => 8002,1,Return(PJSIP/8001)" in text
    assert "exten => 8003,1,Return()" in text


def test_what_is_off_costs_a_call_no_step() -> None:
    text = dialplan()["hotline/extensions/entry.conf"]
    assert "survey" not in text
    assert "wrap-up" not in text
    assert "PJSIP/{number}" not in dialplan()["hotline/extensions/callback.conf"]


# -- what AMI may answer --------------------------------------------------------


@asynccontextmanager
async def controlled(simulated: SimulatedPbx, **more: object) -> AsyncIterator[CallControl]:
    control = CallControl(simulated.settings(**more))
    await control.start()
    try:
        await control.client.wait_up(5)
        yield control
    finally:
        await control.stop()


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedPbx]:
    async with SimulatedPbx() as pbx:
        pbx.extensions.add(("hotline-callback-number", NUMBER))
        yield pbx


def sent(simulated: SimulatedPbx, action: str) -> list[dict[str, str]]:
    return [one for one in simulated.actions if one["Action"] == action]


def added(simulated: SimulatedPbx, agent: str) -> None:
    member = {"Queue": "hotline", "Interface": f"PJSIP/{agent}", "MemberName": agent}
    simulated.emit("QueueMemberAdded", {**member, "Status": "1", "Paused": "0"})


async def test_given_sign_in_then_the_answer_comes_when_the_pbx_has_said_so(
    simulated: SimulatedPbx,
) -> None:
    async with controlled(simulated) as control:
        signing_in = asyncio.ensure_future(control.agents.sign_in("8002"))
        while not sent(simulated, "QueueAdd"):
            simulated.asked.clear()
            await simulated.asked.wait()
        assert not signing_in.done()
        added(simulated, "8002")
        assert (await signing_in).state == "ready"
        assert sent(simulated, "QueueAdd")[0]["Interface"] == "PJSIP/8002"


async def test_given_signed_in_by_the_phone_in_the_same_moment_then_it_is_said(
    simulated: SimulatedPbx,
) -> None:
    async with controlled(simulated) as control:
        simulated.emit(
            "QueueMemberRemoved", {"Queue": "hotline", "Interface": "PJSIP/8001", "Status": "1"}
        )
        await control.pbx.get_var(None, "EPOCH")
        simulated.refused["QueueAdd"] = "Unable to add interface: Already there"
        with pytest.raises(AgentSignedIn):  # QueueStatus lists 8001
            await control.agents.sign_in("8001")
        with pytest.raises(PbxRefused):  # refused for another reason
            await control.agents.sign_in("8002")


async def test_given_signed_out_by_the_phone_in_the_same_moment_then_it_is_said(
    simulated: SimulatedPbx,
) -> None:
    async with controlled(simulated) as control:
        added(simulated, "8002")
        await control.pbx.get_var(None, "EPOCH")
        simulated.refused |= {"QueueRemove": "Not there", "QueuePause": "Not there"}
        with pytest.raises(AgentSignedOut):
            await control.agents.sign_out("8002")
        with pytest.raises(AgentSignedOut):
            await control.agents.pause("8002", "1")


async def test_given_pbx_that_says_nothing_of_it_then_a_timeout_tells_so(
    simulated: SimulatedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.agents.TOLD_LIMIT_S", 0.05)
    async with controlled(simulated) as control:
        with pytest.raises(PbxTimeout):
            await control.agents.sign_in("8002")


async def test_given_no_link_then_nothing_is_guessed(simulated: SimulatedPbx) -> None:
    async with controlled(simulated, callback=Callback(dial="PJSIP/{number}@out")) as control:
        down = asyncio.Event()
        control.client.on_down(down.set)
        await simulated.stop()
        await asyncio.wait_for(down.wait(), 5)
        for refused in (
            control.agents.states(),
            control.agents.sign_in("8002"),
            control.callbacks.call_back(NUMBER, "8002"),
        ):
            with pytest.raises(PbxUnavailable):
                await refused


async def test_given_calls_of_another_day_then_they_do_not_count(simulated: SimulatedPbx) -> None:
    today = datetime.now(ZoneInfo(TIME_ZONE)).strftime("%Y%m%d")
    simulated.astdb["hotline-taken", "8001"] = "20200101:17"
    simulated.astdb["hotline-taken", "8002"] = f"{today}:17"
    async with controlled(simulated) as control:
        assert [one.taken for one in await control.agents.states()] == [0, 17]


# -- calling back ---------------------------------------------------------------


@pytest.fixture
async def control(simulated: SimulatedPbx) -> AsyncIterator[CallControl]:
    async with controlled(simulated, callback=Callback(dial="PJSIP/{number}@out")) as one:
        yield one


async def test_given_no_way_out_then_nobody_is_called(simulated: SimulatedPbx) -> None:
    async with controlled(simulated) as control:
        with pytest.raises(CallbacksOff):
            await control.callbacks.call_back(NUMBER, "8001")
    assert not sent(simulated, "Originate")


@pytest.mark.parametrize(
    ("number", "agent", "case", "error"),
    [
        ("110", "8001", None, NumberNotAllowed),
        ("13804210001\r\nAction: Logoff", "8001", None, NumberNotAllowed),
        (NUMBER, "8099", None, AgentNotFound),
        (NUMBER, "8001", "20261124-1.1,x", InvalidValue),
        (NUMBER, "8001", "a case", InvalidValue),
        ("13804210002", "8001", None, NumberNotAllowed),  # the PBX has another dialplan
    ],
)
async def test_given_what_cannot_be_then_nobody_is_called(
    simulated: SimulatedPbx,
    control: CallControl,
    number: str,
    agent: str,
    case: str | None,
    error: type[HotlineError],
) -> None:
    with pytest.raises(error):
        await control.callbacks.call_back(number, agent, case=case)
    assert not sent(simulated, "Originate")


async def test_given_callback_then_the_agent_is_asked_once_and_its_case_is_no_channel_s(
    simulated: SimulatedPbx, control: CallControl
) -> None:
    begun = await control.callbacks.call_back(NUMBER, "8001")
    with pytest.raises(AgentBusy):
        await control.callbacks.call_back(NUMBER, "8001")
    (order,) = sent(simulated, "Originate")
    assert order["Exten"] == begun.id
    assert order["Account"] == begun.case
    assert NUMBER in order["CallerID"]
    assert begun.case.partition("-")[2].partition(".")[2].startswith("9")


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        ("reached", "reached"),
        ("busy", "busy"),
        ("agent_gone", "agent-gone"),
        ("something new", "failed"),
    ],
)
async def test_given_what_the_dialplan_notes_then_who_waits_is_told(
    simulated: SimulatedPbx, control: CallControl, fact: str, state: str
) -> None:
    begun = await control.callbacks.call_back(NUMBER, "8001")
    waiting = asyncio.ensure_future(control.callbacks.outcome(begun.id))
    citizen = simulated.new("PJSIP/out", caller=NUMBER)
    simulated.fact(citizen, "HOTLINE_CALLBACK", id=begun.id, citizen=citizen.uniqueid)
    await control.pbx.get_var(None, "EPOCH")
    assert control.callbacks.get(begun.id).state == "ringing"
    assert control.calls.call(citizen.uniqueid).citizen is not None
    simulated.fact(citizen, "HOTLINE_CALLBACK_ENDED", id=begun.id, outcome=fact)
    done = await asyncio.wait_for(waiting, 5)
    assert (done.state, done.call) == (state, citizen.uniqueid)
    # What comes later does not change it, and the agent may be asked again.
    simulated.fact(citizen, "HOTLINE_CALLBACK_ENDED", id=begun.id, outcome="failed")
    await control.pbx.get_var(None, "EPOCH")
    assert control.callbacks.get(begun.id).state == state
    await control.callbacks.call_back(NUMBER, "8001")


async def test_given_an_agent_who_answers_and_leaves_at_once_then_it_is_over_and_may_be_asked_again(
    simulated: SimulatedPbx, control: CallControl
) -> None:
    begun = await control.callbacks.call_back(NUMBER, "8001")
    leg = simulated.new("PJSIP/8001")
    simulated.account(leg, begun.case)
    simulated.up(leg)
    simulated.hangup(leg)
    await control.pbx.get_var(None, "EPOCH")
    assert control.callbacks.get(begun.id).state == "agent-gone"
    await control.callbacks.call_back(NUMBER, "8001")


async def test_given_lost_link_then_the_outcome_is_not_known_and_said_so(
    simulated: SimulatedPbx, control: CallControl
) -> None:
    begun = await control.callbacks.call_back(NUMBER, "8001")
    waiting = asyncio.ensure_future(control.callbacks.outcome(begun.id))
    simulated.cut_links()
    assert (await asyncio.wait_for(waiting, 5)).state == "unknown"


async def test_given_pbx_that_refuses_the_order_then_nothing_is_left_of_it(
    simulated: SimulatedPbx, control: CallControl
) -> None:
    simulated.refused["Originate"] = "Permission denied"
    with pytest.raises(PbxRefused):
        await control.callbacks.call_back(NUMBER, "8001")
    del simulated.refused["Originate"]
    await control.callbacks.call_back(NUMBER, "8001")
