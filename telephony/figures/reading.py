"""Figures as they are asked for: by period and member, and of the last 24 hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from telephony.cases.store import table
from telephony.figures.counting import Dimension, count, sources
from telephony.figures.measures import added, figures_of
from telephony.figures.models import FigureRecord, TouchedDay
from telephony.figures.periods import Grain, period_of

if TYPE_CHECKING:
    from telephony.database import Database

FIGURES, TOUCHED = map(table, (FigureRecord, TouchedDay))
Row = dict[str, Any]
Counted = dict[str, tuple[int, float]]
NOTHING: Row = asdict(figures_of({}))
"""The figures of a time in which nothing happened."""


async def by_period(
    database: Database, grain: Grain, dimension: Dimension, first: date, last: date
) -> list[Row]:
    """A row for each period from ``first`` to ``last`` and each member that has figures there.

    A period counts whole, also where it begins before ``first``. The newest comes first. Raises
    :class:`DatabaseUnavailable`.
    """
    found = await _counts(database, grain, dimension, first, last)
    return [
        {"period": period, "member": member, **asdict(figures_of(counts))}
        for (period, member), counts in sorted(
            found.items(), key=lambda one: (one[0][0], one[0][1]), reverse=True
        )
    ]


async def in_all(
    database: Database, dimension: Dimension, first: date, last: date
) -> dict[str, Row]:
    """The figures of each member over all these days."""
    found = await _counts(database, "day", dimension, first, last)
    members: dict[str, list[Counted]] = {}
    for (_, member), counts in found.items():
        members.setdefault(member, []).append(counts)
    return {member: asdict(figures_of(added(parts))) for member, parts in sorted(members.items())}


async def live(database: Database, since: datetime, until: datetime) -> Row:
    """The same figures straight from the record, of ``[since, until)``."""
    counts: Counted = {}
    async with database.reading() as connection:
        for source in sources(sqlite=database.is_sqlite):
            for (dimension, _, name), values in (
                await count(connection, source, since, until)
            ).items():
                if dimension == "all":
                    counts[name] = values
    return asdict(figures_of(counts))


async def last_24_hours(database: Database, now: datetime) -> Row:
    """The connect rate and the rest of the last 24 hours, straight from the record."""
    return await live(database, now - timedelta(hours=24), now)


async def days_waiting(database: Database) -> int:
    """How many days have changed and are not counted anew yet."""
    async with database.reading() as connection:
        query = select(func.count(func.distinct(TOUCHED.c.day)))
        return int((await connection.execute(query)).scalar_one())


async def _counts(
    database: Database, grain: Grain, dimension: Dimension, first: date, last: date
) -> dict[tuple[str, str], Counted]:
    columns = FIGURES.c
    asked: Sequence[Any] = (
        *(columns.period, columns.member, columns.measure),
        *(columns["count"], columns.total),
    )
    query = select(*asked).where(
        columns.grain == grain,
        columns.dimension == dimension,
        columns.period.between(period_of(first, grain), period_of(last, grain)),
    )
    found: dict[tuple[str, str], Counted] = {}
    async with database.reading() as connection:
        for period, member, measure, times, total in await connection.execute(query):
            found.setdefault((period, member), {})[measure] = (times, total)
    return found
