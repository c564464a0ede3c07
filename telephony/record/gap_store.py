"""Gaps of the record in the database: written by the recorder, read by people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.cases.store import parts, table
from telephony.database import Database
from telephony.legs.gaps import OF_CHANNELS, Gap
from telephony.legs.model import moment
from telephony.record.gap_models import GapRecord
from telephony.record.query_parts import Page, Row, between, equal, page_of, where

GAPS = table(GapRecord)


class GapStore:
    """The gaps of one PBX."""

    def __init__(self, database: Database, pbx: str) -> None:
        self.pbx = pbx
        self._database = database
        self._insert: Any = sqlite_insert if database.is_sqlite else postgres_insert

    async def of_channels(self) -> set[tuple[str, str]]:
        """Why and key of gaps that a late row would fill."""
        query = select(GAPS.c.why, GAPS.c.key).where(
            GAPS.c.pbx == self.pbx, GAPS.c.why.in_(OF_CHANNELS)
        )
        async with self._database.reading() as connection:
            return {(why, key) for why, key in await connection.execute(query)}

    async def write(
        self,
        connection: AsyncConnection,
        found: Iterable[Gap],
        filled: Iterable[tuple[str, str]],
        now: datetime,
    ) -> None:
        """Store gaps that were found, each once, and take out those that are filled."""
        rows = [self._row(gap, now) for gap in found]
        if rows:
            await connection.execute(self._insert(GAPS).on_conflict_do_nothing(), rows)
        keys: dict[str, list[str]] = {}
        for why, key in filled:
            keys.setdefault(why, []).append(key)
        for why, mine in keys.items():
            for part in parts(mine):
                await connection.execute(
                    delete(GAPS).where(
                        GAPS.c.pbx == self.pbx, GAPS.c.why == why, GAPS.c.key.in_(part)
                    )
                )

    def _row(self, gap: Gap, now: datetime) -> dict[str, Any]:
        return {
            "pbx": self.pbx,
            "why": gap.why,
            "key": gap.key,
            "since": moment(gap.since),
            "until": None if gap.until is None else moment(gap.until),
            "calls": list(gap.calls),
            "detail": gap.detail,
            "found_at": now,
        }


async def list_gaps(
    database: Database,
    *,
    pbx: str | None = None,
    why: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Gaps that begin in ``[since, until)``, newest first.

    Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`.
    """
    conditions = [*equal(GapRecord, pbx=pbx, why=why), *between(GAPS.c.since, since, until)]
    key = (GAPS.c.since, GAPS.c.pbx, GAPS.c.why, GAPS.c.key)
    return await page_of(database, where(select(*GAPS.c), conditions), key, limit, cursor, shape)


def shape(row: Row) -> Row:
    """A gap as the HTTP interface and the command show it."""
    return {
        "pbx": row["pbx"],
        "why": row["why"],
        "key": row["key"],
        "from": row["since"],
        "to": row["until"],
        "calls": row["calls"],
        "detail": row["detail"],
        "found_at": row["found_at"],
    }


async def recent_gaps(database: Database, pbx: str, since: datetime) -> Sequence[Row]:
    """How many gaps of each kind were found since then, and when the newest began."""
    query = (
        select(GAPS.c.why, func.count().label("count"), func.max(GAPS.c.since).label("newest"))
        .where(GAPS.c.pbx == pbx, GAPS.c.found_at >= since)
        .group_by(GAPS.c.why)
        .order_by(GAPS.c.why)
    )
    async with database.reading() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]
