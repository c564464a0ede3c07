"""Who is signed in: sessions in the database, looked up in memory.

A key press must not wait for a database, so what was looked up once is answered from memory. Every
:data:`LOOK_S` seconds the sessions in memory are compared with the table: one that was ended or
whose person was changed, also by another process or the command line, is noticed within that time.
While the database is away those in memory go on until they end by themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import bindparam, delete, insert, or_, select, update

from telephony import audit, logs
from telephony.audit import AUDIT
from telephony.background import end
from telephony.errors import DatabaseUnavailable
from telephony.people import passwords
from telephony.people.book import PEOPLE, SESSIONS, person_of, store_password
from telephony.people.rules import (
    LONGEST_PASSWORD,
    Person,
    SignInRefused,
    WrongPassword,
    check_password,
    in_order,
    name_of,
)
from telephony.people.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.record.query_parts import Row
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

LOOK_S = 2.0
"""How long a session that was ended elsewhere may go on, in seconds."""
SEEN_EVERY = timedelta(seconds=30)
"""How often it is stored that a session is in use."""
SWEEP_EVERY = timedelta(minutes=10)
AT_ONCE = 500
VERIFYING = 2
"""Passwords that are looked at at the same time: each takes 64 MB and a fifth of a second."""
TOKEN_BYTES = 32


@dataclass(slots=True, eq=False)
class Session:
    """A person who is signed in at one browser.

    ``csrf`` goes with every request that changes something; ``ended`` is set when it is over;
    ``listening`` counts the live pages that are open in it.
    """

    digest: str
    csrf: str
    person: Person
    address: str
    seen_at: datetime
    ends_at: datetime
    stored_at: datetime
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    listening: int = 0


class Sessions:
    """Signing in and out, and who a cookie's token belongs to."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._rules = settings.sign_in
        self._idle = timedelta(minutes=settings.sign_in.idle_min)
        self._tries = Tries(database, settings.sign_in)
        self._known: dict[str, Session] = {}
        self._verifying = asyncio.Semaphore(VERIFYING)
        self._swept = datetime.min.replace(tzinfo=UTC)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compare what is in memory with the table."""
        self._task = asyncio.create_task(self._keep(), name="sessions")

    async def stop(self) -> None:
        """Stop; everybody stays signed in."""
        await end(self._task)

    async def sign_in(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """A new session, and the token that the browser keeps.

        Raises :class:`SignInRefused`, :class:`TooManyTries`, :class:`DatabaseUnavailable`.
        """
        name = name_of(name)
        row, newer = await self._verify(name, password, address)
        if row is None:
            raise SignInRefused("name or password are wrong")
        person, now, token = person_of(row), datetime.now(UTC), secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(
            digest=_digest(token),
            csrf=_csrf(token),
            person=person,
            address=address,
            seen_at=now,
            ends_at=now + timedelta(hours=self._rules.longest_h),
            stored_at=now,
        )
        async with self._database.writing() as connection:
            await _unchanged(connection, row)
            await self._tries.forget(connection, name, address)
            if newer is not None:
                await store_password(connection, name, newer)
            stored: Row = {"digest": session.digest, "person": name, "address": address}
            stored |= {"begun_at": now, "seen_at": now, "ends_at": session.ends_at}
            await connection.execute(insert(SESSIONS), [stored])
            await _note(connection, person, "sign-in", address)
        self._known[session.digest] = session
        return token, session

    async def find(self, token: str) -> Session | None:
        """Whose token this is, or None. From memory, but for the first time.

        Raises :class:`DatabaseUnavailable` if it is not in memory and the database is away.
        """
        digest, now = _digest(token), datetime.now(UTC)
        session = self._known.get(digest)
        if session is None:
            async with self._database.reading() as connection:
                query = _with_people().where(SESSIONS.c.digest == digest)
                row = (await connection.execute(query)).mappings().first()
            if row is None or not row["active"]:
                return None
            # Another request may have been faster.
            session = self._known.setdefault(digest, _session(dict(row), token))
        if self._is_over(session, now):
            self._drop(session)
            return None
        session.seen_at = now
        return session

    async def sign_out(self, session: Session) -> None:
        """End this session. Raises :class:`DatabaseUnavailable`."""
        async with self._database.writing() as connection:
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == session.digest))
            await _note(connection, session.person, "sign-out", session.address)
        self._drop(session)

    async def change_password(self, session: Session, password: str, new: str) -> None:
        """A person's new password; their other sessions end.

        Raises :class:`WrongPassword` (the present one; it counts like one at signing in),
        :class:`PasswordWeak`, :class:`TooManyTries`, :class:`DatabaseUnavailable`.
        """
        name = session.person.name
        check_password(new, name, self._rules.shortest_password)
        row, _ = await self._verify(name, password, session.address)
        if row is None:
            raise WrongPassword("the present password is wrong", field="password")
        hashed = await asyncio.to_thread(passwords.hashed, new)
        others = (SESSIONS.c.person == name) & (SESSIONS.c.digest != session.digest)
        async with self._database.writing() as connection:
            await _unchanged(connection, row)
            await self._tries.forget(connection, name, session.address)
            await store_password(connection, name, hashed, by=name)
            await connection.execute(delete(SESSIONS).where(others))
            await _note(connection, session.person, "password", name)
        for other in self._of(name):
            if other is not session:
                self._drop(other)

    def forget(self, name: str) -> None:
        """Look a person's sessions up anew at once: somebody here changed the person."""
        for session in self._of(name_of(name)):
            self._drop(session)

    async def _verify(
        self, name: str, password: str, address: str
    ) -> tuple[Row | None, str | None]:
        """The person if the password is right; a wrong one counts, before it is looked at.

        The right one of somebody who may not sign in any more is one that is wrong.
        """
        async with self._database.reading() as connection:
            query = select(PEOPLE).where(PEOPLE.c.name == name)
            row = (await connection.execute(query)).mappings().first()
        locked_for = await self._tries.count(name, address)
        async with self._verifying:
            stored = row["password_hash"] if row is not None else None
            right, newer = False, None
            if len(password) <= LONGEST_PASSWORD:
                right, newer = await asyncio.to_thread(passwords.verified, password, stored)
        if row is not None and right and row["active"]:
            return dict(row), newer
        # A name that nobody has is not kept: people type their password there by mistake.
        who, role = (name, in_order(row["roles"])[0]) if row is not None else ("?", "?")
        what: audit.What = "sign-in-locked" if locked_for else "sign-in-failed"
        await audit.note(self._database, who=who, role=role, what=what, which=address)
        return None, None

    def _is_over(self, session: Session, now: datetime) -> bool:
        return now >= session.ends_at or now - session.seen_at >= self._idle

    def _of(self, name: str) -> list[Session]:
        return [one for one in self._known.values() if one.person.name == name]

    def _drop(self, session: Session) -> None:
        self._known.pop(session.digest, None)
        session.ended.set()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except DatabaseUnavailable:
                continue  # said elsewhere; what is in memory goes on
            except Exception as error:  # noqa: BLE001 - tried again, whatever it was
                logs.unexpected(log, "sessions could not be compared", error)

    async def look(self) -> None:
        """Compare what is in memory with the table; the keeper does it every two seconds."""
        now = datetime.now(UTC)
        for session in list(self._known.values()):
            if session.listening:
                session.seen_at = now
            if self._is_over(session, now):
                self._drop(session)
        for part in _parts(list(self._known)):
            async with self._database.reading() as connection:
                query = _with_people().where(SESSIONS.c.digest.in_(part))
                rows = (await connection.execute(query)).mappings().all()
            self._compare(part, {row["digest"]: dict(row) for row in rows})
        await self._store_seen(now)
        if now - self._swept > SWEEP_EVERY:
            await self._sweep(now)

    def _compare(self, digests: list[str], rows: dict[str, Row]) -> None:
        for digest in digests:
            session, row = self._known.get(digest), rows.get(digest)
            if session is None:
                continue
            if row is None or not row["active"]:
                self._drop(session)
                continue
            person = person_of(row)
            if person != session.person:
                # What is open shows what the person might see before; the next request looks anew.
                self._drop(session)
            session.seen_at = max(session.seen_at, row["seen_at"])

    async def _store_seen(self, now: datetime) -> None:
        due = [
            one
            for one in self._known.values()
            if one.seen_at > one.stored_at and now - one.stored_at >= SEEN_EVERY
        ]
        if not due:
            return
        put = (
            update(SESSIONS)
            .where(SESSIONS.c.digest == bindparam("of"))
            .values(seen_at=bindparam("seen"))
        )
        async with self._database.writing() as connection:
            await connection.execute(put, [{"of": one.digest, "seen": one.seen_at} for one in due])
        for one in due:
            one.stored_at = now

    async def _sweep(self, now: datetime) -> None:
        # In use elsewhere it may have been a little later than what is stored.
        idle = now - self._idle - 2 * SEEN_EVERY
        over = or_(SESSIONS.c.ends_at <= now, SESSIONS.c.seen_at <= idle)
        async with self._database.writing() as connection:
            await connection.execute(delete(SESSIONS).where(over))
            await self._tries.sweep(connection, now)
        self._swept = now


async def _unchanged(connection: AsyncConnection, row: Row) -> None:
    """Raise :class:`SignInRefused` if the person was changed while the password was looked at.

    Else a session begun with the old password would outlive the change that ends all of them.
    """
    query = select(PEOPLE.c.password_hash, PEOPLE.c.active).where(PEOPLE.c.name == row["name"])
    now = (await connection.execute(query.with_for_update())).one()
    if (now.password_hash, now.active) != (row["password_hash"], True):
        raise SignInRefused("name or password are wrong")


def _with_people() -> Select[tuple[object, ...]]:
    of_session = [SESSIONS.c[name] for name in ("digest", "address", "seen_at", "ends_at")]
    names = Person.__dataclass_fields__
    columns = [*of_session, *(PEOPLE.c[name] for name in names)]
    return select(*columns).join(PEOPLE, PEOPLE.c.name == SESSIONS.c.person)


def _session(row: Row, token: str) -> Session:
    return Session(
        digest=row["digest"],
        csrf=_csrf(token),
        person=person_of(row),
        address=row["address"],
        seen_at=row["seen_at"],
        ends_at=row["ends_at"],
        stored_at=row["seen_at"],
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _csrf(token: str) -> str:
    """Known only to who knows the token, and of no use as one."""
    return hmac.digest(token.encode("utf-8", "surrogatepass"), b"csrf", "sha256").hex()


def _parts(digests: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(digests), AT_ONCE):
        yield digests[first : first + AT_ONCE]


async def _note(connection: AsyncConnection, person: Person, what: audit.What, which: str) -> None:
    entry = audit.entry_of(person.name, person.roles[0], what, which)
    await connection.execute(insert(AUDIT), [entry])
