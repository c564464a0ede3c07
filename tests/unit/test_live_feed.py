"""The feed of what changes: numbers without a gap and a bounded memory."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from telephony.live.feed import TOPICS, Dropped, LiveFeed, Topic
from telephony.live.shapes import Shape
from tests.unit.live_messages import waiting

EMPTY: Shape = {"calls": [], "queues": [], "agents": []}


def news(number: int = 0, topic: Topic = "calls") -> dict[str, list[Any]]:
    part = {"calls": "calls_gone", "agents": "agents_gone", "queue": "queues"}[topic]
    return {part: [f"{number}"]}


@pytest.fixture
def feed() -> LiveFeed:
    feed = LiveFeed("pbx1", lambda: EMPTY)
    feed.rebuilt()
    return feed


def test_given_frames_then_each_number_is_one_more_and_after_names_the_one_before(
    feed: LiveFeed,
) -> None:
    subscriber = feed.subscribe()
    for number in range(5):
        feed.changed(news(number))
    messages = waiting(subscriber)
    assert [one["seq"] for one in messages] == [1, 2, 3, 4, 5, 6]
    assert [one["after"] for one in messages] == [1, 1, 2, 3, 4, 5]
    assert {one["pbx"] for one in messages} == {"pbx1"}


def test_given_nothing_changed_then_nothing_is_sent(feed: LiveFeed) -> None:
    feed.changed({"calls": [], "handovers": []})
    assert feed.seq == 1


@pytest.mark.parametrize("seed", range(20))
def test_given_any_topics_and_any_break_then_what_was_missed_comes_whole_and_in_order(
    seed: int,
) -> None:
    choice = random.Random(seed)
    feed = LiveFeed("pbx1", lambda: EMPTY, memory_frames=30)
    feed.rebuilt()
    topics = frozenset(choice.sample(sorted(TOPICS), choice.randint(1, 3)))
    always = feed.subscribe(topics)
    sent = waiting(always)[1:]
    last = feed.seq
    for step in range(300):
        if choice.random() < 0.02:
            feed.down()
            feed.rebuilt()
        feed.changed(news(step, choice.choice(sorted(TOPICS))))
        sent += waiting(always)
        if choice.random() < 0.1:
            last = choice.randint(max(1, feed.seq - 45), feed.seq)
            first, *missed = waiting(feed.subscribe(topics, since=last, epoch=feed.epoch))
            expected = [one for one in sent if one["seq"] > last]
            if first["type"] == "resumed":
                assert missed == expected
                assert all(one["type"] == "changes" for one in missed)
                held = last
                for one in missed:
                    assert one["after"] <= held < one["seq"]
                    held = one["seq"]
            else:
                assert (first["type"], first["seq"], missed) == ("snapshot", feed.seq, [])
                forgotten = feed.seq - last > 30
                assert forgotten or any(one["type"] == "snapshot" for one in expected)


def test_given_another_life_or_a_number_to_come_then_a_snapshot(feed: LiveFeed) -> None:
    feed.changed(news())
    for since, epoch in (
        (1, "another"),
        (1, None),
        (None, feed.epoch),
        (3, feed.epoch),
        (-1, None),
    ):
        (first,) = waiting(feed.subscribe(since=since, epoch=epoch))
        assert (first["type"], first["seq"]) == ("snapshot", 2)
    (resumed,) = waiting(feed.subscribe(since=2, epoch=feed.epoch))
    assert resumed["type"] == "resumed"


def test_given_much_happens_then_the_memory_stays_within_its_bytes() -> None:
    feed = LiveFeed("pbx1", lambda: EMPTY, memory_bytes=10_000)
    feed.rebuilt()
    for number in range(1000):
        feed.changed({"calls_gone": [f"{number:0500}"]})
    kept = sum(len(frame.text(TOPICS)) for frame in feed._frames)
    assert 9_000 < kept <= 10_000
    assert feed._size == kept


def test_given_the_pbx_is_down_then_it_is_told_once_and_to_those_who_come(feed: LiveFeed) -> None:
    subscriber = feed.subscribe(frozenset({"agents"}))
    feed.down()
    feed.down()
    _, down = waiting(subscriber)
    assert (down["type"], down["state"], down["seq"]) == ("state", "pbx-down", 2)
    (late,) = waiting(feed.subscribe())
    assert (late["type"], late["state"], late["seq"]) == ("state", "pbx-down", 2)
    feed.rebuilt()
    (back,) = waiting(subscriber)
    assert (back["type"], back["state"], back["seq"], back["after"]) == ("snapshot", "up", 3, 2)
    assert "calls" not in back
    assert back["agents"] == []


async def test_given_a_client_does_not_keep_up_then_it_ends_and_holds_nothing(
    feed: LiveFeed,
) -> None:
    subscriber = feed.subscribe(limit=1000)
    quick = feed.subscribe(limit=1000)
    for number in range(20):
        feed.changed(news(number))
        assert subscriber.pending_bytes <= 1000
        waiting(quick)
    assert subscriber.pending_bytes == 0
    with pytest.raises(Dropped) as dropped:
        await subscriber.next()
    assert dropped.value.code == 1013
    assert quick.end_of_feed is None


async def test_given_a_frame_larger_than_the_limit_then_it_comes_all_the_same(
    feed: LiveFeed,
) -> None:
    subscriber = feed.subscribe(limit=100)
    feed.changed({"calls_gone": ["x" * 1000]})
    assert json.loads(await subscriber.next())["type"] == "snapshot"
    assert json.loads(await subscriber.next())["calls_gone"] == ["x" * 1000]
    assert subscriber.pending_bytes == 0


async def test_given_the_feed_closes_then_everybody_and_who_comes_later_is_told(
    feed: LiveFeed,
) -> None:
    early = feed.subscribe()
    await early.next()
    feed.close()
    for subscriber in (early, feed.subscribe()):
        with pytest.raises(Dropped) as dropped:
            await subscriber.next()
        assert dropped.value.code == 1001
    feed.unsubscribe(early)
    await asyncio.wait_for(feed.all_gone(), 1)
