"""What came of a three-way call: one decision at a time for a case."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from telephony.rooms.outcome import RoomOutcomes


async def test_given_many_who_decide_one_case_then_one_at_a_time() -> None:
    client = SimpleNamespace(add_event_listener=lambda *_: lambda: None)
    control = SimpleNamespace(
        settings=None, pbx=None, rooms=None, room_controls=None, client=client
    )
    outcomes = RoomOutcomes(cast("Any", control), cast("Any", None))
    inside = 0

    async def decide() -> None:
        nonlocal inside
        for _ in range(5):  # again at once, while the next one is only being woken
            async with outcomes._alone("case"):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                inside -= 1

    await asyncio.gather(*(decide() for _ in range(3)))
    assert not outcomes._busy  # nothing is kept of cases that nobody decides
