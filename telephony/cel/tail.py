"""The CEL file as it grows: whole lines from where reading stopped, across rotation.

A file is known by the digest of its first line, which holds a time to the microsecond and a
uniqueid: renaming, moving, copying or packing it (``logrotate`` with or without ``copytruncate``
or ``compress``) does not make it another file, and a new file under the old name is not taken for
the old one. Offsets are those of the rows, in a packed file of what is in it.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import os
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from telephony.cel.rows import BadRow, CelRow, Layout
from telephony.cel.unread import NOT_READ

CHUNK = 64 * 1024
"""Bytes read at a time: a few hundred rows, whose writing holds nobody up."""
MAX_JOINED = 8
"""A value may hold this many line breaks; more is a broken quote."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with the line it came from, as it is kept."""

    row: CelRow
    offset: int
    line: str

    @property
    def digest(self) -> str:
        """What makes the row itself."""
        return hashlib.blake2b(self.line.encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class Batch:
    """What was read in one go: from ``start`` up to (not including) ``end``, in bytes."""

    file: str
    name: str
    start: int
    end: int
    again: bool = False  # the file was cut short, so it is read from the start again
    rows: list[StoredRow] = field(default_factory=list)
    broken: list[tuple[int, str, str]] = field(default_factory=list)  # offset, reason, line


_OPENERS: Mapping[str, Any] = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}
BREAKS_OFF = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)
"""What reading a packed file that is damaged, or not whole yet, raises."""


class Damaged(Exception):
    """A packed file breaks off: damaged, or still being written."""


def is_packed(path: Path) -> bool:
    """Whether the file is one that ``logrotate`` has packed."""
    return path.suffix in _OPENERS


def opened(path: Path) -> IO[bytes]:
    """The file's rows, unpacked. Raises :class:`OSError`."""
    packed: IO[bytes] | None = _OPENERS[path.suffix](path) if is_packed(path) else None
    return packed or path.open("rb")


def identity(path: Path) -> str | None:
    """The digest of the first line; None for a file without a whole line, or no file."""
    first = first_line(path)
    return None if first is None else hashlib.blake2b(first, digest_size=16).hexdigest()


def first_line(path: Path) -> bytes | None:
    """The first line; None for a file without a whole line, or no file."""
    try:
        with opened(path) as file:
            first = file.readline(CHUNK)
    except (FileNotFoundError, *BREAKS_OFF):
        return None
    except OSError:
        if not is_packed(path):
            raise
        return None  # bz2 says so of what is no such file
    return first if first.endswith(b"\n") else None


@dataclass(slots=True)
class Found:
    """CEL files: those to read, the oldest first and the one in use last, and all there are."""

    unread: list[Path]
    present: frozenset[str]


def look(
    path: Path,
    read: Mapping[str, int],
    since: float,
    finished: Collection[str] = (),
    *,
    takes_all: bool = False,
) -> Found:
    """Which files there are to read.

    ``read``: how far each known file was read, in bytes. ``since``: when something was read
    last (seconds since 1970); rotated files written later than that belong to us as well.
    ``finished``: files known to have nothing more; ``takes_all``: all files there are ours.
    """
    found: list[tuple[float, Path]] = []
    present = {identity(path) or ""}
    names: set[str] = set()
    for other in sorted(path.parent.glob(f"{path.name}?*"), key=is_packed):
        if other.suffix in NOT_READ or not other.is_file():
            continue
        try:
            modified, size = other.stat().st_mtime, size_of(other)
        except FileNotFoundError:  # packed or thrown away just now
            continue
        name = identity(other)
        if name is None:
            continue
        present.add(name)
        known = read.get(name)
        if name in names or name in finished:  # the same once more, as it is being packed
            continue
        if known is None and not takes_all and (not read or modified < since):
            continue
        if size is None or size > (known or 0):
            found.append((modified, other))
            names.add(name)
    return Found([other for _, other in sorted(found)] + [path], frozenset(present - {""}))


def size_of(path: Path) -> int | None:
    """Bytes of rows in the file; None where only unpacking would tell."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not is_packed(path):
            return size
        if path.suffix != ".gz" or size < 18 or size > 2**28:
            return None  # its size is there modulo 4 GiB
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")


class Source:
    """Reads on in files; a packed one stays open, for it can only be read onwards quickly."""

    def __init__(self) -> None:
        self._name = ""
        self._file: IO[bytes] | None = None

    def read(self, path: Path, name: str, start: int) -> tuple[bytes, bool]:
        """At most 64 kB from ``start`` on, and whether the file is shorter than that.

        Raises :class:`OSError`, :class:`Damaged`.
        """
        if is_packed(path):
            return self._unpack(path, name, start), False
        with path.open("rb") as source:
            if os.fstat(source.fileno()).st_size < start:
                return source.read(CHUNK), True
            source.seek(start)
            return source.read(CHUNK), False

    def _unpack(self, path: Path, name: str, start: int) -> bytes:
        if self._file is None or self._name != name:
            self.close()
            self._name, self._file = name, opened(path)
        file: Any = self._file
        try:
            file.seek(start)
            parts: bytes = file.read(CHUNK)
        except BREAKS_OFF as error:
            self.close()
            raise Damaged(str(error)) from error
        except OSError as error:  # bz2
            self.close()
            raise Damaged(str(error)) from error
        if not parts:
            self.close()
        return parts

    def close(self) -> None:
        """Let go of the packed file."""
        if self._file is not None:
            self._file.close()
        self._file = None


def read_batch(
    path: Path,
    file: str,
    start: int,
    layout: Layout,
    source: Source,
    *,
    is_rotated: bool = False,
) -> Batch:
    """The whole lines from ``start`` on, at most 64 kB.

    Half a line at the end stays for the next time, unless the file ``is_rotated``: then nobody
    writes the rest of it. Raises :class:`OSError`, :class:`Damaged`.
    """
    name = path.name
    data, is_short = source.read(path, file, start)
    # Cut short under the same first line: read it again, what is known is not doubled.
    start = 0 if is_short else start
    batch = Batch(file, name, start, start, again=is_short)
    end = data.rfind(b"\n") + 1
    if (not end and len(data) == CHUNK) or (is_rotated and len(data) < CHUNK):
        end = len(data)  # so much without a line break is no row
    batch.end = start + _parse(data[:end], batch, layout, goes_on=len(data) == CHUNK)
    return batch


def _parse(data: bytes, batch: Batch, layout: Layout, *, goes_on: bool) -> int:
    """Returns how many bytes were used; ``goes_on``: the file does not end with the data."""
    offset = batch.start
    lines = data.splitlines(keepends=True) if b"\r" not in data else io.BytesIO(data).readlines()
    place = 0
    while place < len(lines):
        line, used = lines[place], 1
        row, reason = _row(line, layout)
        if row is None and line.count(b'"') % 2:
            for more in range(2, min(MAX_JOINED, len(lines) - place) + 1):
                joined = b"".join(lines[place : place + more])
                found, _ = _row(joined, layout)
                if found is not None:
                    row, line, used = found, joined, more
                    break
            if row is None and goes_on and place and place + MAX_JOINED > len(lines):
                break  # its other lines may be the first of the next batch
        text = line.decode(errors="replace").replace("\x00", "�").rstrip("\r\n")
        if row is not None:
            batch.rows.append(StoredRow(row, offset, text))
        elif line.strip():
            batch.broken.append((offset, reason, text))
        offset += len(line)
        place += used
    return offset - batch.start


def _row(line: bytes, layout: Layout) -> tuple[CelRow | None, str]:
    text = line.decode(errors="replace").replace("\x00", "�")
    try:
        fields = next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
        return layout.row(fields), ""
    except (BadRow, csv.Error) as error:
        return None, str(error)
