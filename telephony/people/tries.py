"""Wrong passwords are counted, and too many of them cost a growing wait.

A try is counted before the password is looked at: a hundred at once get no further than one after
the other. A right password takes it back.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from telephony.cases.store import table
from telephony.people.models import WrongPasswordRecord
from telephony.people.rules import (
    FORGOTTEN_AFTER,
    TooManyTries,
    counted,
    next_failures,
    wait_after,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.people.settings import SignIn

WRONG = table(WrongPasswordRecord)


class Tries:
    """The counts, in the database: they outlast a restart and hold for all processes."""

    def __init__(self, database: Database, rules: SignIn) -> None:
        self._database = database
        self._rules = rules

    async def count(self, name: str, address: str) -> int:
        """Count a try; for how many seconds no further one is read if this one is wrong.

        Raises :class:`TooManyTries` without counting while a wait goes on.
        """
        now, limits = datetime.now(UTC), counted(name, address, self._rules.tries)
        async with self._database.writing() as connection:
            await self._there(connection, sorted(limits), now)
            query = select(WRONG).where(WRONG.c.key.in_(limits)).order_by(WRONG.c.key)
            rows = (await connection.execute(query.with_for_update())).mappings().all()
            locked = [row["locked_until"] for row in rows if row["locked_until"] is not None]
            left = max(((until - now).total_seconds() for until in locked), default=0.0)
            if left > 0:
                seconds = int(left) + 1
                raise TooManyTries(
                    f"too many wrong passwords; try again in {seconds} s", wait_s=str(seconds)
                )
            waits = []
            for row in rows:
                failures = next_failures(row["failures"], row["last_at"], now)
                wait = self._wait(failures, limits[row["key"]])
                waits.append(wait)
                values = {"failures": failures, "last_at": now}
                values |= {"locked_until": now + timedelta(seconds=wait) if wait else None}
                put = update(WRONG).where(WRONG.c.key == row["key"]).values(values)
                await connection.execute(put)
        return max(waits)

    def _wait(self, failures: int, allowed: int) -> int:
        longest = self._rules.longest_wait_min * 60
        return wait_after(failures, allowed, self._rules.wait_s, longest)

    async def _there(self, connection: AsyncConnection, keys: list[str], now: datetime) -> None:
        dialect = sqlite if self._database.is_sqlite else postgresql
        rows = [{"key": key, "failures": 0, "last_at": now} for key in keys]
        await connection.execute(dialect.insert(WRONG).on_conflict_do_nothing(), rows)

    async def forget(self, connection: AsyncConnection, name: str, address: str) -> None:
        """The password was right: the name starts anew, the address has one less against it."""
        both, of_name, of_address = counted(name, address, 1)
        await connection.execute(delete(WRONG).where(WRONG.c.key.in_((both, of_name))))
        one_less = {"failures": WRONG.c.failures - 1, "locked_until": None}
        of_it = (WRONG.c.key == of_address) & (WRONG.c.failures > 0)
        await connection.execute(update(WRONG).where(of_it).values(one_less))

    async def sweep(self, connection: AsyncConnection, now: datetime) -> None:
        """Delete what is forgotten anyway."""
        old = (WRONG.c.last_at < now - FORGOTTEN_AFTER) & (
            WRONG.c.locked_until.is_(None) | (WRONG.c.locked_until < now)
        )
        await connection.execute(delete(WRONG).where(old))
