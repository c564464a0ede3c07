"""``hotline orders``: the format of work orders, and a receiver to try a platform against."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from telephony.commands.output import print_json, stderr, stdout

app = typer.Typer(help="Work orders between platforms.", no_args_is_help=True)


@app.callback()
def orders() -> None:
    """Work orders between platforms."""


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the messages."""
    from telephony.orders.format import json_schema

    print_json(json_schema())


@app.command("receive")
def receive(
    secret: Annotated[
        list[str],
        typer.Option(envvar="ORDERS_SECRET", help="Who signs with it is believed; repeatable."),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8010,
    host: Annotated[str, typer.Option(help="Listen here.")] = "127.0.0.1",
    store: Annotated[
        Path | None, typer.Option(help="Keep messages here (JSON lines), and know them again.")
    ] = None,
    tolerance_s: Annotated[int, typer.Option("--tolerance", min=1, help="Seconds.")] = 300,
) -> None:
    """Be another platform: check signatures, take each message once, and print it as JSON.

    Until Ctrl-C. It is also the reference of what a platform has to do.
    """
    from telephony.demo.order_receiver import OrderReceiver, serve

    receiver = OrderReceiver(secret, store=store, tolerance_s=tolerance_s, on_message=print_json)

    def on_listening(port: int) -> None:
        stderr.print(f"listening on http://{host}:{port}/", soft_wrap=True, markup=False)

    async def until_told() -> None:
        serving = asyncio.create_task(serve(receiver, host, port, on_listening))
        # Also where SIGINT is ignored at first, as for what a script starts in the background.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        with suppress(asyncio.CancelledError):
            await serving

    try:
        asyncio.run(until_told())
        stdout.print(f"{len(receiver.messages)} messages taken, {len(receiver.refused)} refused")
    except OSError as error:
        stderr.print(f"hotline: cannot listen on {host} port {port}: {error.strerror}")
        raise typer.Exit(1) from None
