"""The WebSocket of live events: what comes first, what is missed, who is dropped."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from api.routes import events
from tests.unit.api_fixtures import TOKENS, running, told
from tests.unit.live_listener import PATH, Served, served

__all__ = ["served"]  # fixtures


async def test_given_calls_when_somebody_connects_then_the_picture_comes_whole(
    served: Served,
) -> None:
    citizen = served.run.simulated.citizen()
    served.run.simulated.talk(citizen)
    served.run.simulated.offered(citizen, "110", by="8001", kind="one-key")
    waiting = served.run.simulated.citizen("13900000002")
    served.run.simulated.queue(waiting)
    await told(served.run)
    await asyncio.sleep(0.05)  # two frames' spacing: the changes have been published
    async with served.listening() as listener:
        first = await listener.next()
    assert (first["type"], first["pbx"], first["state"]) == ("snapshot", "pbx1", "up")
    async with served.run.as_("agent") as client:
        shown = (await client.get("/api/v1/calls")).json()["items"]
    assert {call["id"]: call for call in first["calls"]} == {call["id"]: call for call in shown}
    (queue,) = first["queues"]
    assert [(one["call"], one["position"]) for one in queue["callers"]] == [
        (waiting.uniqueid, 1),  # the simulated PBX puts everybody first
        ("1.1", 2),  # waited when we came
    ]
    assert [(one["id"], one["state"]) for one in first["agents"]] == [
        ("8001", "ready"),
        ("8002", "signed-out"),
    ]


async def test_given_a_listener_when_a_call_is_handed_over_then_each_step_comes_within_100_ms(
    served: Served,
) -> None:
    simulated = served.run.simulated
    async with served.listening() as listener:
        seq = (await listener.next())["seq"]
        began = time.monotonic()
        citizen = simulated.citizen()
        message = await listener.until("calls")
        assert time.monotonic() - began < 0.1
        assert message["seq"] > seq >= message["after"]
        assert message["calls"][0]["id"] == citizen.uniqueid
        agent = simulated.talk(citizen)
        while message["calls"][0]["state"] != "talking":
            message = await listener.until("calls")
        simulated.leave_bridge(citizen)
        handover = simulated.offered(citizen, "110", by="8001", kind="one-key")
        (begun,) = (await listener.until("handovers"))["handovers"]
        assert begun == {
            "event": "begun",
            "id": handover,
            "call": citizen.uniqueid,
            "case": citizen.account,
            "desk": "110",
            "by": "8001",
            "kind": "one-key",
            "reason": None,
        }
        simulated.fact(citizen, "HOTLINE_ENDED", id=handover, desk="110", outcome="busy")
        simulated.fact(citizen, "HOTLINE_RETURNED", id=handover, to="agent", by="8001")
        ended, returned = (await listener.until("handovers"))["handovers"]
        assert (ended["event"], ended["id"], ended["outcome"]) == ("ended", handover, "busy")
        assert (returned["event"], returned["to"]) == ("returned", "agent")
        simulated.hangup(agent, citizen)
        assert (await listener.until("calls_gone"))["calls_gone"] == [citizen.uniqueid]


async def test_given_a_client_that_comes_back_then_it_gets_exactly_what_it_missed(
    served: Served,
) -> None:
    simulated = served.run.simulated
    async with served.listening() as always, served.listening() as listener:
        first = await listener.next()
        assert (await always.next())["seq"] == first["seq"]
        simulated.citizen("13900000001")
        seen = await listener.next()
        await listener.socket.close()
        for number in range(3):
            simulated.citizen(f"1390000001{number}")
            await told(served.run)
            await asyncio.sleep(0.05)
        everything = [
            await always.next() for _ in range(served.run.service.feed.seq - seen["seq"] + 1)
        ]
        missed = [one for one in everything if one["seq"] > seen["seq"]]
        assert len(missed) >= 3
        query = f"?since={seen['seq']}&epoch={first['epoch']}"
        async with served.listening(query) as again:
            resumed = await again.next()
            assert (resumed["type"], resumed["seq"]) == ("resumed", missed[-1]["seq"])
            assert [await again.next() for _ in missed] == missed
            simulated.citizen("13900000020")
            new = await again.next()
            assert new["after"] == missed[-1]["seq"]


@pytest.mark.parametrize(
    "query",
    [
        "?since=1&epoch=anotherlife",
        "?since=0&epoch={epoch}",
        "?since=99999&epoch={epoch}",
        "?since=1",
    ],
)
async def test_given_a_number_that_is_not_remembered_then_a_snapshot_comes(
    served: Served, query: str
) -> None:
    feed = served.run.service.feed
    assert feed.seq == 1  # the picture at the first link-up
    async with served.listening(query.format(epoch=feed.epoch)) as listener:
        assert (await listener.next())["type"] == "snapshot"


async def test_given_topics_then_only_those_come_and_their_numbers_have_no_gap(
    served: Served,
) -> None:
    simulated = served.run.simulated
    async with served.listening("?topics=queue,agents") as listener:
        first = await listener.next()
        assert set(first) == {
            "type",
            "pbx",
            "at",
            "state",
            "epoch",
            "seq",
            "after",
            "queues",
            "agents",
        }
        citizen = simulated.citizen()
        await told(served.run)
        await asyncio.sleep(0.05)
        simulated.queue(citizen)
        message = await listener.next()
        assert set(message) == {"type", "pbx", "at", "seq", "after", "queues"}
        assert message["after"] <= first["seq"] < message["seq"]
        assert [one["call"] for one in message["queues"][0]["callers"]] == [citizen.uniqueid, "1.1"]


async def test_given_the_link_is_lost_then_told_at_once_and_a_snapshot_when_it_is_back(
    served: Served,
) -> None:
    simulated = served.run.simulated
    citizen = simulated.citizen()
    async with served.listening() as listener:
        first = await listener.next()
        await asyncio.sleep(0.05)
        began = time.monotonic()
        simulated.cut_links()
        while (message := await listener.next())["type"] != "state":
            pass
        assert time.monotonic() - began < 0.1
        assert message["state"] == "pbx-down"
        async with served.listening() as late:
            assert (await late.next())["state"] == "pbx-down"
        simulated.hangup(citizen)
        message = await listener.next()
        assert (message["type"], message["state"], message["calls"]) == ("snapshot", "up", [])
        # Nobody knows what happened meanwhile: who comes back from before gets a picture, too.
        query = f"?since={first['seq']}&epoch={first['epoch']}"
        async with served.listening(query) as back:
            assert (await back.next())["type"] == "snapshot"
        query = f"?since={message['seq']}&epoch={first['epoch']}"
        async with served.listening(query) as back:
            assert (await back.next())["type"] == "resumed"


async def test_given_a_slow_client_then_it_is_dropped_and_the_other_waits_for_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CLOSE_LIMIT_S", 0.2)
    feed = served.run.service.feed
    news = {"handovers": [{"event": "begun", "id": "x" * 20_000, "call": None, "case": None}]}
    # A few hundred kilobytes lie in the sockets of the kernel; the limit is behind that.
    async with served.listening(compression=None) as quick:
        await quick.next()
        slow_writer = await raw_client(served.port)
        assert feed.clients == 2
        slowest, sent = 0.0, 0
        while feed.clients == 2:
            began = time.monotonic()
            feed.changed(news)
            sent += 1
            await quick.next()
            slowest = max(slowest, time.monotonic() - began)
            assert sent < 2000, "the slow client was never dropped"
        assert slowest < 0.5
        # Its socket is cut: the service keeps nothing of it.
        for _ in range(500):
            if served.connections == 1:
                break
            await asyncio.sleep(0.01)
        assert served.connections == 1
        feed.changed(news)
        assert (await quick.next())["handovers"] == news["handovers"]
        slow_writer.close()


async def test_given_a_client_that_falls_behind_and_reads_again_then_it_is_told_1013(
    served: Served,
) -> None:
    feed = served.run.service.feed
    news = {"handovers": [{"event": "begun", "id": "x" * 20_000, "call": None, "case": None}]}
    async with served.listening(compression=None, max_queue=1) as listener:
        await listener.next()
        (subscriber,) = feed._subscribers
        for _ in range(2000):
            feed.changed(news)
            await asyncio.sleep(0)
            if subscriber.end_of_feed is not None:
                break
        code, reason = await listener.closed()
    assert code == 1013
    assert "slow" in reason


async def raw_client(port: int) -> asyncio.StreamWriter:
    """A client that says hello and then never reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**10)
    lines = [
        f"GET {PATH} HTTP/1.1",
        "Host: api",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {TOKENS['agent']}",
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return writer


async def test_given_the_service_stops_then_everybody_is_told_1001(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        served = Served(run)
        async with served.listening() as one, served.listening() as another:
            await one.next()
            began = time.monotonic()
            stopping = asyncio.create_task(served.stop())
            assert (await one.closed())[0] == 1001
            assert (await another.closed())[0] == 1001
            await stopping
            assert time.monotonic() - began < 2
        assert run.service.feed.clients == 0
        left = {task.get_name() for task in asyncio.all_tasks()}
        assert not [name for name in left if name.startswith("events-")]


async def test_given_silence_then_a_heartbeat_with_the_last_number(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    async with served.listening() as listener:
        first = await listener.next()
        beat = await listener.next()
        assert (beat["type"], beat["seq"]) == ("heartbeat", first["seq"])
