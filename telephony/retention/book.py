"""Legal holds, and deleting by rule: in small batches, each with its entry in the ledger of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert, or_, select, text, update

from telephony.cases.store import CASES, parts, table
from telephony.errors import CaseNotFound, InvalidValue, NotFound, WrongState
from telephony.numbers import to_e164
from telephony.record.query_parts import InvalidCursor, Page, Row, page_of, storable
from telephony.responsibility import GENESIS
from telephony.retention.models import DeletionRecord, HoldRecord
from telephony.retention.rules import Held, Rule, deletion_hash, rules
from telephony.retention.subjects import LEGS, Candidate, Deletable, deletables

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.settings import Settings

HOLDS, DELETIONS = map(table, (HoldRecord, DeletionRecord))
PAUSE_S = 0.05
"""Between two batches, so that the record is written meanwhile."""


class HoldNotFound(NotFound):
    """No legal hold with this id was placed."""

    code = "hold-not-found"
    title = "No such legal hold"


@dataclass(slots=True)
class Outcome:
    """What a rule deleted, or would; ``held``: what it left because of a legal hold."""

    rule: str
    what: str
    count: int = 0
    held: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def add(self, found: Sequence[Candidate], mine: Sequence[Candidate]) -> None:
        """A batch of old things, of which these are deleted."""
        self.count += len(mine)
        self.held += len(found) - len(mine)
        moments = [one.at for one in mine]
        moments += [moment for moment in (self.oldest, self.newest) if moment is not None]
        if moments:
            self.oldest, self.newest = min(moments), max(moments)


class RetentionBook:
    """Holds and deletions of one database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    @property
    def rules(self) -> list[Rule]:
        """The rules that are set."""
        return rules(self._settings.retention)

    async def hold(
        self,
        *,
        case: str | None = None,
        number: str | None = None,
        reason: str,
        until: datetime | None,
        who: str,
    ) -> Row:
        """Keep everything of a case, or of a caller's calls; the same again is the same hold.

        ``until``: when it ends by itself; None: when it is released. Raises
        :class:`CaseNotFound`, :class:`InvalidValue`, :class:`DatabaseUnavailable`.
        """
        now = datetime.now(UTC)
        if until is not None and until <= now:
            raise InvalidValue("until lies in the past; the hold would keep nothing")
        if (case is None) == (number is None):
            raise InvalidValue("name a case or a number, one of the two")
        if number is not None:
            database = self._database
            e164 = to_e164(number, database.area_code, database.country_code)
            number = e164 or storable(number)
        row: Row = {"id": uuid4().hex, "case_id": case, "number": number, "reason": reason}
        row |= {"placed_at": now, "placed_by": who, "until": until}
        async with self._database.writing() as connection:
            if case is not None:
                known = select(CASES.c.case_id).where(CASES.c.case_id == storable(case))
                if (await connection.execute(known)).first() is None:
                    raise CaseNotFound(f"no case {case!r} is on record")
            same = [
                one
                for one in await _active(connection, now)
                if all(one[name] == row[name] for name in ("case_id", "number", "reason", "until"))
            ]
            if same:
                return same[0]
            await connection.execute(insert(HOLDS), [row])
        return await self.get_hold(row["id"])

    async def release(self, hold: str, *, reason: str, who: str) -> Row:
        """End a hold. Raises :class:`HoldNotFound`, :class:`WrongState` for one that has ended."""
        found = await self.get_hold(hold)
        now = datetime.now(UTC)
        if found["released_at"] is not None or (found["until"] and found["until"] <= now):
            raise WrongState(f"hold {hold} has ended already")
        values = {"released_at": now, "released_by": who, "release_reason": reason}
        async with self._database.writing() as connection:
            await connection.execute(update(HOLDS).where(HOLDS.c.id == hold).values(values))
        return await self.get_hold(hold)

    async def get_hold(self, hold: str) -> Row:
        """One hold; raises :class:`HoldNotFound`."""
        async with self._database.reading() as connection:
            query = select(HOLDS).where(HOLDS.c.id == storable(hold))
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise HoldNotFound(f"no legal hold {hold!r} was placed")
        return dict(row)

    async def holds(
        self, *, active: bool | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """Holds, the newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
        query = select(HOLDS)
        if active is not None:
            lasts = _lasts(datetime.now(UTC))
            query = query.where(lasts if active else ~lasts)
        key = (HOLDS.c.placed_at, HOLDS.c.id)
        return await page_of(self._database, query, key, limit, cursor, dict)

    async def deletions(self, *, limit: int = 50, cursor: str | None = None) -> Page:
        """The ledger of deletions, the newest first."""
        query = select(DELETIONS).order_by(DELETIONS.c.number.desc()).limit(limit + 1)
        if cursor is not None:
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
                raise InvalidCursor("the cursor is not one of ours; start from the first page")
            query = query.where(DELETIONS.c.number < int(cursor))
        async with self._database.reading() as connection:
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
        following = str(rows[limit - 1]["number"]) if len(rows) > limit else None
        return Page(rows[:limit], following)

    async def run(self, *, dry: bool = False, now: datetime | None = None) -> list[Outcome]:
        """Apply all rules; ``dry``: only say what they would delete.

        Raises :class:`DatabaseUnavailable`; what was deleted before stands in the ledger of it.
        """
        now = now or datetime.now(UTC)
        outcomes = [await self._apply(rule, now, dry=dry) for rule in self.rules]
        # Lines that were no rows are rare, and no rule of their own.
        return [one for one in outcomes if one.what != "broken_rows" or one.count or one.held]

    async def _apply(self, rule: Rule, now: datetime, *, dry: bool) -> Outcome:
        outcome = Outcome(rule.name, rule.what)
        subject = deletables(self._settings)[rule.subject]
        after = None
        if not dry:
            # Another run's batch that is not committed yet is not taken for one that broke off.
            async with self._connection(dry=dry) as connection:
                await subject.begin(connection)
        while True:
            async with self._connection(dry=dry) as connection:
                held = await held_now(connection, datetime.now(UTC))
                batch = self._settings.retention.batch
                found = await subject.old(connection, rule.before(now), after, batch, lock=not dry)
                mine = [one for one in found if not held.keeps(one.row)]
                if mine and not dry:
                    await self._delete(connection, rule, subject, mine)
            if mine and not dry:
                await subject.committed(mine)
            outcome.add(found, mine)
            if not found:
                return outcome
            after = found[-1].key
            await asyncio.sleep(PAUSE_S if not dry else 0)

    @asynccontextmanager
    async def _connection(self, *, dry: bool) -> AsyncIterator[AsyncConnection]:
        """One run's batch at a time; one that is dry only reads."""
        if dry:
            async with self._database.reading() as connection:
                yield connection
            return
        async with self._database.writing() as connection:
            if not self._database.is_sqlite:
                # A hold that is placed meanwhile comes before this batch or waits for its end.
                lock = "LOCK TABLE legal_holds IN SHARE ROW EXCLUSIVE MODE"
                await connection.execute(text(lock))
            yield connection

    async def _delete(
        self, connection: AsyncConnection, rule: Rule, subject: Deletable, mine: Sequence[Candidate]
    ) -> None:
        last = select(DELETIONS.c.number, DELETIONS.c.hash).order_by(DELETIONS.c.number.desc())
        number, previous = (await connection.execute(last.limit(1))).first() or (0, GENESIS)
        entry: Row = {
            "number": number + 1,
            "at": datetime.now(UTC),
            "what": rule.what,
            "rule": rule.name,
            "oldest": min(one.at for one in mine),
            "newest": max(one.at for one in mine),
            "count": len(mine),
            "previous": previous,
        }
        entry["digest"] = await subject.delete(connection, mine, number + 1)
        entry["hash"] = deletion_hash(entry)
        await connection.execute(insert(DELETIONS), [entry])


def _lasts(now: datetime) -> Any:
    return HOLDS.c.released_at.is_(None) & or_(HOLDS.c.until.is_(None), HOLDS.c.until > now)


async def _active(connection: AsyncConnection, now: datetime) -> list[Row]:
    found = await connection.execute(select(HOLDS).where(_lasts(now)))
    return [dict(row) for row in found.mappings()]


async def held_now(connection: AsyncConnection, now: datetime) -> Held:
    """What the holds of this moment keep: cases with those attached to them, and their calls."""
    holds = await _active(connection, now)
    held = Held(
        cases={one["case_id"] for one in holds if one["case_id"]},
        numbers={one["number"] for one in holds if one["number"]},
    )
    for part in parts(sorted(held.numbers)):
        for source in (CASES, LEGS):
            query = select(source.c.case_id).where(
                source.c.caller.in_(part) | source.c.caller_e164.in_(part)
            )
            held.cases.update(filter(None, (await connection.execute(query)).scalars()))
    known: set[str] = set()
    while new := held.cases - known:
        known |= new
        for part in parts(sorted(new)):
            family = select(CASES.c.case_id, CASES.c.merged_into).where(
                CASES.c.case_id.in_(part) | CASES.c.merged_into.in_(part)
            )
            for row in await connection.execute(family):
                held.cases.update(filter(None, row))
    for column, values in (
        (LEGS.c.case_id, held.cases),
        (LEGS.c.caller, held.numbers),
        (LEGS.c.caller_e164, held.numbers),
    ):
        for part in parts(sorted(values)):
            calls = select(LEGS.c.linkedid, LEGS.c.channels).where(column.in_(part))
            for linkedid, channels in await connection.execute(calls):
                held.calls.update((linkedid, *channels))
    return held
