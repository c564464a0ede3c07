"""An export into a file: whole, or not there at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from telephony.bulk import csv, parquet, rows
from telephony.bulk.xlsx import XlsxWriter
from telephony.errors import HotlineError

if TYPE_CHECKING:
    from telephony.bulk.tables import Spec
    from telephony.database import Database

T = TypeVar("T")

ROW_BYTES = {"csv": 600, "xlsx": 220, "parquet": 120}
"""About what a row of all columns needs, from above; XLSX needs its sheets beside it, see below."""
XLSX_SHEETS = 6
"""How much larger the sheets are until they are packed."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFull(HotlineError):
    """The disk has no room for the export; nothing of it is left there."""

    code = "export-disk-full"
    status = 507
    title = "No room for the export"


class NotWritable(HotlineError):
    """The file or folder of an export cannot be written."""

    code = "export-not-writable"
    title = "The export cannot be written"


@dataclass(frozen=True, slots=True)
class Written:
    """An export that is done; ``digest`` is the SHA-256 of the file."""

    rows: int
    bytes: int
    digest: str


@dataclass(slots=True)
class Progress:
    """How far an export is, for whoever looks; ``rows`` is how many there will be, None before
    they are counted."""

    rows: int | None = None
    done: int = 0

    def told(self, done: int) -> None:
        """So many are through."""
        self.done = done


async def write(
    database: Database,
    spec: Spec,
    target: Path,
    *,
    progress: Progress | None = None,
    keep_free: int = 0,
) -> Written:
    """Write an export to this file, which appears when it is whole.

    ``keep_free``: bytes that must stay free on the disk; looked at before the first row. Raises
    :class:`DiskFull`, :class:`NotWritable`, :class:`DatabaseUnavailable`, :class:`InvalidValue`,
    :class:`telephony.bulk.parquet.ParquetMissing`. On any of them, and when it is cancelled,
    nothing of it is left on the disk.
    """
    if spec.format == "parquet":
        parquet.check_installed()
    part = target.with_name(f".{target.name}.part")
    progress = Progress() if progress is None else progress
    progress.rows = await rows.count(database, spec)
    check_room(target.parent, spec, progress.rows, keep_free)
    try:
        await _write(database, spec, part, progress)
        size, digest = await _beside(_digest, part)
        part.replace(target)
    except OSError as error:
        raise _clear(error, target) from None
    finally:
        part.unlink(missing_ok=True)
    return Written(progress.done, size, digest)


async def stream(
    database: Database, spec: Spec, out: BinaryIO, *, progress: Progress | None = None
) -> int:
    """Write an export as CSV to something that is no file, such as a pipe; returns its rows."""
    progress = Progress() if progress is None else progress
    async for piece in csv.chunks(database, spec, progress.told):
        out.write(piece)
    out.flush()
    return progress.done


def check_room(folder: Path, spec: Spec, count: int, keep_free: int) -> None:
    """Raise :class:`DiskFull` when so many rows would not fit beside what must stay free."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise NotWritable(f"{folder} cannot be written: {error.strerror}") from None
    share = len(spec.chosen) / len(spec.table.columns)
    need = int(ROW_BYTES[spec.format] * count * share)
    need *= 1 + XLSX_SHEETS if spec.format == "xlsx" else 1
    if need + keep_free > free:
        raise DiskFull(
            f"the export needs about {_mega(need)} MB, {_mega(keep_free)} MB are to stay free, "
            f"and {folder} has {_mega(free)} MB; ask for less, or make room"
        )


async def _write(database: Database, spec: Spec, part: Path, progress: Progress) -> None:
    if spec.format == "csv":
        with part.open("wb") as out:
            async for piece in csv.chunks(database, spec, progress.told):
                out.write(piece)
        return
    writer = _writer(spec, part)
    try:
        async for found in rows.values(database, spec):
            writer.write(found)
            progress.done += len(found)
        # Beside the event loop, which tells meanwhile that somebody is at work: a large workbook is
        # packed for minutes.
        await _beside(writer.close)
    except BaseException:
        writer.abandon()
        raise


def _writer(spec: Spec, part: Path) -> XlsxWriter | parquet.ParquetWriter:
    if spec.format == "parquet":
        return parquet.ParquetWriter(part, spec.chosen, spec.heads)
    title = spec.table.zh if spec.headings == "zh" else spec.table.en
    return XlsxWriter(part, title, spec.chosen, spec.heads)


async def _beside(work: Callable[..., T], *given: Any) -> T:
    """Work in a thread; whoever is cancelled meanwhile waits for its end: nothing writes on."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _digest(part: Path) -> tuple[int, str]:
    """The size of a file that is on the disk for sure, and its SHA-256."""
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        size = file.tell()
    return size, digest


def _clear(error: OSError, target: Path) -> HotlineError:
    if error.errno in _FULL:
        return DiskFull(f"the disk of {target.parent} is full; nothing of the export is left there")
    return NotWritable(f"{target} cannot be written: {error.strerror or error}")


def _mega(count: int) -> int:
    return -(-count // 1_000_000)
