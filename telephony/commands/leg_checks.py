"""``hotline legs rebuild`` and ``hotline legs gaps``: whether the record is what the PBX wrote."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

from telephony.commands.output import clear_errors, print_json, print_table, stderr

TELL_EVERY_S = 2.0
PAGE = 500

Pbx = Annotated[str | None, typer.Option(help="The PBX; default: the one of the settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

GAP_COLUMNS = ["pbx", "why", "since", "until", "calls", "detail"]


class Teller:
    """Prints differences as they come, and now and then how far it is."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._first = True
        self._next = time.monotonic() + TELL_EVERY_S

    def difference(self, one: Any) -> None:
        values = {"pbx": one.pbx, "leg": one.leg, "field": one.field}
        values |= {"was": one.was, "is": one.is_now}
        if self._as_json:
            lead = '{"differences": [\n' if self._first else ",\n"
            typer.echo(lead + orjson.dumps(values).decode(), nl=False)
        else:
            typer.echo(f"{one.leg}  {one.field}: {_plain(one.was)} -> {_plain(one.is_now)}")
        self._first = False

    def progress(self, progress: Any) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + TELL_EVERY_S
        at = f", up to {progress.at:%Y-%m-%d %H:%M:%S} UTC" if progress.at is not None else ""
        said = f"{progress.rows} rows, {progress.legs} legs, {progress.different} differ{at}"
        stderr.print(said, soft_wrap=True, markup=False)

    def end(self, progress: Any, *, applied: bool) -> None:
        names = ("rows", "legs", "different", "going_on", "without_rows")
        counts = {name: getattr(progress, name) for name in names}
        if self._as_json:
            lead = '{"differences": [' if self._first else "\n]"
            rest = orjson.dumps(counts | {"applied": applied}).decode()[1:]
            typer.echo(f"{lead}{']' if self._first else ''}, {rest}")
            return
        typer.echo(
            f"{counts['legs']} legs from {counts['rows']} rows: {counts['different']} "
            f"{'were wrong and are mended' if applied else 'differ from what is stored'}; "
            f"left out: {counts['going_on']} of calls that go on, "
            f"{counts['without_rows']} whose rows are not stored any more"
        )


def _plain(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else orjson.dumps(value).decode().strip('"')


def rebuild_legs(
    since: Annotated[str, typer.Option("--from", help="Begun at or after: 2026-11-24[ 08:30].")],
    until: Annotated[str, typer.Option("--to", help="Begun before.")],
    pbx: Pbx = None,
    apply: Annotated[bool, typer.Option("--apply", help="Store the legs as made again.")] = False,
    as_json: Json = False,
) -> None:
    """Make the legs of a period again from the stored CEL rows, and show what differs.

    Exit status 1: some differ, and nothing was changed. With --apply they are stored as the rows
    say, 1,000 calls in one transaction. Calls that go on, cases and the ledger are left alone.
    """
    from telephony.commands.legs import parse_time

    begin, end = parse_time(since), parse_time(until)
    if begin is None or end is None or begin >= end:
        raise typer.BadParameter("--from must be before --to")
    with clear_errors():
        different = asyncio.run(_rebuild(begin, end, pbx, Teller(as_json=as_json), apply=apply))
    if different and not apply:
        raise typer.Exit(1)


async def _rebuild(
    since: datetime, until: datetime, pbx: str | None, teller: Teller, *, apply: bool
) -> int:
    from telephony.call_legs import Directory
    from telephony.database import Database
    from telephony.record.rebuild import Rebuild
    from telephony.settings import load_settings

    settings = load_settings()
    database = Database.from_settings(settings)
    directory = Directory.from_settings(settings)
    name = pbx or settings.pbx.name
    try:
        rebuild = Rebuild(
            database, directory, name, since, until, now=datetime.now(UTC), apply=apply
        )
        async with aclosing(rebuild.run(teller.progress)) as differences:
            async for one in differences:
                teller.difference(one)
    finally:
        await database.close()
    teller.end(rebuild.progress, applied=apply)
    return rebuild.progress.different


def list_gaps(
    pbx: Pbx = None,
    why: Annotated[str | None, typer.Option(help="Only of this kind, such as no-end.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Begun at or after.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Begun before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on after the page before.")] = None,
    as_json: Json = False,
) -> None:
    """Where rows of the PBX are missing, newest first, and the calls that are touched."""
    from telephony.commands.legs import shown, times
    from telephony.legs.gaps import WHY
    from telephony.record.gap_store import list_gaps as page_of_gaps

    if why is not None and why not in WHY:
        raise typer.BadParameter(f"{why} is no kind of gap; there are: {', '.join(WHY)}")
    filters: dict[str, Any] = {
        "pbx": pbx,
        "why": why,
        **times(since, until),
    }

    async def read() -> Any:
        from telephony.commands.stored import open_database

        async with open_database() as database:
            return await page_of_gaps(database, limit=limit, cursor=cursor, **filters)

    with clear_errors():
        page = asyncio.run(read())
    if as_json:
        print_json({"items": page.items, "next": page.next})
        return
    rows = [
        {
            **gap,
            "since": shown(gap["from"]),
            "until": shown(gap["to"]),
            "calls": " ".join(gap["calls"]),
            "detail": f"{WHY[gap['why']]}; {gap['detail'] or gap['key']}",
        }
        for gap in page.items
    ]
    print_table("Gaps", GAP_COLUMNS, rows)
    if page.next:
        stderr.print(f"more: --cursor {page.next}", soft_wrap=True, markup=False)
