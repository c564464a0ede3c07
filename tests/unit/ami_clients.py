"""Clients of the fake PBX, which leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from telephony.ami_client import AmiClient
from tests.unit.fake_ami import FakeAmi, fake_ami

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
