"""How the AMI link begins and ends: refused, not answered, hooks when it is up, stopped."""

from __future__ import annotations

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from telephony.ami_client import Event, LinkRefused
from telephony.errors import HotlineError, PbxUnavailable
from tests.unit.ami_clients import Make, make, server, up
from tests.unit.fake_ami import FakeAmi, FakeLink, silence

__all__ = ["make", "server"]  # fixtures

Action = dict[str, list[str]]


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
