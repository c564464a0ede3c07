"""The AMI link: lost, reset, silent, refused, slow; it comes back, and never sends twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from telephony.ami.packets import PacketStream
from telephony.ami_client import AmiClient, Event, LinkRefused
from telephony.errors import HotlineError, PbxTimeout, PbxUnavailable
from tests.unit.fake_ami import BANNER, FakeAmi, FakeLink, fake_ami, silence

Action = dict[str, list[str]]
Make = Callable[..., AmiClient]


@pytest.fixture
async def server() -> AsyncIterator[FakeAmi]:
    async with fake_ami() as server:
        yield server


@pytest.fixture
async def make(server: FakeAmi) -> AsyncIterator[Make]:
    """Clients of the fake PBX that are stopped after the test, leaving no task and no socket."""
    clients: list[AmiClient] = []

    def make(**options: Any) -> AmiClient:
        client = AmiClient(
            "127.0.0.1",
            server.port,
            "hotline",
            options.pop("secret", "s3cret"),
            **{"retry_first": 0.02, "retry_max": 0.1, **options},
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.stop()
        assert client._transport is None
        assert client._timer is None
    await server.close()
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("ami-")]
    assert left == []


async def up(client: AmiClient) -> AmiClient:
    await client.start()
    await client.wait_up(5)
    return client


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


# -- signing in ------------------------------------------------------------------------------------


async def test_given_wrong_secret_when_started_then_clear_error_at_once_and_slow_retry(
    server: FakeAmi, make: Make
) -> None:
    client = make(secret="wrong", retry_refused=0.3)
    await client.start()
    with pytest.raises(LinkRefused, match=r"refused the login of 'hotline' \(Authentication") as e:
        await client.wait_up(5)
    assert "wrong" not in e.value.detail
    with pytest.raises(PbxUnavailable, match="refused the login"):
        client.submit("Ping")
    assert len(server.links) == 1
    server.secret = "wrong"  # the admin corrects manager.conf
    async with asyncio.timeout(5):
        await server.linked(2)
        while not client.up:  # noqa: ASYNC110 (wait_up would raise the refusal)
            await asyncio.sleep(0.01)


async def test_given_no_banner_when_deadline_passes_then_said_so_and_tried_again(
    server: FakeAmi, make: Make
) -> None:
    server.banner = b""
    client = make(connect_timeout=0.1)
    await client.start()
    with pytest.raises(PbxUnavailable, match=r"did not greet within 0\.1 s"):
        await client.wait_up(0.3)
    server.banner = b"Asterisk Call Manager/10.0.0\r\n"
    await client.wait_up(5)


async def test_given_another_service_on_the_port_when_it_greets_then_said_so(
    server: FakeAmi, make: Make
) -> None:
    server.banner = b"SSH-2.0-OpenSSH_9.2\r\n"
    client = make()
    await client.start()
    with pytest.raises(PbxUnavailable, match="no Asterisk manager"):
        await client.wait_up(0.3)


async def test_given_banner_in_pieces_when_it_is_whole_then_signed_in(
    server: FakeAmi, make: Make
) -> None:
    server.banner = b"Asterisk Call"
    client = make()
    await client.start()
    async with asyncio.timeout(5):
        while not server.links:  # noqa: ASYNC110 (the fake tells only of actions)
            await asyncio.sleep(0.01)
    await server.link.send(b" Manager/10.0.0\r")
    await server.link.send(b"\n")
    await client.wait_up(5)


async def test_given_login_without_answer_when_deadline_passes_then_tried_again(
    server: FakeAmi, make: Make
) -> None:
    server.answers["Login"] = silence
    client = make(connect_timeout=0.1, action_timeout=60)
    await client.start()
    with pytest.raises(PbxUnavailable, match="did not answer the login"):
        await client.wait_up(0.3)
    del server.answers["Login"]
    await client.wait_up(5)


# -- hooks -----------------------------------------------------------------------------------------


async def test_given_hooks_when_linked_then_they_run_before_wait_up_returns_and_may_ask(
    server: FakeAmi, make: Make
) -> None:
    client = make()
    order: list[str] = []

    async def broken() -> None:
        raise HotlineError("no")

    async def broken_badly() -> None:
        raise RuntimeError("no")

    async def asks() -> None:
        assert not client.up
        await client.action("CoreShowChannels")
        order.append("hook")

    client.on_up(broken)
    client.on_up(broken_badly)
    client.on_up(asks)
    with capture_logs() as logs:
        await up(client)
    order.append("up")
    assert order == ["hook", "up"]
    assert len([log for log in logs if log["event"] == "hook failed"]) == 2
    server.link.reset()
    await server.linked(2)
    await client.wait_up(5)
    assert order == ["hook", "up", "hook"]


async def test_given_hook_that_waits_when_link_is_lost_then_the_next_link_is_not_held_up(
    server: FakeAmi, make: Make
) -> None:
    client = make()
    begun = asyncio.Event()

    async def hangs_once() -> None:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()

    client.on_up(hangs_once)
    await client.start()
    async with asyncio.timeout(5):
        await begun.wait()
    server.link.reset()
    await client.wait_up(5)
    assert len(server.links) == 2


async def test_given_pbx_still_starting_when_it_has_booted_then_hooks_run_again(
    server: FakeAmi, make: Make
) -> None:
    client = make()
    runs: list[int] = []
    twice = asyncio.Event()

    async def resync() -> None:
        runs.append(len(runs))
        if len(runs) == 2:
            twice.set()

    client.on_up(resync)
    await up(client)
    assert runs == [0]
    await server.link.event("FullyBooted", Status="Fully Booted")
    async with asyncio.timeout(5):
        await twice.wait()


async def test_given_pbx_that_is_booted_when_linked_then_hooks_run_once(
    server: FakeAmi, make: Make
) -> None:
    async def accept(link: FakeLink, action: Action) -> None:
        await link.reply(action)
        await link.event("FullyBooted", Status="Fully Booted")

    server.answers["Login"] = accept
    runs: list[int] = []
    client = make()
    client.on_up(lambda: runs.append(1))
    await up(client)
    await client.action("Ping")
    assert runs == [1]


async def test_given_events_of_the_last_link_when_linked_again_then_heard_before_the_hooks(
    server: FakeAmi, make: Make
) -> None:
    client = make()
    order: list[str] = []
    gate = asyncio.Event()

    async def slow(event: Event) -> None:
        await gate.wait()
        order.append(event["Uniqueid"])

    client.add_event_listener(slow, ["Hangup"])
    client.on_up(lambda: order.append("hook"))
    await up(client)
    for number in range(3):
        await server.link.event("Hangup", Uniqueid=str(number))
    await client.action("Ping")
    server.link.reset()
    asyncio.get_running_loop().call_later(0.2, gate.set)
    await server.linked(2)
    await client.wait_up(5)
    assert order == ["hook", "0", "1", "2", "hook"]


# -- the end ---------------------------------------------------------------------------------------


async def test_given_everything_under_way_when_stopped_then_nothing_is_left(
    server: FakeAmi, make: Make
) -> None:
    before = asyncio.all_tasks()
    client = await up(make(action_timeout=60))
    sock: socket.socket = client._transport.get_extra_info("socket")  # type: ignore[union-attr]
    server.answers["Redirect"] = silence
    waiting = client.submit("Redirect")

    async def never(event: Event) -> None:
        await asyncio.Event().wait()

    client.add_event_listener(never, ["Hangup"])
    for _ in range(3):
        await server.link.event("Hangup")
    await client.action("Ping")
    await client.stop()
    await client.stop()
    with pytest.raises(PbxUnavailable, match="stopped"):
        await waiting
    with pytest.raises(PbxUnavailable, match="stopped"):
        await client.action("Ping")
    with pytest.raises(PbxUnavailable, match="stopped"):
        await client.wait_up(5)
    assert sock.fileno() == -1
    await server.close()
    assert {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)} == set()


async def test_given_no_pbx_when_stopped_while_trying_then_it_ends_at_once(
    server: FakeAmi, make: Make
) -> None:
    server.banner = b""
    client = make(connect_timeout=60)
    await client.start()
    async with asyncio.timeout(5):
        while not server.links:  # noqa: ASYNC110 (the fake tells only of actions)
            await asyncio.sleep(0.01)
        await client.stop()


async def test_given_stopped_client_when_started_again_then_it_works(make: Make) -> None:
    client = await up(make())
    await client.stop()
    await up(client)
    assert (await client.action("Ping")).ok
