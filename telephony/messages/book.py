"""Messages and missed calls as people work on them: listed, heard, taken, given, answered.

Two agents never have the same citizen: whoever takes one has all that waits for that number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.orm import aliased

from telephony.cases.store import CASES, CaseStore, micros_of, parts
from telephony.errors import AgentNotFound, NotAllowed, NotFound, WrongState
from telephony.messages.ledger import MessageLedger
from telephony.messages.models import MessageRecord
from telephony.messages.rules import due_at, next_try_at
from telephony.messages.store import MESSAGES, OPEN, TRIES, MessageStore
from telephony.pbx_settings import messages_folder
from telephony.record.query_parts import Page, Row, between, equal, page_of, storable, where

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.calendar.book import CalendarBook
    from telephony.database import Database
    from telephony.office_hours import Calendar
    from telephony.settings import Settings

SHOWN = (
    *("id", "kind", "caller", "number", "at", "why", "waited_s", "length_s", "heard_by"),
    *("heard_at", "holder", "held_at", "state", "tries", "last_try_at", "last_outcome"),
    *("closed_at", "closed_by", "result"),
)


class MessageNotFound(NotFound):
    """No message or missed call with this id is on record."""

    code = "message-not-found"
    title = "No such message"


class SoundNotFound(NotFound):
    """The message has no sound, or its file is not there."""

    code = "sound-not-found"
    title = "No such sound"


class MessageHeld(WrongState):
    """Another agent answers this citizen; ``extra['holder']`` names them."""

    code = "message-held"
    title = "Another agent has it"


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages and missed calls; what is None does not matter."""

    kind: str | None = None
    state: str | None = None
    case: str | None = None
    holder: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hand:
    """Who acts: a token's name, the agent it is bound to, and whether it may act for anyone."""

    name: str
    agent: str | None
    is_senior: bool = False


def _now() -> int:
    return micros_of(datetime.now(UTC))


class MessageBook:
    """Reads, and what people do. Every method raises :class:`DatabaseUnavailable`."""

    def __init__(self, database: Database, settings: Settings, calendar: CalendarBook) -> None:
        self._database = database
        self._settings = settings
        self._calendar = calendar
        self._store = MessageStore(database, settings.pbx.name, settings.messages.tries)
        self._cases = CaseStore(database, settings.pbx.name)

    def key_of(self, number: str) -> str | None:
        """A number in the form in which two of one citizen are the same."""
        return self._store.key_of(number)

    # -- reading

    async def page(self, filters: MessageFilter, *, limit: int, cursor: str | None = None) -> Page:
        """Messages and missed calls, newest first; raises :class:`InvalidCursor`."""
        conditions = [
            *equal(
                MessageRecord,
                kind=filters.kind,
                state=filters.state,
                case_id=filters.case,
                holder=filters.holder,
            ),
            *between(MESSAGES.c.at, filters.since, filters.until),
        ]
        query = where(select(*MESSAGES.c, MESSAGES.c.at.label("_at")), conditions)
        found = await page_of(
            self._database, query, (MESSAGES.c.at, MESSAGES.c.id), limit, cursor, dict
        )
        return await self._shown(found)

    async def waiting(self, *, limit: int, cursor: str | None = None) -> Page:
        """Citizens to call back, who has waited longest first; raises :class:`InvalidCursor`.

        Each number once among missed calls: as its oldest, with how often it called.
        """
        older = aliased(MESSAGES)
        before = exists().where(
            older.c.number_key == MESSAGES.c.number_key,
            older.c.kind == "missed",
            older.c.state == "open",
            (older.c.at < MESSAGES.c.at)
            | ((older.c.at == MESSAGES.c.at) & (older.c.id < MESSAGES.c.id)),
        )
        query = select(*MESSAGES.c, MESSAGES.c.at.label("_at")).where(
            OPEN, (MESSAGES.c.kind == "message") | ~before
        )
        found = await page_of(
            self._database,
            query,
            (MESSAGES.c.at, MESSAGES.c.id),
            limit,
            cursor,
            dict,
            ascending=True,
        )
        return await self._shown(found)

    async def get(self, message: str) -> Row:
        """One message or missed call, with its tries; raises :class:`MessageNotFound`."""
        async with self._database.reading() as connection:
            row = await self._row(connection, message)
            query = select(TRIES).where(TRIES.c.message == message).order_by(TRIES.c.at)
            tries = (await connection.execute(query)).mappings().all()
        [shown] = (await self._shown(Page([row], None))).items
        names = ("at", "agent", "outcome")
        return shown | {"called": [{name: one[name] for name in names} for one in tries]}

    async def sound(self, message: str) -> Path:
        """The file of its sound; raises :class:`MessageNotFound`, :class:`SoundNotFound`."""
        async with self._database.reading() as connection:
            row = await self._row(connection, message)
        folder = messages_folder(self._settings, row["pbx"])
        if row["file"] is None or folder is None:
            raise SoundNotFound(f"message {message} has no sound")
        # Our dialplan made the name; a database that says otherwise opens no other file.
        file = folder / Path(row["file"]).name
        if file.is_symlink() or not file.is_file():
            raise SoundNotFound(
                f"the sound of message {message} is on record, its file is not there"
            )
        return file

    async def new(self, pbx: str) -> int:
        """How many messages nobody has heard or answered."""
        query = select(func.count()).where(
            OPEN, MESSAGES.c.pbx == pbx, MESSAGES.c.kind == "message", MESSAGES.c.heard_at.is_(None)
        )
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    # -- what people do

    async def heard(self, message: str, *, by: str) -> None:
        """Somebody listens to it; the first one counts. Raises :class:`MessageNotFound`."""
        async with self._database.writing() as connection:
            await self._row(connection, message)
            await connection.execute(
                update(MESSAGES)
                .where(MESSAGES.c.id == message, MESSAGES.c.heard_at.is_(None))
                .values(heard_by=by, heard_at=datetime.now(UTC))
            )

    async def take(self, message: str, agent: str) -> bool:
        """This agent answers the citizen from now on; returns whether that is new.

        Raises :class:`MessageNotFound`, :class:`AgentNotFound`, :class:`WrongState` when it is
        closed, :class:`MessageHeld` when another agent has it or another call of this number.
        """
        self._must_be_agent(agent)
        async with self._database.writing() as connection:
            ledger = await self._ledger(connection, message)
            rows = await self._open(connection, message)
            others = {row["holder"] for row in rows} - {None, agent}
            if others:
                holder = min(others)
                raise MessageHeld(f"agent {holder} answers this citizen", holder=holder)
            fresh = [row for row in rows if row["holder"] is None]
            await self._hold(connection, [row["id"] for row in fresh], agent)
            await ledger.note(fresh, "taken", by=agent, at=_now())
        return bool(fresh)

    async def give(self, message: str, to: str, hand: Hand) -> None:
        """Give it to a colleague. Raises as :meth:`take`, and :class:`NotAllowed`."""
        self._must_be_agent(to)
        async with self._database.writing() as connection:
            ledger = await self._ledger(connection, message)
            rows = await self._mine(connection, message, hand)
            await self._hold(connection, [row["id"] for row in rows], to)
            await ledger.note(rows, "given", by=hand.agent or hand.name, to=to, at=_now())

    async def give_back(self, message: str, hand: Hand) -> None:
        """Nobody has it any more. Raises as :meth:`give`."""
        async with self._database.writing() as connection:
            ledger = await self._ledger(connection, message)
            rows = await self._mine(connection, message, hand)
            await self._hold(connection, [row["id"] for row in rows], None)
            await ledger.note(rows, "given back", by=hand.agent or hand.name, at=_now())

    async def answered(
        self, message: str, result: str, hand: Hand, *, outcome: str | None = None
    ) -> None:
        """It is done, with what came of it; missed calls of the same number as well.

        ``outcome``: what a try came to that the PBX cannot know, ``wrong-number``. Raises
        :class:`MessageNotFound`, :class:`NotAllowed`, :class:`WrongState`.
        """
        now = datetime.now(UTC)
        async with self._database.writing() as connection:
            ledger = await self._ledger(connection, message)
            rows = await self._mine(connection, message, hand, or_nobodys=True)
            done = [row["id"] for row in rows if row["id"] == message or row["kind"] == "missed"]
            if outcome is not None:
                one = {"callback": uuid4().hex, "at": now, "agent": hand.agent, "outcome": outcome}
                await connection.execute(insert(TRIES), [one | {"message": name} for name in done])
                for name in done:
                    await self._store.count_tries(connection, name)
            for part in parts(done):
                await connection.execute(
                    update(MESSAGES)
                    .where(MESSAGES.c.id.in_(part))
                    .values(state="answered", closed_at=now, closed_by=hand.name, result=result)
                )
            closed = [row for row in rows if row["id"] in done]
            by = hand.agent or hand.name
            await ledger.note(closed, "answered", by=by, at=micros_of(now))

    # -- inside

    async def _ledger(self, connection: AsyncConnection, message: str) -> MessageLedger:
        ledger = MessageLedger(connection, self._cases)
        await ledger.lock(await self._row(connection, message))
        return ledger

    def _must_be_agent(self, agent: str) -> None:
        if self._settings.agent(agent) is None:
            raise AgentNotFound(f"no agent {agent!r} in the settings")

    async def _row(self, connection: AsyncConnection, message: str) -> Row:
        query = select(MESSAGES).where(MESSAGES.c.id == storable(message))
        row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise MessageNotFound(f"no message {message!r} is on record")
        return dict(row)

    async def _open(self, connection: AsyncConnection, message: str) -> list[Row]:
        """The message and all else that waits for the same number, locked in one order."""
        row = await self._row(connection, message)
        same = MESSAGES.c.id == message
        if row["number_key"] is not None:
            same = same | and_(OPEN, MESSAGES.c.number_key == row["number_key"])
        query = select(MESSAGES).where(same).order_by(MESSAGES.c.id).with_for_update()
        rows = [dict(one) for one in (await connection.execute(query)).mappings()]
        state = next(one["state"] for one in rows if one["id"] == message)
        if state != "open":
            raise WrongState(f"message {message} is {state}")
        return rows

    async def _mine(
        self, connection: AsyncConnection, message: str, hand: Hand, *, or_nobodys: bool = False
    ) -> list[Row]:
        rows = await self._open(connection, message)
        holder = next(one["holder"] for one in rows if one["id"] == message)
        allowed = hand.is_senior or (hand.agent is not None and holder == hand.agent)
        if holder is None and (or_nobodys or hand.is_senior):
            return rows
        if holder is None:
            raise WrongState(f"nobody has message {message}; take it first")
        if not allowed:
            raise NotAllowed(f"message {message} is agent {holder}'s")
        return rows

    async def _hold(
        self, connection: AsyncConnection, messages: Sequence[str], agent: str | None
    ) -> None:
        held_at = None if agent is None else datetime.now(UTC)
        for part in parts(messages):
            await connection.execute(
                update(MESSAGES)
                .where(MESSAGES.c.id.in_(part))
                .values(holder=agent, held_at=held_at)
            )

    async def _shown(self, found: Page) -> Page:
        """Rows as readers see them: with their deadlines, and how often a number called."""
        keys = sorted({row["number_key"] for row in found.items} - {None})
        calls: dict[str, int] = {}
        async with self._database.reading() as connection:
            for part in parts(keys):
                query = (
                    select(MESSAGES.c.number_key, func.count())
                    .where(OPEN, MESSAGES.c.kind == "missed", MESSAGES.c.number_key.in_(part))
                    .group_by(MESSAGES.c.number_key)
                )
                found_calls = (await connection.execute(query)).all()
                calls |= {row[0]: row[1] for row in found_calls}
            lines = await self._lines(connection, found.items)
        calendars = await self._calendar.by_line()
        items = []
        for number, row in enumerate(found.items):
            if number % 16 == 0:
                await asyncio.sleep(0)  # a long page takes its time; keys that are pressed do not
            items.append(self._shape(row, calls, calendars[lines[row["case_id"]]]))
        return Page(items, found.next)

    async def _lines(self, connection: AsyncConnection, rows: Sequence[Row]) -> dict[str, str]:
        """The number of the line that was called, of each row's case."""
        called: dict[str, str | None] = {row["case_id"]: None for row in rows}
        for part in parts(sorted(called)):
            query = select(CASES.c.case_id, CASES.c.line).where(CASES.c.case_id.in_(part))
            called |= {one.case_id: one.line for one in await connection.execute(query)}
        return {case: self._settings.line_called(line).number for case, line in called.items()}

    def _shape(self, row: Row, calls: dict[str, int], calendar: Calendar) -> Row:
        settings = self._settings.messages
        is_open = row["state"] == "open"
        missed = row["kind"] == "missed"
        values: dict[str, Any] = {name: row[name] for name in SHOWN}
        again = next_try_at(calendar, row["last_try_at"], row["tries"], settings)
        return values | {
            "case": row["case_id"],
            "sound": None if row["sound_state"] == "none" else row["sound_state"],
            "calls": max(calls.get(row["number_key"], 1), 1) if missed else 1,
            "due_at": due_at(calendar, row["at"], settings),
            "next_try_at": again if is_open else None,
        }
