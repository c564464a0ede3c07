"""Make a backup and put one back: one call each."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from telephony.backup import databases
from telephony.backup.archive import BackupUnusable, Manifest, Writer, unpack
from telephony.database import Database
from telephony.ownership.keeper import BEAT_S
from telephony.ownership.locks import Lock, lock_for
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
            targets = _folders(settings)
            if not force and (homeless := _homeless(folder, targets)):
                raise BackupUnusable(
                    f"it holds {', '.join(homeless)}, for which the settings name no folder; "
                    "--force leaves them out"
                )
            if database.file is not None:
                database.file.parent.mkdir(parents=True, exist_ok=True)  # where the lock lies too
            async with _alone(settings, database):
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
        locks: list[Lock] = []
        for pbx in settings.every_pbx:
            lock = lock_for(database, pbx.name)
            stack.push_async_callback(lock.close)
            if not await lock.take():
                owner = await lock.holder()
                raise BackupUnusable(f"a service runs on this database ({owner}); stop it first")
            locks.append(lock)
        # A lock of PostgreSQL is lost by who says nothing for some seconds.
        beat = asyncio.create_task(_keep(locks), name="restore")
        try:
            yield
        finally:
            beat.cancel()
            [lost] = await asyncio.gather(beat, return_exceptions=True)
            if isinstance(lost, Exception):
                raise lost


async def _keep(locks: Sequence[Lock]) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        for lock in locks:
            if not await lock.take():
                raise BackupUnusable("a service was started meanwhile; stop it, and restore again")


def _homeless(folder: Path, targets: Mapping[str, Path]) -> list[str]:
    """What a backup holds of a PBX that the settings do not know, or have no folder for."""
    there = folder / MESSAGES
    held = sorted(one.name for one in there.iterdir()) if there.is_dir() else []
    return [f"{MESSAGES}/{name}" for name in held if f"{MESSAGES}/{name}" not in targets]


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
