"""Writes the record: raw rows, legs, cases, hand-overs and ledger, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, literal_column, or_, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.cases.store import CallState, CaseStore, micros_of, parts, table
from telephony.cel.rows import CelRow
from telephony.cel.tail import Batch, StoredRow
from telephony.database import Database
from telephony.legs.gaps import Gap
from telephony.legs.model import epoch_of, moment
from telephony.legs.rules import CASE
from telephony.messages.settings import Messages
from telephony.messages.store import MessageStore
from telephony.models import BrokenRow, CelPosition, CelRecord
from telephony.record.gap_store import GapStore
from telephony.record.leg_table import LEGS, LegTable, Values

__all__ = [
    "BROKEN",
    "LEGS",
    "POSITIONS",
    "ROWS",
    "MovedOn",
    "RecordStore",
    "case_of",
    "rows_in_order",
]


class MovedOn(Exception):
    """Another service has read this part of the file already."""


LAST_LINES = 500
"""So many lines hold the last channels that were made."""

ROWS, POSITIONS, BROKEN = map(table, (CelRecord, CelPosition, BrokenRow))
IS_OPEN = LEGS.c.state == literal_column("'open'")
"""Written so that the index of open legs answers it: it does not know a bound value."""


class RecordStore:
    """Reads and writes of the recorder of one PBX."""

    def __init__(self, database: Database, pbx: str, tries: int = Messages().tries) -> None:
        """``tries``: so often a citizen is called back in vain."""
        self.database = database
        self.pbx = pbx
        self._insert: Any = sqlite_insert if database.is_sqlite else postgres_insert
        self._cases = CaseStore(database, pbx)
        self._messages = MessageStore(database, pbx, tries)
        self.gaps = GapStore(database, pbx)
        self.legs = LegTable(database, pbx)

    async def positions(self) -> dict[str, tuple[int, datetime]]:
        """How far each file was read, and when it was read last."""
        query = select(POSITIONS.c.file, POSITIONS.c.offset, POSITIONS.c.seen_at)
        async with self.database.reading() as connection:
            rows = await connection.execute(query.where(POSITIONS.c.pbx == self.pbx))
            return {file: (offset, seen_at) for file, offset, seen_at in rows}

    async def open_channels(self) -> set[str]:
        """Channels of legs that had no end, and of the legs they talk with."""
        query = select(LEGS.c.channels, LEGS.c.segments).where(LEGS.c.pbx == self.pbx, IS_OPEN)
        found: set[str] = set()
        async with self.database.reading() as connection:
            for channels, segments in await connection.execute(query):
                found.update(channels)
                found.update(other for part in segments for other in part["with"])
        return found

    async def stored_lines(self, keys: Iterable[str]) -> list[str]:
        """Stored lines of the calls to which these uniqueids, linkedids or cases belong."""
        lines: dict[tuple[datetime, int, str], str] = {}
        asked: set[str] = set()
        wanted = set(keys)
        async with self.database.reading() as connection:
            while wanted:
                asked |= wanted
                found: set[str] = set()
                for part in parts(sorted(wanted)):
                    for row in await connection.execute(self._rows_of(part)):
                        lines[row.at, row.seq, row.digest] = row.line
                        found |= {row.uniqueid, row.linkedid, row.case_id or row.uniqueid}
                found |= await self._heard_by(connection, found)
                wanted = found - asked
        return [lines[key] for key in sorted(lines)]

    async def _heard_by(self, connection: AsyncConnection, uniqueids: Iterable[str]) -> set[str]:
        """Legs that these legs talk with: nothing but a bridge may tie their calls together."""
        found: set[str] = set()
        for part in parts(sorted(uniqueids)):
            query = select(LEGS.c.segments).where(self.are(part))
            for segments in (await connection.execute(query)).scalars():
                found.update(other for segment in segments for other in segment["with"])
        return found

    def are(self, uniqueids: Sequence[str]) -> Any:
        """Legs with these uniqueids, in the form that the primary key can answer."""
        return and_(
            LEGS.c.epoch.in_({epoch_of(one) for one in uniqueids}),
            LEGS.c.uniqueid.in_(uniqueids),
            LEGS.c.pbx == self.pbx,
        )

    def _rows_of(self, keys: Sequence[str]) -> Any:
        columns = ROWS.c
        return select(
            columns.at,
            columns.seq,
            columns.digest,
            columns.line,
            columns.uniqueid,
            columns.linkedid,
            columns.case_id,
        ).where(
            columns.pbx == self.pbx,
            or_(columns.uniqueid.in_(keys), columns.linkedid.in_(keys), columns.case_id.in_(keys)),
        )

    async def oldest(self) -> int:
        """When the oldest row that is stored was written, in microseconds; 0 where none is."""
        query = select(ROWS.c.at).where(rows_in_order(self.pbx)).order_by(ROWS.c.at).limit(1)
        async with self.database.reading() as connection:
            found = await connection.scalar(query)
        return 0 if found is None else micros_of(found)

    async def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """The last lines that are stored, in their order."""
        query = select(ROWS.c.line).where(rows_in_order(self.pbx))
        query = query.order_by(ROWS.c.at.desc(), ROWS.c.digest.desc()).limit(count)
        async with self.database.reading() as connection:
            return list((await connection.execute(query)).scalars())[::-1]

    async def write(
        self,
        batch: Batch,
        calls: Sequence[CallState],
        legs: Sequence[Values],
        now: datetime,
        found: Sequence[Gap] = (),
        filled: Collection[tuple[str, str]] = (),
    ) -> None:
        """Store what was read and what follows from it, and how far was read.

        ``legs``: those of the calls; ``found``, ``filled``: gaps. Raises :class:`MovedOn` and
        stores nothing when another service was quicker.
        """
        async with self.database.writing() as connection:
            await self._claim(connection, batch, now)
            await self._write_rows(connection, batch)
            await self._write_legs(connection, calls, legs)
            await self._cases.write(connection, calls)
            await self._messages.write(connection, calls)
            if found or filled:
                await self.gaps.write(connection, found, filled, now)

    async def write_gaps(self, found: Sequence[Gap], now: datetime) -> None:
        """Store gaps that no batch tells of."""
        async with self.database.writing() as connection:
            await self.gaps.write(connection, found, (), now)

    async def _claim(self, connection: AsyncConnection, batch: Batch, now: datetime) -> None:
        key = {"pbx": self.pbx, "file": batch.file}
        first = {**key, "name": batch.name, "offset": 0, "rows": 0, "seen_at": now}
        await connection.execute(self._insert(POSITIONS).values(first).on_conflict_do_nothing())
        here = (POSITIONS.c.pbx == self.pbx) & (POSITIONS.c.file == batch.file)
        found = await connection.execute(select(POSITIONS.c.offset).where(here).with_for_update())
        known = int(found.scalar_one())
        if known != batch.start and not batch.again:
            raise MovedOn(f"{batch.name} was read up to {known}, not {batch.start}")
        await connection.execute(
            POSITIONS.update()
            .where(here)
            .values(
                offset=batch.end,
                name=batch.name,
                rows=POSITIONS.c.rows + len(batch.rows),
                seen_at=now,
            )
        )

    async def _write_rows(self, connection: AsyncConnection, batch: Batch) -> None:
        rows = [_raw(self.pbx, one) for one in batch.rows]
        if rows:
            await connection.execute(self._insert(ROWS).on_conflict_do_nothing(), rows)
        broken = [
            {"pbx": self.pbx, "file": batch.file, "offset": at, "reason": why, "line": line}
            for at, why, line in batch.broken
        ]
        if broken:
            await connection.execute(self._insert(BROKEN).on_conflict_do_nothing(), broken)

    async def _write_legs(
        self, connection: AsyncConnection, calls: Sequence[CallState], legs: Sequence[Values]
    ) -> None:
        await self.legs.write(connection, legs)
        # A channel that looked like a leg of its own at first may have found its person since.
        folded = [
            one
            for call in calls
            for leg in call.legs
            for one in leg.channels
            if one != leg.uniqueid
        ]
        for part in parts(folded):
            await connection.execute(delete(LEGS).where(self.are(part)))


def rows_in_order(pbx: str) -> Any:
    """Condition: rows of this PBX, which are to be read in the order of time.

    Written so that no index on the PBX answers it: SQLite would take that one and sort all rows,
    where the primary key begins with the time.
    """
    return ROWS.c.pbx.concat("") == pbx


def _raw(pbx: str, stored: StoredRow) -> dict[str, Any]:
    row = stored.row
    return {
        "at": moment(row.at),
        "digest": stored.digest,
        "pbx": pbx,
        "seq": stored.offset,
        "uniqueid": row.uniqueid,
        "linkedid": row.linkedid,
        "case_id": case_of(row),
        "line": stored.line,
    }


def case_of(row: CelRow) -> str | None:
    """The case that a row names by its account code."""
    return row.account if row.account and CASE.fullmatch(row.account) else None
