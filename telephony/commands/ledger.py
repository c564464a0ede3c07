"""``hotline ledger``: is the record of who answered for what still as it was written?"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from telephony.commands.output import clear_errors, print_json, stderr, stdout

app = typer.Typer(help="The ledger of responsibility.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """The ledger of responsibility."""


@app.command("verify")
def verify(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check every entry of every case: changed, missing or added ones are named, exit status 1."""
    from telephony.commands import stored

    with clear_errors():
        report = asyncio.run(stored.checked_ledger())
    if as_json:
        print_json(report.to_dict())
    else:
        for problem in report.problems:
            where = f"case {problem.case} entry {problem.number}"
            stderr.print(f"hotline: {where} {problem.reason}", soft_wrap=True, markup=False)
        stdout.print(f"{report.entries} entries of {report.cases} cases checked")
        if report.deleted:
            stdout.print(f"{report.deleted} cases were deleted by rule (hotline retention show)")
    if report.problems:
        raise typer.Exit(1)
