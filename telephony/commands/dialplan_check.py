"""``hotline dialplan check``: what is wrong with a dialplan, before a PBX has it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from telephony.commands.output import clear_errors, print_json, stdout
from telephony.plans.check import check_files
from telephony.plans.findings import Finding, Findings
from telephony.settings import load_settings

COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Dialplans to check together; none: what would be loaded."),
    ] = None,
    etc: Annotated[
        Path | None,
        typer.Option(help="The PBX's configuration folder, where includes are looked for."),
    ] = None,
    notes: Annotated[
        bool, typer.Option("--notes", help="Also list what only a call can show.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check dialplans by our rules and by a scratch Asterisk of the same version.

    No PBX need run. Without files: what the settings make, and the admin's own beside it. Exit 0:
    may be loaded; 1: may not, or Asterisk cannot be started; 2: wrong settings or usage.
    """
    with clear_errors():
        findings = check_files(files or [], load_settings(), folder=etc)
    if as_json:
        print_json(findings.as_json())
    else:
        _show(findings, notes=notes)
    if not findings.ok:
        raise typer.Exit(1)


def _show(findings: Findings, *, notes: bool) -> None:
    for one in findings:
        if one.severity != "note" or notes:
            _show_one(one)
    noted = findings.count("note")
    stdout.print(
        f"{findings.count('error')} errors, {findings.count('warning')} warnings, {noted} notes"
        + (" (--notes lists them)" if noted and not notes else ""),
        markup=False,
    )


def _show_one(one: Finding) -> None:
    stdout.print(f"{one.file}:{one.line}: ", end="", markup=False, soft_wrap=True)
    stdout.print(one.severity, style=COLOURS[one.severity], end="")
    stdout.print(f" {one.code}: {one.what}", markup=False, soft_wrap=True)
    stdout.print(f"    {one.what_zh}", markup=False, soft_wrap=True)
    stdout.print(f"    -> {one.why} / {one.why_zh}", style="dim", markup=False, soft_wrap=True)
