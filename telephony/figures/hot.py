"""Hot topics from the record: matters and words that rose, and who called again and again."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from telephony.cases.store import CASES
from telephony.figures.counting import CAME_IN, DETAILS
from telephony.figures.periods import bounds
from telephony.figures.topics import risen, words

if TYPE_CHECKING:
    from telephony.database import Database

SUMMARIES = 5_000
"""So many summaries of a period are read at most, the newest."""
BEGIN = 120
"""So many characters of each: what is longer tells its topic at the beginning."""
CALLS_AGAIN = 3
"""Who has called so often in the period is a repeated caller."""
LIMIT = 20


async def hot_topics(database: Database, first: date, last: date) -> dict[str, Any]:
    """What rose from ``first`` to ``last`` against the four stretches of that length before.

    ``matters`` and ``words`` that rose, and ``callers`` who called at least three times, with
    their numbers whole: who shows them masks them. Raises :class:`DatabaseUnavailable`.
    """
    length = last - first + timedelta(days=1)
    stretches = [(first - length * back, last - length * back) for back in range(5)]
    matters = [await _matters(database, *one) for one in stretches]
    said = [await asyncio.to_thread(words, await _summaries(database, *one)) for one in stretches]
    return {
        "from": first,
        "to": last,
        "matters": [asdict(one) for one in risen(matters[0], matters[1:], LIMIT)],
        "words": [asdict(one) for one in risen(said[0], said[1:], LIMIT)],
        "callers": await _callers(database, first, last),
    }


async def _matters(database: Database, first: date, last: date) -> Counter[str]:
    since, until = bounds(first, last)
    query = (
        select(DETAILS.c.matter, func.count().label("times"))
        .join(CASES, CASES.c.case_id == DETAILS.c.case_id)
        .where(CASES.c.opened_at >= since, CASES.c.opened_at < until)
        .where(DETAILS.c.matter.is_not(None))
        .group_by(DETAILS.c.matter)
    )
    async with database.reading() as connection:
        rows = await connection.execute(query)
        return Counter({row.matter: row.times for row in rows})


async def _summaries(database: Database, first: date, last: date) -> list[str]:
    since, until = bounds(first, last)
    query = (
        select(func.substr(DETAILS.c.summary, 1, BEGIN))
        .join(CASES, CASES.c.case_id == DETAILS.c.case_id)
        .where(CASES.c.opened_at >= since, CASES.c.opened_at < until)
        .where(DETAILS.c.summary.is_not(None))
        .order_by(CASES.c.opened_at.desc())
        .limit(SUMMARIES)
    )
    async with database.reading() as connection:
        return list((await connection.execute(query)).scalars())


async def _callers(database: Database, first: date, last: date) -> list[dict[str, Any]]:
    since, until = bounds(first, last)
    number = func.coalesce(CASES.c.caller_e164, CASES.c.caller)
    query = (
        select(number.label("number"), func.count().label("calls"))
        .where(CASES.c.opened_at >= since, CASES.c.opened_at < until, number.is_not(None), CAME_IN)
        .group_by(number)
        .having(func.count() >= CALLS_AGAIN)
        .order_by(func.count().desc(), number)
        .limit(LIMIT)
    )
    async with database.reading() as connection:
        rows = (await connection.execute(query)).mappings()
        return [{"number": row["number"], "calls": row["calls"]} for row in rows]
