"""Make a backup and put one back: one call each."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from telephony.backup import databases
from telephony.backup.archive import BackupUnusable, Manifest, Writer, unpack
from telephony.database import Database
from telephony.ownership.locks import lock_for
from telephony.pbx_settings import messages_folder

if TYPE_CHECKING:
    from telephony.settings import Settings

MESSAGES, VERSIONS = "messages", "dialplan-versions"


async def backup(settings: Settings, target: Path, *, force: bool = False) -> Manifest:
    """Write database, sound of messages and kept dialplans into one file; the service may run.

    Raises :class:`BackupUnusable` when the file is there (unless ``force``) or cannot be written,
    and :class:`DatabaseUnavailable`.
    """
    if not force and await asyncio.to_thread(target.exists):
        raise BackupUnusable(f"{target} is there already; --force replaces it")
    database = Database.from_settings(settings)
    try:
        with tempfile.TemporaryDirectory(prefix=".hotline-", dir=target.parent) as name:
            folder = Path(name)
            manifest = await databases.save(database, folder)
            await asyncio.to_thread(_write, settings, target, folder, manifest)
            return manifest
    except OSError as error:
        raise BackupUnusable(f"{target}: {error.strerror or error}") from None
    finally:
        await database.close()


def _write(settings: Settings, target: Path, folder: Path, manifest: Manifest) -> None:
    writer = Writer(target, manifest)
    try:
        for path in _files(folder):
            writer.add(path, path.relative_to(folder).as_posix())
        for kind, here in _folders(settings).items():
            for path in _files(here):
                writer.add(path, f"{kind}/{path.relative_to(here).as_posix()}")
        writer.finish()
    except BaseException:
        writer.give_up()
        raise


async def restore(settings: Settings, source: Path, *, force: bool = False) -> Manifest:
    """Make database, sounds and kept dialplans what the backup holds; the service is stopped.

    Raises :class:`BackupUnusable` when the service runs, when something is there already (unless
    ``force``) or when the backup is damaged: nothing was changed then.
    """
    database = Database.from_settings(settings)
    try:
        with tempfile.TemporaryDirectory(prefix="hotline-restore-") as name:
            folder = Path(name)
            manifest = await asyncio.to_thread(unpack, source, folder)
            async with _alone(settings, database):
                targets = _folders(settings)
                for kind, there in targets.items():
                    wanted = folder / kind
                    if not force and wanted.is_dir() and any(_files(there)):
                        raise BackupUnusable(f"{there} holds files; --force replaces them")
                await databases.put_back(database, folder, manifest, force=force)
                for kind, there in targets.items():
                    if (folder / kind).is_dir():
                        await asyncio.to_thread(_replace, folder / kind, there)
            return manifest
    except OSError as error:
        raise BackupUnusable(f"{error.filename or source}: {error.strerror or error}") from None
    finally:
        await database.close()


@asynccontextmanager
async def _alone(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Keep services away: all locks are ours meanwhile."""
    async with AsyncExitStack() as stack:
        for pbx in settings.every_pbx:
            lock = lock_for(database, pbx.name)
            stack.push_async_callback(lock.close)
            if not await lock.take():
                owner = await lock.holder()
                raise BackupUnusable(f"a service runs on this database ({owner}); stop it first")
        yield


def _folders(settings: Settings) -> dict[str, Path]:
    """What is kept beside the database, by its place in the backup."""
    found = {VERSIONS: settings.dialplan.versions}
    for pbx in settings.every_pbx:
        folder = messages_folder(settings, pbx.name)
        if folder is not None:
            found[f"{MESSAGES}/{pbx.name}"] = folder
    return found


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path


def _replace(source: Path, target: Path) -> None:
    for path in _files(source):
        there = target / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)
