"""``hotline legs``: legs on record, as a table, CSV or JSON, and legs built from any CEL file."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

import orjson
import typer

from telephony.call_legs import build_legs
from telephony.cel.sort import read_cel
from telephony.commands import leg_checks
from telephony.commands.output import clear_errors, print_json, print_table, stderr
from telephony.errors import HotlineError, NotFound
from telephony.legs.model import LegRole

app = typer.Typer(help="Call legs: each party's part in each call.", no_args_is_help=True)
app.command("rebuild")(leg_checks.rebuild_legs)
app.command("gaps")(leg_checks.list_gaps)

TIME_ZONE = "Asia/Shanghai"
MAX_PAGE = 500
MAX_NAMED = 50
"""Broken rows that are named one by one; all are counted."""

Caller = Annotated[str | None, typer.Option(help="The citizen's number, in any form.")]
Agent = Annotated[str | None, typer.Option(help="Legs of this agent.")]
Department = Annotated[str | None, typer.Option(help="Legs of this department.")]
Case = Annotated[str | None, typer.Option(help="Legs of this case.")]
Since = Annotated[
    str | None, typer.Option("--from", help=f"Begun at or after: 2026-11-24[ 08:30], {TIME_ZONE}.")
]
Until = Annotated[str | None, typer.Option("--to", help="Begun before.")]
Role = Annotated[str | None, typer.Option(help="citizen, agent, target, supervisor or mailbox.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

COLUMNS = [
    *("started", "role", "party", "caller", "ring_s", "talk_s"),
    *("state", "cause_text", "handover", "case", "uniqueid"),
]


class CelFileNotFound(NotFound):
    """The CEL file cannot be opened."""

    code = "cel-file-not-found"
    title = "No such CEL file"


class CelFileUnreadable(HotlineError):
    """The CEL file breaks off, is no whole gzip, or cannot be sorted for want of disk space."""

    code = "cel-file-unreadable"
    title = "The CEL file cannot be read to its end"


class OutputFailed(HotlineError):
    """What is printed cannot be written: the disk is full, or nobody reads the pipe any more."""

    code = "output-failed"
    title = "The output cannot be written"


@app.command("list")
def list_legs(
    caller: Caller = None,
    agent: Agent = None,
    department: Department = None,
    case: Case = None,
    since: Since = None,
    until: Until = None,
    role: Role = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on after the page before.")] = None,
    as_json: Json = False,
) -> None:
    """Legs on record, newest first."""
    filters = _filters(caller, agent, department, case, since, until, role)
    from telephony.commands import stored

    with clear_errors():
        page = asyncio.run(stored.page_of_legs(limit, cursor, **filters))
    if as_json:
        print_json({"items": page.items, "next": page.next})
        return
    rows = [{**leg, "started": shown(leg["started_at"])} for leg in page.items]
    print_table("Legs", COLUMNS, rows)
    if page.next:
        stderr.print(f"more: --cursor {page.next}", soft_wrap=True, markup=False)


@app.command("build")
def build(
    file: Annotated[str, typer.Argument(help="A CEL file as CSV with a header row; - is stdin.")],
    pbx: Annotated[str, typer.Option(help="The name to give the PBX.")] = "",
    tz: Annotated[str, typer.Option(help="The zone of times without one.")] = "UTC",
    header: Annotated[
        bool, typer.Option(help="--no-header: in the order of Asterisk's cel_custom.conf.")
    ] = True,
) -> None:
    """Build legs from a CEL file and print them as JSON, without a database or settings.

    A file packed by gzip is read as it is. Rows may stand in any order. Broken rows are named on
    stderr and the rest is used; exit status 1 says that there were some.
    """
    try:
        zone = ZoneInfo(tz)
    except (ValueError, OSError, KeyError):
        raise typer.BadParameter(f"{tz} is not a time zone; for example {TIME_ZONE}") from None
    broken: list[tuple[int, str]] = []
    count = 0

    def on_bad(line: int, reason: str) -> None:
        nonlocal count
        count += 1
        if len(broken) < MAX_NAMED:
            broken.append((line, reason))

    with clear_errors():
        try:
            with _open(file) as lines:
                rows = read_cel(lines, on_bad, zone=zone, has_header=header)
                _print_array(leg.to_dict() for leg in build_legs(rows, pbx=pbx))
        except (OSError, EOFError, zlib.error) as error:
            raise CelFileUnreadable(f"{file} cannot be read to its end: {error}") from None
    if count:
        for line, reason in sorted(broken):
            stderr.print(f"hotline: {file} line {line}: {reason}", soft_wrap=True, markup=False)
        left = f", the first {MAX_NAMED} of them named above" if count > MAX_NAMED else ""
        stderr.print(f"hotline: {count} broken rows were left out{left}", soft_wrap=True)
        raise typer.Exit(1)


@contextmanager
def _open(file: str) -> Iterator[Iterator[str]]:
    with ExitStack() as stack:
        try:
            raw: Any = (
                sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
            )
        except OSError as error:
            raise CelFileNotFound(f"{file} cannot be read: {error.strerror}") from None
        if not isinstance(raw, io.BufferedReader):
            raw = io.BufferedReader(raw)
        if raw.peek(2)[:2] == b"\x1f\x8b":
            raw = stack.enter_context(gzip.open(raw))
        yield io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="")


def _print_array(items: Iterator[dict[str, Any]]) -> None:
    """A JSON array, one element a line, written as the elements come."""
    lead = b"[\n"
    for item in items:
        _write(lead + orjson.dumps(item))
        lead = b",\n"
    _write(b"[]\n" if lead == b"[\n" else b"\n]\n", last=True)


def _write(data: bytes, *, last: bool = False) -> None:
    out = sys.stdout.buffer
    try:
        out.write(data)
        if last:
            out.flush()
    except OSError as error:
        # What is left in the buffer would fail again as Python ends, with a traceback.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), out.fileno())
        raise OutputFailed(f"the output cannot be written: {error.strerror}") from None


def _filters(
    caller: str | None,
    agent: str | None,
    department: str | None,
    case: str | None,
    since: str | None,
    until: str | None,
    role: str | None,
) -> dict[str, Any]:
    return {
        "caller": caller,
        "agent": agent,
        "department": department,
        "case": case,
        "role": one_of(role, get_args(LegRole), "--role"),
        **times(since, until),
    }


def parse_time(text: str | None) -> datetime | None:
    """A moment as people type it; without a zone it is China's time."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not a time; for example 2026-11-24 08:30") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(TIME_ZONE))


def times(since: str | None, until: str | None) -> dict[str, datetime | None]:
    """From when on (included) and until when (excluded), as people type them."""
    begin, end = parse_time(since), parse_time(until)
    if begin is not None and end is not None and begin >= end:
        raise typer.BadParameter("--from is not before --to: nothing lies between")
    return {"since": begin, "until": end}


def one_of(value: str | None, allowed: Iterable[str], option: str) -> str | None:
    """A value that there is: a mistyped one would find nothing, which looks like an answer."""
    if value is not None and value not in allowed:
        raise typer.BadParameter(f"{option} {value}: it is one of {', '.join(allowed)}")
    return value


def shown(moment: datetime | None) -> str | None:
    """A moment for people, in China's time."""
    if moment is None:
        return None
    return moment.astimezone(ZoneInfo(TIME_ZONE)).strftime("%Y-%m-%d %H:%M:%S")
