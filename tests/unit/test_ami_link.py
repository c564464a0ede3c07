"""The AMI link: lost, reset, silent, slow; it comes back, and never sends twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from telephony.ami.packets import PacketStream
from telephony.ami_client import AmiClient, Event
from telephony.errors import PbxTimeout, PbxUnavailable
from tests.unit.ami_clients import Make, make, server, up
from tests.unit.fake_ami import BANNER, FakeAmi, FakeLink, silence

__all__ = ["make", "server"]  # fixtures


def end_of_file(link: FakeLink) -> None:
    link.writer.close()


def reset(link: FakeLink) -> None:
    link.reset()


# -- loss ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [end_of_file, reset])
async def test_given_waiting_actions_when_link_is_lost_then_they_fail_at_once_and_are_never_resent(
    server: FakeAmi, make: Make, cut: Callable[[FakeLink], None]
) -> None:
    client = await up(make(action_timeout=60))
    server.answers["Redirect"] = silence
    server.answers["QueueStatus"] = silence
    redirect = client.submit("Redirect", {"Channel": "x"})
    listed = asyncio.create_task(client.list_action("QueueStatus"))
    await server.until(lambda: "QueueStatus" in server.link.names())
    cut(server.links[0])
    async with asyncio.timeout(2):
        for waiting in (redirect, listed):
            with pytest.raises(PbxUnavailable, match="was lost") as caught:
                await waiting
            assert not isinstance(caught.value, PbxTimeout)
    await server.linked(2)
    await client.wait_up(5)
    assert (await client.action("Ping")).ok
    assert server.links[1].names() == ["Login", "Ping"]


async def test_given_no_pbx_when_asked_then_unavailable_at_once_and_up_when_it_comes(
    server: FakeAmi, make: Make
) -> None:
    client = make()
    await server.close()
    await client.start()
    with pytest.raises(PbxUnavailable, match=r"cannot be reached.*Is Asterisk running"):
        await client.wait_up(0.2)
    with pytest.raises(PbxUnavailable):
        client.submit("Ping")
    assert not client.up
    await server.open()
    await client.wait_up(5)
    assert client.up


async def test_given_link_lost_when_asked_before_it_is_back_then_unavailable(
    server: FakeAmi, make: Make
) -> None:
    client = await up(make())
    went_down = asyncio.Event()
    client.on_down(went_down.set)
    await server.close()
    async with asyncio.timeout(5):
        await went_down.wait()
    assert not client.up
    with pytest.raises(PbxUnavailable):
        await client.action("Ping")


async def test_given_link_being_dropped_when_asked_then_unavailable(make: Make) -> None:
    client = await up(make())
    client._abort("the test says so")
    with pytest.raises(PbxUnavailable):
        client.submit("Ping")
    assert not client._futures


async def test_given_many_losses_when_pbx_returns_then_every_link_has_ids_of_its_own(
    server: FakeAmi, make: Make
) -> None:
    client = await up(make())
    ids: list[str] = []
    for number in range(1, 6):
        await client.action("Ping")
        ids += [action["ActionID"][0] for action in server.link.received]
        server.link.reset()
        await server.linked(number + 1)
        await client.wait_up(5)
    assert len(ids) == len(set(ids)) == 10


async def test_given_half_a_packet_when_link_is_lost_then_the_next_link_begins_afresh(
    server: FakeAmi, make: Make
) -> None:
    client = await up(make())
    heard: list[Event] = []
    again = asyncio.Event()
    client.add_event_listener(heard.append, ["Hangup"])
    client.add_event_listener(lambda event: again.set(), ["Hangup"])
    await server.link.send("Event: Hangup\r\nUniqueid: 1.1\r\nCau")
    server.link.writer.close()
    await server.linked(2)
    await client.wait_up(5)
    await server.link.event("Hangup", Uniqueid="1.2")
    async with asyncio.timeout(5):
        await again.wait()
    assert [event["Uniqueid"] for event in heard] == ["1.2"]


async def test_given_a_packet_without_end_when_it_passes_the_limit_then_the_link_is_dropped(
    server: FakeAmi, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.ami.link.PacketStream", lambda: PacketStream(limit=100_000))
    client = await up(make())
    with capture_logs() as logs:
        await server.link.send("Event: Hangup\r\nX: " + "x" * 150_000)
        await server.linked(2)
        await client.wait_up(5)
    assert any("100000 bytes has no end" in str(log.get("reason")) for log in logs)


# -- silence ---------------------------------------------------------------------------------------


async def test_given_idle_link_when_pings_are_answered_then_it_lives(
    server: FakeAmi, make: Make
) -> None:
    client = await up(make(ping_interval=0.05, ping_timeout=0.5))
    await server.until(lambda: server.link.names().count("Ping") >= 5)
    assert client.up
    assert len(server.links) == 1
    assert (await client.action("Status")).ok


async def test_given_busy_link_when_events_flow_then_no_ping_is_needed(
    server: FakeAmi, make: Make
) -> None:
    await up(make(ping_interval=0.3))
    for _ in range(20):
        await server.link.event("Hangup")
        await asyncio.sleep(0.02)
    assert "Ping" not in server.link.names()


async def test_given_silent_link_when_ping_is_not_answered_then_cut_and_linked_again(
    server: FakeAmi, make: Make
) -> None:
    client = await up(make(ping_interval=0.1, ping_timeout=0.1, action_timeout=60))
    server.answers["Redirect"] = silence
    server.answers["Ping"] = silence
    redirect = client.submit("Redirect")
    with pytest.raises(PbxUnavailable, match="silent"):
        async with asyncio.timeout(5):
            await redirect
    del server.answers["Ping"]
    await server.linked(2)
    await client.wait_up(5)
    assert "Redirect" not in server.links[-1].names()


async def test_given_slow_reader_when_8_mb_are_sent_then_all_arrives_and_link_lives() -> None:
    loop = asyncio.get_running_loop()
    value = "".join(chr(ord("a") + number % 26) for number in range(8 * 2**20))
    arrived = bytearray()

    async def read_slowly(listener: socket.socket) -> None:
        link, _ = await loop.sock_accept(listener)
        with link:
            await loop.sock_sendall(link, BANNER)
            login = (await loop.sock_recv(link, 4096)).decode()
            action_id = login.partition("ActionID: ")[2].partition("\r\n")[0]
            await loop.sock_sendall(
                link, f"Response: Success\r\nActionID: {action_id}\r\n\r\n".encode()
            )
            while value[-100:].encode() + b"\r\n" not in arrived[-70_000:]:
                await asyncio.sleep(0.005)
                arrived.extend(await loop.sock_recv(link, 65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        client = AmiClient(
            "127.0.0.1", port, "hotline", "s3cret",
            ping_interval=0.2, ping_timeout=0.2, action_timeout=60,
        )  # fmt: skip
        reading = asyncio.create_task(read_slowly(listener))
        await up(client)
        waiting = client.submit("Setvar", {"Value": value})
        async with asyncio.timeout(30):
            await reading
        with pytest.raises(PbxUnavailable):
            await waiting
        await client.stop()
    assert arrived.count(b"Action: Setvar") == 1
    assert f"Value: {value}\r\n".encode() in arrived
