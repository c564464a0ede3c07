"""Messages and missed calls into the database, inside the recorder's transaction: each once.

The same facts read again change nothing: every row has a natural key, and what people have done to
it since (heard, taken, answered) is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.callbacks import OUTCOMES
from telephony.cases.store import CASES, CallState, micros_of, parts, table
from telephony.cel.rows import Fact
from telephony.database import Database
from telephony.legs.model import moment
from telephony.messages.models import MessageRecord, MessageTry
from telephony.messages.rules import VAIN, Waiting, message_of, missed_of
from telephony.numbers import to_e164

MESSAGES, TRIES = table(MessageRecord), table(MessageTry)
OPEN = MESSAGES.c.state == "open"


@dataclass(frozen=True, slots=True)
class Served:
    """A citizen's number was answered by an agent; ``at`` in microseconds since 1970."""

    key: str
    at: int
    by: str | None


class MessageStore:
    """Messages and missed calls of one PBX, as its calls tell of them."""

    def __init__(self, database: Database, pbx: str, tries: int) -> None:
        """``tries``: after so many tries in vain a citizen is not called back any more."""
        self.database = database
        self.pbx = pbx
        self._tries = tries
        self._insert: Any = sqlite_insert if database.is_sqlite else postgres_insert

    async def write(self, connection: AsyncConnection, calls: Sequence[CallState]) -> None:
        """What these calls say: new messages, missed calls, who was served, tries to call back."""
        waiting: list[Waiting] = []
        served: list[Served] = []
        ended: list[Fact] = []
        for call in calls:
            waiting += [one for fact in call.facts if (one := message_of(fact)) is not None]
            if call.is_over:
                waiting += missed_of(call.legs, call.facts)
            served += self._served(call)
            ended += [fact for fact in call.facts if fact.kind == "CALLBACK_ENDED"]
        if waiting:
            await self.add(connection, waiting)
        if served:
            await self._fall_off(connection, served)
        for fact in ended:
            await self._tried(connection, fact)

    def key_of(self, number: str | None) -> str | None:
        """A number in the form in which two of one citizen are the same."""
        e164 = to_e164(number, self.database.area_code, self.database.country_code)
        return e164 or number or None

    async def add(self, connection: AsyncConnection, waiting: Sequence[Waiting]) -> None:
        """Write those that are not on record yet."""
        rows = {one.name: self._row(one) for one in waiting}
        statement = self._insert(MESSAGES).on_conflict_do_nothing(index_elements=["pbx", "name"])
        await connection.execute(statement, list(rows.values()))
        # Whoever called again and was answered before this one was known to be missed.
        keys = {row["number_key"] for row in rows.values() if row["kind"] == "missed"} - {None}
        for part in parts(sorted(keys)):
            query = select(CASES.c.caller_e164, func.max(CASES.c.taken_at)).where(
                CASES.c.caller_e164.in_(part), CASES.c.taken_at.is_not(None)
            )
            found = (await connection.execute(query.group_by(CASES.c.caller_e164))).all()
            known = [Served(key, micros_of(at), None) for key, at in found]
            await self._fall_off(connection, known)

    def _row(self, one: Waiting) -> dict[str, Any]:
        return {
            "id": uuid4().hex,
            "pbx": self.pbx,
            "name": one.name,
            "kind": one.kind,
            "case_id": one.case,
            "caller": one.caller,
            "number": one.number,
            "number_key": self.key_of(one.number),
            "at": moment(one.at),
            "why": one.why,
            "waited_s": one.waited_s,
            "length_s": one.length_s,
            "file": one.file,
            "sound_state": "none" if one.file is None else "unchecked",
            "state": "open",
            "tries": 0,
        }

    def _served(self, call: CallState) -> Iterable[Served]:
        callers = {leg.case: leg.caller for leg in call.legs if leg.role == "citizen"}
        for fact in call.facts:
            if fact.kind == "TAKEN":
                key = self.key_of(callers.get(fact.values.get("case")))
                if key is not None:
                    yield Served(key, fact.at, fact.values.get("agent") or None)

    async def _fall_off(self, connection: AsyncConnection, served: Sequence[Served]) -> None:
        """Missed calls of a number that was answered since are done."""
        last = {one.key: one for one in sorted(served, key=lambda one: one.at)}
        for part in parts(sorted(last)):
            query = select(MESSAGES.c.id, MESSAGES.c.number_key, MESSAGES.c.at).where(
                OPEN, MESSAGES.c.kind == "missed", MESSAGES.c.number_key.in_(part)
            )
            # In one order, as by whoever takes them: so nobody waits in a ring.
            for row in (await connection.execute(query.order_by(MESSAGES.c.id))).all():
                one = last[row.number_key]
                if micros_of(row.at) < one.at:
                    await connection.execute(
                        update(MESSAGES)
                        .where(MESSAGES.c.id == row.id)
                        .values(state="served", closed_at=moment(one.at), closed_by=one.by)
                    )

    async def _tried(self, connection: AsyncConnection, fact: Fact) -> None:
        """A callback ended: what came of it stands at all that waits for this citizen."""
        values = fact.values
        outcome = OUTCOMES.get(values.get("outcome", ""), "failed")
        if not values.get("id") or outcome not in VAIN | {"reached"}:
            return
        key = self.key_of(values.get("number"))
        mine = MESSAGES.c.case_id == values.get("case")
        query = select(MESSAGES.c.id).where(
            OPEN,
            mine if key is None else or_(mine, MESSAGES.c.number_key == key),
            MESSAGES.c.at < moment(fact.at),
        )
        query = query.order_by(MESSAGES.c.id).with_for_update()
        found = (await connection.execute(query)).scalars().all()
        agent = values.get("agent") or None
        for message in found:
            row = {"callback": values["id"], "message": message, "at": moment(fact.at)}
            await connection.execute(
                self._insert(TRIES).on_conflict_do_nothing(),
                [row | {"agent": agent, "outcome": outcome}],
            )
            await self.count_tries(connection, message)

    async def count_tries(self, connection: AsyncConnection, message: str) -> None:
        """Bring a message's row in line with its tries."""
        query = select(TRIES).where(TRIES.c.message == message).order_by(TRIES.c.at)
        tries = (await connection.execute(query)).all()
        if not tries:
            return
        vain = sum(one.outcome in VAIN for one in tries)
        last = tries[-1]
        values: dict[str, Any] = {
            "tries": vain,
            "last_try_at": last.at,
            "last_outcome": last.outcome,
        }
        if vain >= self._tries and last.outcome in VAIN:
            values |= {"state": "given_up", "closed_at": last.at, "closed_by": last.agent}
        await connection.execute(update(MESSAGES).where(MESSAGES.c.id == message).values(**values))
