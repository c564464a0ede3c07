"""The file of a backup: a tar with a manifest that names each part and its SHA-256."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from telephony.errors import HotlineError

FORMAT = 1
MANIFEST = "manifest.json"

Kind = Literal["sqlite", "postgresql"]


class BackupUnusable(HotlineError):
    """A backup cannot be made, read or put back; nothing was changed."""

    code = "backup-unusable"
    title = "The backup cannot be used"


@dataclass(slots=True)
class Manifest:
    """What a backup holds. ``parts``: each file's SHA-256; ``rows``: of each table."""

    kind: Kind
    revision: str
    made_at: str
    format: int = FORMAT
    rows: dict[str, int] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


class Writer:
    """Writes a backup beside its name and gives it that name once it is whole."""

    def __init__(self, target: Path, manifest: Manifest) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.part")
        self._manifest = manifest
        self._tar = tarfile.TarFile(self._part, "w", format=tarfile.PAX_FORMAT)
        os.chmod(self._part, 0o600)  # it holds citizens' numbers

    def add(self, path: Path, name: str) -> None:
        """Put a file in; one that is gone meanwhile is left out."""
        try:
            digest = _digest(path)
            self._tar.add(path, name, recursive=False)
        except FileNotFoundError:  # deleted by rule in this moment
            return
        self._manifest.parts[name] = digest

    def finish(self) -> None:
        """Write the manifest; the backup is whole then, and on disk."""
        text = json.dumps(asdict(self._manifest), ensure_ascii=False, indent=1).encode()
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


def unpack(source: Path, folder: Path) -> Manifest:
    """Take a backup apart into ``folder`` and check every part of it.

    Raises :class:`BackupUnusable` for a file that is none, is damaged, or is not ours.
    """
    try:
        with tarfile.open(source, "r") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts or not member.isfile():
                    raise BackupUnusable(f"{source} is no backup of ours: it holds {member.name!r}")
                tar.extract(member, folder, set_attrs=False, filter="data")
                os.utime(folder / path, (member.mtime, member.mtime))
        said: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**said)
    except FileNotFoundError as error:
        missing = error.filename or MANIFEST
        raise BackupUnusable(f"{source}: {missing} is not there") from None
    except (tarfile.TarError, ValueError, TypeError, EOFError) as error:
        why = str(error).partition(":\n")[0]  # tarfile adds a line for each packing that it tried
        raise BackupUnusable(f"{source} is no backup, or not whole: {why}") from None
    if manifest.format != FORMAT:
        raise BackupUnusable(
            f"{source} has the form {manifest.format}, this version knows {FORMAT}"
        )
    for name, digest in manifest.parts.items():
        part = folder / name
        if not part.is_file() or _digest(part) != digest:
            raise BackupUnusable(f"{source} is damaged: {name} is not what it was")
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
