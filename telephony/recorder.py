"""CEL file -> database, in groups, resumable at any point.

What was read, the legs, cases, hand-overs and ledger entries that follow from it, and how far was
read are stored in one transaction. So a service that is killed goes on where its last transaction
ended, and two services on one file take turns: the one that comes second finds that the file was
read further than it thought, forgets what it held and goes on from there.

Call control shares the event loop, so a batch is small, and reading it and working out its legs
happen in a worker thread: key presses are answered while the record catches up.

Where rows are missing, a gap is put on record beside the rest (``telephony/legs/gaps.py``).
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter, Gauge

from telephony.background import woken
from telephony.call_legs import Directory, GatheredCall, LegBuilder
from telephony.cases.store import CallState, micros_of
from telephony.cel.disk import DiskWatch
from telephony.cel.files import CelFiles
from telephony.cel.rows import CelRow, our_layout
from telephony.cel.tail import Batch
from telephony.database import Database
from telephony.errors import DatabaseUnavailable, SettingsError
from telephony.legs.gaps import (
    OF_CHANNELS,
    SILENT_US,
    Gap,
    SerialWatch,
    gap_of_stop,
    gaps_of_call,
)
from telephony.record.leg_table import Values
from telephony.record.store import MovedOn, RecordStore
from telephony.settings import Settings

POLL_S = 0.1
MAX_BACK_OFF_S = 10.0

log = structlog.get_logger(__name__)

LAG_BYTES = Gauge("hotline_recorder_lag_bytes", "CEL bytes not yet stored", ["pbx"])
LAG_SECONDS = Gauge("hotline_recorder_lag_seconds", "Age of the oldest CEL not yet stored", ["pbx"])
ROWS_STORED = Counter("hotline_recorder_rows", "CEL rows stored", ["pbx"])
ROWS_BROKEN = Counter("hotline_recorder_broken_rows", "CEL lines that are no rows", ["pbx"])
GAPS_FOUND = Counter("hotline_record_gaps", "Gaps found in the record", ["pbx", "why"])


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the record is behind the PBX: bytes of CEL, and seconds since it was last level."""

    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """What follows from a batch: calls and legs as they stand now, gaps found, gaps filled."""

    calls: list[CallState]
    legs: list[Values]
    found: list[Gap]
    filled: set[tuple[str, str]]


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
        self._store = RecordStore(database, self.pbx, settings.messages.tries)
        self._directory = Directory.from_settings(settings)
        self._layout = our_layout()
        self._builder: LegBuilder | None = None
        self._takes_all = settings.pbx.shipped
        self._files = CelFiles(self.path, {})
        self._prepared: tuple[Batch, Work] | None = None
        self._serials = SerialWatch()
        self._unfilled: set[tuple[str, str]] = set()  # gaps that a late row would fill
        self._told: set[tuple[str, str]] = set()
        self._disk = DiskWatch(self.pbx, self.path.parent, settings.record)
        self._poked = asyncio.Event()
        self._ending = False
        self._turn = asyncio.Lock()
        self._level_at = datetime.now(UTC)

    def finish(self) -> None:
        """Have :meth:`run` return after what it writes now: nothing is left half done."""
        self._ending = True
        self._poked.set()

    def poke(self) -> None:
        """Look for new rows at once."""
        self._poked.set()

    async def run(self) -> None:
        """Record until cancelled, or told to finish; goes on by itself after the database or the
        file was away."""
        back_off = POLL_S
        while not self._ending:
            try:
                while await self._step() is not None and not self._ending:
                    back_off = POLL_S
                back_off = POLL_S
            except (DatabaseUnavailable, OSError) as error:
                log.warning("record-waits", pbx=self.pbx, reason=str(error), retry_s=back_off)
                self._measure()
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, MAX_BACK_OFF_S)
                continue
            await woken(self._poked, POLL_S)

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
        behind = self._files.behind()
        seconds = (datetime.now(UTC) - self._level_at).total_seconds() if behind else 0.0
        return Lag(behind, seconds)

    def _measure(self) -> None:
        lag = self.lag
        LAG_BYTES.labels(self.pbx).set(lag.bytes)
        LAG_SECONDS.labels(self.pbx).set(lag.seconds)
        self._disk.look()

    async def _step(self) -> int | None:
        """Store one batch; None when there is nothing to store now."""
        async with self._turn:
            if self._builder is None:
                self._builder = await self._resume()
            if self._prepared is None:
                batch = await self._files.next_batch()
                if batch is None:
                    self._level_at = datetime.now(UTC)
                    self._measure()
                    await self._tell_gaps()
                    return None
                self._prepared = (batch, await self._feed(self._builder, batch))
            return await self._write(self._builder, *self._prepared)

    async def _resume(self) -> LegBuilder:
        """Go back to what is stored: how far files were read, and the calls still open."""
        positions = await self._store.positions()
        lines = await self._store.stored_lines(await self._store.open_channels())
        starts = await self._store.last_lines()
        self._unfilled = await self._store.gaps.of_channels()
        builder, self._serials = LegBuilder(), SerialWatch()
        await asyncio.to_thread(self._take_up, builder, lines)
        builder.changed()
        for line in starts:
            self._serials.feed(self._row(line))
        self._files = CelFiles(self.path, positions, takes_all=self._takes_all)
        self._prepared = None
        return builder

    async def _feed(self, builder: LegBuilder, batch: Batch) -> Work:
        """The calls that got rows, as they stand then."""
        recalled = await self._recall(builder, batch)
        # Nobody stops a thread: should this be cancelled, its builder is left to it.
        self._builder = None
        work = await asyncio.to_thread(self._work_out, builder, recalled, batch)
        self._builder = builder
        return work

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
            builder.feed(self._row(line))

    def _row(self, line: str) -> CelRow:
        return self._layout.row(next(csv.reader([line])))

    def _work_out(self, builder: LegBuilder, recalled: Sequence[str], batch: Batch) -> Work:
        self._take_up(builder, recalled)
        for stored in batch.rows:
            builder.feed(stored.row)
            self._serials.feed(stored.row)
        calls = builder.changed()
        states = [
            CallState(*call.legs(self.pbx, self._directory), is_over=call.is_over) for call in calls
        ]
        found = [*self._files.found, *self._files.broken(batch), *self._serials.found(builder.now)]
        found += _stops(builder, calls)
        filled = {(gap.why, gap.key) for gap in self._serials.filled()}
        for call in calls:
            gaps = gaps_of_call(call.rows, call.lost, builder.now)
            found += gaps
            if self._unfilled:
                channels = {row[3] for row in call.rows}
                known = {(why, one) for why in OF_CHANNELS for one in channels} & self._unfilled
                filled |= known - {(gap.why, gap.key) for gap in gaps}
        values = self._store.legs.values
        legs = [values(leg) for state in states for leg in state.legs]
        return Work(states, legs, found, filled)

    async def _tell_gaps(self) -> None:
        """Gaps that no batch is written with: what is missing may have been the last."""
        found = [*self._files.found, *self._serials.found(micros_of(datetime.now(UTC)))]
        if found:
            await self._store.write_gaps(found, datetime.now(UTC))
            self._files.found.clear()
            self._tell(found)

    def _tell(self, found: Sequence[Gap]) -> None:
        for gap in found:
            if (gap.why, gap.key) not in self._told:
                self._told.add((gap.why, gap.key))
                GAPS_FOUND.labels(self.pbx, gap.why).inc()
                log.warning("record-gap", pbx=self.pbx, why=gap.why, key=gap.key, what=gap.detail)

    async def _write(self, builder: LegBuilder, batch: Batch, work: Work) -> int | None:
        now = datetime.now(UTC)
        try:
            await self._store.write(batch, work.calls, work.legs, now, work.found, work.filled)
        except MovedOn as moved:
            log.info("record-taken-over", pbx=self.pbx, reason=str(moved))
            self._builder = None
            return 0
        self._prepared = None
        self._files.done(batch, now)
        self._unfilled |= {(gap.why, gap.key) for gap in work.found if gap.why in OF_CHANNELS}
        self._unfilled -= work.filled
        self._tell(work.found)
        self.broken += len(batch.broken)
        ROWS_STORED.labels(self.pbx).inc(len(batch.rows))
        ROWS_BROKEN.labels(self.pbx).inc(len(batch.broken))
        for offset, reason, _ in batch.broken:
            log.warning("cel-row-broken", file=batch.name, offset=offset, reason=reason)
        for _ in builder.finished():
            pass  # let go of what is stored and over
        self._disk.look()
        return len(batch.rows)


def _stops(builder: LegBuilder, calls: Sequence[GatheredCall]) -> Iterator[Gap]:
    """Stops of the PBX that cut these calls off."""
    cut: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for call in calls:
        if not call.lost or call.last_at + SILENT_US <= builder.now:
            continue
        shown = builder.restart_after(min(call.lost))
        if shown is not None:
            at, linkedid = [(row[0], row[4]) for row in call.rows if row[3] in call.lost][-1]
            cut.setdefault(shown, []).append((linkedid, at))
    for (shown_by, began), touched in cut.items():
        yield gap_of_stop(shown_by, began, touched)
