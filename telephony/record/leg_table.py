"""Legs into their table, a thousand at a time: by what each database takes in fastest.

PostgreSQL: legs that were not written before are copied (COPY); should one be there all the same,
none of them is, and they are written as those that are known, by insert or update. SQLite: one
prepared statement for all rows. Both inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import orjson
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.cases.store import table
from telephony.database import Database
from telephony.legs.model import Leg, epoch_of, iso_second, moment
from telephony.models import LegRecord
from telephony.numbers import to_e164

LEGS: Table = table(LegRecord)
KEY = ("epoch", "uniqueid", "pbx")
LISTS = ("channels", "channel_names", "segments")

WORTH_COPYING = 50
"""Fewer legs are written sooner than a COPY has begun."""
MAX_KNOWN = 200_000

Values = tuple[Any, ...]
"""A leg as the database's driver takes it, in the order of :data:`COLUMNS`."""
COLUMNS = (
    *("pbx", "epoch", "uniqueid", "at", "linkedid", "case_id", "role", "party", "party_e164"),
    *("caller", "caller_e164", "agent", "department", "started_at", "answered_at", "ended_at"),
    *("ring_s", "talk_s", "hold_s", "cause", "cause_text", "hung_up_by", "state", "handover"),
    *LISTS,
)
_UNIQUEID = COLUMNS.index("uniqueid")


class LegTable:
    """The table of legs, for one PBX."""

    def __init__(self, database: Database, pbx: str) -> None:
        self._database = database
        self._pbx = pbx
        self._known: dict[str, None] = {}  # uniqueids written before, as far as remembered
        self._upsert = _upsert(database)

    def row(self, leg: Leg) -> dict[str, Any]:
        """The row of the table that stands for this leg."""
        return dict(zip(COLUMNS, self._row(leg, moment), strict=True))

    def _row(self, leg: Leg, time: Callable[[int], Any]) -> Values:
        party, caller = leg.party, leg.caller
        started, answered, ended = leg.started, leg.answered, leg.ended
        return (
            self._pbx,
            epoch_of(leg.uniqueid),
            leg.uniqueid,
            time(started if started is not None else leg.first_at),
            leg.linkedid,
            leg.case,
            leg.role,
            party,
            self._e164(party),
            caller,
            self._e164(caller),
            leg.agent,
            leg.department,
            None if started is None else time(started),
            None if answered is None else time(answered),
            None if ended is None else time(ended),
            leg.ring_s,
            leg.talk_s,
            leg.hold_s,
            leg.cause,
            leg.cause_text,
            leg.hung_up_by,
            leg.state,
            leg.handover,
            leg.channels,
            leg.channel_names,
            leg.segments_json(),
        )

    def _e164(self, number: str | None) -> str | None:
        return to_e164(number, self._database.area_code, self._database.country_code)

    def values(self, leg: Leg) -> Values:
        """The leg as the driver takes it."""
        row = self._row(leg, _text if self._database.is_sqlite else moment)
        channels, names, segments = row[-3:]
        return (
            *row[:-3],
            orjson.dumps(channels).decode(),
            orjson.dumps(names).decode(),
            orjson.dumps(segments).decode(),
        )

    async def write(self, connection: AsyncConnection, legs: Sequence[Values]) -> None:
        """Insert these legs, or replace them where they are there."""
        if not legs:
            return
        known = self._known
        if self._database.is_sqlite:
            await connection.exec_driver_sql(self._upsert, list(legs))
            return
        fresh = [leg for leg in legs if leg[_UNIQUEID] not in known]
        if len(fresh) >= WORTH_COPYING and await self._copied(connection, fresh):
            legs = [leg for leg in legs if leg[_UNIQUEID] in known]
        if legs:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.executemany(self._upsert, legs)
        known.update(dict.fromkeys(leg[_UNIQUEID] for leg in fresh))
        while len(known) > MAX_KNOWN:
            del known[next(iter(known))]

    async def _copied(self, connection: AsyncConnection, legs: Sequence[Values]) -> bool:
        """Copy them into the table; False, and nothing is done, when one is there already."""
        save = await connection.begin_nested()
        driver: Any = (await connection.get_raw_connection()).driver_connection
        try:
            await driver.copy_records_to_table(LEGS.name, records=legs, columns=COLUMNS)
        except asyncpg.UniqueViolationError:
            await save.rollback()
            return False
        await save.commit()
        return True


def _upsert(database: Database) -> str:
    """The driver's statement that inserts a leg, or replaces what stands under its key."""
    names = ", ".join(COLUMNS)
    places = ", ".join(
        "?" if database.is_sqlite else f"${place}" for place in range(1, len(COLUMNS) + 1)
    )
    changed = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in KEY)
    return (
        f"INSERT INTO {LEGS.name} ({names}) VALUES ({places}) "
        f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {changed}"
    )


def _text(micros: int) -> str:
    """A moment as SQLAlchemy keeps it in SQLite."""
    second, fraction = divmod(micros, 1_000_000)
    return f"{iso_second(second).replace('T', ' ')}.{fraction:06d}"
