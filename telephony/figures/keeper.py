"""Keeps the counts of each day, week and month equal to what is on record.

Triggers of the database note the days on which something was written (migration
``0011_figures``), whoever wrote it and in whatever way. The keeper takes these days and counts them
anew, in one transaction with taking them: it may be killed at any point, and several services take
turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, or_, select, text

from telephony import logs
from telephony.background import end
from telephony.cases.store import table
from telephony.errors import DatabaseUnavailable
from telephony.figures.counting import Source, count, sources, was_deleted
from telephony.figures.measures import HANDOVER
from telephony.figures.models import FigureRecord, TouchedDay
from telephony.figures.periods import GRAINS, Grain, bounds, period_of, span

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database

POLL_S = 5.0
"""How long after a change the figures follow, in seconds."""
PAUSES = 9
"""So many times as long as counting took nothing is counted after it, but no longer than this."""
LONGEST_PAUSE_S = 60.0
DAYS_AT_ONCE = 4
"""How many days one transaction counts: on SQLite the record waits for it meanwhile."""
_LOCK = 4212800123
FIGURES, TOUCHED = map(table, (FigureRecord, TouchedDay))

log = structlog.get_logger(__name__)


class FigureKeeper:
    """Counts the days that were touched, every few seconds."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._sources = sources(sqlite=database.is_sqlite)
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.as_of: datetime | None = None

    def start(self) -> None:
        """Begin; the database may come later."""
        self._task = asyncio.create_task(self._run(), name="figures")

    async def stop(self) -> None:
        """Stop; a count that is under way is stored whole or not at all."""
        await end(self._task)

    async def catch_up(self, *, told: Callable[[int], None] = lambda _days: None) -> None:
        """Count all days that were touched, each once; ``told`` hears how many after each part.

        A day that is touched again meanwhile is for the next time: while calls come in, today is,
        without end. Raises :class:`DatabaseUnavailable`; what was counted before stays.
        """
        begun = self._clock()
        counted: set[str] = set()
        while True:
            since = time.monotonic()
            days = await self._round(counted)
            if not days:
                break
            counted.update(days)
            told(len(days))
            if self._database.is_sqlite:  # the record waited, and is written now
                await asyncio.sleep(time.monotonic() - since)
        self.as_of = begun

    async def touch(self, first: date, last: date) -> None:
        """Have these days counted anew. Raises :class:`DatabaseUnavailable`."""
        days = [
            date.fromordinal(one).isoformat()
            for one in range(first.toordinal(), last.toordinal() + 1)
        ]
        async with self._database.writing() as connection:
            await connection.execute(insert(TOUCHED), [{"day": day} for day in days])

    async def _round(self, counted: set[str]) -> Sequence[str]:
        """Count some days that were touched, the newest first, but none of these."""
        async with self._database.writing() as connection:
            if not self._database.is_sqlite:
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            asked = select(TOUCHED.c.day).where(TOUCHED.c.day.not_in(sorted(counted)))
            asked = asked.distinct().order_by(TOUCHED.c.day.desc())
            found = (await connection.execute(asked.limit(DAYS_AT_ONCE))).scalars().all()
            if not found:
                return found
            # Taken before they are counted: what is noted from here on will be counted once more.
            await connection.execute(delete(TOUCHED).where(TOUCHED.c.day.in_(found)))
            days = [date.fromisoformat(day) for day in found]
            for day in days:
                await self._count(connection, day)
            for grain in GRAINS[1:]:
                for first, last in sorted({span(day, grain) for day in days}):
                    await _sum(connection, grain, first, last)
        return found

    async def _count(self, connection: AsyncConnection, day: date) -> None:
        since, until = bounds(day, day)
        for source in self._sources:
            if await was_deleted(connection, source, since, until):
                continue  # what was counted while it was there stays
            counts = await count(connection, source, since, until)
            here = and_(FIGURES.c.grain == "day", FIGURES.c.period == day.isoformat())
            await connection.execute(delete(FIGURES).where(here, _of(source)))
            rows = [
                {
                    "grain": "day",
                    "period": day.isoformat(),
                    "dimension": dimension,
                    "member": member,
                    "measure": measure,
                    "count": times,
                    "total": total,
                }
                for (dimension, member, measure), (times, total) in counts.items()
            ]
            if rows:
                await connection.execute(insert(FIGURES), rows)

    async def _run(self) -> None:
        while True:
            begun = time.monotonic()
            try:
                await self.catch_up()
            except DatabaseUnavailable as error:
                log.warning("figures wait for the database", reason=error.detail)
            except Exception as error:  # noqa: BLE001 - the next round begins from what is stored
                logs.unexpected(log, "the figures failed and are tried again", error)
            pause_s = PAUSES * (time.monotonic() - begun)
            await asyncio.sleep(min(max(POLL_S, pause_s), LONGEST_PAUSE_S))


def _of(source: Source) -> ColumnElement[bool]:
    """The measures of a source."""
    plain = [name for name in source.measures if name != HANDOVER]
    named = FIGURES.c.measure.in_(plain)
    if source.by_state is None:
        return named
    return or_(named, FIGURES.c.measure.startswith(HANDOVER, autoescape=True))


async def _sum(connection: AsyncConnection, grain: Grain, first: date, last: date) -> None:
    """Make a week or a month again from its days."""
    period = period_of(first, grain)
    await connection.execute(
        delete(FIGURES).where(FIGURES.c.grain == grain, FIGURES.c.period == period)
    )
    key: Sequence[str] = ("dimension", "member", "measure")
    columns = [FIGURES.c[name] for name in key]
    summed = (
        select(
            literal(grain),
            literal(period),
            *columns,
            func.sum(FIGURES.c["count"]),
            func.sum(FIGURES.c.total),
        )
        .where(
            FIGURES.c.grain == "day",
            FIGURES.c.period.between(first.isoformat(), last.isoformat()),
        )
        .group_by(*columns)
    )
    names = ["grain", "period", *key, "count", "total"]
    await connection.execute(insert(FIGURES).from_select(names, summed))
