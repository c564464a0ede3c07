"""The service behind a real socket, and clients of its live events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.app import create_app
from api.schemas.live import LiveFrame
from api.server import QuietServer, listen
from tests.unit.api_fixtures import TOKENS, Running, running

PATH = "/api/v1/events"
Message = dict[str, Any]


class Served:
    """The service behind a real socket, in the test's own loop."""

    def __init__(self, run: Running) -> None:
        self.run = run
        self._socket = listen("127.0.0.1", 0)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            create_app(run.service),
            ws="api.live_socket:LiveSocket",
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        self._server = QuietServer(config, run.service.feed)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    @property
    def connections(self) -> int:
        """How many sockets the server has open."""
        return len(self._server.server_state.connections)

    async def stop(self) -> None:
        self._server.stop()
        await self._serving

    @asynccontextmanager
    async def listening(
        self, query: str = "", role: str = "agent", **more: Any
    ) -> AsyncIterator[Listener]:
        headers = {"Authorization": f"Bearer {TOKENS[role]}"}
        url = f"ws://127.0.0.1:{self.port}{PATH}{query}"
        async with connect(url, additional_headers=headers, proxy=None, **more) as socket:
            yield Listener(socket)


class Listener:
    """A client; every message is checked against its description."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def next(self) -> Message:
        text = await asyncio.wait_for(self.socket.recv(), 5)
        LiveFrame.model_validate_json(text)
        message: Message = json.loads(text)
        return message

    async def until(self, part: str) -> Message:
        """The next message with this part; what has none of it is passed over."""
        while True:
            message = await self.next()
            if message.get(part):
                return message

    async def closed(self) -> tuple[int | None, str]:
        with suppress(ConnectionClosed):
            while True:
                await asyncio.wait_for(self.socket.recv(), 5)
        return self.socket.close_code, self.socket.close_reason or ""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with running(tmp_path) as run:
        served = Served(run)
        yield served
        await served.stop()
