"""The service on a socket, until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from api.app import create_app
from telephony.errors import SetupError
from telephony.service import Service
from telephony.settings import Settings

GRACE_S = 10
BACKLOG = 128


async def serve(settings: Settings, host: str, port: int) -> None:
    """Run the service until a signal; raises :class:`SetupError` when the address is taken."""
    service = Service(settings)
    listening = listen(host, port)
    server = QuietServer(
        uvicorn.Config(
            create_app(service),
            log_config=None,
            # Addresses hold callers' numbers; the access log would keep them.
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
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
    """uvicorn, which leaves the signals to us: it would send them on and end as if killed."""

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
