"""The live picture of a simulated PBX."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telephony.ami_client import AmiClient
from telephony.live.model import Call
from telephony.live_calls import EVENTS, LiveCalls
from telephony.pbx import Pbx
from tests.unit.simulated_pbx import SimulatedPbx


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedPbx]:
    async with SimulatedPbx() as simulated:
        yield simulated


@pytest.fixture
async def live(simulated: SimulatedPbx) -> AsyncIterator[LiveCalls]:
    settings = simulated.settings()
    client = AmiClient.from_settings(settings.pbx, events=EVENTS)
    live = LiveCalls(Pbx(client, settings), settings)
    await client.start()
    await client.wait_up(5)
    yield live
    live.close()
    await client.stop()


async def told(live: LiveCalls) -> None:
    """Return when all that was emitted before has arrived: one link keeps one order."""
    await live._pbx.get_var(None, "EPOCH")


async def the_call(live: LiveCalls) -> Call:
    await told(live)
    (call,) = live.calls()
    return call


def _sizes(live: LiveCalls) -> list[int]:
    return [
        len(live._channels),
        len(live._citizens),
        len(live._names),
        len(live._bridges.ids),
        len(live._accounts.ids),
        len(live._linked.ids),
    ]
