"""The service on a socket, until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
import uvicorn

from api.app import create_app
from telephony.errors import SetupError
from telephony.live.feed import LiveFeed
from telephony.service import Service
from telephony.settings import Settings

GRACE_S = 10
GOODBYE_S = 1
BACKLOG = 128
LARGEST_MESSAGE = 2**16
"""What a WebSocket client may send at once, in bytes; we ask nothing of it."""


async def serve(settings: Settings, host: str, port: int) -> None:
    """Run the service until a signal; raises :class:`SetupError` when the address is taken."""
    service = Service(settings)
    listening = listen(host, port)
    if importlib.util.find_spec("websockets") is None:
        structlog.get_logger(__name__).warning("no live events: install the package websockets")
        sockets = "none"
    else:
        sockets = "api.live_socket:LiveSocket"
    server = QuietServer(
        uvicorn.Config(
            create_app(service),
            ws=sockets,
            ws_max_size=LARGEST_MESSAGE,
            log_config=None,
            # Addresses hold callers' numbers; the access log would keep them.
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        ),
        service.feed,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    # What is loaded now stays: the collector need not look at it again and again, which takes tens
    # of milliseconds each time, also while a key is pressed.
    gc.collect()
    gc.freeze()
    await service.start()
    try:
        structlog.get_logger(__name__).info(
            "listening", address=f"http://{host}:{listening.getsockname()[1]}"
        )
        await server.serve(sockets=[listening])
    finally:
        await service.stop()


class QuietServer(uvicorn.Server):
    """uvicorn, which leaves the signals to us: it would send them on and end as if killed.

    Who listens to ``feed`` is told goodbye while the connections still stand.
    """

    def __init__(self, config: uvicorn.Config, feed: LiveFeed | None = None) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, end those that stand."""
        if self._feed is not None:
            self._feed.close()
            with suppress(TimeoutError):  # who does not listen is cut off
                async with asyncio.timeout(GOODBYE_S):
                    await self._feed.all_gone()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Finish the requests that run, take no new ones; at once when asked a second time."""
        self.force_exit = self.should_exit
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SetupError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "set http.host and http.port (or --port) to an address that is free"
        ) from None
