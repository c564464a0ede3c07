"""``hotline legs|cases|ledger|handovers export``: the record as CSV, XLSX or Parquet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from telephony.commands.legs import times
from telephony.commands.output import clear_errors, stderr

if TYPE_CHECKING:
    from telephony.bulk import export
    from telephony.bulk.tables import Format, Headings, What

LOOK_S = 0.2
HEADINGS = ("names", "zh", "en")
FORMATS = ("csv", "xlsx", "parquet")

Case = Annotated[str | None, typer.Option(help="Of this case.")]
Caller = Annotated[str | None, typer.Option(help="The citizen's number, in any form.")]
State = Annotated[str | None, typer.Option(help="In this state.")]

Filters = dict[str, str | None]


def _every_export(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The file, there when it is whole; - is stdout (CSV)."),
    ] = Path("-"),
    form: Annotated[
        str | None, typer.Option("--format", help="csv, xlsx or parquet; else by the file's name.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Names with commas between them, in this order; else all.")
    ] = None,
    headings: Annotated[
        str, typer.Option("--headings", help="names, zh or en; for people times are China's clock.")
    ] = "names",
    bom: Annotated[
        bool,
        typer.Option("--bom", help="CSV for Excel: numbers keep their zeros, Chinese is read."),
    ] = False,
    since: Annotated[
        str | None, typer.Option("--from", help="At or after: 2026-11-24[ 08:30].")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before.")] = None,
    *,
    what: What,
    filters: Filters,
) -> None:
    to_pipe = str(output) == "-"
    suffix = output.suffix[1:].lower()
    if not form and not to_pipe and suffix and suffix not in FORMATS:
        kinds = ", ".join(f".{one}" for one in FORMATS)
        raise typer.BadParameter(f"{output}: .{suffix} is none of {kinds}; or say --format")
    form = form or suffix or "csv"
    for name, value, known in (("--format", form, FORMATS), ("--headings", headings, HEADINGS)):
        if value not in known:
            raise typer.BadParameter(f"{name} is one of {', '.join(known)}")
    if to_pipe and form != "csv":
        raise typer.BadParameter(f"{form} needs a file: -o FILE")
    between = times(since, until)
    chosen = tuple(columns.split(",")) if columns else ()
    from telephony.bulk.tables import TABLES, Spec
    from telephony.commands import stored

    told: Any = {name: value for name, value in {**filters, **between}.items() if value is not None}
    look = (cast("Headings", headings), cast("Format", form), bom, True)
    spec = Spec(what, TABLES[what].filters(**told), chosen, *look)
    with clear_errors():
        asyncio.run(stored.export(spec, None if to_pipe else output, _shown))


def _export(command: Callable[..., Filters]) -> Callable[..., None]:
    """A command with its own options, which choose, and those of every export.

    Its name is what is exported.
    """
    what = cast("What", command.__name__)
    common = [one for one in _options(_every_export) if one.kind is not one.KEYWORD_ONLY]
    options = [*common[:-2], *_options(command), *common[-2:]]

    @wraps(command)
    def run(**given: Any) -> None:
        shared = {one.name: given.pop(one.name) for one in common}
        _every_export(**shared, what=what, filters=command(**given))

    # What typer reads the options from.
    run.__dict__["__signature__"] = Signature(options)
    run.__annotations__ = {one.name: one.annotation for one in options}
    return run


def _options(command: Callable[..., Any]) -> list[Parameter]:
    """The options of a function; what only type checkers know of is left as text."""
    hints = {**globals(), "What": Any}
    return list(signature(command, eval_str=True, globals=hints).parameters.values())


@_export
def legs(
    caller: Caller = None,
    agent: Annotated[str | None, typer.Option(help="Legs of this agent.")] = None,
    department: Annotated[str | None, typer.Option(help="Legs of this department.")] = None,
    case: Case = None,
    role: Annotated[
        str | None, typer.Option(help="citizen, agent, target, supervisor or mailbox.")
    ] = None,
) -> Filters:
    """Legs on record, oldest first, numbers whole; it is in the audit log."""
    where = {"caller": caller, "agent": agent, "department": department}
    return where | {"case": case, "role": role}


@_export
def cases(
    caller: Caller = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for it now.")] = None,
    state: State = None,
    kind: Annotated[str | None, typer.Option(help="咨询, 建议, 求助, 表扬 or 投诉.")] = None,
    matter: Annotated[str | None, typer.Option(help="Of this matter.")] = None,
    handed_over_by: Annotated[str | None, typer.Option(help="The side it came from.")] = None,
) -> Filters:
    """Cases on record, oldest first, numbers whole; it is in the audit log."""
    where = {"caller": caller, "owner": owner, "state": state, "kind": kind, "matter": matter}
    return where | {"handed_over_by": handed_over_by}


@_export
def ledger(
    case: Case = None,
    event: Annotated[str | None, typer.Option(help="taken, offered, accepted ...")] = None,
    by: Annotated[str | None, typer.Option(help="Who did it.")] = None,
) -> Filters:
    """Entries of the ledger, case by case; it is in the audit log."""
    return {"case": case, "event": event, "by": by}


@_export
def handovers(
    case: Case = None,
    desk: Annotated[str | None, typer.Option(help="To this desk.")] = None,
    by: Annotated[str | None, typer.Option(help="The agent who handed over.")] = None,
    state: State = None,
) -> Filters:
    """Hand-overs on record, oldest first; it is in the audit log."""
    return {"case": case, "desk": desk, "by": by, "state": state}


handovers_app = typer.Typer(help="Hand-overs on record.", no_args_is_help=True)
handovers_app.command("export")(handovers)


@handovers_app.callback()
def _handovers() -> None:
    """Hand-overs on record."""


@asynccontextmanager
async def _shown(progress: export.Progress) -> AsyncIterator[None]:
    """How far it is, on a terminal."""
    if not stderr.is_terminal:
        yield
        return
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*bar, console=stderr, transient=True) as shown:
        task = shown.add_task("rows", total=None)

        async def look() -> None:
            while True:
                shown.update(task, total=progress.rows, completed=progress.done)
                await asyncio.sleep(LOOK_S)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
