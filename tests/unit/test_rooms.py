"""The live picture of three-way rooms, from the events of a simulated manager interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telephony.errors import ConferenceNotFound, PbxUnavailable
from telephony.rooms.watch import Room, Rooms
from tests.unit.api_fixtures import Running, running, told
from tests.unit.simulated_pbx import SimChannel


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as one:
        yield one


class Stage:
    """A citizen and an agent, who join and leave rooms."""

    def __init__(self, run: Running) -> None:
        self.run = run
        self.rooms: Rooms = run.service.rooms
        self.citizen = run.simulated.citizen("13900000001")
        self.agent = run.simulated.talk(self.citizen)
        self.case = self.citizen.account
        self.agent.account = self.case

    async def tell(self, event: str, channel: SimChannel, room: str = "", **more: str) -> None:
        self.run.simulated.tell(event, channel, Conference=room or self.case, **more)
        await told(self.run)

    async def both_join(self) -> Room:
        for one in (self.citizen, self.agent):
            await self.tell("ConfbridgeJoin", one, Muted="No")
        return self.rooms.room(self.case)


@pytest.fixture
async def stage(run: Running) -> Stage:
    made = Stage(run)
    await told(run)
    return made


async def test_given_parties_join_and_leave_then_the_room_is_as_they_are(stage: Stage) -> None:
    room = await stage.both_join()
    assert list(room.members) == [stage.citizen.uniqueid, stage.agent.uniqueid]
    assert room.member(stage.agent.name) is room.members[stage.agent.uniqueid]
    await stage.tell("ConfbridgeMute", stage.agent)
    await stage.tell("ConfbridgeTalking", stage.citizen, TalkingStatus="on")
    assert room.members[stage.agent.uniqueid].muted
    assert room.members[stage.citizen.uniqueid].talking
    await stage.tell("ConfbridgeUnmute", stage.agent)
    await stage.tell("ConfbridgeTalking", stage.citizen, TalkingStatus="off")
    assert not room.members[stage.agent.uniqueid].muted
    assert not room.members[stage.citizen.uniqueid].talking
    await stage.tell("ConfbridgeLeave", stage.citizen)
    assert stage.rooms.rooms() == [room]
    await stage.tell("ConfbridgeLeave", stage.agent)
    assert stage.rooms.rooms() == []
    with pytest.raises(ConferenceNotFound):
        stage.rooms.room(stage.case)
    # Its outcome can still be noted, by those who were in it.
    ended = stage.rooms.ended(stage.case)
    assert ended is not None
    assert ended.parties == {"8001"}


@pytest.mark.parametrize("order", ["leave first", "join first"])
async def test_given_a_party_is_held_then_it_is_of_the_room_and_keeps_its_time(
    stage: Stage, order: str
) -> None:
    room = await stage.both_join()
    joined = room.members[stage.agent.uniqueid].joined
    moves = [("ConfbridgeLeave", ""), ("ConfbridgeJoin", f"{stage.case}-hold")]
    for event, place in moves if order == "leave first" else reversed(moves):
        await stage.tell(event, stage.agent, place, Muted="No")
    held = room.members[stage.agent.uniqueid]
    assert held.held
    assert held.joined == joined
    # What is said of the music is nothing about the talk.
    await stage.tell("ConfbridgeTalking", stage.agent, f"{stage.case}-hold", TalkingStatus="on")
    assert not held.talking
    for event, place in (("ConfbridgeLeave", f"{stage.case}-hold"), ("ConfbridgeJoin", "")):
        await stage.tell(event, stage.agent, place, Muted="Yes")
    back = room.members[stage.agent.uniqueid]
    assert (back.held, back.muted, back.joined) == (False, True, joined)


async def test_given_rooms_of_others_on_the_pbx_then_they_are_not_ours(stage: Stage) -> None:
    await stage.tell("ConfbridgeJoin", stage.agent, "weekly-meeting", Muted="No")
    assert stage.rooms.rooms() == []


@pytest.mark.parametrize("first", [True, False])
async def test_given_recording_then_it_is_shown_whenever_it_began(
    stage: Stage, first: bool
) -> None:
    if first:
        await stage.tell("ConfbridgeRecord", stage.citizen)
    room = await stage.both_join()
    if not first:
        assert room.recording == "off"
        await stage.tell("ConfbridgeRecord", stage.citizen)
    assert room.recording == "on"
    await stage.tell("ConfbridgeStopRecord", stage.citizen)
    assert stage.rooms.room(stage.case).recording == "paused"


async def test_given_no_link_then_there_is_no_picture(stage: Stage) -> None:
    await stage.both_join()
    down = asyncio.Event()
    stage.run.service.client.on_down(down.set)
    stage.run.simulated.cut_links()
    await asyncio.wait_for(down.wait(), 5)
    with pytest.raises(PbxUnavailable):
        stage.rooms.rooms()


async def test_given_a_three_way_call_over_http_then_wrong_requests_have_their_codes(
    run: Running, stage: Stage
) -> None:
    await stage.both_join()
    stage.run.simulated.refused["ConfbridgeMute"] = "No Conference by that name found."
    stage.run.simulated.refused["ConfbridgeList"] = "No Conference by that name found."
    base = f"/api/v1/conferences/{stage.case}"
    async with run.as_("supervisor") as client:
        shown = (await client.get(base)).json()
        assert [one["party"] for one in shown["parties"]] == ["13900000001", "8001"]
        assert (await client.get("/api/v1/conferences")).json()["items"] == [shown]
        for path, status, code in (
            (f"{base}/parties/1.1/mute", 404, "party-not-found"),
            (f"{base}/parties/{stage.agent.name}/mute", 409, "not-in-room"),
            (f"{base}/parties/{stage.agent.name}/hold", 409, "wrong-state"),
            (f"{base}/recording/pause", 409, "wrong-state"),
            ("/api/v1/conferences/1.1/lock", 404, "conference-not-found"),
        ):
            answer = await client.post(path)
            assert (answer.status_code, answer.json()["code"]) == (status, code), path
        out = await client.delete(f"{base}/parties/{stage.citizen.uniqueid}")
        assert (out.status_code, out.json()["code"]) == (409, "wrong-state")
