"""``hotline voicemail`` and ``hotline callbacks``: messages, missed calls, who waits for a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telephony.commands.legs import MAX_PAGE, one_of, shown, times
from telephony.commands.output import clear_errors, print_json, print_table, stderr

if TYPE_CHECKING:
    from telephony.messages.book import MessageBook
    from telephony.record.query_parts import Page

app = typer.Typer(help="Messages that citizens left (语音留言).", no_args_is_help=True)

MESSAGES = ["at", "number", "length_s", "sound", "state", "holder", "heard_by", "result", "case"]
WAITING = ["at", "due", "kind", "number", "why", "waited_s", "calls", "tries", "next", "holder"]
WAITING += ["case"]
STATES = ("open", "answered", "served", "given_up")

Limit = Annotated[int, typer.Option(min=1, max=MAX_PAGE)]
Cursor = Annotated[str | None, typer.Option(help="Go on after the page before.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def voicemail() -> None:
    """Messages that citizens left."""


@app.command("list")
def list_messages(
    state: Annotated[str | None, typer.Option(help="open, answered, served or given_up.")] = None,
    holder: Annotated[str | None, typer.Option(help="The agent who answers it.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Left at or after.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Left before.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Messages, newest first. Numbers are shown whole."""
    filters = {
        "kind": "message",
        "state": one_of(state, STATES, "--state"),
        "holder": holder,
        **times(since, until),
    }
    with clear_errors():
        page = asyncio.run(_messages(filters, limit, cursor))
    _print("Messages", MESSAGES, page, as_json)
    if holder is not None and not page.items:
        _say_if_nobody(holder)


def callbacks(limit: Limit = 50, cursor: Cursor = None, as_json: Json = False) -> None:
    """Who is to be called back (回拨): messages and missed calls, who waits longest first.

    Among missed calls each number stands once. Numbers are shown whole.
    """
    with clear_errors():
        page = asyncio.run(_waiting(limit, cursor))
    _print("To be called back", WAITING, page, as_json)


def _say_if_nobody(holder: str) -> None:
    """Nobody may have it; but a mistyped one finds nothing either."""
    from telephony.settings import load_settings

    if load_settings().agent(holder) is None:
        stderr.print(f"hotline: no agent {holder!r} in the settings", markup=False)


def _print(title: str, columns: list[str], page: Page, as_json: bool) -> None:
    if as_json:
        print_json({"items": page.items, "next": page.next})
        return
    rows = [
        {
            **one,
            "at": shown(one["at"]),
            "due": shown(one["due_at"]),
            "next": shown(one["next_try_at"]),
        }
        for one in page.items
    ]
    print_table(title, columns, rows)
    if page.next:
        stderr.print(f"more: --cursor {page.next}", soft_wrap=True, markup=False)


@asynccontextmanager
async def _opened() -> AsyncIterator[MessageBook]:
    from telephony.calendar.book import CalendarBook
    from telephony.commands.stored import open_database
    from telephony.messages.book import MessageBook
    from telephony.settings import load_settings

    settings = load_settings()
    async with open_database() as database:
        yield MessageBook(database, settings, CalendarBook(database, settings))


async def _messages(filters: dict[str, Any], limit: int, cursor: str | None) -> Page:
    from telephony.messages.book import MessageFilter

    async with _opened() as book:
        return await book.page(MessageFilter(**filters), limit=limit, cursor=cursor)


async def _waiting(limit: int, cursor: str | None) -> Page:
    async with _opened() as book:
        return await book.waiting(limit=limit, cursor=cursor)
