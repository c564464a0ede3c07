"""The live picture: states of a call, its names, and that nothing is left."""

from __future__ import annotations

import pytest

from telephony.ami_client import AmiClient
from telephony.errors import CallNotFound
from telephony.live.model import Call, Channel, Directory, devices
from telephony.live_calls import EVENTS, LiveCalls
from telephony.pbx import Pbx
from telephony.settings import Desk
from tests.unit.live_picture import _sizes, live, simulated, the_call, told
from tests.unit.simulated_pbx import SimulatedPbx

__all__ = ["live", "simulated"]  # fixtures


async def test_given_a_citizen_when_the_call_goes_on_then_the_state_follows(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen("13900000001")
    assert (await the_call(live)).state == "queued"  # hears the greeting
    simulated.queue(citizen)
    assert (await the_call(live)).state == "queued"
    agent = simulated.ring(citizen, "PJSIP/8001")
    assert (await the_call(live)).state == "ringing"
    simulated.up(agent)
    simulated.unqueue(citizen)
    simulated.enter_bridge(citizen, "b")
    simulated.enter_bridge(agent, "b")
    call = await the_call(live)
    assert call.state == "talking"
    assert (call.id, call.case) == (citizen.uniqueid, citizen.account)
    assert [(party.role, party.party) for party in call.parties] == [
        ("citizen", "13900000001"),
        ("agent", "8001"),
    ]
    talking = live.agent_channel(call)
    assert talking is not None
    assert talking.uniqueid == agent.uniqueid
    simulated.hangup(agent, citizen)
    await told(live)
    assert live.calls() == []


async def test_given_talking_when_handed_over_then_it_runs_until_its_outcome(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    agent = simulated.talk(citizen)
    simulated.leave_bridge(citizen)
    simulated.leave_bridge(agent)
    handover = simulated.offered(citizen, "110", by="8001", kind="one-key")
    call = await the_call(live)
    assert call.state == "handing-over"
    assert call.handover is not None
    assert (call.handover.id, call.handover.desk, call.handover.by) == (handover, "110", "8001")
    assert live.agent_channel(call) is None

    simulated.fact(citizen, "HOTLINE_ENDED", id="another", outcome="busy")
    assert (await the_call(live)).state == "handing-over"
    simulated.fact(citizen, "HOTLINE_ENDED", id=handover, outcome="busy")
    simulated.fact(citizen, "HOTLINE_RETURNED", id=handover, to="agent", by="8001")
    simulated.enter_bridge(citizen, "b2")
    simulated.enter_bridge(agent, "b2")
    call = await the_call(live)
    assert (call.state, call.handover) == ("talking", None)


async def test_given_an_offer_when_the_desk_takes_it_then_the_desk_talks(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    agent = simulated.talk(citizen)
    simulated.leave_bridge(citizen)
    simulated.leave_bridge(agent)
    handover = simulated.offered(citizen, "110", by="8001", kind="one-key")
    desk = simulated.ring(citizen, "PJSIP/trunk")  # by the trunk the citizen came in on
    desk.context = "hotline-trunk"
    simulated.up(desk)
    simulated.fact(desk, "HOTLINE_ACCEPTED", id=handover, desk="110", leg=desk.uniqueid)
    simulated.hangup(agent)
    simulated.enter_bridge(citizen, "b2")
    simulated.enter_bridge(desk, "b2")
    call = await the_call(live)
    assert (call.state, call.handover) == ("talking", None)
    talking = live.agent_channel(call)
    assert talking is not None
    assert (talking.role, talking.party) == ("target", "110")


async def test_given_a_room_when_a_third_joins_then_it_is_a_three_way(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    agent = simulated.talk(citizen)
    announcer = simulated.new("CBAnn/room")
    third = simulated.new("PJSIP/12345")  # originated: a linkedid of its own, the case as account
    simulated.account(third, citizen.account)
    simulated.up(third)
    for channel in (announcer, third, citizen, agent):
        if channel.bridge:
            simulated.leave_bridge(channel)
        simulated.enter_bridge(channel, "room")
    call = await the_call(live)
    assert call.state == "three-way"
    assert {party.party for party in call.parties} == {citizen.caller, "8001", "12345"}
    talking = live.agent_channel(call)
    assert talking is not None
    assert talking.party == "8001"
    simulated.hangup(third)
    assert (await the_call(live)).state == "talking"


async def test_given_nobody_answers_when_the_queue_is_left_then_a_message_is_taken(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    simulated.queue(citizen)
    agent = simulated.ring(citizen, "PJSIP/8001")
    simulated.hangup(agent)
    simulated.unqueue(citizen)
    assert (await the_call(live)).state == "queued"
    citizen.context = "hotline-message"
    simulated.fact(citizen, "HOTLINE_MESSAGE_BEGINS")
    assert (await the_call(live)).state == "message"


async def test_given_closed_hours_when_a_citizen_calls_then_a_message_is_taken(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.new("PJSIP/trunk", context="hotline-trunk", state="Ring", caller="139")
    simulated.up(citizen, "hotline-message")
    assert (await the_call(live)).state == "message"


async def test_a_call_is_found_by_each_of_its_names(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    agent = simulated.talk(citizen)
    other = simulated.citizen("13900000002")
    await told(live)
    for name in (citizen.uniqueid, citizen.account, citizen.name, agent.uniqueid, agent.name):
        assert live.call(name).id == citizen.uniqueid
    assert live.call(other.account).id == other.uniqueid
    helper = simulated.new("Local/110@hotline-third")
    await told(live)
    for unknown in ("", "1.1", "20261124-1.1", helper.uniqueid, helper.name):
        with pytest.raises(CallNotFound):
            live.call(unknown)


async def test_given_a_rename_then_the_new_name_counts(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    agent = simulated.talk(citizen)
    old, agent.name = agent.name, "PJSIP/8002-000000ff"
    simulated.emit("Rename", {"Channel": old, "Newname": agent.name, "Uniqueid": agent.uniqueid})
    await told(live)
    assert live.call(agent.name).id == citizen.uniqueid
    with pytest.raises(CallNotFound):
        live.call(old)


async def test_calls_without_a_citizen_are_shown_too(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    first = simulated.new("PJSIP/8001", state="Ring")
    second = simulated.ring(first, "PJSIP/8002")
    assert (await the_call(live)).state == "ringing"
    for channel in (first, second):
        simulated.up(channel)
        simulated.enter_bridge(channel, "b")
    call = await the_call(live)
    assert (call.id, call.state, call.citizen) == (first.uniqueid, "talking", None)
    assert live.call(second.name).id == first.uniqueid
    assert live.agent_channel(call) is None


async def test_nothing_is_left_of_a_thousand_calls(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    for number in range(1000):
        citizen = simulated.citizen(f"139{number:08d}")
        agent = simulated.talk(citizen)
        simulated.leave_bridge(citizen)
        simulated.leave_bridge(agent)
        handover = simulated.offered(citizen, "110", by="8001", kind="one-key")
        if number % 2:
            desk = simulated.ring(citizen, "PJSIP/110")
            simulated.fact(desk, "HOTLINE_ACCEPTED", id=handover, desk="110", leg=desk.uniqueid)
            simulated.enter_bridge(citizen, f"c{number}")
            simulated.enter_bridge(desk, f"c{number}")
            simulated.hangup(desk)
        simulated.hangup(agent, citizen)
        if number % 50 == 0:
            await told(live)
    await told(live)
    assert live.calls() == []
    assert _sizes(live) == [0, 0, 0, 0, 0, 0]


def test_devices_of_a_dial_string() -> None:
    assert devices("PJSIP/110") == ["PJSIP/110"]
    assert devices("PJSIP/110@police&PJSIP/111") == ["PJSIP/police", "PJSIP/111"]
    assert devices("PJSIP/trunk/sip:110@10.0.0.1") == ["PJSIP/10.0.0.1"]
    assert devices("") == []


async def test_desks_behind_one_trunk_are_told_apart_by_the_dialplan_only(
    simulated: SimulatedPbx,
) -> None:
    desks = [Desk(id=name, name=name, dial=f"PJSIP/{name}@city") for name in ("110", "12345")]
    settings = simulated.settings(desks=desks, keys=[])
    client = AmiClient.from_settings(settings.pbx, events=EVENTS)
    live = LiveCalls(Pbx(client, settings), settings)
    await client.start()
    await client.wait_up(5)

    def desk_of(call: Call) -> list[tuple[str, str]]:
        return [(party.role, party.party) for party in call.parties[1:]]

    citizen = simulated.citizen()
    desk = simulated.ring(citizen, "PJSIP/city")
    assert desk_of(await the_call(live)) == [("target", "")]
    simulated.fact(desk, "HOTLINE_ACCEPTED", id="h", desk="12345", leg=desk.uniqueid)
    assert desk_of(await the_call(live)) == [("target", "12345")]
    simulated.hangup(desk)
    simulated.offered(citizen, "110", by="8001", kind="one-key")
    simulated.ring(citizen, "PJSIP/city")
    assert desk_of(await the_call(live)) == [("target", "110")]
    await client.stop()


@pytest.mark.parametrize("order", [("110", "all"), ("all", "110")])
async def test_a_desks_own_phone_stays_its_own_when_others_ring_it_too(
    simulated: SimulatedPbx, order: tuple[str, ...]
) -> None:
    dials = {"110": "PJSIP/110", "all": "PJSIP/110&PJSIP/12345"}
    desks = [Desk(id=name, name=name, dial=dials[name]) for name in order]
    directory = Directory(simulated.settings(desks=desks, keys=[]))
    assert directory.of_device(Channel("1.1", "PJSIP/110-1")) == ("target", "110")
    assert directory.of_device(Channel("1.1", "PJSIP/12345-1")) == ("target", "all")
    assert directory.of_device(Channel("1.1", "PJSIP/8002-1")) == ("agent", "8002")
    assert directory.of_device(Channel("1.1", "PJSIP/1-1")) == ("other", "")
