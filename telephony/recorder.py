"""CEL file -> database, in groups, resumable at any point.

What was read, the legs, cases, hand-overs and ledger entries that follow from it, and how far was
read are stored in one transaction. So a service that is killed goes on where its last transaction
ended, and two services on one file take turns: the one that comes second finds that the file was
read further than it thought, forgets what it held and goes on from there.

Call control shares the event loop, so a batch is small, and reading it and working out its legs
happen in a worker thread: key presses are answered while the record catches up.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge

from telephony.call_legs import Directory, LegBuilder
from telephony.case_store import CallState
from telephony.cel import our_layout
from telephony.cel_tail import Batch, identity, read_batch, unfinished
from telephony.database import Database
from telephony.errors import DatabaseUnavailable, SettingsError
from telephony.record_store import MovedOn, RecordStore
from telephony.settings import Settings

POLL_S = 0.1
MAX_BACK_OFF_S = 10.0

log = structlog.get_logger(__name__)

LAG_BYTES = Gauge("hotline_recorder_lag_bytes", "CEL bytes not yet stored", ["pbx"])
LAG_SECONDS = Gauge("hotline_recorder_lag_seconds", "Age of the oldest CEL not yet stored", ["pbx"])
ROWS_STORED = Counter("hotline_recorder_rows", "CEL rows stored", ["pbx"])
ROWS_BROKEN = Counter("hotline_recorder_broken_rows", "CEL lines that are no rows", ["pbx"])


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the record is behind the PBX: bytes of CEL, and seconds since it was last level."""

    bytes: int
    seconds: float


class Recorder:
    """Records the calls of one PBX.

    ``run()`` until cancelled, or ``await catch_up()`` once. ``poke()`` when something happened
    on the PBX, so that its rows are looked for at once and not at the next poll (100 ms).
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        if settings.pbx.cel_file is None:
            raise SettingsError(["pbx.cel_file: not set, so no leg can be recorded"])
        self.pbx = settings.pbx.name
        self.path = settings.pbx.cel_file
        self.broken = 0  # lines that were no rows, since the start
        self._store = RecordStore(database, self.pbx)
        self._directory = Directory.from_settings(settings)
        self._layout = our_layout()
        self._builder: LegBuilder | None = None
        self._read: dict[str, int] = {}  # file -> offset up to which it is stored
        self._files: list[Path] = []  # to be read, the one in use last
        self._current: str | None = None
        self._prepared: tuple[Batch, list[CallState]] | None = None
        self._poked = asyncio.Event()
        self._turn = asyncio.Lock()
        self._level_at = datetime.now(UTC)

    def poke(self) -> None:
        """Look for new rows at once."""
        self._poked.set()

    async def run(self) -> None:
        """Record until cancelled; goes on by itself after the database or the file was away."""
        back_off = POLL_S
        while True:
            try:
                while await self._step() is not None:
                    back_off = POLL_S
                back_off = POLL_S
            except (DatabaseUnavailable, OSError) as error:
                log.warning("record-waits", pbx=self.pbx, reason=str(error), retry_s=back_off)
                self._measure()
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, MAX_BACK_OFF_S)
                continue
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._poked.wait()
        except TimeoutError:
            pass
        self._poked.clear()

    async def catch_up(self) -> int:
        """Store all whole lines that are in the file now; returns how many rows were new.

        Raises :class:`DatabaseUnavailable`.
        """
        rows = 0
        while (stored := await self._step()) is not None:
            rows += stored
        return rows

    @property
    def lag(self) -> Lag:
        """How far the record is behind the file at this moment."""
        behind = 0
        for path in self._files or [self.path]:
            name = identity(path)
            if name is not None:
                behind += max(path.stat().st_size - self._read.get(name, 0), 0)
        seconds = (datetime.now(UTC) - self._level_at).total_seconds() if behind else 0.0
        return Lag(behind, seconds)

    def _measure(self) -> None:
        lag = self.lag
        LAG_BYTES.labels(self.pbx).set(lag.bytes)
        LAG_SECONDS.labels(self.pbx).set(lag.seconds)

    async def _step(self) -> int | None:
        """Store one batch; None when there is nothing to store now."""
        async with self._turn:
            if self._builder is None:
                self._builder = await self._resume()
            if self._prepared is None:
                batch = await self._next_batch()
                if batch is None:
                    self._level_at = datetime.now(UTC)
                    self._measure()
                    return None
                self._prepared = (batch, await self._feed(self._builder, batch))
            return await self._write(self._builder, *self._prepared)

    async def _resume(self) -> LegBuilder:
        """Go back to what is stored: how far files were read, and the calls still open."""
        positions = await self._store.positions()
        lines = await self._store.stored_lines(await self._store.open_channels())
        builder = LegBuilder()
        await asyncio.to_thread(self._take_up, builder, lines)
        builder.changed()
        self._read = {file: offset for file, (offset, _) in positions.items()}
        since = max((seen.timestamp() for _, seen in positions.values()), default=0.0)
        self._files = await asyncio.to_thread(unfinished, self.path, self._read, since)
        self._current = None
        self._prepared = None
        return builder

    async def _next_batch(self) -> Batch | None:
        while True:
            path = self._files[0]
            file = identity(path)
            if path == self.path and self._current is not None and file != self._current:
                # Rotated: what is left of the old file comes first.
                since = datetime.now(UTC).timestamp() - 60
                self._files = await asyncio.to_thread(unfinished, self.path, self._read, since)
                self._current = None
                continue
            if file is not None:
                if path == self.path:
                    self._current = file
                start = self._read.get(file, 0)
                batch = await asyncio.to_thread(
                    read_batch, path, file, path.name, start, self._layout
                )
                if batch.end > batch.start:
                    return batch
            if path == self.path:
                return None
            self._files.pop(0)

    async def _feed(self, builder: LegBuilder, batch: Batch) -> list[CallState]:
        """The calls that got rows, as they stand then."""
        recalled = await self._recall(builder, batch)
        # Nobody stops a thread: should this be cancelled, its builder is left to it.
        self._builder = None
        states = await asyncio.to_thread(self._work_out, builder, recalled, batch)
        self._builder = builder
        return states

    async def _recall(self, builder: LegBuilder, batch: Batch) -> list[str]:
        """Rows of calls that this service does not hold: what is stored of them."""
        strange = {
            key
            for stored in batch.rows
            for key in (stored.row.uniqueid, stored.row.linkedid)
            if key not in builder
        }
        return await self._store.stored_lines(strange) if strange else []

    def _take_up(self, builder: LegBuilder, lines: Sequence[str]) -> None:
        for line in lines:
            builder.feed(self._layout.row(next(csv.reader([line]))))

    def _work_out(
        self, builder: LegBuilder, recalled: Sequence[str], batch: Batch
    ) -> list[CallState]:
        self._take_up(builder, recalled)
        for stored in batch.rows:
            builder.feed(stored.row)
        return [
            CallState(*call.legs(self.pbx, self._directory), is_over=call.is_over)
            for call in builder.changed()
        ]

    async def _write(
        self, builder: LegBuilder, batch: Batch, calls: Sequence[CallState]
    ) -> int | None:
        try:
            await self._store.write(batch, calls, datetime.now(UTC))
        except MovedOn as moved:
            log.info("record-taken-over", pbx=self.pbx, reason=str(moved))
            self._builder = None
            return 0
        self._prepared = None
        self._read[batch.file] = batch.end
        self.broken += len(batch.broken)
        ROWS_STORED.labels(self.pbx).inc(len(batch.rows))
        ROWS_BROKEN.labels(self.pbx).inc(len(batch.broken))
        for offset, reason, _ in batch.broken:
            log.warning("cel-row-broken", file=batch.name, offset=offset, reason=reason)
        for _ in builder.finished():
            pass  # let go of what is stored and over
        return len(batch.rows)
