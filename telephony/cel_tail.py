"""The CEL file as it grows: whole lines from where reading stopped, across rotation.

A file is known by the digest of its first line, which holds a time to the microsecond and a
uniqueid: renaming, moving or copying it (``logrotate`` with or without ``copytruncate``) does not
make it another file, and a new file under the old name is not taken for the old one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from telephony.cel import BadRow, CelRow, Layout

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


def identity(path: Path) -> str | None:
    """The digest of the first line; None for a file without a whole line, or no file."""
    try:
        with path.open("rb") as file:
            first = file.readline(CHUNK)
    except FileNotFoundError:
        return None
    if not first.endswith(b"\n"):
        return None
    return hashlib.blake2b(first, digest_size=16).hexdigest()


def unfinished(path: Path, read: Mapping[str, int], since: float) -> list[Path]:
    """Files to read, the oldest first and the one in use last.

    ``read``: how far each known file was read, in bytes. ``since``: when something was read
    last (seconds since 1970); rotated files written later than that belong to us as well.
    """
    found: list[tuple[float, Path]] = []
    for other in path.parent.glob(f"{path.name}?*"):
        if other.suffix in (".gz", ".xz", ".bz2", ".zst") or not other.is_file():
            continue
        stat = other.stat()
        name = identity(other)
        known = read.get(name or "")
        if name is None or (known is None and (not read or stat.st_mtime < since)):
            continue
        if stat.st_size > (known or 0):
            found.append((stat.st_mtime, other))
    return [other for _, other in sorted(found)] + [path]


def read_batch(path: Path, file: str, name: str, start: int, layout: Layout) -> Batch:
    """The whole lines from ``start`` on, at most 64 kB.

    Half a line at the end stays for the next time. Raises :class:`FileNotFoundError`.
    """
    batch = Batch(file, name, start, start)
    with path.open("rb") as source:
        if os.fstat(source.fileno()).st_size < start:
            # Cut short under the same first line: read it again, what is known is not doubled.
            start = batch.start = batch.end = 0
            batch.again = True
        source.seek(start)
        data = source.read(CHUNK)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == CHUNK:
            end = CHUNK  # so much without a line break is no row
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
