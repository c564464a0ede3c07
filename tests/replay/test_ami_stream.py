"""AMI streams recorded from an Asterisk 22.10.1, in every kind of piece, through the client.

``ami_calls``: 16 calls on our own dialplan with SIP phones (one-key transfer, refused transfer,
three-way in ConfBridge, plain), every event class, with lists and commands between them.
``ami_channel_variables``: the same with ``channelvars`` set, so that every channel event repeats
its ``ChanVariable`` header.
"""

from __future__ import annotations

import asyncio
import gzip
import random
from collections import Counter
from pathlib import Path

import pytest

from telephony.ami_client import AmiClient, Event, Response
from tests.unit.fake_ami import FakeLink, fake_ami

STREAMS = {
    name: gzip.decompress((Path(__file__).parent / f"{name}.bin.gz").read_bytes())
    for name in ("ami_calls", "ami_channel_variables")
}


def truth(stream: bytes) -> list[list[tuple[str, str]]]:
    """Every packet of the stream as its header lines, read as slowly and plainly as can be."""
    packets: list[list[tuple[str, str]]] = [[]]
    for line in stream.split(b"\r\n")[1:]:
        if line:
            name, _, value = line.decode("utf-8", "replace").partition(": ")
            packets[-1].append((name, value))
        elif packets[-1]:
            packets.append([])
    return packets[:-1]


def headers(packet: Event | Response) -> list[tuple[str, str]]:
    return [(name, value) for name in packet for value in packet.getall(name)]


async def replay(stream: bytes, client: AmiClient, pieces: int) -> None:
    """Send the stream, after the client's own login, in so many pieces of random length."""
    cuts = sorted(random.Random(pieces).sample(range(1, len(stream)), pieces - 1))
    sent = asyncio.Event()

    async def play(link: FakeLink, action: dict[str, list[str]]) -> None:
        await link.reply(action)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            await link.send(stream[start:end])
            await asyncio.sleep(0)
        await link.event("ReplayEnd")
        sent.set()

    ended = asyncio.Event()
    client.add_event_listener(lambda event: ended.set(), ["ReplayEnd"])
    async with fake_ami() as server, asyncio.timeout(60):
        server.answers["Login"] = play
        client._port = server.port
        await client.start()
        await sent.wait()
        await ended.wait()
        await client.stop()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("pieces", [1, 50, 5000])
async def test_every_packet_of_a_real_stream_is_read_as_it_was_sent(name: str, pieces: int) -> None:
    stream = STREAMS[name].partition(b"\r\n")[2]
    client = AmiClient("127.0.0.1", 1, "hotline", "s3cret")
    events: list[Event] = []
    responses: list[Response] = []
    unknown: list[str] = []
    client.add_event_listener(events.append)
    client.add_listener(
        on_response=lambda source, response: responses.append(response),
        on_unknown=lambda source, pack: unknown.append(pack),
    )
    await replay(stream, client, pieces)
    expected = truth(STREAMS[name])
    expected_events = [packet for packet in expected if packet[0][0] == "Event"]
    expected_responses = [packet for packet in expected if packet[0][0] == "Response"]
    assert len(expected_events) > 1000
    assert unknown == []
    assert len(events) == len(expected_events) + 1  # ReplayEnd
    for event, packet in zip(events, expected_events, strict=False):
        assert event.name == packet[0][1]
        assert sorted(headers(event)) == sorted(packet[1:])
    for response, packet in zip(responses[1:], expected_responses, strict=False):
        assert response.status == packet[0][1]
        assert sorted(headers(response)) == sorted(packet[1:])


async def test_the_filter_delivers_exactly_the_named_events_of_a_real_stream() -> None:
    wanted = {"Newchannel", "Hangup", "BridgeEnter", "UserEvent", "ConfbridgeLeave"}
    client = AmiClient("127.0.0.1", 1, "hotline", "s3cret", events=wanted | {"ReplayEnd"})
    heard: Counter[str] = Counter()
    client.add_event_listener(lambda event: heard.update([event.name]), wanted)
    await replay(STREAMS["ami_calls"].partition(b"\r\n")[2], client, 200)
    names = Counter(
        packet[0][1] for packet in truth(STREAMS["ami_calls"]) if packet[0][0] == "Event"
    )
    assert heard == {name: names[name] for name in wanted}


async def test_real_repeated_headers_are_kept() -> None:
    client = AmiClient("127.0.0.1", 1, "hotline", "s3cret")
    cases: list[list[str]] = []
    client.add_event_listener(
        lambda event: cases.append(event.getall("ChanVariable")), ["Newexten"]
    )
    await replay(STREAMS["ami_channel_variables"].partition(b"\r\n")[2], client, 10)
    assert cases
    assert all(len(variables) == 3 for variables in cases)
    assert any(one.startswith("CASE_ID=2") for variables in cases for one in variables)
