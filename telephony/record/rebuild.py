"""The legs of a period made again from the stored rows, beside what is stored of them.

Rows are read in the order of time, page by page, so memory is bounded by the calls that are open.
A call that began before the period is taken up whole; reading goes on after the period until its
calls are over. Legs of calls that still go on are left to the recorder, and so are legs whose rows
are no longer stored: nothing is known about them that is not in the leg itself. So are the legs of
a call that began before the oldest row that is stored.

Only legs are made again. Cases and their ledger are append-only and stay as they are.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.call_legs import GRACE_S, Directory, GatheredCall, LegBuilder
from telephony.cases.store import micros_of, parts
from telephony.cel.rows import CelRow, our_layout
from telephony.database import Database
from telephony.legs.model import Leg, epoch_of
from telephony.record.leg_table import LEGS
from telephony.record.store import POSITIONS, ROWS, RecordStore, rows_in_order

PAGE = 5000
"""Rows read at a time."""
BATCH = 1000
"""Legs compared, and written, in one transaction."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A leg that is not what its rows say. ``field`` is ``leg`` for one too many or too few."""

    pbx: str
    leg: str
    field: str
    was: Any
    is_now: Any


@dataclass(slots=True)
class Progress:
    """How far it is."""

    rows: int = 0
    legs: int = 0
    different: int = 0  # legs
    going_on: int = 0  # legs of calls that are not over
    without_rows: int = 0  # legs whose rows are not stored any more
    at: datetime | None = None  # of the row read last


class Rebuild:
    """Makes the legs of one PBX and period again. ``run()`` once."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        pbx: str,
        since: datetime,
        until: datetime,
        *,
        now: datetime,
        apply: bool = False,
    ) -> None:
        """``[since, until)``; ``apply``: write the legs as they should be; ``now``: the clock."""
        self.progress = Progress()
        self._database = database
        self._store = RecordStore(database, pbx)
        self._directory = directory
        self._pbx = pbx
        self._since, self._until = since, until
        self._now = micros_of(now)
        self._apply = apply
        self._layout = our_layout()
        self._builder = LegBuilder()
        self._over: list[GatheredCall] = []
        self._oldest = 0  # when the oldest row that is stored was written, in microseconds

    async def run(
        self, on_progress: Callable[[Progress], None]
    ) -> AsyncGenerator[Difference, None]:
        """The differences, as they are found. Raises :class:`DatabaseUnavailable`."""
        self._oldest = await self._store.oldest()
        async for rows in self._pages():
            await self._feed(rows)
            self._over += self._builder.finished()
            async for difference in self._settle(BATCH):
                yield difference
            on_progress(self.progress)
            if rows[-1].at >= micros_of(self._until) and not self._has_open():
                break
        for call in self._builder.rest():
            if call.is_over and call.last_at + GRACE_S * 1_000_000 < self._now:
                self._over.append(call)
            else:
                self.progress.going_on += len(self._legs(call))
        async for difference in self._settle(1):
            yield difference
        await self._count_without_rows()
        on_progress(self.progress)

    def _has_open(self) -> bool:
        """Whether a call that began in the period is not over."""
        end = micros_of(self._until)
        return any(
            not call.is_over and min(row[0] for row in call.rows) < end
            for call in self._builder.calls()
        )

    async def _pages(self) -> AsyncIterator[list[CelRow]]:
        """All rows from the beginning of the period on, in the order of time."""
        columns = (ROWS.c.at, ROWS.c.seq, ROWS.c.digest)
        query = select(*columns, ROWS.c.line).where(rows_in_order(self._pbx))
        query = query.order_by(*columns).limit(PAGE)
        page = query.where(ROWS.c.at >= self._since)
        while True:
            async with self._database.reading() as connection:
                found = (await connection.execute(page)).all()
            if not found:
                return
            at, seq, digest, _ = found[-1]
            self.progress.rows += len(found)
            self.progress.at = at
            yield [self._layout.row(fields) for fields in csv.reader([one[3] for one in found])]
            # The first condition is one that the key's index can answer.
            page = query.where(ROWS.c.at >= at, tuple_(*columns) > tuple_(at, seq, digest))

    async def _feed(self, rows: Sequence[CelRow]) -> None:
        started = {row.uniqueid for row in rows if row.event == "CHAN_START"}
        strange = {
            key
            for row in rows
            for key in (row.uniqueid, row.linkedid)
            if key not in started and key not in self._builder
        }
        if strange:  # calls that began before
            first = rows[0].at
            lines = await self._store.stored_lines(strange)
            before = [self._layout.row(fields) for fields in csv.reader(lines)]
            self._builder.feed_all(row for row in before if row.at < first)
        self._builder.feed_all(rows)

    def _is_whole(self, call: GatheredCall) -> bool:
        """Whether no channel of it was made before the oldest row, so that rows are lacking."""
        started = {row[3] for row in call.rows if row[1] == "CHAN_START"}
        others = {one for row in call.rows for one in (row[3], row[4])} - started
        made = {epoch_of(one) for one in others} - {0}
        return all(epoch * 1_000_000 > self._oldest for epoch in made)

    def _legs(self, call: GatheredCall) -> list[Leg]:
        return call.legs(self._pbx, self._directory)[0]

    async def _settle(self, least: int) -> AsyncIterator[Difference]:
        """Compare the calls that are over, once there are so many."""
        while len(self._over) >= least:
            calls, self._over = self._over[:BATCH], self._over[BATCH:]
            legs: list[Leg] = []
            for call in calls:
                if self._is_whole(call):
                    legs += self._legs(call)
                else:
                    self.progress.without_rows += len(self._legs(call))
            for difference in await self._compare(legs):
                yield difference

    async def _compare(self, legs: Sequence[Leg]) -> list[Difference]:
        if not self._apply:
            async with self._database.reading() as connection:
                return (await self._differences(connection, legs))[0]
        async with self._database.writing() as connection:
            # The recorder takes this lock too: it writes no leg meanwhile.
            lock = select(POSITIONS.c.file).where(POSITIONS.c.pbx == self._pbx)
            await connection.execute(lock.with_for_update())
            found, wrong, folded = await self._differences(connection, legs)
            await self._store.legs.write(
                connection, [self._store.legs.values(leg) for leg in wrong]
            )
            for part in parts(folded):
                await connection.execute(delete(LEGS).where(self._store.are(part)))
            return found

    async def _differences(
        self, connection: AsyncConnection, legs: Sequence[Leg]
    ) -> tuple[list[Difference], list[Leg], list[str]]:
        """Differences, the rows of legs that are wrong, and legs that belong to another one."""
        stored = await self._stored(connection, [one for leg in legs for one in leg.channels])
        found: list[Difference] = []
        wrong: list[Leg] = []
        folded: list[str] = []
        for leg in legs:
            row = self._store.legs.row(leg)
            before = stored.get(leg.uniqueid)
            if self._is_inside(row["at"]) or (before is not None and self._is_inside(before["at"])):
                self.progress.legs += 1
                differences = self._between(leg.uniqueid, before, row)
                if differences:
                    found += differences
                    wrong.append(leg)
            for one in leg.channels:
                other = stored.get(one)
                if one != leg.uniqueid and other is not None and self._is_inside(other["at"]):
                    found.append(Difference(self._pbx, one, "leg", other["state"], None))
                    folded.append(one)
        self.progress.different += len(wrong) + len(folded)
        return found, wrong, folded

    def _between(
        self, leg: str, before: dict[str, Any] | None, row: dict[str, Any]
    ) -> list[Difference]:
        if before is None:
            return [Difference(self._pbx, leg, "leg", None, row["state"])]
        return [
            Difference(self._pbx, leg, name, before[name], value)
            for name, value in row.items()
            if before[name] != value
        ]

    def _is_inside(self, at: datetime) -> bool:
        return self._since <= at < self._until

    async def _stored(
        self, connection: AsyncConnection, uniqueids: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for part in parts(uniqueids):
            rows = await connection.execute(select(LEGS).where(self._store.are(part)))
            found.update((row["uniqueid"], dict(row)) for row in rows.mappings())
        return found

    async def _count_without_rows(self) -> None:
        key = (LEGS.c.at, LEGS.c.uniqueid)
        query = select(*key).where(LEGS.c.pbx == self._pbx, LEGS.c.at < self._until)
        query = query.order_by(*key).limit(BATCH)
        page = query.where(LEGS.c.at >= self._since)
        while True:
            async with self._database.reading() as connection:
                legs = (await connection.execute(page)).all()
                if not legs:
                    return
                known: set[str] = set()
                for part in parts([one.uniqueid for one in legs]):
                    there = select(ROWS.c.uniqueid).distinct()
                    there = there.where(ROWS.c.pbx == self._pbx, ROWS.c.uniqueid.in_(part))
                    known.update((await connection.execute(there)).scalars())
            self.progress.without_rows += sum(one.uniqueid not in known for one in legs)
            at, uniqueid = legs[-1]
            page = query.where(LEGS.c.at >= at, tuple_(*key) > tuple_(at, uniqueid))
