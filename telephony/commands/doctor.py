"""``hotline doctor``: what is wrong, what it means for callers, what to do."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from typing import Annotated, Any

import structlog
import typer

from telephony.commands.output import clear_errors, print_json, stdout
from telephony.database import driver_url
from telephony.doctor import Finding, examine, is_well
from telephony.settings import Settings, load_settings

COLOURS = {"ok": "green", "warning": "yellow", "wrong": "bold red"}
NAME_WIDTH = 13


def doctor(
    test_call: Annotated[
        bool,
        typer.Option(
            "--test-call",
            help="Prove that CEL grows by a call that no phone hears; it leaves a leg on record.",
        ),
    ] = False,
    pbx: Annotated[
        str | None, typer.Option(help="Its name; without: every PBX of the settings.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what is wrong before a caller does; exit 0 when nothing is wrong (warnings allowed).

    Exit 1 when something is wrong at any PBX.
    """
    # What the link logs while it tries is told below, once and in whole sentences.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with clear_errors():
        settings = load_settings()
        driver_url(settings.database_url)
        names = [pbx] if pbx else [one.name for one in settings.every_pbx]
        found = {name: _examined(settings.of_pbx(name), test_call=test_call) for name in names}
    if as_json:
        told = [_as_json(name, findings) for name, findings in found.items()]
        well = all(one["ok"] for one in told)
        print_json(told[0] if len(told) == 1 else {"ok": well, "pbxs": told})
    else:
        for name, findings in found.items():
            if len(found) > 1:
                stdout.print(f"\n{name}", style="bold", markup=False)
            for finding in findings:
                _show(finding)
            _sum_up(findings)
    if not all(is_well(findings) for findings in found.values()):
        raise typer.Exit(1)


def _examined(settings: Settings, *, test_call: bool) -> list[Finding]:
    return asyncio.run(examine(settings, test_call=test_call))


def _as_json(name: str, findings: list[Finding]) -> dict[str, Any]:
    checks = [asdict(finding) for finding in findings]
    return {"ok": is_well(findings), "pbx": name, "checks": checks}


def _show(finding: Finding) -> None:
    stdout.print(f"{finding.state:8}", style=COLOURS[finding.state], end="")
    stdout.print(f"{finding.name:{NAME_WIDTH}}{finding.found}", markup=False, soft_wrap=True)
    indent = " " * 8 + " " * NAME_WIDTH
    stdout.print(f"{indent}{finding.means}", style="dim", markup=False, soft_wrap=True)
    if finding.todo:
        stdout.print(f"{indent}-> {finding.todo}", markup=False, soft_wrap=True)
        stdout.print(f"{indent}   {finding.todo_zh}", markup=False, soft_wrap=True)


def _sum_up(findings: list[Finding]) -> None:
    count = {state: sum(one.state == state for one in findings) for state in COLOURS}
    stdout.print(f"\n{count['ok']} ok, {count['warning']} warnings, {count['wrong']} wrong")
