"""``hotline up``: the service against a PBX that exists already, until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer
import uvicorn

from api.app import create_app
from telephony import logs
from telephony.commands.output import clear_errors, stderr
from telephony.errors import SetupError
from telephony.service import Service
from telephony.settings import Settings, load_settings

GRACE_S = 10
BACKLOG = 128


def up(
    host: str | None = typer.Option(None, help="Listen here instead of `http.host`."),
    port: int | None = typer.Option(
        None, min=0, max=65535, help="Listen here instead of `http.port`; 0 takes a free one."
    ),
) -> None:
    """Run the service: HTTP interface, record and live calls, until Ctrl-C or SIGTERM.

    Calls on the PBX go on when it stops. Exit status 2 for a wrong setting, 1 when it cannot start.
    """
    logs.set_up()
    with clear_errors():
        settings = load_settings()
        if not settings.tokens:
            stderr.print(
                "hotline: no tokens in the settings, so only /healthz and /readyz will answer; "
                "make one with: hotline users token",
                soft_wrap=True,
            )
        asyncio.run(serve(settings, host or settings.http.host, _port(settings, port)))


def _port(settings: Settings, port: int | None) -> int:
    return settings.http.port if port is None else port


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
