"""Actions and events of the AMI client against a scripted PBX."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from telephony.ami_client import AmiClient, Event
from telephony.errors import InvalidValue, PbxRefused, PbxTimeout, PbxUnavailable
from tests.unit.fake_ami import FakeAmi, FakeLink, Heard, channels, fake_ami, silence

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


async def test_an_action_is_answered(server: FakeAmi, client: AmiClient) -> None:
    async def pong(link: FakeLink, action: Action) -> None:
        await link.reply(action, Ping="Pong", Message="fine")

    server.answers["Ping"] = pong
    response = await client.action("Ping")
    assert response.ok
    assert response["Ping"] == "Pong"
    assert response.message == "fine"


async def test_an_error_response_is_raised_with_the_pbx_s_words(
    server: FakeAmi, client: AmiClient
) -> None:
    async def refuse(link: FakeLink, action: Action) -> None:
        await link.reply(action, "Error", Message="Channel does not exist: x")

    server.answers["Redirect"] = refuse
    with pytest.raises(PbxRefused, match="refused Redirect: Channel does not exist: x"):
        await client.action("Redirect", {"Channel": "x"})
    assert not client._futures


async def test_submitted_actions_arrive_in_order_and_each_gets_its_own_answer(
    server: FakeAmi, client: AmiClient
) -> None:
    held: list[tuple[FakeLink, Action]] = []

    async def hold(link: FakeLink, action: Action) -> None:
        held.append((link, action))
        if len(held) == 3:
            for link, action in reversed(held):
                await link.reply(action, Message=action["Variable"][0])

    server.answers["Setvar"] = hold
    futures = [client.submit("Setvar", {"Variable": name}) for name in "ABC"]
    answers = await asyncio.gather(*futures)
    assert [answer.message for answer in answers] == ["A", "B", "C"]
    assert [action["Variable"] for _, action in held] == [["A"], ["B"], ["C"]]


async def test_a_list_value_is_a_repeated_header(server: FakeAmi, client: AmiClient) -> None:
    await client.action("Originate", {"Variable": ["A=1", "B=2", "A=3"], "Priority": 1})
    originate = server.link.received[-1]
    assert originate["Variable"] == ["A=1", "B=2", "A=3"]
    assert originate["Priority"] == ["1"]


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "8001\r\nAction: Originate\r\n"])
async def test_a_value_that_would_inject_an_action_is_refused_and_nothing_is_sent(
    server: FakeAmi, client: AmiClient, bad: str
) -> None:
    for name, headers in (
        ("Setvar", {"Value": bad}),
        ("Setvar", {"Val" + bad: "x"}),
        ("Set" + bad, {}),
    ):
        with pytest.raises(InvalidValue):
            client.submit(name, headers)
        with pytest.raises(InvalidValue):
            await client.list_action(name, headers)
    await client.action("Ping")
    assert server.link.names() == ["Login", "Ping"]
    assert not client._futures


@pytest.mark.parametrize("name", ["ActionID", "actionid", "Action"])
async def test_headers_that_are_the_client_s_are_refused(client: AmiClient, name: str) -> None:
    with pytest.raises(InvalidValue):
        client.submit("Ping", {name: "1"})


async def test_action_ids_are_unique_strings(server: FakeAmi, client: AmiClient) -> None:
    other = AmiClient("127.0.0.1", server.port, "hotline", "s3cret")
    ids = {one.next_action_id() for one in (client, other) for _ in range(100)}
    assert len(ids) == 200
    assert all(isinstance(one, str) for one in ids)


async def test_a_reply_that_never_comes_times_out_alone(server: FakeAmi, client: AmiClient) -> None:
    server.answers["Redirect"] = silence
    slow = client.submit("Redirect", timeout=0.1)
    slower = client.submit("Redirect", timeout=0.2)
    assert (await client.action("Ping")).ok
    with pytest.raises(PbxTimeout, match=r"did not answer Redirect within 0\.1 s"):
        await slow
    assert not slower.done()
    with pytest.raises(PbxTimeout):
        await slower
    assert not client._futures
    assert (await client.action("Ping")).ok
    assert len(server.links) == 1


async def test_a_shorter_time_out_after_a_longer_one_is_kept(
    server: FakeAmi, client: AmiClient
) -> None:
    server.answers["Redirect"] = silence
    longer = client.submit("Redirect", timeout=60)
    with pytest.raises(PbxTimeout):
        await asyncio.wait_for(client.action("Redirect", timeout=0.05), 5)
    assert not longer.done()


async def test_a_thousand_waiting_actions_have_one_timer(
    server: FakeAmi, client: AmiClient
) -> None:
    server.answers["Redirect"] = silence
    futures = [client.submit("Redirect", timeout=0.3) for _ in range(1000)]
    scheduled = [
        handle
        for handle in asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        if not handle.cancelled()
    ]
    assert len(scheduled) < 20
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(result, PbxTimeout) for result in results)


async def test_a_late_or_unknown_reply_is_ignored(server: FakeAmi, client: AmiClient) -> None:
    server.answers["Redirect"] = silence
    with pytest.raises(PbxTimeout):
        await client.action("Redirect", timeout=0.05)
    late = server.link.received[-1]
    await server.link.reply(late)
    await server.link.send(
        "Response: Success\r\nActionID: nobody-1\r\n\r\nResponse: Success\r\n\r\n"
    )
    assert (await client.action("Ping")).ok


async def test_a_caller_who_stops_waiting_leaves_nothing(
    server: FakeAmi, client: AmiClient
) -> None:
    server.answers["Redirect"] = silence
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.action("Redirect", timeout=0.2), 0.05)
    await server.link.reply(server.link.received[-1])
    assert (await client.action("Ping")).ok
    assert not client._futures


# -- events ----------------------------------------------------------------------------------------


async def test_a_listener_hears_what_it_named_until_it_is_removed(
    server: FakeAmi, client: AmiClient
) -> None:
    everything, hangups = Heard(), Heard()
    client.add_event_listener(everything)
    remove = client.add_event_listener(hangups, ["Hangup"])
    await server.link.event("Newchannel", Uniqueid="1.1")
    await server.link.event("Hangup", Uniqueid="1.1")
    await everything.until(2)
    assert everything.names == ["Newchannel", "Hangup"]
    assert hangups.names == ["Hangup"]
    remove()
    remove()
    await server.link.event("Hangup", Uniqueid="1.2")
    await everything.until(3)
    assert len(hangups.events) == 1


async def test_the_library_s_listener_rules_hold(server: FakeAmi, client: AmiClient) -> None:
    heard, everything = Heard(), Heard()
    client.add_event_listener(heard, black_list=["Hangup"], Channel="PJSIP/110-1")
    client.add_event_listener(everything)
    await server.link.event("Hangup", Channel="PJSIP/110-1")
    await server.link.event("Newstate", Channel="PJSIP/110-2")
    await server.link.event("Newstate", Channel="PJSIP/110-1")
    await everything.until(3)
    assert [(event.name, event["Channel"]) for event in heard.events] == [
        ("Newstate", "PJSIP/110-1")
    ]


async def test_the_library_s_hooks_are_called_and_isolated(server: FakeAmi) -> None:
    client = AmiClient("127.0.0.1", server.port, "hotline", "s3cret")
    seen: list[str] = []

    def broken(**_: object) -> None:
        raise RuntimeError("hook")

    names = ["on_action", "on_response", "on_event", "on_connect", "on_disconnect", "on_unknown"]
    client.add_listener(**dict.fromkeys(names, broken))
    client.add_listener(**{name: lambda name=name, **_: seen.append(name) for name in names})
    heard = Heard()
    client.add_event_listener(heard, ["Hangup"])
    with capture_logs() as logs:
        await client.start()
        await client.wait_up(5)
        await server.link.send("Something: else\r\n\r\n")
        await server.link.event("Hangup")
        await heard.until(1)
        await client.stop()
    assert set(seen) == set(names)
    assert {log["hook"] for log in logs if log["event"] == "AMI hook failed"} == set(names)


async def test_a_listener_that_raises_is_logged_and_the_others_hear(
    server: FakeAmi, client: AmiClient
) -> None:
    async def async_broken(event: Event) -> None:
        raise RuntimeError("late")

    def broken(event: Event) -> None:
        raise RuntimeError("at once")

    before, after = Heard(), Heard()
    client.add_event_listener(before)
    client.add_event_listener(broken)
    client.add_event_listener(async_broken)
    client.add_event_listener(after)
    with capture_logs() as logs:
        for _ in range(2):
            await server.link.event("Hangup")
        await before.until(2)
        await after.until(2)
        await client._backlog.drained()
    failed = [log for log in logs if log["event"] == "event listener failed"]
    assert len(failed) == 4
    assert (await client.action("Ping")).ok
    assert len(server.links) == 1


async def test_an_event_before_the_reply_is_heard_first(server: FakeAmi, client: AmiClient) -> None:
    order: list[str] = []
    client.add_event_listener(lambda event: order.append(event.name), ["OriginateResponse"])

    async def early(link: FakeLink, action: Action) -> None:
        await link.event("OriginateResponse", ActionID=action["ActionID"][0], Uniqueid="1.1")
        await link.reply(action)

    server.answers["Originate"] = early
    await client.action("Originate", {"Channel": "PJSIP/110"})
    assert order == ["OriginateResponse"]


async def test_the_name_filter_lets_lists_and_replies_through(server: FakeAmi) -> None:
    client = AmiClient("127.0.0.1", server.port, "hotline", "s3cret", events=["Hangup"])
    heard = Heard()
    client.add_event_listener(heard)
    await client.start()
    await client.wait_up(5)
    server.answers["CoreShowChannels"] = channels(2)
    await server.link.event("VarSet", Variable="A")
    await server.link.event("Hangup", Uniqueid="1.1")
    assert len(await client.list_action("CoreShowChannels")) == 2
    assert heard.names == ["Hangup"]
    with pytest.raises(ValueError, match="VarSet"):
        client.add_event_listener(heard, ["Hangup", "VarSet"])
    await client.stop()


@pytest.mark.parametrize("events", [None, ["Hangup", "BridgeEnter"]])
async def test_odd_packets_hide_no_event(server: FakeAmi, events: list[str] | None) -> None:
    client = AmiClient("127.0.0.1", server.port, "hotline", "s3cret", events=events)
    heard = Heard()
    client.add_event_listener(heard, ["Hangup", "BridgeEnter"])
    await client.start()
    await client.wait_up(5)
    stream = (
        "\r\nEvent: BridgeEnter\r\nUniqueid: 1\r\n\r\n"
        "\r\n\r\nEvent: Hangup\r\nUniqueid: 2\r\n\n"
        "Event: VarSet\r\nValue: x\r\n\n"
        "Event: Hangup\r\nUniqueid: 3\r\nCallerIDName: a\u2028b\x85c\x0bd\r\n\r\n"
    ).encode() + b"Event: Hangup\r\nUniqueid: 4\r\nCallerIDName: \xff\xfe\xc3\r\n\r\n"
    for start in range(len(stream)):
        await server.link.send(stream[start : start + 1])
    events_heard = await heard.until(4)
    assert [event["Uniqueid"] for event in events_heard] == ["1", "2", "3", "4"]
    assert events_heard[2]["CallerIDName"] == "a\u2028b\x85c\x0bd"
    await client.stop()


# -- slow listeners --------------------------------------------------------------------------------


async def test_slow_listeners_stop_the_reading_and_lose_nothing(server: FakeAmi) -> None:
    client = AmiClient("127.0.0.1", server.port, "hotline", "s3cret", backlog_limit=50)
    gate = asyncio.Event()
    numbers: list[int] = []
    finished = asyncio.Event()
    total = 40_000

    async def slow(event: Event) -> None:
        await gate.wait()
        numbers.append(int(event["N"]))
        if len(numbers) == total:
            finished.set()

    client.add_event_listener(slow, ["Tick"])
    await client.start()
    await client.wait_up(5)

    async def flood() -> None:
        for first in range(0, total, 100):
            ticks = [
                f"Event: Tick\r\nN: {n}\r\nPad: {'x' * 400}\r\n\r\n"
                for n in range(first, first + 100)
            ]
            await server.link.send("".join(ticks))

    flooding = asyncio.create_task(flood())
    async with asyncio.timeout(5):
        while not client._paused:  # noqa: ASYNC110 (nothing tells the outside of a pause)
            await asyncio.sleep(0.01)
    # One read brings at most 256 KiB; with that the backlog is bounded though 17 MB wait.
    assert client._backlog.size < 50 + 256 * 1024 // 400
    _, pending = await asyncio.wait({flooding}, timeout=0.2)
    assert pending, "the PBX's writes must back up"
    gate.set()
    async with asyncio.timeout(30):
        await flooding
        await finished.wait()
    assert numbers == list(range(total))
    assert not client._paused
    await client.stop()


async def test_a_slow_listener_that_asks_the_pbx_gets_its_answer(server: FakeAmi) -> None:
    client = AmiClient("127.0.0.1", server.port, "hotline", "s3cret", backlog_limit=10)
    answered: list[bool] = []
    finished = asyncio.Event()

    async def asks(event: Event) -> None:
        answered.append((await client.action("Ping", timeout=3)).ok)
        if len(answered) == 60:
            finished.set()

    client.add_event_listener(asks, ["Tick"])
    await client.start()
    await client.wait_up(5)
    await server.link.send("Event: Tick\r\nN: 1\r\n\r\n" * 60)
    async with asyncio.timeout(10):
        await finished.wait()
    assert all(answered)
    await client.stop()


async def test_an_action_without_a_link_fails_at_once(server: FakeAmi) -> None:
    client = AmiClient("127.0.0.1", server.port, "hotline", "s3cret")
    with pytest.raises(PbxUnavailable, match="not started"):
        await client.action("Ping")
    with pytest.raises(PbxUnavailable):
        client.submit("Ping")
