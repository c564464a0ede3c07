"""The live picture made anew after a lost link, whatever happens meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from telephony.errors import PbxUnavailable
from telephony.live import picture as live_picture
from telephony.live_calls import LiveCalls
from tests.unit.live_picture import _sizes, live, simulated, the_call, told
from tests.unit.simulated_pbx import SimChannel, SimulatedPbx

__all__ = ["live", "simulated"]  # fixtures


async def test_without_a_link_there_is_no_picture_and_then_it_is_rebuilt(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    simulated.talk(citizen)
    leaving = simulated.citizen("13900000002")
    await told(live)
    port, down = simulated.port, asyncio.Event()
    live._pbx.client.on_down(down.set)
    await simulated.stop()
    await down.wait()
    with pytest.raises(PbxUnavailable):
        live.calls()
    with pytest.raises(PbxUnavailable):
        live.call(citizen.uniqueid)

    simulated.hangup(leaving)  # nobody hears of it
    await simulated.start(port)
    await live._pbx.client.wait_up(5)
    call = await the_call(live)
    assert (call.id, call.state) == (citizen.uniqueid, "talking")
    assert [party.party for party in call.parties if party.role == "agent"] == ["8001"]


async def test_a_hand_over_that_runs_is_known_after_a_rebuild(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen, other = simulated.citizen(), simulated.citizen("13900000002")
    simulated.talk(citizen)
    simulated.talk(other, "PJSIP/8002")
    one_key, three_way = f"{citizen.account}-h2", f"{other.account}-h1"
    citizen.variables = {
        "SHARED(HANDOVER)": one_key,
        "HANDOVER_ID": one_key,
        "DESK": "110",
        "BY": "8001",
        "KIND": "one-key",
        "REASON": "%E7%9B%97",
    }
    other.variables = {"SHARED(HANDOVER)": three_way}
    caller = simulated.new("Local/12345@hotline-third")
    caller.variables = {"HANDOVER_ID": three_way, "DESK": "12345", "BY": "8002"}
    unknown = simulated.citizen("13900000003")
    unknown.variables = {"SHARED(HANDOVER)": f"{unknown.account}-h1"}
    pressing = simulated.citizen("13900000004")
    pressing.variables = {"SHARED(HANDOVER)": "calling"}
    await live.rebuild()
    assert live.call(unknown.uniqueid).state == "handing-over"
    assert live.call(pressing.uniqueid).handover is None
    first, second = live.call(citizen.uniqueid), live.call(other.uniqueid)
    assert first.handover is not None
    assert (first.handover.id, first.handover.desk, first.handover.reason) == (one_key, "110", "盗")
    assert second.handover is not None
    assert (second.handover.id, second.handover.desk, second.handover.kind) == (
        three_way,
        "12345",
        "three-way",
    )


def _call_and_hang_up(simulated: SimulatedPbx) -> None:
    citizen = simulated.citizen("13900000009")
    agent = simulated.talk(citizen, "PJSIP/8002")
    simulated.hangup(agent, citizen)


@pytest.mark.parametrize("moment", ["before_status", "after_status"])
async def test_what_happens_during_the_rebuild_is_not_lost(
    simulated: SimulatedPbx, live: LiveCalls, moment: str
) -> None:
    leaving, staying = simulated.citizen(), simulated.citizen("13900000002")
    agent = simulated.talk(leaving)
    coming: list[SimChannel] = []

    def meanwhile() -> None:
        _call_and_hang_up(simulated)
        simulated.hangup(agent, leaving)
        simulated.talk(staying)
        coming.append(simulated.citizen("13900000003"))

    setattr(simulated, moment, meanwhile)
    await live.rebuild()
    await told(live)
    assert {(call.id, call.state) for call in live.calls()} == {
        (staying.uniqueid, "talking"),
        (coming[0].uniqueid, "queued"),
    }


async def test_a_list_that_stops_half_way_is_asked_for_again(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    citizen = simulated.citizen()
    simulated.silent.add("Status")
    simulated.asked.clear()
    rebuilding = asyncio.create_task(live.rebuild())
    await simulated.asked.wait()
    assert not live.ready
    simulated.silent.clear()
    await rebuilding
    assert live.ready
    assert (await the_call(live)).id == citizen.uniqueid
    assert len(simulated.actions) >= 2


async def test_more_events_than_are_kept_while_the_pbx_is_asked_then_it_is_asked_again(
    simulated: SimulatedPbx, live: LiveCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_picture, "MOST_WAITING", 3)
    tries = 0

    def meanwhile() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            simulated.talk(simulated.citizen())

    simulated.before_status = meanwhile
    await live.rebuild()
    assert tries == 2
    assert (await the_call(live)).state == "talking"


async def test_a_pbx_that_does_not_tell_then_what_is_kept_for_it_does_not_grow(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    """Each question begins anew: what came before it, its answer counts."""
    simulated.silent.add("Status")
    rebuilding = asyncio.create_task(live.rebuild())
    for _ in range(2):
        simulated.asked.clear()
        await simulated.asked.wait()
        _call_and_hang_up(simulated)
    await told(live)
    kept = len(live._waiting or [])
    simulated.asked.clear()
    await simulated.asked.wait()
    await told(live)
    assert kept > 0
    assert live._waiting == []
    simulated.silent.clear()
    await rebuilding
    assert live.calls() == []


async def test_a_pbx_that_tells_no_channels_leaves_no_picture(
    simulated: SimulatedPbx, live: LiveCalls
) -> None:
    simulated.refused["Status"] = "Permission denied"
    await live.rebuild()
    assert not live.ready
    simulated.citizen()
    await told(live)
    assert _sizes(live) == [0, 0, 0, 0, 0, 0]
    assert live._waiting is None
    with pytest.raises(PbxUnavailable):
        live.calls()
