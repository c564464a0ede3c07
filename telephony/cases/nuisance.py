"""Nuisance callers (骚扰, 谎报): marked by a supervisor until a day, shown on their next calls.

A mark never blocks a call: whoever cries wolf may need help the next time. The marks that count now
are kept in memory, so that the live picture need not ask the database; other processes see a new
one within :data:`REFRESH_S`.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import structlog
from sqlalchemy import func, insert, select, update

from telephony import logs
from telephony.cases.store import CASES, table
from telephony.errors import CaseNotFound, DatabaseUnavailable, InvalidValue, NotFound, WrongState
from telephony.models import NuisanceMark
from telephony.numbers import to_e164

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database

log = structlog.get_logger(__name__)

Kind = Literal["骚扰", "谎报"]
REFRESH_S = 15.0
"""How often marks made elsewhere are looked for, in seconds."""
RETRY_S = 2.0
MARKS = table(NuisanceMark)


class NuisanceNotFound(NotFound):
    """No mark with this id counts at present."""

    code = "nuisance-mark-not-found"
    title = "No such mark"


@dataclass(frozen=True, slots=True)
class Mark:
    """A number that is marked, why, and until when."""

    id: str
    number: str
    kind: str
    reason: str
    marked_at: datetime
    marked_by: str
    until: datetime


class Nuisance:
    """The marks of nuisance callers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_number: dict[str, Mark] = {}
        self._changes = 0

    async def mark(
        self,
        *,
        number: str | None,
        case: str | None,
        kind: Kind,
        reason: str,
        until: datetime,
        by: str,
    ) -> Mark:
        """Mark a number, or the number that called in a case. ``until``: the mark's end.

        Raises :class:`CaseNotFound`, :class:`InvalidValue` for an end that has passed or a case
        without a number, :class:`WrongState` when it is marked already.
        """
        now = datetime.now(UTC)
        if until <= now:
            raise InvalidValue("until: the mark must end in the future")
        async with self._database.writing() as connection:
            if number is None:
                asked = select(CASES.c.caller).where(CASES.c.case_id == case)
                found = (await connection.execute(asked)).first()
                if found is None:
                    raise CaseNotFound(f"no case {case!r} is on record")
                number = found.caller
            if not number:
                raise InvalidValue(f"the caller of case {case} showed no number")
            key = self._key(number)
            await self._alone(connection, key)
            if await connection.scalar(_that_count(now).where(MARKS.c.number == key)):
                raise WrongState("this number is marked already; take that mark off first")
            made = Mark(uuid4().hex, key, kind, reason, now, by, until)
            await connection.execute(insert(MARKS), [asdict(made)])
        self._changes += 1
        self._by_number[key] = made
        return made

    async def _alone(self, connection: AsyncConnection, key: str) -> None:
        """Of two who mark one number at once the second waits, and finds it marked."""
        if not self._database.is_sqlite:  # which has one writer at a time
            lock = func.pg_advisory_xact_lock(func.hashtext(f"nuisance {key}"))
            await connection.execute(select(lock))

    async def unmark(self, mark: str, *, by: str) -> None:
        """Take a mark off before its end; raises :class:`NuisanceNotFound`."""
        now = datetime.now(UTC)
        counts = (MARKS.c.id == mark) & MARKS.c.ended_at.is_(None) & (MARKS.c.until > now)
        async with self._database.writing() as connection:
            changed = await connection.execute(
                update(MARKS).where(counts).values(ended_at=now, ended_by=by)
            )
            if not changed.rowcount:
                raise NuisanceNotFound(f"no mark {mark!r} counts at present")
        self._changes += 1
        self._by_number = {key: one for key, one in self._by_number.items() if one.id != mark}

    async def marks(self) -> list[Mark]:
        """The marks that count now, the newest first. Raises :class:`DatabaseUnavailable`."""
        query = _that_count(datetime.now(UTC)).order_by(MARKS.c.marked_at.desc(), MARKS.c.id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [Mark(**{name: row[name] for name in Mark.__slots__}) for row in rows]

    def find(self, number: str) -> Mark | None:
        """The mark of a number that calls now."""
        found = self._by_number.get(self._key(number)) if self._by_number and number else None
        return found if found is not None and found.until > datetime.now(UTC) else None

    def shape_of(self, number: str) -> dict[str, Any] | None:
        """The mark of a number as a live call shows it."""
        found = self.find(number)
        if found is None:
            return None
        return {"kind": found.kind, "reason": found.reason, "until": found.until}

    async def refresh(self) -> None:
        """Take up marks that others made. Raises :class:`DatabaseUnavailable`."""
        while True:
            before = self._changes
            found = await self.marks()
            if before == self._changes:  # else one was made or taken off while we read
                self._by_number = {one.number: one for one in found}
                return

    async def keep(self) -> None:
        """Refresh until cancelled; while the database is away, what was known stays."""
        while True:
            wait = REFRESH_S
            try:
                await self.refresh()
            except DatabaseUnavailable as error:
                wait = RETRY_S
                log.info("marks of nuisance callers cannot be read yet", reason=error.detail)
            except Exception as error:  # noqa: BLE001 - calls go on without marks
                logs.unexpected(log, "marks of nuisance callers cannot be read", error)
            await asyncio.sleep(wait)

    def _key(self, number: str) -> str:
        return to_e164(number, self._database.area_code, self._database.country_code) or number


def _that_count(now: datetime) -> Any:
    return select(MARKS).where(MARKS.c.ended_at.is_(None), MARKS.c.until > now)
