"""``hotline calls`` and ``hotline transfer``: call control from a shell.

Over AMI directly, so both work when the service is stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from telephony import logs
from telephony.call_control import CallControl
from telephony.commands.output import clear_errors, print_json, print_table, stdout
from telephony.live.model import Call
from telephony.settings import TIME_ZONE, load_settings

LINK_LIMIT_S = 2.0

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Answer = TypeVar("Answer")


def calls(as_json: Json = False) -> None:
    """Show the calls in progress."""

    async def ask(control: CallControl) -> list[Call]:
        return control.calls.calls()

    found = with_control(ask)
    rows = [_row(call) for call in found]
    if as_json:
        print_json(rows)
    else:
        columns = ["call", "state", "since", "caller", "with", "handover"]
        print_table("Calls now", columns, rows)


def transfer(
    call: Annotated[str, typer.Argument(help="The call's id or its case (see `hotline calls`).")],
    desk: Annotated[str, typer.Argument(help="The desk, such as 110, or an agent's extension.")],
    reason: Annotated[str, typer.Option(help="Goes on record with the hand-over.")] = "",
    as_json: Json = False,
) -> None:
    """Hand a call to a desk (一键转接); if it is not taken, caller and agent are together again."""
    begun = with_control(lambda control: control.transfers.transfer(call, desk, reason=reason))
    if as_json:
        print_json(asdict(begun))
    else:
        stdout.print(f"{begun.id}: offered to {begun.desk}", markup=False)


def with_control(ask: Callable[[CallControl], Awaitable[Answer]]) -> Answer:
    """What call control answers, over a link of this command's own; exits with its errors."""

    async def run() -> Answer:
        async with _control() as control:
            return await ask(control)

    logs.set_up(logging.CRITICAL)
    with clear_errors():
        return asyncio.run(run())


@asynccontextmanager
async def _control() -> AsyncIterator[CallControl]:
    control = CallControl(load_settings())
    await control.start()
    try:
        await control.client.wait_up(LINK_LIMIT_S)
        yield control
    finally:
        await control.stop()


def _row(call: Call) -> dict[str, Any]:
    since = datetime.fromtimestamp(call.started, UTC).astimezone(ZoneInfo(TIME_ZONE))
    others = [one.party or one.name for one in call.parties if one is not call.citizen]
    return {
        "call": call.id,
        "case": call.case or None,
        "state": call.state,
        "since": since.isoformat(timespec="seconds") if call.started else None,
        "caller": call.citizen.caller if call.citizen else None,
        "with": ", ".join(others),
        "handover": f"{call.handover.id} to {call.handover.desk}" if call.handover else None,
    }
