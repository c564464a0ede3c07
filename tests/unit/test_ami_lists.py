"""List actions of the AMI client: whole, mixed, refused, cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from telephony.ami_client import AmiClient
from telephony.errors import PbxRefused, PbxTimeout
from tests.unit.fake_ami import FakeAmi, FakeLink, Heard, channels, fake_ami

Action = dict[str, list[str]]


@pytest.fixture
async def server() -> AsyncIterator[FakeAmi]:
    async with fake_ami() as server:
        yield server


@pytest.fixture
async def client(server: FakeAmi) -> AsyncIterator[AmiClient]:
    client = AmiClient("127.0.0.1", server.port, "hotline", "s3cret", retry_first=0.01)
    await client.start()
    await client.wait_up(5)
    yield client
    await client.stop()


@pytest.mark.parametrize("reply_at", [0, 2, 3])
async def test_a_list_is_collected_to_its_end(
    server: FakeAmi, client: AmiClient, reply_at: int
) -> None:
    server.answers["CoreShowChannels"] = channels(3, reply_at=reply_at)
    heard = Heard()
    client.add_event_listener(heard)
    events = await client.list_action("CoreShowChannels")
    assert [event["Uniqueid"] for event in events] == ["1.0", "1.1", "1.2"]
    assert heard.events == []
    assert not client._futures


async def test_a_list_whose_reply_comes_after_its_end_is_whole(
    server: FakeAmi, client: AmiClient
) -> None:
    async def answer(link: FakeLink, action: Action) -> None:
        await link.event("X", ActionID=action["ActionID"][0])
        await link.event("XComplete", ActionID=action["ActionID"][0], EventList="Complete")
        await link.reply(action, EventList="start")

    server.answers["List"] = answer
    assert len(await client.list_action("List")) == 1


async def test_two_lists_at_once_do_not_mix(server: FakeAmi, client: AmiClient) -> None:
    held: list[Action] = []

    async def answer(link: FakeLink, action: Action) -> None:
        held.append(action)
        await link.reply(action, EventList="start")
        if len(held) == 2:
            for number in range(4):
                for one in held:
                    await link.event(
                        "Row", ActionID=one["ActionID"][0], Of=one["Of"][0], N=str(number)
                    )
            for one in held:
                await link.event("RowsComplete", ActionID=one["ActionID"][0], EventList="Complete")

    server.answers["Rows"] = answer
    lists = await asyncio.gather(*(client.list_action("Rows", {"Of": of}) for of in "AB"))
    for of, events in zip("AB", lists, strict=True):
        assert [(event["Of"], event["N"]) for event in events] == [(of, n) for n in "0123"]


async def test_a_cancelled_list_is_refused(server: FakeAmi, client: AmiClient) -> None:
    server.answers["CoreShowChannels"] = channels(2, end="cancelled")
    with pytest.raises(PbxRefused, match="cancelled"):
        await client.list_action("CoreShowChannels")
    assert not client._futures


async def test_a_refused_list_is_refused(server: FakeAmi, client: AmiClient) -> None:
    async def refuse(link: FakeLink, action: Action) -> None:
        await link.reply(action, "Error", Message="Permission denied")

    server.answers["QueueStatus"] = refuse
    with pytest.raises(PbxRefused, match="Permission denied"):
        await client.list_action("QueueStatus")


async def test_a_list_that_stops_half_way_times_out_and_is_forgotten(
    server: FakeAmi, client: AmiClient
) -> None:
    server.answers["CoreShowChannels"] = channels(2, end="")
    heard = Heard()
    client.add_event_listener(heard)
    with pytest.raises(PbxTimeout, match="2 entries"):
        await client.list_action("CoreShowChannels", timeout=0.1)
    assert not client._futures
    late = server.link.received[-1]["ActionID"][0]
    await server.link.event("CoreShowChannel", ActionID=late, Uniqueid="1.9")
    await server.link.event("Hangup", Uniqueid="1.1")
    assert [event.name for event in await heard.until(1)] == ["Hangup"]


async def test_a_list_that_never_ends_times_out(server: FakeAmi, client: AmiClient) -> None:
    async def endless(link: FakeLink, action: Action) -> None:
        await link.reply(action, EventList="start")
        while True:
            await link.event("CoreShowChannel", ActionID=action["ActionID"][0])
            await asyncio.sleep(0.001)

    server.answers["CoreShowChannels"] = endless
    with pytest.raises(PbxTimeout):
        await client.list_action("CoreShowChannels", timeout=0.2)
    assert not client._futures
