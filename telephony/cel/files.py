"""Which of a PBX's CEL files is read next, and how far: across rotation, packing and damage.

What is missing among the files themselves is told as gaps: a file that was replaced and is nowhere
to be found, one that became shorter, one that is damaged.
"""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from telephony.cases.store import micros_of
from telephony.cel.rows import BadRow, our_layout
from telephony.cel.tail import (
    Batch,
    Damaged,
    Source,
    first_line,
    identity,
    look,
    read_batch,
    size_of,
)
from telephony.cel.unread import packed_away
from telephony.legs.gaps import Gap

PACKING_S = 60.0
"""A packed file that breaks off and is younger may just be written."""
ROTATED_S = 60.0


class CelFiles:
    """The CEL files of one PBX, as a reader sees them who goes on where it stopped.

    ``found``: gaps among the files, to be stored with what is read next.
    """

    def __init__(
        self, path: Path, read: Mapping[str, tuple[int, datetime]], *, takes_all: bool = False
    ) -> None:
        """``read``: how far each known file was read, in bytes, and when last; ``takes_all``: it is
        a spool, where each file beside this one is ours, also what was never read of. A file comes
        into it bit by bit, also one that was read further before, in the spool of another process;
        so one that is shorter was not cut, and one that is not there is not missing."""
        self._takes_all = takes_all
        self.path = path
        self.layout = our_layout()
        self.found: list[Gap] = []
        self.last_read = 0  # when something was read last, in microseconds since 1970
        self._read = {file: offset for file, (offset, _) in read.items()}
        self._last_file: str | None = None
        last = max(((seen, file) for file, (_, seen) in read.items()), default=None)
        if last is not None:
            self.last_read, self._last_file = micros_of(last[0]), last[1]
        self._files: list[Path] = []  # to be read, the one in use last
        self._current: str | None = None
        self._present: frozenset[str] = frozenset()  # all files there are
        self._finished: set[str] = set()  # rotated files that have nothing more
        self._seen: frozenset[str] = frozenset()  # what was in the folder as it was looked at
        self._source = Source()

    def behind(self) -> int:
        """Bytes that are not read yet."""
        total = 0
        for path in self._files or [self.path]:
            try:
                name, size = identity(path), size_of(path)
            except FileNotFoundError:  # rotated at this moment, or not there yet
                continue
            if name is not None and size is not None:
                total += max(size - self._read.get(name, 0), 0)
        return total

    def done(self, batch: Batch, at: datetime) -> None:
        """The batch is stored."""
        self._read[batch.file] = batch.end
        self.last_read = micros_of(at)
        self.found.clear()

    async def next_batch(self) -> Batch | None:
        """The next rows; None when there are none now. Raises :class:`OSError`."""
        return await asyncio.to_thread(self._next_batch)

    def _next_batch(self) -> Batch | None:
        if not self._files:
            self._look(self.last_read / 1_000_000)
        while True:
            path = self._files[0]
            file = identity(path)
            is_rotated = path != self.path
            if not is_rotated and self._current is not None and file != self._current:
                # Rotated: what is left of the old file comes first.
                self._look(datetime.now(UTC).timestamp() - ROTATED_S)
                continue
            if file is not None:
                if not is_rotated:
                    self._current = file
                batch = self._read_on(path, file, is_rotated=is_rotated)
                if batch is not None and batch.end > batch.start:
                    return batch
            if not is_rotated:
                if self._takes_all and self._names() != self._seen:
                    self._look(0)  # another file was begun, or gone on with, and set aside since
                    continue
                return None
            if file is not None and not self._takes_all:
                self._finished.add(file)
            self._files.pop(0)

    def _names(self) -> frozenset[str]:
        """What is in the folder; in a spool each file that is set aside gets a name of its own."""
        try:
            return frozenset(os.listdir(self.path.parent))
        except FileNotFoundError:
            return frozenset()

    def _look(self, since: float) -> None:
        """See which files there are."""
        self._seen = self._names() if self._takes_all else frozenset()
        found = look(self.path, self._read, since, self._finished, takes_all=self._takes_all)
        self._files, self._present = found.unread, found.present
        self._current = None

    def _read_on(self, path: Path, file: str, *, is_rotated: bool) -> Batch | None:
        start = self._read.get(file, 0)
        if self._takes_all and (size_of(path) or 0) < start:
            return None  # the rest comes: another process read it further
        if self._last_file not in (None, file) and not self._takes_all:
            self._found_missing(path)
        self._last_file = file
        try:
            batch = read_batch(path, file, start, self.layout, self._source, is_rotated=is_rotated)
        except Damaged:
            age_s = datetime.now(UTC).timestamp() - path.stat().st_mtime
            if age_s > PACKING_S:  # else it may just be written
                detail = f"{path.name} from byte {start} on"
                self._note(Gap("file-unreadable", file, self.last_read, None, (), detail))
            return None
        if batch.again:
            now = max(micros_of(datetime.now(UTC)), self.last_read)
            detail = f"{path.name}, of which {start} bytes had been read"
            self._note(Gap("file-cut-short", f"{file}:{start}", self.last_read, now, (), detail))
        return batch

    def _found_missing(self, path: Path) -> None:
        """Note it when the file that was read last is gone as another one is begun."""
        before = self._last_file
        if before is None or before in self._present:
            return
        read = self._read.get(before, 0)
        packed = packed_away(self.path, read, self.last_read / 1_000_000)
        if packed is not None and packed.is_whole:
            return
        until = self.last_read
        with suppress(BadRow, csv.Error, StopIteration):  # broken, which is noted for itself
            first = (first_line(path) or b"").decode(errors="replace")
            until = max(until, self.layout.row(next(csv.reader([first]))).at)
        if packed is not None:
            detail = f"{packed.path.name} is not read here: unpack it; {read} bytes had been read"
            self._note(Gap("file-unreadable", before, self.last_read, until, (), detail))
            return
        detail = f"{read} bytes of it had been read"
        self._note(Gap("file-missing", before, self.last_read, until, (), detail))

    def _note(self, gap: Gap) -> None:
        if gap.key not in {one.key for one in self.found}:
            self.found.append(gap)

    def broken(self, batch: Batch) -> Iterator[Gap]:
        """Lines of the batch that are no rows, each between the rows around it."""
        times = [(stored.offset, stored.row.at) for stored in batch.rows] if batch.broken else []
        for offset, _, _ in batch.broken:
            before = max((at for place, at in times if place < offset), default=None)
            after = min((at for place, at in times if place > offset), default=None)
            since = before if before is not None else after or self.last_read
            until = after if after is not None else since
            key, detail = f"{batch.file}:{offset}", f"{batch.name} at byte {offset}"
            yield Gap("row-broken", key, min(since, until), max(since, until), (), detail)
