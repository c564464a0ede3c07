"""Make a backup and put one back: one call each."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from telephony.backup import databases
from telephony.backup.archive import BackupUnusable, Manifest, Writer, look_through, take_out
from telephony.database import Database
from telephony.ownership.keeper import BEAT_S
from telephony.ownership.locks import Lock, lock_for
from telephony.pbx_settings import MESSAGES, RECORDINGS, messages_folder, recordings_folder

if TYPE_CHECKING:
    from telephony.settings import Settings

VERSIONS = "dialplan-versions"


async def backup(
    settings: Settings, target: Path, *, force: bool = False, recordings: bool = False
) -> Manifest:
    """Write database, sound of messages and kept dialplans into one file; the service may run.

    ``recordings``: those of calls as well, each as it is when its turn comes. Raises
    :class:`BackupUnusable` when the file is there (unless ``force``) or cannot be written, or the
    recordings are not found, and :class:`DatabaseUnavailable`.
    """
    if not force and await asyncio.to_thread(target.exists):
        raise BackupUnusable(f"{target} is there already; --force replaces it")
    folders = _folders(settings)
    if recordings:
        folders |= await asyncio.to_thread(_recordings, settings)
    database = Database.from_settings(settings)
    try:
        with tempfile.TemporaryDirectory(prefix=".hotline-", dir=target.parent) as name:
            folder = Path(name)
            manifest = await databases.save(database, folder)
            await asyncio.to_thread(_write, folders, target, folder, manifest)
            return manifest
    except OSError as error:
        raise BackupUnusable(f"{target}: {error.strerror or error}") from None
    finally:
        await database.close()


def _write(folders: Mapping[str, Path], target: Path, folder: Path, manifest: Manifest) -> None:
    writer = Writer(target, manifest)
    try:
        for path in _files(folder):
            writer.add(path, path.relative_to(folder).as_posix())
        for kind, here in folders.items():
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
        manifest = await asyncio.to_thread(look_through, source)
        targets = _folders(settings) | _where_recordings_go(settings)
        if not force and (homeless := _homeless(manifest, targets)):
            raise BackupUnusable(
                f"it holds {', '.join(homeless)}, for which the settings name no folder; "
                "--force leaves them out"
            )
        if database.file is not None:
            database.file.parent.mkdir(parents=True, exist_ok=True)  # where the lock lies too
        with tempfile.TemporaryDirectory(prefix="hotline-restore-") as name:
            folder = Path(name)
            async with _alone(settings, database):
                there = {kind: one for kind, one in targets.items() if _held(manifest, kind)}
                for one in there.values():
                    if not force and any(_files(one)):
                        raise BackupUnusable(f"{one} holds files; --force replaces them")
                await asyncio.to_thread(_look_for_room, manifest, there)
                await asyncio.to_thread(take_out, source, manifest, _of_database(folder))
                await databases.put_back(database, folder, manifest, force=force)
                await asyncio.to_thread(take_out, source, manifest, _beside(there))
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


def _homeless(manifest: Manifest, targets: Mapping[str, Path]) -> list[str]:
    """What a backup holds of a PBX that the settings do not know, or have no folder for."""
    split = [name.split("/", 2) for name in manifest.parts]
    kinds = {"/".join(one[:2]) for one in split if one[0] in (MESSAGES, RECORDINGS)}
    return sorted(kinds - targets.keys())


def _folders(settings: Settings) -> dict[str, Path]:
    """What is kept beside the database, by its place in the backup."""
    found = {VERSIONS: settings.dialplan.versions}
    for pbx in settings.every_pbx:
        folder = messages_folder(settings, pbx.name)
        if folder is not None:
            found[f"{MESSAGES}/{pbx.name}"] = folder
    return found


def _where_recordings_go(settings: Settings) -> dict[str, Path]:
    found = {
        f"{RECORDINGS}/{pbx.name}": recordings_folder(settings, pbx.name)
        for pbx in settings.every_pbx
    }
    return {kind: folder for kind, folder in found.items() if folder is not None}


def _recordings(settings: Settings) -> dict[str, Path]:
    """The folders of recordings; one that is not there is not taken for an empty one."""
    found = _where_recordings_go(settings)
    if not found:
        raise BackupUnusable("no folder of recordings is set (recording.folder)")
    for folder in found.values():
        try:
            next(folder.iterdir(), None)
        except OSError as error:
            raise BackupUnusable(f"recordings: {folder}: {error.strerror}") from None
    return found


def _held(manifest: Manifest, kind: str) -> list[str]:
    return [name for name in manifest.parts if name.startswith(f"{kind}/")]


def _look_for_room(manifest: Manifest, targets: Mapping[str, Path]) -> None:
    """Before anything is changed: whether each disk has room for what goes there."""
    need: Counter[int] = Counter()
    places: dict[int, Path] = {}
    for kind, folder in targets.items():
        place = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
        device = place.stat().st_dev
        places[device] = place
        need[device] += sum(manifest.sizes[name] for name in _held(manifest, kind))
    for device, size in need.items():
        free = shutil.disk_usage(places[device]).free
        if size > free:
            raise BackupUnusable(
                f"{places[device]} has room for {free // 10**6} MB, the files of the backup that "
                f"go there have {size // 10**6} MB; nothing was changed"
            )


def _of_database(folder: Path) -> Callable[[str], Path | None]:
    def place(name: str) -> Path | None:
        beside = name.split("/", 1)[0] in (MESSAGES, RECORDINGS, VERSIONS)
        return None if beside else folder / name

    return place


def _beside(targets: Mapping[str, Path]) -> Callable[[str], Path | None]:
    def place(name: str) -> Path | None:
        for kind, there in targets.items():
            if name.startswith(f"{kind}/"):
                return there / name.removeprefix(f"{kind}/")
        return None

    return place


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path
