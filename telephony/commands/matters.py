"""``hotline matters``: the directory of what either side hands to the other."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from telephony.commands.output import clear_errors, print_json, print_table, so_many, stderr, stdout

if TYPE_CHECKING:
    from telephony.matters.book import MatterBook, Taken
    from telephony.matters.files import Broken, Read
    from telephony.matters.rules import Matter

app = typer.Typer(
    help="The directory of matters (事项) and where each is handed to.", no_args_is_help=True
)
Answer = TypeVar("Answer")
BY = "command line"
SHOWN = 50
"""How many mistakes of a file are named; --json names all."""

COLUMNS = ("code", "name", "category", "direction", "desk", "urgency", "feedback_h", "flags")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1)]


@app.callback()
def matters() -> None:
    """The directory of matters and where each is handed to."""


@app.command("import")
def import_file(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="CSV or XLSX.", show_default=False)
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="The sample that comes with the program.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken", help="Take the rows that are right; what is wrong stays as it was."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a file the directory, as a new version: all of it, or with one mistake in it nothing.

    The exit status is 1 where nothing was taken, or would be.
    """
    if (file is None) == (not sample):
        raise typer.BadParameter("name a file, or --sample")
    from telephony.matters.files import SAMPLE_FILE, MatterFileRefused, read_matters
    from telephony.matters.files import sample as sample_file

    def data() -> bytes:
        return sample_file() if file is None else _bytes_of(file)

    async def take(book: MatterBook) -> tuple[Read, Taken]:
        read = read_matters(data(), book.desks)
        source = SAMPLE_FILE if file is None else file.name
        options = {"skip_broken": skip_broken, "dry_run": dry_run}
        return read, await book.take(read, source=source, by=BY, **options)

    with clear_errors():
        try:
            read, taken = asyncio.run(_with_book(take))
        except MatterFileRefused as error:
            _tell_broken(error.broken)
            # The error's own sentence would name the first of them again.
            told = f"nothing was taken: {so_many(len(error.broken), 'mistake')} [{error.code}]"
            stderr.print(f"hotline: {told}", soft_wrap=True, markup=False)
            raise typer.Exit(1) from None
    if as_json:
        print_json(_as_json(read, taken))
    else:
        _tell_broken(read.broken)
        _tell(taken)
    if read.broken and not skip_broken:  # a preview: taken it was not
        stderr.print("hotline: as it is it would be refused; --skip-broken takes the other rows")
        raise typer.Exit(1)


def _bytes_of(file: Path) -> bytes:
    from telephony.matters.files import MAX_BYTES, Broken, MatterFileRefused

    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise MatterFileRefused([Broken(None, None, f"{file}: {error.strerror}")]) from None


def _tell_broken(broken: tuple[Broken, ...] | list[Broken]) -> None:
    for one in broken[:SHOWN]:
        stderr.print(f"hotline: {one}", soft_wrap=True, markup=False)
    if len(broken) > SHOWN:
        stderr.print(f"hotline: and {len(broken) - SHOWN} more mistakes")


def _tell(taken: Taken) -> None:
    found = taken.difference
    counts = (
        f"{len(found.new)} new, {len(found.changed)} changed, {len(found.removed)} removed, "
        f"{found.unchanged} as before"
    )
    if taken.version is None:
        stdout.print(f"would be: {counts}")
    elif found.is_none:
        stdout.print(f"nothing changes: version {taken.version} is like it")
    else:
        stdout.print(f"version {taken.version}: {counts}")
    if taken.kept:
        stdout.print(f"kept as they were: {', '.join(taken.kept)}", markup=False)


def _as_json(read: Read | None, taken: Taken) -> dict[str, Any]:
    found = taken.difference
    return {
        "version": taken.version,
        "new": found.new,
        "changed": found.changed,
        "removed": found.removed,
        "unchanged": found.unchanged,
        "kept": taken.kept,
        "broken": [
            {"row": one.row, "column": one.column, "reason": one.reason}
            for one in (read.broken if read is not None else ())
        ],
    }


@app.command("list")
def list_matters(limit: Limit = 1000, as_json: Json = False) -> None:
    """All matters of the newest version."""
    _show("", limit, as_json)


@app.command("search")
def search(
    words: Annotated[str, typer.Argument(help="Words, pinyin or its first letters: jtsg.")],
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """The matters that hold these words, the best first."""
    _show(words, limit, as_json)


def _show(words: str, limit: int, as_json: bool) -> None:
    with clear_errors():
        directory = asyncio.run(_with_book(lambda book: book.refresh()))
    found = directory.search(words)
    rows = [_row(one) for one in found.matters[:limit]]
    if as_json:
        print_json({"version": directory.version, "sample": directory.is_sample, "items": rows})
        return
    title = f"Matters, version {directory.version}" + (" (sample)" if directory.is_sample else "")
    print_table(title if directory.is_loaded else "Matters: none imported", COLUMNS, rows)
    if words and not found.exact and rows:
        stderr.print("hotline: nothing holds these words; these are the nearest")
    if len(found.matters) > limit:
        stderr.print(f"hotline: and {len(found.matters) - limit} more: --limit")


def _row(one: Matter) -> dict[str, Any]:
    flags = [name for name, is_set in (("涉稳", one.stability), ("涉险", one.danger)) if is_set]
    return {
        "code": one.code,
        "name": one.name,
        "category": one.category,
        "direction": one.direction,
        "desk": one.desk,
        "urgency": one.urgency,
        "feedback_h": one.feedback_h,
        "flags": " ".join(flags),
        "keywords": list(one.keywords),
    }


@app.command("versions")
def versions(as_json: Json = False) -> None:
    """All imports, the newest first."""
    from telephony.commands.legs import shown

    with clear_errors():
        found = asyncio.run(_with_book(lambda book: book.versions()))
    names = ("version", "imported_at", "imported_by", "source", "matters", "restored_from")
    rows = [{name: getattr(one, name) for name in names} for one in found]
    if as_json:
        print_json(rows)
    else:
        shorter = [row | {"imported_at": shown(row["imported_at"])} for row in rows]
        print_table("Versions of the directory", names, shorter)


@app.command("restore")
def restore(
    version: Annotated[int, typer.Argument(min=1)],
    as_json: Json = False,
) -> None:
    """Take an earlier version up again, as a new one."""
    with clear_errors():
        taken = asyncio.run(_with_book(lambda book: book.restore(version, by=BY)))
    if as_json:
        print_json(_as_json(None, taken))
    else:
        _tell(taken)


@app.command("export")
def export(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="To this file, with a byte order mark.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Default: the newest.", show_default=False)
    ] = None,
    headings: Annotated[str, typer.Option(help="zh or en.")] = "zh",
) -> None:
    """The directory as CSV, which `import` reads back."""
    if headings not in ("zh", "en"):
        raise typer.BadParameter("--headings is zh or en")
    language: Literal["zh", "en"] = "zh" if headings == "zh" else "en"
    from telephony.errors import HotlineError
    from telephony.matters.files import csv_of_matters

    async def read(book: MatterBook) -> list[Matter]:
        if version is not None:
            return await book.matters_of(version)
        return list((await book.refresh()).matters)

    with clear_errors():
        text = csv_of_matters(asyncio.run(_with_book(read)), language, bom=out is not None)
        if out is None:
            sys.stdout.write(text)
            return
        try:
            fresh = out.with_name(out.name + ".new")
            fresh.write_text(text, encoding="utf-8", newline="")
            os.replace(fresh, out)
        except OSError as error:
            raise HotlineError(f"{out}: {error.strerror}") from None


async def _with_book(ask: Callable[[MatterBook], Awaitable[Answer]]) -> Answer:
    from telephony.commands.stored import open_database
    from telephony.matters.book import MatterBook
    from telephony.settings import load_settings

    async with open_database() as database:
        return await ask(MatterBook(database, load_settings()))
