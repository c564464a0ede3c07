"""What is to be told to other platforms: written with its reason, delivered until it arrives.

A message is a row of the outbox, written in the transaction of the thing it tells of. So nothing is
told that did not happen, and nothing that happened is not told, whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Table, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.audit import AUDIT, What, entry_of
from telephony.cases.store import table
from telephony.errors import NotFound, WrongState
from telephony.orders.outbox_models import OutboxLane, OutboxRecord
from telephony.record.query_parts import Page, equal, page_of, where

if TYPE_CHECKING:
    from telephony.database import Database

OUTBOX, LANES = map(table, (OutboxRecord, OutboxLane))
STOPS = ("waiting", "dead")
"""States of a message for which later ones of its case wait."""
SHOWN = (
    *("id", "destination", "kind", "case_id", "sequence", "key", "state", "created_at", "next_at"),
    *("attempts", "delivered_at", "last_error"),
)
"""What lists show of a message: not its body, which is about a citizen."""


class MessageNotFound(NotFound):
    """No message with this number is in the outbox (any more)."""

    code = "message-not-found"
    title = "No such message"


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is ours to send until its lease runs out."""

    id: int
    kind: str
    case: str | None
    sequence: int
    key: str
    body: Mapping[str, Any]
    created_at: datetime
    attempts: int
    """How often it was tried, this time included."""


async def enqueue(
    connection: AsyncConnection,
    *,
    destination: str,
    kind: str,
    case_id: str | None,
    body: Mapping[str, Any],
    key: str,
) -> None:
    """Tell a platform something, once this transaction is committed.

    ``destination``: the platform's id in the settings. ``kind``: what it is, such as
    ``order.new``. ``case_id``: messages of one case arrive in the order in which they were put
    in; None waits for no other. ``body``: what JSON can hold. ``key``: what makes the message
    itself: put in twice, it is sent once.
    """
    if await _is_known(connection, destination, key):
        return
    sequence = 0
    if case_id is not None:
        # Whoever else numbers messages of this case waits here until we commit.
        sequence = 1 + await _locked_lane(connection, destination, case_id)
        if await _is_known(connection, destination, key):
            return
    now = datetime.now(UTC)
    row: dict[str, Any] = {"destination": destination, "kind": kind, "case_id": case_id}
    row |= {"sequence": sequence, "key": key, "body": dict(body)}
    row |= {"state": "waiting", "attempts": 0}
    row |= {"created_at": now, "next_at": now}
    put_in = _insert(connection, OUTBOX).values(row).on_conflict_do_nothing()
    added = await connection.scalar(put_in.returning(OUTBOX.c.id))
    if added is not None and case_id is not None:
        lane = (LANES.c.destination == destination, LANES.c.case_id == case_id)
        await connection.execute(update(LANES).where(*lane).values(last=sequence))


async def _is_known(connection: AsyncConnection, destination: str, key: str) -> bool:
    asked = select(OUTBOX.c.id).where(OUTBOX.c.destination == destination, OUTBOX.c.key == key)
    return await connection.scalar(asked) is not None


async def _locked_lane(connection: AsyncConnection, destination: str, case_id: str) -> int:
    row = {"destination": destination, "case_id": case_id, "last": 0}
    wanted = _insert(connection, LANES).values(row)
    keys = ["destination", "case_id"]
    locked = wanted.on_conflict_do_update(index_elements=keys, set_={"last": LANES.c.last})
    last: int = (await connection.execute(locked.returning(LANES.c.last))).scalar_one()
    return last


def _insert(connection: AsyncConnection, target: Table) -> Any:
    make: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgres_insert
    return make(target)


class Outbox:
    """What the outbox holds, for those who deliver it and for admins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, destination: str, *, by: str, limit: int, lease_s: float
    ) -> list[Message]:
        """Messages that are due, the earliest of each case; nobody else gets them meanwhile.

        ``by``: who sends them, a name of its own for each process. After ``lease_s`` seconds
        without an outcome they are anybody's again: whoever had them may have died.
        """
        now = datetime.now(UTC)
        due = _due(destination, now).limit(limit)
        async with self._database.reading() as connection:
            if (await connection.execute(due.limit(1))).first() is None:
                return []  # the usual case, for which nothing is locked
        async with self._database.writing() as connection:
            ids = (await connection.scalars(due.with_for_update(skip_locked=True))).all()
            if not ids:
                return []
            changed = update(OUTBOX).where(OUTBOX.c.id.in_(ids))
            until = now + timedelta(seconds=lease_s)
            values = {"leased_by": by, "leased_until": until, "attempts": OUTBOX.c.attempts + 1}
            rows = await connection.execute(changed.values(**values).returning(*OUTBOX.c))
            found = [_message(dict(row)) for row in rows.mappings()]
        return sorted(found, key=lambda one: one.id)

    async def delivered(self, message: Message, *, by: str) -> bool:
        """It has arrived. False: somebody else has it meanwhile, because we took too long."""
        return await self._settle(
            message, by, state="delivered", delivered_at=datetime.now(UTC), last_error=None
        )

    async def failed(self, message: Message, *, by: str, error: str, again_s: float) -> bool:
        """It did not arrive: once more after so many seconds."""
        again = datetime.now(UTC) + timedelta(seconds=again_s)
        return await self._settle(message, by, next_at=again, last_error=error)

    async def given_up(self, message: Message, *, by: str, error: str) -> bool:
        """It will not arrive: an admin decides, and later ones of its case wait."""
        return await self._settle(message, by, state="dead", last_error=error)

    async def _settle(self, message: Message, by: str, **values: Any) -> bool:
        mine = (OUTBOX.c.id == message.id, OUTBOX.c.leased_by == by, OUTBOX.c.state == "waiting")
        free = {"leased_by": None, "leased_until": None}
        async with self._database.writing() as connection:
            done = await connection.execute(update(OUTBOX).where(*mine).values(**free, **values))
        return bool(done.rowcount)

    async def let_go(self, *, by: str) -> None:
        """Give back what is leased: this process stops."""
        mine = (OUTBOX.c.leased_by == by, OUTBOX.c.state == "waiting")
        free = {"leased_by": None, "leased_until": None}
        async with self._database.writing() as connection:
            await connection.execute(update(OUTBOX).where(*mine).values(**free))

    async def wake(self, destination: str) -> None:
        """The destination is back: what waits for it is due now."""
        now = datetime.now(UTC)
        waits = (
            OUTBOX.c.destination == destination,
            OUTBOX.c.state == "waiting",
            OUTBOX.c.next_at > now,
        )
        async with self._database.writing() as connection:
            await connection.execute(update(OUTBOX).where(*waits).values(next_at=now))

    async def tidy(self, known: Collection[str], *, keep_days: int) -> int:
        """Delete what arrived long ago; how many wait for a destination that does not exist."""
        before = datetime.now(UTC) - timedelta(days=keep_days)
        old = (
            OUTBOX.c.state.in_(("delivered", "skipped")),
            func.coalesce(OUTBOX.c.delivered_at, OUTBOX.c.created_at) < before,
        )
        strange = (OUTBOX.c.state == "waiting", OUTBOX.c.destination.not_in(known))
        async with self._database.writing() as connection:
            await connection.execute(delete(OUTBOX).where(*old))
            told = update(OUTBOX).where(*strange).values(last_error="no such platform in settings")
            return (await connection.execute(told)).rowcount

    async def counts(self) -> dict[str, int]:
        """How many are waiting and dead."""
        query = select(OUTBOX.c.state, func.count()).where(OUTBOX.c.state.in_(STOPS))
        async with self._database.reading() as connection:
            found = dict.fromkeys(STOPS, 0)
            for state, number in await connection.execute(query.group_by(OUTBOX.c.state)):
                found[state] = number
            return found

    async def messages(
        self,
        *,
        state: str | None = None,
        destination: str | None = None,
        case: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Messages, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
        conditions = equal(OutboxRecord, state=state, destination=destination, case_id=case)
        columns = [OUTBOX.c[name].label("case" if name == "case_id" else name) for name in SHOWN]
        query = where(select(*columns), conditions)
        key = (OUTBOX.c.created_at, OUTBOX.c.destination, OUTBOX.c.key)
        return await page_of(self._database, query, key, limit, cursor, dict)

    async def retry(self, message: int, *, by: str, role: str) -> None:
        """Send a message that was given up once more, from its first attempt on.

        One that waits is sent at once. ``by`` and ``role`` stand in the audit log. Raises
        :class:`MessageNotFound`, :class:`WrongState` for one that arrived or was skipped.
        """
        await self._decide(message, by, role, "message-retry", state="waiting", attempts=0)

    async def skip(self, message: int, *, by: str, role: str, reason: str) -> None:
        """Never send a message; later ones of its case wait for it no more. As :meth:`retry`."""
        said = f"skipped by {by}: {reason}"
        await self._decide(message, by, role, "message-skip", state="skipped", last_error=said)

    async def _decide(self, message: int, by: str, role: str, what: What, **values: Any) -> None:
        now = datetime.now(UTC)
        which = OUTBOX.c.id == message
        async with self._database.writing() as connection:
            row = (await connection.execute(select(OUTBOX).where(which).with_for_update())).first()
            if row is None:
                raise MessageNotFound(f"no message {message} is in the outbox")
            if row.state not in STOPS:
                raise WrongState(f"message {message} is {row.state}")
            if row.leased_until is not None and row.leased_until > now and row.state == "waiting":
                raise WrongState(f"message {message} is being sent at this moment")
            changed = update(OUTBOX).where(which).values(next_at=now, **values)
            await connection.execute(changed)
            noted = entry_of(by, role, what, f"{row.destination}/{row.key}")
            await connection.execute(insert(AUDIT), [noted])

    async def retry_all(self, *, destination: str | None, by: str, role: str) -> int:
        """Send all that was given up once more, or all to one destination; says how many."""
        values = {"state": "waiting", "attempts": 0, "next_at": datetime.now(UTC)}
        dead = [OUTBOX.c.state == "dead", *equal(OutboxRecord, destination=destination)]
        async with self._database.writing() as connection:
            done = (await connection.execute(update(OUTBOX).where(*dead).values(**values))).rowcount
            noted = entry_of(by, role, "message-retry", f"{destination or 'all'}: {done}")
            await connection.execute(insert(AUDIT), [noted])
        return done


def _due(destination: str, now: datetime) -> Any:
    """The numbers of the messages that may be sent now, longest due first."""
    earlier = OUTBOX.alias()
    waits: ColumnElement[bool] = (
        select(earlier.c.id)
        .where(
            earlier.c.destination == OUTBOX.c.destination,
            earlier.c.case_id == OUTBOX.c.case_id,
            earlier.c.sequence < OUTBOX.c.sequence,
            earlier.c.state.in_(STOPS),
        )
        .exists()
    )
    return (
        select(OUTBOX.c.id)
        .where(
            OUTBOX.c.state == "waiting",
            OUTBOX.c.destination == destination,
            OUTBOX.c.next_at <= now,
            or_(OUTBOX.c.leased_until.is_(None), OUTBOX.c.leased_until <= now),
            ~waits,
        )
        .order_by(OUTBOX.c.next_at, OUTBOX.c.id)
    )


def _message(row: Mapping[str, Any]) -> Message:
    return Message(
        row["id"],
        row["kind"],
        row["case_id"],
        row["sequence"],
        row["key"],
        row["body"],
        row["created_at"],
        row["attempts"],
    )
