"""``hotline up``: the service against a PBX that exists already, until it is stopped."""

from __future__ import annotations

import typer
import uvloop

from telephony import logs
from telephony.commands.output import clear_errors, stderr
from telephony.settings import load_settings


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
                "hotline: no tokens in the settings, so programs get no answer but for /healthz "
                "and /readyz; make one with: hotline users token. People sign in at /signin; add "
                "the first with: hotline users add NAME --role admin",
                soft_wrap=True,
            )
        # Web framework and database take a second to load: not for every other command.
        from api.server import serve

        listen_port = settings.http.port if port is None else port
        uvloop.run(serve(settings, host or settings.http.host, listen_port))
