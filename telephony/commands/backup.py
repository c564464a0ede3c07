"""``hotline backup`` and ``hotline restore``: all that the service keeps, in one file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from telephony.commands.output import clear_errors, print_json, stdout
from telephony.settings import load_settings

if TYPE_CHECKING:
    from telephony.backup.archive import Manifest

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def backup(
    file: Annotated[Path, typer.Argument(help="The backup, a tar file.")],
    force: Annotated[bool, typer.Option(help="Replace a file of this name.")] = False,
    recordings: Annotated[
        bool, typer.Option("--recordings", help="Also the recordings of calls; they may be large.")
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Write the database, the sound of messages and kept dialplans into one file.

    The service may run meanwhile. Exit status 1 when it could not be made; no file is left then.
    """
    from telephony.backup.work import backup as make

    with clear_errors():
        made = asyncio.run(make(load_settings(), file, force=force, recordings=recordings))
        _tell(made, f"{file} is whole", as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A backup that `hotline backup` made.")],
    force: Annotated[bool, typer.Option(help="Also over what is there.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Make database, messages and kept dialplans what the backup holds; the service is stopped.

    Recordings too, if it holds them.

    Exit status 1 when it was refused: nothing was changed then.
    """
    from telephony.backup.work import restore as put_back

    with clear_errors():
        done = asyncio.run(put_back(load_settings(), file, force=force))
        _tell(done, f"{file} is restored", as_json)


def _tell(manifest: Manifest, said: str, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "kind": manifest.kind,
                "version": manifest.revision,
                "made_at": manifest.made_at,
                "rows": manifest.rows,
                "files": len(manifest.parts),
            }
        )
        return
    rows, files = sum(manifest.rows.values()), len(manifest.parts)
    stdout.print(f"{said}: {rows} rows, {files} files ({manifest.kind}, {manifest.revision})")
