"""One feed for several PBXs: what is told of each, and of one that comes or goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from api.schemas.live import LiveFrame
from telephony.live.joined import JoinedFeed, Outlet


def caller(call: str, second: int) -> dict[str, Any]:
    since = datetime(2026, 11, 24, 9, 0, second, tzinfo=UTC)
    return {"call": call, "caller": "13804210001", "position": 1, "since": since}


def picture(outlet: Outlet, call: str, *waiting: dict[str, Any]) -> None:
    """Say what this PBX shows: a call, and who waits."""
    shape: dict[str, Any] = {
        "id": call,
        "pbx": outlet.pbx,
        "case": None,
        "state": "talking",
        "started_at": None,
        "caller": None,
        "handed_over_by": None,
        "their_case": None,
        "nuisance": None,
        "parties": [],
        "handover": None,
    }
    queue = {"queue": "hotline", "callers": list(waiting)}
    outlet.picture = lambda: {"calls": [shape], "queues": [queue], "agents": []}


async def frames(subscriber: Any) -> list[dict[str, Any]]:
    """What was sent so far; each frame is as it is described."""
    found: list[dict[str, Any]] = []
    while subscriber.pending_bytes or not found:
        text = await subscriber.next()
        LiveFrame.model_validate_json(text)
        found.append(json.loads(text))
    return found


async def test_given_two_pbxs_when_one_goes_then_only_what_is_there_goes_and_it_is_named() -> None:
    feed = JoinedFeed(["east", "west"])
    east, west = feed.outlets
    subscriber = feed.subscribe()
    [first] = await frames(subscriber)
    assert (first["type"], first["state"]) == ("state", "pbx-down")

    picture(east, "east-1.1", caller("east-1.2", 5))
    east.rebuilt()
    picture(west, "west-1.1", caller("west-1.2", 3))
    west.rebuilt()
    one, both = await frames(subscriber)
    assert [call["id"] for call in one["calls"]] == ["east-1.1"]
    assert one["pbxs"] == [{"name": "east", "state": "up"}, {"name": "west", "state": "pbx-down"}]
    assert [call["pbx"] for call in both["calls"]] == ["east", "west"]
    [queue] = both["queues"]  # of one name: one, who came first before who came later
    assert [waiting["call"] for waiting in queue["callers"]] == ["west-1.2", "east-1.2"]

    west.changed({"calls_gone": ["west-1.1"], "queues": [{"queue": "hotline", "callers": []}]})
    [changes] = await frames(subscriber)
    assert (changes["type"], changes["pbx"]) == ("changes", "west")
    assert [waiting["call"] for waiting in changes["queues"][0]["callers"]] == ["east-1.2"]
    assert changes["after"] == both["seq"]

    west.down()
    west.down()
    [left] = await frames(subscriber)
    assert (left["type"], left["state"]) == ("snapshot", "up")
    assert [call["id"] for call in left["calls"]] == ["east-1.1"]
    assert left["pbxs"][1] == {"name": "west", "state": "pbx-down"}

    east.down()
    [gone] = await frames(subscriber)
    assert (gone["type"], gone["state"]) == ("state", "pbx-down")
    assert "calls" not in gone
