"""What is asked of a PBX, against a simulated manager interface."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telephony.ami_client import AmiClient
from telephony.errors import InvalidValue, PbxRefused, PbxTimeout, PbxUnavailable
from telephony.pbx import Pbx, ask_hangup, ask_originate, ask_redirect, ask_set_var
from tests.unit.simulated_pbx import SimulatedPbx


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedPbx]:
    async with SimulatedPbx() as simulated:
        yield simulated


@pytest.fixture
async def pbx(simulated: SimulatedPbx) -> AsyncIterator[Pbx]:
    settings = simulated.settings()
    client = AmiClient.from_settings(settings.pbx)
    await client.start()
    await client.wait_up(5)
    yield Pbx(client, settings)
    await client.stop()


async def test_actions_sent_together_arrive_in_order(simulated: SimulatedPbx, pbx: Pbx) -> None:
    citizen = simulated.citizen()
    answers = await pbx.together(
        ask_set_var(citizen.name, "SHARED(A)", "1"),
        ask_set_var(citizen.name, "SHARED(B)", "2"),
        ask_redirect(citizen.name, "hotline-transfer", "110"),
    )
    assert [answer.ok for answer in answers] == [True, True, True]
    assert [action["Action"] for action in simulated.actions] == ["Setvar", "Setvar", "Redirect"]


async def test_one_bad_value_keeps_all_actions_back(simulated: SimulatedPbx, pbx: Pbx) -> None:
    citizen = simulated.citizen()
    for bad in ("110\r\nAction: Logoff", "110\n", "\r", "a\0b"):
        with pytest.raises(InvalidValue):
            await pbx.together(
                ask_set_var(citizen.name, "SHARED(A)", "1"),
                ask_redirect(citizen.name, "hotline-transfer", bad),
            )
        with pytest.raises(InvalidValue):
            await pbx.ask(ask_originate("PJSIP/110", "room", "s", variables={"A": bad}))
    for name, value in (("A", "1,FILE(/tmp/x)=y"), ("FILE(/tmp/x)", "y"), ("A", 'a"b')):
        with pytest.raises(InvalidValue):
            ask_originate("PJSIP/110", "room", "s", variables={name: value})
    await pbx.get_var(None, "EPOCH")  # what was sent before it has arrived with it
    assert [action["Action"] for action in simulated.actions] == ["Getvar"]


async def test_the_first_refusal_is_raised_after_all_answers(
    simulated: SimulatedPbx, pbx: Pbx
) -> None:
    citizen = simulated.citizen()
    with pytest.raises(PbxRefused, match="No such channel"):
        await pbx.together(ask_set_var("PJSIP/gone-1", "A", "1"), ask_hangup(citizen.name))
    assert [action["Action"] for action in simulated.actions] == ["Setvar", "Hangup"]


async def test_channels_with_their_variables(simulated: SimulatedPbx, pbx: Pbx) -> None:
    citizen = simulated.citizen("13900000001")
    agent = simulated.talk(citizen)
    agent.variables["PARTY"] = "a=b"
    channels = {one.name: one for one in await pbx.channels(["PARTY", "DESK"])}
    assert simulated.actions[0]["Variables"] == "PARTY,DESK"
    assert channels[citizen.name].caller == "13900000001"
    assert channels[citizen.name].variables == {}
    assert channels[agent.name].caller == ""
    assert channels[agent.name].bridge == citizen.bridge
    assert channels[agent.name].variables == {"PARTY": "a=b"}


async def test_redirect_with_the_other_party(simulated: SimulatedPbx, pbx: Pbx) -> None:
    citizen = simulated.citizen()
    await pbx.redirect(
        citizen.name, "hotline-room", "s", extra=("PJSIP/8001-1", "hotline-room", "s", 1)
    )
    (action,) = simulated.actions
    del action["ActionID"]
    assert action == {
        "Action": "Redirect",
        "Channel": citizen.name,
        "Context": "hotline-room",
        "Exten": "s",
        "Priority": "1",
        "ExtraChannel": "PJSIP/8001-1",
        "ExtraContext": "hotline-room",
        "ExtraExten": "s",
        "ExtraPriority": "1",
    }


async def test_originate_says_whose_number_the_phone_shows(
    simulated: SimulatedPbx, pbx: Pbx
) -> None:
    await pbx.ask(
        ask_originate(
            "PJSIP/110",
            "room",
            "s",
            caller_id="1390",
            account="case",
            variables={"A": "1"},
            ring_s=1.5,
        )
    )
    (action,) = simulated.actions
    assert action["CallerID"] == "1390"
    assert action["Account"] == "case"
    assert action["Variable"] == "A=1"
    assert action["Timeout"] == "1500"
    assert action["Async"] == "true"


async def test_an_extension_is_there_or_not(pbx: Pbx) -> None:
    assert await pbx.extension_exists("hotline-transfer", "110")
    assert not await pbx.extension_exists("hotline-transfer", "999")


async def test_the_pbx_own_database(pbx: Pbx) -> None:
    assert await pbx.db_get("hotline-hours", "20261001") is None
    await pbx.db_put("hotline-hours", "20261001", "closed")
    assert await pbx.db_get("hotline-hours", "20261001") == "closed"
    assert await pbx.db_del("hotline-hours", "20261001")
    assert not await pbx.db_del("hotline-hours", "20261001")


async def test_queue_members_and_callers(pbx: Pbx) -> None:
    queue = await pbx.queues("hotline")
    assert [(member.interface, member.in_call) for member in queue.members] == [
        ("PJSIP/8001", True)
    ]
    assert [(caller.uniqueid, caller.wait_s) for caller in queue.callers] == [("1.1", 7)]


async def test_an_empty_room_is_no_error(simulated: SimulatedPbx, pbx: Pbx) -> None:
    simulated.refused["ConfbridgeList"] = "No active conferences."
    assert await pbx.room("20261124-1.1") == []


async def test_no_answer_and_no_link(simulated: SimulatedPbx, pbx: Pbx) -> None:
    simulated.silent.add("Hangup")
    with pytest.raises(PbxTimeout):
        await pbx.hangup("PJSIP/8001-1")
    await simulated.stop()
    while pbx.up:
        with pytest.raises(PbxUnavailable):
            await pbx.hangup("PJSIP/8001-1")
    with pytest.raises(PbxUnavailable):
        await pbx.hangup("PJSIP/8001-1")
