"""``hotline calendar``: working days, holidays and special days, and telling the PBX of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.columns import Columns
from rich.table import Table
from rich.text import Text

from telephony import logs
from telephony.calendar.push import Pushed, ShutNow, Switch, provisional_warning
from telephony.commands.calls import LINK_LIMIT_S, Json, from_each
from telephony.commands.output import clear_errors, print_json, so_many, stderr, stdout
from telephony.errors import HotlineError, WrongState
from telephony.office_hours import YEARS, Calendar, Day, in_shanghai, text_of

if TYPE_CHECKING:
    from telephony.calendar.book import CalendarBook
    from telephony.call_control import CallControl

app = typer.Typer(help="Working days, holidays and special days.", no_args_is_help=True)
Answer = TypeVar("Answer")
BY = "command line"

STYLES = {"holiday": "red", "make-up": "green", "special": "bold yellow", "week": ""}
WIDE = ("holiday", "make-up")
"""Their marks are Chinese characters, two columns wide."""
MARKS = {"holiday": "休", "make-up": "班", "special": "*"}


def _day(text: str) -> date:
    from telephony.calendar.files import day_of

    try:
        return day_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


TheDay = Annotated[date, typer.Argument(metavar="DAY", parser=_day, help="As 2026-10-01.")]
Reason = Annotated[str, typer.Option(help="Why; shown in the calendar.")]
LineName = Annotated[
    str | None,
    typer.Option("--line", help="Of this line only (id, name or number).", show_default=False),
]
NoPush = Annotated[bool, typer.Option("--no-push", help="Leave it to the service to tell the PBX.")]


@app.callback()
def calendar() -> None:
    """Working days, holidays and special days."""


@app.command("show")
def show(
    year: Annotated[
        int | None,
        typer.Argument(min=YEARS[0], max=YEARS[-1], help="Default: this year.", show_default=False),
    ] = None,
    line: LineName = None,
    as_json: Json = False,
) -> None:
    """Show a year at a glance: holidays (休), weekends that are worked (班), special days (*).

    Of the first line, where there are several. Whether it is closed by hand now, the PBX is asked.
    """
    wanted = year or in_shanghai(datetime.now(UTC)).year
    logs.set_up(logging.CRITICAL)
    with clear_errors():
        book = asyncio.run(_with_book(line, lambda book: book.calendar()))
        shut, untold = asyncio.run(_shut_now(book.line))
    first = date(wanted, 1, 1)
    days = list(book.days(first, (date(wanted + 1, 1, 1) - first).days))
    provisional = book.is_provisional(wanted)
    if as_json:
        print_json(_as_json(book, wanted, days, shut, untold))
        return
    stdout.print(f"{wanted}  {book.line}  {_source(book, wanted)}", markup=False)
    if shut is not None:
        why = f": {shut.reason}" if shut.reason else ""
        told = f"closed by hand until {shut.until:%F %H:%M} ({shut.by}{why})"
        stdout.print(told, style="bold red", markup=False)
    if untold:
        told = f"hotline: not known whether it is closed by hand: {untold}"
        stderr.print(told, markup=False, soft_wrap=True)
    stdout.print(Columns([_month(days, month) for month in range(1, 13)], padding=(0, 3)))
    for day in days:
        if day.why != "week":
            line = f"{day.day} {day.day:%a}  {text_of(day.windows):<22} {day.name}"
            stdout.print(line, style=STYLES[day.why], markup=False)
    if provisional:
        stderr.print(
            f"hotline: {wanted} is provisional: its schedule is not published, or not imported",
            markup=False,
        )


def _source(book: Calendar, year: int) -> str:
    if year in book.declared:
        return "imported"
    return book.published[year].source if year in book.published else "provisional"


async def _shut_now(number: str) -> tuple[ShutNow | None, str]:
    """Until when a line is closed by hand, or why the PBX does not tell."""
    from telephony.ami_client import AmiClient
    from telephony.pbx import Pbx
    from telephony.settings import load_settings

    settings = load_settings()
    client = AmiClient.from_settings(settings.pbx, events=[])
    await client.start()
    try:
        await client.wait_up(LINK_LIMIT_S)
        switch = Switch(Pbx(client, settings), settings).of(settings.line_named(number))
        return await switch.now(), ""
    except HotlineError as error:
        return None, error.detail
    finally:
        await client.stop()


def _as_json(
    book: Calendar, year: int, days: list[Day], shut: ShutNow | None, untold: str
) -> dict[str, Any]:
    rows = [
        {"day": one.day, "hours": text_of(one.windows), "why": one.why, "name": one.name}
        for one in days
    ]
    return {
        "year": year,
        "line": book.line,
        "provisional": book.is_provisional(year),
        "source": _source(book, year),
        "closed_by_hand": None
        if shut is None
        else {"until": shut.until, "by": shut.by, "reason": shut.reason},
        "closed_by_hand_known": not untold,
        "days": rows,
    }


def _month(days: list[Day], month: int) -> Table:
    table = Table(*"一二三四五六日", title=f"{month:02d}", box=None, padding=(0, 1, 0, 0))
    mine = [one for one in days if one.day.month == month]
    cells = [Text("")] * mine[0].day.weekday()
    for one in mine:
        style = STYLES[one.why] or ("" if one.works else "dim")
        cells.append(
            Text(
                f"{one.day.day:>2}{MARKS.get(one.why, '  '):<{1 if one.why in WIDE else 2}}",
                style=style,
            )
        )
    for start in range(0, len(cells), 7):
        table.add_row(*cells[start : start + 7])
    return table


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV (date,hours,reason) or ICS.")],
    declares: Annotated[
        int | None,
        typer.Option(
            min=YEARS[0],
            max=YEARS[-1],
            help="It is the whole published schedule of this year.",
            show_default=False,
        ),
    ] = None,
    line: LineName = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check it, and say what would change.")
    ] = False,
    no_push: NoPush = False,
    as_json: Json = False,
) -> None:
    """Take special days from a file: all of them, or with one mistake in it none."""
    from telephony.calendar.files import read_days
    from telephony.commands.stored import COMMAND, user

    with clear_errors():
        entries = read_days(file)
        options: dict[str, Any] = {"by": user(), "role": COMMAND}
        options |= {"declares": declares, "dry_run": dry_run}
        done = asyncio.run(_with_book(line, lambda book: book.store(entries, **options)))
    if as_json:
        print_json({"added": done.added, "changed": done.changed, "unchanged": done.unchanged})
    else:
        added = f"{so_many(done.added, 'day')} {'would be ' if dry_run else ''}added"
        stdout.print(f"{added}, {done.changed} changed, {done.unchanged} as before")
    _after_change(no_push or dry_run)


@app.command("set")
def set_day(
    day: TheDay,
    hours: Annotated[
        str, typer.Argument(help="closed (休), work (班), 08:30-17:00 or 08:30-12:00,13:30-17:00")
    ],
    reason: Reason = "",
    line: LineName = None,
    no_push: NoPush = False,
) -> None:
    """Close all lines (or one) on a day, or open them with other hours."""
    from telephony.calendar.files import hours_of

    meant = hours_of(hours)
    with clear_errors():
        done = asyncio.run(_with_book(line, lambda book: book.set_day(day, meant, reason, by=BY)))
    stdout.print(f"{done.day}: {done.hours}", markup=False)
    if done.day < in_shanghai(datetime.now(UTC)).date():
        stderr.print(f"hotline: {done.day} has passed: no call goes by it any more", markup=False)
    _after_change(no_push)


@app.command("unset")
def unset_day(day: TheDay, line: LineName = None, no_push: NoPush = False) -> None:
    """Take a special day back."""
    with clear_errors():
        asyncio.run(_with_book(line, lambda book: book.remove_day(day)))
    stdout.print(f"{day}: no special day any more", markup=False)
    _after_change(no_push)


@app.command("push")
def push(
    replace: Annotated[
        bool, typer.Option("--replace", help="Also what was entered at the PBX by hand.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell the PBX the hours of a year ahead, and read them back; only what differs is written.

    Of several PBXs each. Exit status 1 when one of them was not told.
    """
    done, all_told = _push(replace)
    if done is None:
        raise typer.Exit(1)
    if as_json:
        print_json(
            {
                "written": done.written,
                "deleted": done.deleted,
                "by_hand": dict(done.by_hand),
                "until": done.until,
                "provisional": done.provisional,
            }
        )
    else:
        _tell(done)
    if not all_told:
        raise typer.Exit(1)


@app.command("close")
def close(
    until: Annotated[str, typer.Argument(metavar="HH:MM", help="Today; 24:00 for all of it.")],
    reason: Reason = "",
    line: LineName = None,
) -> None:
    """Close all lines (or one) now until a time; they open again by themselves."""
    shuts = from_each(lambda control: _switch(control, line).shut(until, reason, by=BY))
    shut = next((one for one in shuts.values() if one is not None), None)
    if shut is None or None in shuts.values():
        raise typer.Exit(1)
    stdout.print(f"closed until {shut.until:%F %H:%M}", markup=False)


@app.command("open")
def open_line(line: LineName = None) -> None:
    """End what `close` began."""

    async def end(control: CallControl) -> bool:
        try:
            await _switch(control, line).open()
        except WrongState:
            return False
        return True

    ended = from_each(end)
    if None not in ended.values() and not any(ended.values()):
        with clear_errors():
            raise WrongState("the line is not closed by hand")
    if None in ended.values():
        raise typer.Exit(1)
    stdout.print("not closed by hand any more: the hours count")


def _switch(control: CallControl, line: str | None = None) -> Switch:
    settings = control.settings
    return Switch(control.pbx, settings).of(settings.line_named(line) if line else None)


def _after_change(no_push: bool) -> None:
    if no_push:
        return
    try:
        done, all_told = _push(False)
        if done is not None:
            _tell(done)
        if not all_told:
            raise typer.Exit(1)
    except typer.Exit:
        stderr.print("hotline: it is stored; the service pushes it when the PBX is back")
        raise


def _push(replace: bool) -> tuple[Pushed | None, bool]:
    """What was done at the PBXs that are seen, and whether those are all."""
    from telephony.calendar import push as calendar_push

    with clear_errors():
        found = asyncio.run(_with_book(None, lambda book: book.calendars()))

    async def tell(control: CallControl) -> Pushed:
        return await calendar_push.push_all(control.pbx, found, replace=replace)

    told = from_each(tell)
    done = {name: one for name, one in told.items() if one is not None}
    return (calendar_push.pushed_at_all(done) if done else None), len(done) == len(told)


def _tell(done: Pushed) -> None:
    stdout.print(
        f"the PBX knows its hours until {done.until}: {so_many(done.written, 'day')} written, "
        f"{done.deleted} deleted"
    )
    for day, hours in sorted(done.by_hand.items()):
        stdout.print(f"{day} {hours}: entered at the PBX by hand, left alone", markup=False)
    if told := provisional_warning(done.provisional):
        stderr.print(f"hotline: {told}")


async def _with_book(line: str | None, ask: Callable[[CalendarBook], Awaitable[Answer]]) -> Answer:
    from telephony.calendar.book import CalendarBook
    from telephony.commands.stored import open_database
    from telephony.settings import load_settings

    settings = load_settings()
    only = settings.line_named(line) if line else None
    async with open_database() as database:
        return await ask(CalendarBook(database, settings).of(only))
