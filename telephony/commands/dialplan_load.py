"""``hotline dialplan diff, load, rollback, history``: the dialplan of a PBX in service."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import structlog
import typer

from telephony.commands.output import clear_errors, print_json, print_table, stderr, stdout
from telephony.plans import desk
from telephony.plans.diff import PlanDiff, as_lines
from telephony.plans.load import Loaded, Loader
from telephony.settings import Settings, load_settings

if TYPE_CHECKING:
    from telephony.plans.versions import Version

Found = TypeVar("Found")
OfPbx = Annotated[
    str | None, typer.Option("--pbx", help="Its name; without: the first of the settings.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def diff(pbx: OfPbx = None, as_json: AsJson = False) -> None:
    """What the running PBX has against what would be loaded; changes nothing.

    Lines with - are on the PBX, lines with + would be loaded.
    """
    found = _run(_differences, pbx)
    if as_json:
        print_json(asdict(found) | {"equal": found.equal})
        return
    for line in as_lines(found):
        stdout.print(line, markup=False, soft_wrap=True, style=_colour(line))
    if found.equal:
        stdout.print("nothing: the PBX has what would be loaded")


def load(pbx: OfPbx = None, as_json: AsJson = False) -> None:
    """Check, load and prove the dialplan; calls go on, and what fails is taken back by itself."""

    async def work(loader: Loader) -> Loaded:
        return await loader.load(by=_me())

    _tell(_run(_with_loader(work), pbx), as_json)


def rollback(
    version: Annotated[
        int | None, typer.Argument(help="A version of `history`; without: the one before.", min=1)
    ] = None,
    pbx: OfPbx = None,
    as_json: AsJson = False,
) -> None:
    """Put an older dialplan back, proven like a load; a load that was cut off is undone."""

    async def work(loader: Loader) -> Loaded:
        return await loader.rollback(version, by=_me())

    _tell(_run(_with_loader(work), pbx), as_json)


def history(pbx: OfPbx = None, as_json: AsJson = False) -> None:
    """Which dialplans were loaded, by whom, when, and what is kept of them."""
    with clear_errors():
        versions = desk.versions_of(_settings(pbx))
        kept, unfinished = versions.history(), versions.unfinished()
    if as_json:
        print_json({"versions": kept, "unfinished": unfinished})
        return
    rows = [asdict(one) | {"what": _what(one), "sha256": one.sha256[:12]} for one in kept]
    for row in rows:
        row["at"] = f"{row['at'].astimezone():%Y-%m-%d %H:%M:%S}"
    print_table("Dialplans kept", ["number", "at", "by", "what", "files", "sha256"], rows)
    if unfinished:
        stdout.print(
            f"a load of version {unfinished.after} by {unfinished.by} has begun and not ended "
            f"({unfinished.stage}); if nobody loads now, `hotline dialplan rollback` undoes it"
        )


def add_to(app: typer.Typer) -> None:
    """Put these commands under ``hotline dialplan``."""
    for command in (diff, load, rollback, history):
        app.command()(command)


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a number without a name.
        return f"uid {os.geteuid()}"


def _settings(pbx: str | None) -> Settings:
    """The settings that hold at a PBX. Raises :class:`~telephony.errors.SettingsError`."""
    settings = load_settings()
    return settings.of_pbx(pbx or settings.pbx.name)


def _run(work: Callable[[Settings], Awaitable[Found]], pbx: str | None) -> Found:
    # What the link logs while it tries is told by the error, once and in whole sentences.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with clear_errors():
        try:
            return asyncio.run(_ended(work(_settings(pbx))))
        except desk.CheckFailed as error:
            for one in error.findings.errors:
                stderr.print(str(one), markup=False, soft_wrap=True)
            raise


async def _ended(work: Awaitable[Found]) -> Found:
    return await work


async def _differences(settings: Settings) -> PlanDiff:
    async with desk.linked(settings) as (client, _):
        return await desk.differences_now(settings, client)


def _with_loader(
    work: Callable[[Loader], Awaitable[Loaded]],
) -> Callable[[Settings], Awaitable[Loaded]]:
    async def run(settings: Settings) -> Loaded:
        async with desk.linked(settings) as (client, actions):
            return await work(desk.loader_of(settings, client, actions))

    return run


def _tell(done: Loaded, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    stdout.print(
        f"version {done.version.number} is loaded by {done.way} and was read back, "
        f"{len(done.changed)} files changed, {done.seconds:.1f} s; before: version "
        f"{done.before.number}",
        markup=False,
    )
    for name in done.changed:
        by_hand = f", changed by hand; kept in version {done.before.number}"
        stdout.print(f"  {name}{by_hand if name in done.edited else ''}", markup=False)


def _what(version: Version) -> str:
    return f"{version.what} to {version.of}" if version.of else version.what


def _colour(line: str) -> str | None:
    return {"-": "red", "+": "green"}.get(line[:1])
