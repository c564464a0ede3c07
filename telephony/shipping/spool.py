"""What a PBX on another host has sent: its CEL files byte for byte, and its sounds.

A file is known by the digest of its first line, as the recorder knows it
(:mod:`telephony.cel.tail`), so rotation at the PBX does not matter. Bytes come with the place where
they belong; those that are there already are compared and not written again, so whatever is sent
twice is there once. What was answered is on disk (fsync).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telephony.cel.tail import identity, is_packed
from telephony.errors import HotlineError, InvalidValue, NotFound, WrongState

MAX_PART = 4 * 2**20
"""Bytes that may be sent in one go."""
FILE_ID = re.compile(r"[0-9a-f]{32}")
SOUND = re.compile(r"[0-9]{8}-[A-Za-z0-9._~-]{1,150}\.wav")
MAX_SOUND = 2**30

Kind = Literal["messages", "recordings"]


class SpoolConflict(WrongState):
    """What was sent is not what is there, or leaves something out."""

    code = "spool-conflict"
    title = "What was sent does not fit what is there"


class SpoolFull(HotlineError):
    """A sound would leave too little room on the disk; it stays at its PBX, and is sent later."""

    code = "spool-full"
    status = 507
    title = "There is no room for sounds"


class NotShipped(NotFound):
    """The PBX is not one whose rows are sent."""

    code = "pbx-not-shipped"
    title = "Nothing is sent for this PBX"


@dataclass(frozen=True, slots=True)
class Held:
    """How much of something is here; ``whole``: a sound that is complete."""

    size: int
    whole: bool = False


def check_digest(data: bytes, sha256: str) -> None:
    """Raise :class:`InvalidValue` when bytes are not those that were meant."""
    if hashlib.sha256(data).hexdigest() != sha256.lower():
        raise InvalidValue("the bytes do not have this sha256; they were damaged on the way")


class Spool:
    """The folder of one PBX. Blocks; not for an event loop. One writer at a time."""

    def __init__(self, cel_file: Path, sounds: dict[Kind, Path], *, keep_free: int = 0) -> None:
        """``cel_file``: the one in use, which the recorder reads; rotated ones lie beside it.

        ``keep_free``: bytes that sounds leave free on their disk: rows, and what else is there,
        go on being written.
        """
        self.path = cel_file
        self._sounds = sounds
        self._keep_free = keep_free
        self._known: dict[str, Path] = {}

    def prepare(self) -> None:
        """Make the folder, so that it can be watched before anything was sent."""
        self.path.parent.mkdir(parents=True, exist_ok=True)

    # -- CEL

    def cel_size(self, file: str) -> int:
        """How many bytes of this file are here."""
        path = self._find(file)
        return path.stat().st_size if path is not None else 0

    def put_cel(self, file: str, offset: int, data: bytes) -> int:
        """Keep bytes of a file; returns how many of it are here now.

        Raises :class:`SpoolConflict`, :class:`InvalidValue`.
        """
        if not FILE_ID.fullmatch(file):
            raise InvalidValue(
                "a CEL file is named by the digest of its first line (32 hex digits)"
            )
        path = self._find(file)
        if path is None:
            if offset:
                raise SpoolConflict(f"nothing of {file} is here: send it from its beginning")
            return self._begin(file, data)
        size = _append(path, offset, data)
        if path != self.path and size > offset:  # it goes on: a reader looks at the one in use
            self._set_aside()
            path.rename(self.path)
            _sync_folder(self.path.parent)
            self._known.clear()
        return size

    def _find(self, file: str) -> Path | None:
        path = self._known.get(file)
        if path is not None and _is(path, file):
            return path
        there = self.path.parent.glob(f"{self.path.name}*") if self.path.parent.is_dir() else ()
        self._known = {identity(one) or "": one for one in there if not is_packed(one)}
        return self._known.get(file)

    def _begin(self, file: str, data: bytes) -> int:
        """A file of which nothing is here yet: the one before is set aside."""
        end = data.find(b"\n") + 1
        if not end or hashlib.blake2b(data[:end], digest_size=16).hexdigest() != file:
            raise InvalidValue(
                "the first line, whole, is to be in the first part: it names the file"
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".new-{self.path.name}")  # no name that a reader looks at
        _write(new, data)
        self._set_aside()
        new.rename(self.path)
        _sync_folder(self.path.parent)
        self._known.clear()
        return len(data)

    def _set_aside(self) -> None:
        if not self.path.exists():
            return
        stamp = time.time_ns() // 1_000_000
        while (aside := self.path.with_name(f"{self.path.name}.{stamp}")).exists():
            stamp += 1  # two in one millisecond: neither is written over
        self.path.rename(aside)

    def sweep(self, recorded: dict[str, int], before: float) -> list[str]:
        """Delete rotated files that are wholly on record and older; returns their names.

        ``recorded``: how many bytes of each are on record; ``before``: seconds since 1970.
        """
        gone = []
        for path in sorted(self.path.parent.glob(f"{self.path.name}.?*")):
            state = path.stat()
            name = identity(path)
            if name and state.st_mtime < before and recorded.get(name, 0) >= state.st_size:
                path.unlink()
                gone.append(path.name)
        return gone

    # -- sounds

    def put_sound(
        self, kind: Kind, name: str, offset: int, data: bytes, *, total: int, sha256: str, at: float
    ) -> Held:
        """Keep bytes of a sound of ``total`` bytes with this digest, that changed last at ``at``.

        It can be heard once it is whole. Raises :class:`SpoolConflict`, :class:`InvalidValue`,
        :class:`SpoolFull`.
        """
        path = self._sound(kind, name)
        if not 0 <= offset + len(data) <= total <= MAX_SOUND:
            raise InvalidValue(f"a sound has at most {MAX_SOUND} bytes, and no part beyond its end")
        if path.is_file() and _digest(path) == sha256.lower():
            return Held(path.stat().st_size, whole=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part(path)
        if not offset:
            part.unlink(missing_ok=True)  # begun anew: it may be another than before
        self._look_for_room(path.parent, total - offset)
        size = _append(part, offset, data) if part.exists() or offset else _write(part, data)
        if size < total:
            return Held(size)
        if _digest(part) != sha256.lower():
            part.unlink()
            raise SpoolConflict(f"{name} is not the sound with this sha256: send it anew")
        os.utime(part, (at, at))
        part.rename(path)
        _sync_folder(path.parent)
        return Held(size, whole=True)

    def _look_for_room(self, folder: Path, size: int) -> None:
        free = shutil.disk_usage(folder).free
        if size + self._keep_free > free:
            raise SpoolFull(
                f"{folder} has {free // 10**6} MB free, {self._keep_free // 10**6} MB are to stay "
                "(spool.keep_free_mb); make room, or delete sounds by rule: it is sent again later"
            )

    def _sound(self, kind: Kind, name: str) -> Path:
        folder = self._sounds.get(kind)
        if folder is None:
            raise NotShipped(f"no folder for {kind} of this PBX")
        if not SOUND.fullmatch(name):
            raise InvalidValue("a sound is named by its case: 20261124-….wav")
        return folder / name


def _part(path: Path) -> Path:
    return path.with_name(f".part-{path.name}")


def _is(path: Path, file: str) -> bool:
    try:
        return identity(path) == file
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes) -> int:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return len(data)


def _append(path: Path, offset: int, data: bytes) -> int:
    """Write what is not there yet; returns the size then."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        raise SpoolConflict(f"nothing of {path.name} is here: send it from its beginning") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if offset > size:
            raise SpoolConflict(f"{size} bytes are here; those from {size} on come next")
        file.seek(offset)
        there = file.read(len(data))
        if there != data[: len(there)]:
            raise SpoolConflict(f"other bytes are here at {offset} of this file")
        file.seek(size)
        file.write(data[len(there) :])
        file.flush()
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
