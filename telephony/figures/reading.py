"""Figures as they are asked for: by period and member, and of the last 24 hours."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, cast, func, select

from telephony.cases.store import table
from telephony.errors import InvalidValue
from telephony.figures.counting import Dimension, count, sources
from telephony.figures.measures import figures_of
from telephony.figures.models import FigureRecord, TouchedDay
from telephony.figures.periods import Grain, period_of
from telephony.record.query_parts import storable

if TYPE_CHECKING:
    from telephony.database import Database

FIGURES, TOUCHED = map(table, (FigureRecord, TouchedDay))
Row = dict[str, Any]
Counted = dict[str, tuple[int, float]]
NOTHING: Row = asdict(figures_of({}))
"""The figures of a time in which nothing happened."""
MAX_COUNTS = 100_000
PART = 500
"""Rows that are read at a time."""


class TooManyFigures(InvalidValue):
    """More figures than one answer holds."""

    code = "too-many-figures"
    title = "Too many figures at once"


async def by_period(
    database: Database,
    grain: Grain,
    dimension: Dimension,
    first: date,
    last: date,
    *,
    member: str | None = None,
) -> list[Row]:
    """A row for each period from ``first`` to ``last`` and each member that has figures there.

    A period counts whole, also where it begins before ``first``. The newest comes first. Raises
    :class:`TooManyFigures`, :class:`DatabaseUnavailable`.
    """
    asked = _COUNTS.where(*_within(grain, dimension, first, last, member)).limit(MAX_COUNTS + 1)
    found: dict[tuple[str, str], Counted] = {}
    read = 0
    async with database.reading() as connection:
        # Part by part: nobody waits for thousands of rows in one piece.
        async for rows in (await connection.stream(asked)).partitions(PART):
            for period, one, measure, times, total in rows:
                found.setdefault((period, one), {})[measure] = (times, total)
            read += len(rows)
    if read > MAX_COUNTS:
        raise TooManyFigures("ask for fewer days, for weeks or months, or for one member")
    return await asyncio.to_thread(_by_period, found)


def _by_period(found: dict[tuple[str, str], Counted]) -> list[Row]:
    return [
        {"period": period, "member": member, **asdict(figures_of(counts))}
        for (period, member), counts in sorted(found.items(), key=lambda one: one[0], reverse=True)
    ]


async def in_all(
    database: Database,
    dimension: Dimension,
    first: date,
    last: date,
    *,
    member: str | None = None,
) -> dict[str, Row]:
    """The figures of each member over all these days."""
    columns = FIGURES.c
    summed = select(
        columns.member,
        columns.measure,
        cast(func.sum(columns["count"]), BigInteger),
        func.sum(columns.total),
    ).where(*_within("day", dimension, first, last, member))
    members: dict[str, Counted] = {}
    async with database.reading() as connection:
        asked = summed.group_by(columns.member, columns.measure)
        async for rows in (await connection.stream(asked)).partitions(PART):
            for one, measure, times, total in rows:
                members.setdefault(one, {})[measure] = (times, round(total, 6))
    return await asyncio.to_thread(_in_all, members)


def _in_all(members: dict[str, Counted]) -> dict[str, Row]:
    return {member: asdict(figures_of(counts)) for member, counts in sorted(members.items())}


async def live(database: Database, since: datetime, until: datetime) -> Row:
    """The same figures straight from the record, of ``[since, until)``."""
    counts: Counted = {}
    async with database.reading() as connection:
        for source in sources(sqlite=database.is_sqlite):
            found = await count(connection, source, since, until, by_member=False)
            counts |= {name: values for (_, _, name), values in found.items()}
    return asdict(figures_of(counts))


async def last_24_hours(database: Database, now: datetime) -> Row:
    """The connect rate and the rest of the last 24 hours, straight from the record."""
    return await live(database, now - timedelta(hours=24), now)


async def days_waiting(database: Database) -> int:
    """How many days have changed and are not counted anew yet."""
    async with database.reading() as connection:
        query = select(func.count(func.distinct(TOUCHED.c.day)))
        return int((await connection.execute(query)).scalar_one())


_COUNTS = select(*(FIGURES.c[name] for name in ("period", "member", "measure", "count", "total")))


def _within(
    grain: Grain, dimension: Dimension, first: date, last: date, member: str | None
) -> list[ColumnElement[bool]]:
    columns = FIGURES.c
    found = [
        columns.grain == grain,
        columns.dimension == dimension,
        columns.period.between(period_of(first, grain), period_of(last, grain)),
    ]
    return found if member is None else [*found, columns.member == storable(member)]
