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
from telephony.commands.output import clear_errors, print_json, print_table, stderr, stdout
from telephony.errors import CallNotFound, HotlineError, PbxUnavailable
from telephony.live.model import Call
from telephony.settings import TIME_ZONE, Settings, load_settings

LINK_LIMIT_S = 2.0

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Answer = TypeVar("Answer")


def calls(as_json: Json = False) -> None:
    """Show the calls in progress."""

    async def ask(control: CallControl) -> list[Call]:
        return control.calls.calls()

    found = from_each(ask)
    rows = [_row(call, name) for name, there in found.items() for call in there or ()]
    if as_json:
        print_json(rows)
    else:
        several = ["pbx"] if len(found) > 1 else []
        columns = [*several, "call", "state", "since", "caller", "with", "handover"]
        print_table("Calls now", columns, rows)
    if None in found.values():
        raise typer.Exit(1)


def transfer(
    call: Annotated[str, typer.Argument(help="The call's id or its case (see `hotline calls`).")],
    desk: Annotated[str, typer.Argument(help="The desk, such as 110, or an agent's extension.")],
    reason: Annotated[str, typer.Option(help="Goes on record with the hand-over.")] = "",
    as_json: Json = False,
) -> None:
    """Hand a call to a desk (一键转接); if it is not taken, caller and agent are together again."""
    _must_be_at_one(call)
    begun = with_control(lambda control: control.transfers.transfer(call, desk, reason=reason))
    if as_json:
        print_json(asdict(begun))
    else:
        stdout.print(f"{begun.id}: offered to {begun.desk}", markup=False)


def _must_be_at_one(call: str) -> None:
    """Refuse a channel's name that two PBXs have: either call could be meant."""
    with clear_errors():
        if not load_settings().pbxs:
            return

    async def has(control: CallControl) -> bool:
        try:
            control.calls.call(call)
        except CallNotFound:
            return False
        return True

    at = [name for name, there in from_each(has).items() if there]
    if len(at) > 1:
        with clear_errors():
            raise CallNotFound(f"{call!r} is at {' and '.join(at)}; name the call by its id")


def with_control(ask: Callable[[CallControl], Awaitable[Answer]]) -> Answer:
    """What call control answers, over a link of this command's own; exits with its errors.

    Of several PBXs each is asked in turn until one knows the call that is asked for.
    """

    async def run() -> Answer:
        settings = load_settings()
        unseen: HotlineError | None = None
        for number, pbx in enumerate(settings.every_pbx, 1):
            try:
                async with _control(settings.of_pbx(pbx.name)) as control:
                    return await ask(control)
            except (CallNotFound, PbxUnavailable) as error:
                if unseen is None or isinstance(error, PbxUnavailable):
                    unseen = error
                if number == len(settings.every_pbx):
                    raise unseen from None
        raise AssertionError("there is always a first PBX")

    logs.set_up(logging.CRITICAL)
    with clear_errors():
        return asyncio.run(run())


def from_each(ask: Callable[[CallControl], Awaitable[Answer]]) -> dict[str, Answer | None]:
    """Likewise of every PBX, by its name; one of several that cannot be seen is named and None."""

    async def one(settings: Settings) -> Answer | None:
        try:
            async with _control(settings) as control:
                return await ask(control)
        except PbxUnavailable as error:
            if not settings.pbxs:
                raise
            stderr.print(f"hotline: {settings.pbx.name}: {error.detail}", soft_wrap=True)
            return None

    async def run() -> dict[str, Answer | None]:
        settings = load_settings()
        names = [pbx.name for pbx in settings.every_pbx]
        found = await asyncio.gather(*(one(settings.of_pbx(name)) for name in names))
        return dict(zip(names, found, strict=True))

    logs.set_up(logging.CRITICAL)
    with clear_errors():
        return asyncio.run(run())


@asynccontextmanager
async def _control(settings: Settings) -> AsyncIterator[CallControl]:
    control = CallControl(settings)
    await control.start()
    try:
        await control.client.wait_up(LINK_LIMIT_S)
        yield control
    finally:
        await control.stop()


def _row(call: Call, pbx: str) -> dict[str, Any]:
    since = datetime.fromtimestamp(call.started, UTC).astimezone(ZoneInfo(TIME_ZONE))
    others = [one.party or one.name for one in call.parties if one is not call.citizen]
    return {
        "pbx": pbx,
        "call": call.id,
        "case": call.case or None,
        "state": call.state,
        "since": since.isoformat(timespec="seconds") if call.started else None,
        "caller": call.citizen.caller if call.citizen else None,
        "with": ", ".join(others),
        "handover": f"{call.handover.id} to {call.handover.desk}" if call.handover else None,
    }
