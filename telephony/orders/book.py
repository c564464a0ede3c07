"""Takes other platforms' messages about work orders: each once, in one transaction with its effect.

A new order is a case of ours whose first contact is theirs, offered to whom their orders are for.
Everything else is an entry in the ledger of the order's case. The table is in
:mod:`telephony.orders.rules`.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from telephony.cases.store import CASES, HANDOVERS, CaseStore, table
from telephony.cases.work import WORK, WORKABLE, given_by, open_dispatches, work_fact
from telephony.cel.rows import Fact
from telephony.errors import HotlineError, NotFound, WrongState
from telephony.legs.model import moment
from telephony.matters.book import MatterBook
from telephony.models import CaseDetails, CaseRecord
from telephony.numbers import to_e164
from telephony.office_hours import in_shanghai
from telephony.orders.format import About, Answer, AnyLetter, NewLetter
from telephony.orders.models import OrderMessageRecord, WorkOrderRecord
from telephony.orders.rules import TABLE, Effect, Order, Word
from telephony.orders.teller import DETAILS, ORDERS, OrdersTeller, digest_of, order_of
from telephony.record.query_parts import Page, between, equal, page_of, where
from telephony.responsibility import GENESIS, INCOMING, case_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.orders.format import NewOrder
    from telephony.orders.settings import Platform
    from telephony.responsibility import Entry
    from telephony.settings import Settings

TAKEN = table(OrderMessageRecord)
SHOWN = ("platform", "given_by", "number", "their_case", "handover", "desk", "state")


class OrderNotFound(NotFound):
    """No work order with this number was given by that side."""

    code = "order-not-found"
    title = "No such work order"


class OrderReplayed(HotlineError):
    """Exactly this signed message was taken before: somebody sends a copy of it."""

    code = "order-replayed"
    status = 409
    title = "This message was taken before"


class OrderKeyReused(HotlineError):
    """A message with this id was taken before, with other contents."""

    code = "idempotency-key-reused"
    status = 422
    title = "This id was used for something else"


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to a message; ``again``: it was taken before, and is answered as then.

    ``with_matter``: its case has got a matter now.
    """

    answer: Mapping[str, Any]
    again: bool
    with_matter: bool = False


@dataclass(frozen=True, slots=True)
class _Told:
    """What a platform said about an order; ``key`` is the message's."""

    platform: Platform
    order: Order
    effect: Effect
    said: str
    key: str


_OUTCOMES: Mapping[str, str] = {
    "accepted": "accepted",
    "declined": "declined",
    "withdrawn": "cancelled",
}
"""What a message does -> the state of the hand-over."""


class OrdersBook:
    """Work orders of one line with all platforms."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        teller: OrdersTeller,
        matters: MatterBook | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._matters = matters or MatterBook(database, settings)
        self._teller = teller
        self._store = CaseStore(database, settings.pbx.name)

    async def receive(
        self, platform: Platform, letter: AnyLetter, *, body: bytes, signature: str
    ) -> Received:
        """Take a message whose signature is right.

        Raises :class:`OrderReplayed`, :class:`OrderKeyReused`, :class:`OrderNotFound`,
        :class:`WrongState`, :class:`DatabaseUnavailable`; whatever it raises, nothing was taken.
        """
        digest = hashlib.sha256(body).hexdigest()
        async with self._database.writing() as connection:
            row = {"platform": platform.id, "key": letter.id, "digest": digest}
            row |= {"signature": signature, "kind": letter.kind, "number": letter.data.order}
            put = self._insert(TAKEN).values(received_at=datetime.now(UTC), **row)
            # Whoever takes the same message at this moment is waited for.
            put = put.on_conflict_do_nothing().returning(TAKEN.c.key)
            if await connection.scalar(put) is None:
                return await self._again(connection, platform, letter.id, digest, signature)
            if isinstance(letter, NewLetter):
                answer = await self._new(connection, platform, letter)
            else:
                answer = await self._about(connection, platform, letter)
            told = answer.model_dump()
            which = (TAKEN.c.platform == platform.id, TAKEN.c.key == letter.id)
            await connection.execute(update(TAKEN).where(*which).values(answer=told))
        with_matter = isinstance(letter, NewLetter) and letter.data.matter is not None
        return Received(told, again=False, with_matter=with_matter)

    def _insert(self, target: Any) -> Any:
        return (sqlite_insert if self._database.is_sqlite else postgres_insert)(target)

    async def _again(
        self, connection: AsyncConnection, platform: Platform, key: str, digest: str, signed: str
    ) -> Received:
        which = (TAKEN.c.platform == platform.id, TAKEN.c.key == key)
        row = (await connection.execute(select(TAKEN).where(*which))).mappings().first()
        if row is None or row["signature"] == signed:
            raise OrderReplayed("the same message with the same signature was taken before")
        if row["digest"] != digest:
            raise OrderKeyReused(f"message {key} was taken before with other contents")
        return Received(row["answer"], again=True)

    # -- a new order ------------------------------------------------------------------------------

    async def _new(
        self, connection: AsyncConnection, platform: Platform, letter: NewLetter
    ) -> Answer:
        data, at = letter.data, _now()
        their = letter.case or data.order
        case = await self._theirs(connection, platform, letter.case)
        if case is None:
            case = await self._open_case(connection, platform, data, their, at)
        stored, entries = await self._store.locked(connection, case)
        by_phone = f"{case}-h0"
        if data.accepted and _was_accepted(entries, by_phone):
            handover, state = by_phone, "accepted"
        else:
            if not entries:
                said = f"first contact, their case {their}"
                values = work_fact(case, "taken", "first", platform.side, detail=said)
                await self._store.append(connection, stored, entries, Fact(at, WORK, values, ""))
                stored, entries = await self._store.locked(connection, case)
            handover, state = await self._offer(connection, platform, data, case, at), "new"
            target = platform.to or self._settings.line.number
            values = {"id": handover, "case": case, "desk": target, "by": platform.side}
            fact = Fact(at, "OFFERED", values | {"kind": INCOMING}, "")
            await self._store.append(connection, stored, entries, fact)
        row: dict[str, Any] = {"platform": platform.id, "given_by": "them", "number": data.order}
        row |= {"case_id": case, "their_case": letter.case, "handover": handover}
        row |= {"desk": platform.to or self._settings.line.number, "state": state}
        row |= {"opened_at": moment(at), "changed_at": moment(at)}
        put = self._insert(ORDERS).values(row).on_conflict_do_nothing()
        if await connection.scalar(put.returning(ORDERS.c.number)) is None:
            raise WrongState(f"order {data.order} was given before, by another message")
        return Answer.model_validate(
            {"order": data.order, "given_by": "sender", "case": case, "state": state}
            | {"applied": True}
        )

    async def _theirs(
        self, connection: AsyncConnection, platform: Platform, their: str | None
    ) -> str | None:
        """The case that we have of theirs already, from a call that they handed over."""
        if their is None:
            return None
        query = select(CASES.c.case_id).where(
            CASES.c.handed_over_by == platform.side,
            CASES.c.their_case == their,
            CASES.c.state.in_(WORKABLE),
        )
        found: str | None = await connection.scalar(
            query.order_by(CASES.c.opened_at.desc()).limit(1)
        )
        return found

    async def _open_case(
        self, connection: AsyncConnection, platform: Platform, data: NewOrder, their: str, at: int
    ) -> str:
        opened = moment(at)
        # No channel's uniqueid ends like this: such a case number is nobody's call.
        case = f"{in_shanghai(opened):%Y%m%d}-{at // 1_000_000}.8{secrets.randbelow(10**9):09}"
        caller = data.citizen.number
        database = self._database
        row = CaseRecord(
            case_id=case,
            pbx=self._store.pbx,
            opened_at=opened,
            caller=caller,
            caller_e164=to_e164(caller, database.area_code, database.country_code),
            line=self._settings.line.number,
            state="open",
            handed_over_by=platform.side,
            their_case=their,
            head=GENESIS,
        )
        await connection.execute(insert(CASES), [row.model_dump()])
        details = CaseDetails(
            case_id=case,
            version=1,
            changed_at=opened,
            changed_by=platform.side,
            kind=data.kind,
            matter=data.matter,
            summary=data.summary,
            citizen_name=data.citizen.name,
            citizen_phone=data.citizen.phone,
            citizen_address=data.citizen.address,
            happened_at=data.happened_at,
            place=data.place,
            what=data.what,
            phone=data.phone,
            position=data.position,
        )
        await connection.execute(insert(DETAILS), [details.model_dump()])
        # Another platform may call it what it likes; what our directory knows has its limits.
        chosen = await self._matters.known(connection, data.matter) if data.matter else None
        if chosen is not None:
            await self._matters.note(connection, case, chosen, by=platform.side)
        return case

    async def _offer(
        self, connection: AsyncConnection, platform: Platform, data: NewOrder, case: str, at: int
    ) -> str:
        """A hand-over of this case to whom their orders are for; the case is locked."""
        mine = (HANDOVERS.c.case_id == case, HANDOVERS.c.kind == "dispatch")
        count = await connection.scalar(select(func.count()).select_from(HANDOVERS).where(*mine))
        name = f"{case}-d{(count or 0) + 1}"
        row: dict[str, Any] = {"id": name, "case_id": case, "pbx": self._store.pbx}
        row |= {"desk": platform.to or self._settings.line.number, "by": platform.side}
        row |= {"kind": "dispatch", "reason": data.reason, "state": "offered"}
        await connection.execute(insert(HANDOVERS), [row | {"offered_at": moment(at), "route": 1}])
        return name

    # -- about an order ---------------------------------------------------------------------------

    async def _about(
        self, connection: AsyncConnection, platform: Platform, letter: AnyLetter
    ) -> Answer:
        data = cast("About", letter.data)
        giver = "us" if data.given_by == "receiver" else "them"
        which = (
            ORDERS.c.platform == platform.id,
            ORDERS.c.given_by == giver,
            ORDERS.c.number == data.order,
        )
        asked = select(ORDERS).where(*which)
        case = await connection.scalar(asked.with_only_columns(ORDERS.c.case_id))
        if case is None:
            whose = "you" if giver == "them" else "us"
            raise OrderNotFound(f"no order {data.order} was given by {whose}")
        # The case is locked first, as by everybody who writes to its ledger.
        stored, entries = await self._store.locked(connection, case)
        order = order_of((await connection.execute(asked.with_for_update())).mappings().one())
        if order.case != case:  # it was merged into another one in this moment
            case = order.case
            stored, entries = await self._store.locked(connection, case)
        word = cast("Word", letter.kind.removeprefix("order."))
        step = TABLE.get((word, "holder" if giver == "us" else "giver", order.state))
        if step is None:
            raise WrongState(f"order {data.order} is {order.state}: {word} is not possible for you")
        # Before the entry: who follows the ledger finds nothing more to tell them.
        changed = update(ORDERS).where(*which)
        values = {"state": step.to, "changed_at": datetime.now(UTC)}
        await connection.execute(changed.values(**values))
        said = getattr(data, "text", None) or getattr(data, "reason", None) or ""
        if word == "accepted" and step.effect == "feedback":
            said = f"accepted, as {platform.side} says{': ' if said else ''}{said}"
        told = _Told(platform, order, step.effect, said, digest_of(platform.id, letter.id))
        fact = await self._fact(connection, told, stored, entries)
        if fact is not None:
            await self._store.append(connection, stored, entries, fact)
        applied = bool(step.effect) or step.to != order.state
        return Answer(
            order=data.order, given_by=data.given_by, case=case, state=step.to, applied=applied
        )

    async def _fact(
        self,
        connection: AsyncConnection,
        told: _Told,
        stored: Mapping[str, Any],
        entries: list[Entry],
    ) -> Fact | None:
        """What a message adds to the ledger; of a case that went on without it, its words."""
        at, case, order, effect = _now(), stored["case_id"], told.order, told.effect
        if effect in _OUTCOMES and order.handover in open_dispatches(entries):
            state = _OUTCOMES[effect]
            mine = update(HANDOVERS).where(HANDOVERS.c.id == order.handover)
            await connection.execute(mine.values(state=state, decided_at=moment(at)))
            values = {"id": order.handover, "case": case, "desk": order.desk or ""}
            values |= {"outcome": state} | ({"said": told.said} if told.said else {})
            return Fact(at, "ACCEPTED" if effect == "accepted" else "ENDED", values, "")
        if effect == "":
            return None
        event, to, handover = "feedback", None, None
        by, before = given_by(entries)
        now = case_state(entries)
        if effect == "returned" and by == order.handover and now == "handed_over":
            event, to, handover = "returned", before, by
        elif effect == "closed" and self._may_close(told.platform, order, stored, entries):
            event = "closed"
        elif effect == "reopened" and now == "closed":
            event = "reopened"
        detail = told.said or (effect if event == "feedback" else "")
        side = told.platform.side
        values = work_fact(case, event, told.key, side, to=to, handover=handover, detail=detail)
        return Fact(at, WORK, values, "")

    def _may_close(
        self, platform: Platform, order: Order, stored: Mapping[str, Any], entries: list[Entry]
    ) -> bool:
        """Whether what they say settles the whole case: it is theirs, and nobody is asked."""
        whose = stored["owner"] if order.given_by == "us" else stored["first_contact"]
        theirs = whose is not None and self._teller.is_of(platform.id, whose)
        return theirs and stored["state"] in WORKABLE and not open_dispatches(entries)

    # -- lists ------------------------------------------------------------------------------------

    async def orders(
        self,
        *,
        platform: str | None = None,
        given_by: str | None = None,
        state: str | None = None,
        case: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Orders, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
        named = {"platform": platform, "given_by": given_by, "state": state, "case_id": case}
        conditions = [
            *equal(WorkOrderRecord, **named),
            *between(ORDERS.c.opened_at, since, until),
        ]
        columns = [ORDERS.c[name] for name in (*SHOWN, "opened_at", "changed_at")]
        query = where(select(*columns, ORDERS.c.case_id.label("case")), conditions)
        key = (ORDERS.c.opened_at, ORDERS.c.platform, ORDERS.c.given_by, ORDERS.c.number)
        return await page_of(self._database, query, key, limit, cursor, dict)


def _was_accepted(entries: list[Entry], handover: str) -> bool:
    return any(one.event == "accepted" and one.handover == handover for one in entries)


def _now() -> int:
    return time.time_ns() // 1000
