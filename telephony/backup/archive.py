"""The file of a backup: a tar with a manifest that names each part and its SHA-256."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from telephony.errors import HotlineError

FORMAT = 1
MANIFEST = "manifest.json"
BLOCK = 2**20

Kind = Literal["sqlite", "postgresql"]


class BackupUnusable(HotlineError):
    """A backup cannot be made, read or put back; nothing was changed."""

    code = "backup-unusable"
    title = "The backup cannot be used"


@dataclass(slots=True)
class Manifest:
    """What a backup holds. ``parts``: each file's SHA-256; ``rows``: of each table.

    ``sizes`` is known once it was read again: each file's bytes.
    """

    kind: Kind
    revision: str
    made_at: str
    format: int = FORMAT
    rows: dict[str, int] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


class Writer:
    """Writes a backup beside its name and gives it that name once it is whole."""

    def __init__(self, target: Path, manifest: Manifest) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.part")
        self._manifest = manifest
        # Of two names of one file (a hard link) each gets its own bytes.
        self._tar = tarfile.TarFile(self._part, "w", format=tarfile.PAX_FORMAT, dereference=True)
        os.chmod(self._part, 0o600)  # it holds citizens' numbers

    def add(self, path: Path, name: str) -> None:
        """Put a file in as it is now; one that is gone meanwhile is left out."""
        try:
            file = path.open("rb")
        except FileNotFoundError:  # deleted by rule in this moment
            return
        # It may be a sound that is still spoken to: what is in the backup is what the digest is of.
        with file:
            info = self._tar.gettarinfo(arcname=name, fileobj=file)
            read = _Read(file)
            self._tar.addfile(info, read)
        self._manifest.parts[name] = read.digest.hexdigest()

    def finish(self) -> None:
        """Write the manifest; the backup is whole then, and on disk."""
        said = asdict(self._manifest)
        del said["sizes"]
        text = json.dumps(said, ensure_ascii=False, indent=1).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(text)
        self._tar.addfile(info, io.BytesIO(text))
        self._tar.close()
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.rename(self._target)

    def give_up(self) -> None:
        """Leave nothing."""
        self._tar.close()
        self._part.unlink(missing_ok=True)


class _Read:
    """A file that is read once, and the digest of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def look_through(source: Path) -> Manifest:
    """Read a backup to its end and check every part of it; nothing is written anywhere.

    Raises :class:`BackupUnusable` for a file that is none, is damaged, or is not ours.
    """
    said: dict[str, Any] | None = None
    digests: dict[str, str] = {}
    sizes: dict[str, int] = {}
    with _opened(source) as tar:
        for member, file in _members(tar, source):
            if member.name == MANIFEST:
                said = json.load(file)
                continue
            read = _Read(file)
            while read.read(BLOCK):
                pass
            digests[member.name] = read.digest.hexdigest()
            sizes[member.name] = member.size
        if said is None:
            raise BackupUnusable(f"{source}: {MANIFEST} is not there")
        manifest = Manifest(**said | {"sizes": sizes})
    if manifest.format != FORMAT:
        raise BackupUnusable(
            f"{source} has the form {manifest.format}, this version knows {FORMAT}"
        )
    for name, digest in manifest.parts.items():
        if digests.get(name) != digest:
            raise BackupUnusable(f"{source} is damaged: {name} is not what it was")
    return manifest


def take_out(source: Path, manifest: Manifest, to: Callable[[str], Path | None]) -> None:
    """Write parts of a backup that was looked through to where ``to`` says; None leaves one out.

    Each is there whole or not at all. Raises :class:`BackupUnusable`, :class:`OSError`.
    """
    with _opened(source) as tar:
        for member, file in _members(tar, source):
            target = to(member.name) if member.name in manifest.parts else None
            if target is None:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            try:
                with part.open("wb") as copy:
                    while data := file.read(BLOCK):
                        copy.write(data)
                os.utime(part, (member.mtime, member.mtime))
                part.rename(target)
            except BaseException:  # such as a full disk
                part.unlink(missing_ok=True)
                raise


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, "r") as tar:
            yield tar
    except (tarfile.TarError, ValueError, TypeError, EOFError) as error:
        why = str(error).partition(":\n")[0]  # tarfile adds a line for each packing that it tried
        raise BackupUnusable(f"{source} is no backup, or not whole: {why}") from None


def _members(tar: tarfile.TarFile, source: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for member in tar:
        path = PurePosixPath(member.name)
        file = tar.extractfile(member) if member.isfile() else None
        if path.is_absolute() or ".." in path.parts or file is None:
            raise BackupUnusable(f"{source} is no backup of ours: it holds {member.name!r}")
        with file:
            yield member, file
