"""``hotline outbox``: what other platforms are told: waiting, arrived, given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from telephony.commands.legs import MAX_PAGE, shown
from telephony.commands.output import clear_errors, print_json, print_table, stderr, stdout

if TYPE_CHECKING:
    from telephony.orders.outbox import Outbox

app = typer.Typer(help="Messages to other platforms.", no_args_is_help=True)
Answer = TypeVar("Answer")
COLUMNS = ["id", "created", "destination", "kind", "case", "sequence", "state", "attempts"]
COLUMNS += ["next", "last_error"]

Number = Annotated[int, typer.Argument(metavar="MESSAGE", help="Its number, as the list shows it.")]


@app.callback()
def outbox() -> None:
    """Messages to other platforms."""


@app.command("list")
def list_messages(
    state: Annotated[
        str | None, typer.Option(help="waiting, delivered, dead (given up) or skipped.")
    ] = None,
    destination: Annotated[str | None, typer.Option(help="The platform's id.")] = None,
    case: Annotated[str | None, typer.Option(help="Of this case.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on after the page before.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Messages, newest first."""
    filters = {"state": state, "destination": destination, "case": case, "cursor": cursor}
    with clear_errors():
        page = asyncio.run(_with(lambda box: box.messages(limit=limit, **filters)))
    if as_json:
        print_json({"items": page.items, "next": page.next})
        return
    rows = [
        {**one, "created": shown(one["created_at"]), "next": shown(one["next_at"])}
        if one["state"] == "waiting"
        else {**one, "created": shown(one["created_at"])}
        for one in page.items
    ]
    print_table("Outbox", COLUMNS, rows)
    if page.next:
        stderr.print(f"more: --cursor {page.next}", soft_wrap=True, markup=False)


@app.command("retry")
def retry(
    message: Annotated[
        int | None, typer.Argument(help="Its number, as the list shows it.", show_default=False)
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    destination: Annotated[
        str | None, typer.Option(help="With --dead: only those to this platform.")
    ] = None,
) -> None:
    """Send a message once more that was given up; one that waits is sent at once."""
    if (message is None) != dead:
        raise typer.BadParameter("name a message, or --dead for all that were given up")
    by = _who()
    with clear_errors():
        if message is None:
            done = asyncio.run(_with(lambda box: box.retry_all(destination=destination, **by)))
            stdout.print(f"{done} messages are sent once more")
        else:
            asyncio.run(_with(lambda box: box.retry(message, **by)))
            stdout.print(f"message {message} is sent once more")


@app.command("skip")
def skip(
    message: Number,
    reason: Annotated[str, typer.Option(help="Why; shown in the list.")],
) -> None:
    """Never send a message; later ones of its case wait for it no more."""
    by = _who()
    with clear_errors():
        asyncio.run(_with(lambda box: box.skip(message, reason=reason, **by)))
    stdout.print(f"message {message} is not sent")


def _who() -> dict[str, str]:
    from telephony.commands import stored

    return {"by": stored.user(), "role": stored.COMMAND}


async def _with(work: Callable[[Outbox], Awaitable[Answer]]) -> Answer:
    from telephony.commands.stored import open_database
    from telephony.orders.outbox import Outbox

    async with open_database() as database:
        return await work(Outbox(database))
