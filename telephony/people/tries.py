"""Wrong passwords are counted, and too many of them cost a growing wait.

A try is counted before the password is looked at: a hundred at once get no further than one after
the other. A right password takes it back.

Whoever knows a name could keep its owner out by typing wrong passwords elsewhere, and a large
office behind one address mistypes enough in a day to lock itself out. So where a name has signed in
lately, only the wrong passwords of this name at this address hold it up.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from telephony.cases.store import table
from telephony.people.models import WrongPasswordRecord
from telephony.people.rules import (
    FORGOTTEN_AFTER,
    KNOWN_FOR,
    TooManyTries,
    counted,
    digest_of,
    known_at,
    next_failures,
    wait_after,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, RowMapping
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
        both, *_wider = limits
        async with self._database.writing() as connection:
            await self._there(connection, sorted(limits), now)
            rows = await _locked(connection, WRONG.c.key.in_(limits))
            waits = {row["key"]: self._left(row["locked_until"], now) for row in rows}
            if (
                not waits.get(both)
                and any(waits.values())
                and await self._known(connection, name, address, now)
            ):
                waits = {}
            if any(waits.values()):
                seconds = int(max(waits.values())) + 1
                raise TooManyTries(
                    f"too many wrong passwords; try again in {seconds} s", wait_s=str(seconds)
                )
            told = 0
            for row in rows:
                failures = next_failures(row["failures"], row["last_at"], now)
                wait = self._wait(failures, limits[row["key"]])
                told = max(told, wait)
                values = {"failures": failures, "last_at": now}
                values |= {"locked_until": now + timedelta(seconds=wait) if wait else None}
                put = update(WRONG).where(WRONG.c.key == row["key"]).values(values)
                await connection.execute(put)
        return told

    @staticmethod
    def _left(until: datetime | None, now: datetime) -> float:
        return 0.0 if until is None else max(0.0, (until - now).total_seconds())

    @staticmethod
    async def _known(connection: AsyncConnection, name: str, address: str, now: datetime) -> bool:
        """Whether this name has signed in from this address lately."""
        query = select(WRONG.c.last_at).where(WRONG.c.key == known_at(name, address))
        last = (await connection.execute(query)).scalar()
        return last is not None and now - last < KNOWN_FOR

    def _wait(self, failures: int, allowed: int) -> int:
        longest = self._rules.longest_wait_min * 60
        return wait_after(failures, allowed, self._rules.wait_s, longest)

    async def _there(self, connection: AsyncConnection, keys: list[str], now: datetime) -> None:
        dialect = sqlite if self._database.is_sqlite else postgresql
        rows = [{"key": key, "failures": 0, "last_at": now} for key in keys]
        await connection.execute(dialect.insert(WRONG).on_conflict_do_nothing(), rows)

    async def forget(self, connection: AsyncConnection, name: str, address: str) -> None:
        """The password was right: the name starts anew, the address has one less against it.

        And the name is known there from now on.
        """
        both, of_name, of_address = counted(name, address, 1)
        await _locked(connection, WRONG.c.key.in_((both, of_name, of_address)))
        await connection.execute(delete(WRONG).where(WRONG.c.key.in_((both, of_name))))
        one_less = {"failures": WRONG.c.failures - 1, "locked_until": None}
        of_it = (WRONG.c.key == of_address) & (WRONG.c.failures > 0)
        await connection.execute(update(WRONG).where(of_it).values(one_less))
        now, here = datetime.now(UTC), known_at(name, address)
        await self._there(connection, [here], now)
        await connection.execute(update(WRONG).where(WRONG.c.key == here).values(last_at=now))

    @staticmethod
    async def forget_name(connection: AsyncConnection, name: str) -> None:
        """Somebody got a new password: nothing that was typed before holds them up."""
        known = digest_of(name)
        anywhere = (WRONG.c.key.startswith(f"{one} {known} ") for one in ("both", "known"))
        of_it = or_(WRONG.c.key == f"name {known}", *anywhere)
        await _locked(connection, of_it)
        await connection.execute(delete(WRONG).where(of_it))

    async def sweep(self, connection: AsyncConnection, now: datetime) -> None:
        """Delete what is forgotten anyway."""
        kept = WRONG.c.key.startswith("known ") & (WRONG.c.last_at > now - KNOWN_FOR)
        old = (WRONG.c.last_at < now - FORGOTTEN_AFTER) & ~kept
        old &= WRONG.c.locked_until.is_(None) | (WRONG.c.locked_until < now)
        await connection.execute(delete(WRONG).where(old))


async def _locked(connection: AsyncConnection, which: ColumnElement[bool]) -> Sequence[RowMapping]:
    """These counts, which nobody else changes now; in one order, so that no two wait for both."""
    query = select(WRONG).where(which).order_by(WRONG.c.key).with_for_update()
    return (await connection.execute(query)).mappings().all()
