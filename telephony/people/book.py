"""The people who may sign in: written here, read here, each change in the audit log."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from telephony import audit
from telephony.audit import AUDIT
from telephony.cases.store import table
from telephony.people import passwords
from telephony.people.models import PersonRecord, SessionRecord
from telephony.people.rules import (
    LastAdmin,
    Person,
    PersonExists,
    PersonNotFound,
    check_password,
    check_person,
    in_order,
    name_of,
)
from telephony.people.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.record.query_parts import Row
    from telephony.settings import Settings

PEOPLE, SESSIONS = table(PersonRecord), table(SessionRecord)


class PeopleBook:
    """People and their passwords. ``by`` and ``role`` say who changes something, for the log."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        agents = [one.id for one in settings.agents]
        self._phones = {*agents, *(one.id for one in settings.supervisors)}
        self._shortest = settings.sign_in.shortest_password

    async def everybody(self) -> list[Row]:
        """Everybody, also those who may not sign in any more, by name, with when they changed."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(PEOPLE).order_by(PEOPLE.c.name))).mappings()
            return [_row(dict(row)) for row in rows]

    async def get(self, name: str) -> Row:
        """One person. Raises :class:`PersonNotFound`."""
        async with self._database.reading() as connection:
            return _row(await _stored(connection, name_of(name)))

    async def add(self, person: Person, password: str, *, by: str, role: str) -> Row:
        """Somebody new.

        Raises :class:`PersonInvalid`, :class:`PasswordWeak`, :class:`PersonExists`.
        """
        person = replace(person, name=name_of(person.name), roles=in_order(person.roles))
        check_person(person, self._phones)
        check_password(password, person.name, self._shortest)
        hashed = await asyncio.to_thread(passwords.hashed, password)
        now = datetime.now(UTC)
        row = asdict(person) | {"roles": list(person.roles), "password_hash": hashed}
        row |= {"created_at": now, "changed_at": now, "changed_by": by}
        try:
            async with self._database.writing() as connection:
                await connection.execute(insert(PEOPLE), [row])
                await _note(connection, by, role, "person-added", _in_words(person))
        except IntegrityError:
            raise PersonExists(f"somebody signs in as {person.name} already") from None
        return _row(row)

    async def change(self, name: str, changes: dict[str, Any], *, by: str, role: str) -> Row:
        """Change what a person is or may do. Who may not sign in any more is signed out.

        Raises :class:`PersonNotFound`, :class:`PersonInvalid`, :class:`LastAdmin`.
        """
        async with self._database.writing() as connection:
            # Everybody in one order, so that two admins who take the role from each other do so one
            # after the other, and neither waits for the other's row.
            everybody = await _locked(connection)
            stored = everybody.get(name_of(name)) or await _stored(connection, name_of(name))
            before = person_of(stored)
            after = replace(before, **changes)
            after = replace(after, roles=in_order(after.roles))
            if after == before:
                return _row(stored)
            check_person(after, self._phones)
            if _administers(before) and not _administers(after):
                _another_admin(everybody.values(), before.name)
            now = datetime.now(UTC)
            values = asdict(after) | {"roles": list(after.roles)}
            values |= {"changed_at": now, "changed_by": by}
            of_this = PEOPLE.c.name == before.name
            await connection.execute(update(PEOPLE).where(of_this).values(values))
            if not after.active:
                await connection.execute(delete(SESSIONS).where(SESSIONS.c.person == before.name))
            await _note(connection, by, role, "person-changed", _difference(before, after))
            return _row(stored | values)

    async def set_password(self, name: str, password: str, *, by: str, role: str) -> None:
        """Give a person a new password; wherever they are signed in, they no longer are.

        Raises :class:`PersonNotFound`, :class:`PasswordWeak`.
        """
        name = name_of(name)
        check_password(password, name, self._shortest)
        hashed = await asyncio.to_thread(passwords.hashed, password)
        async with self._database.writing() as connection:
            await _stored(connection, name)
            await store_password(connection, name, hashed, by=by)
            await Tries.forget_name(connection, name)
            await connection.execute(delete(SESSIONS).where(SESSIONS.c.person == name))
            await _note(connection, by, role, "password", name)

    async def sign_out(self, name: str, *, by: str, role: str) -> int:
        """End all sessions of a person; how many those were. Raises :class:`PersonNotFound`."""
        name = name_of(name)
        async with self._database.writing() as connection:
            await _stored(connection, name)
            ended = await connection.execute(delete(SESSIONS).where(SESSIONS.c.person == name))
            await _note(connection, by, role, "sessions-ended", name)
            return ended.rowcount


async def store_password(
    connection: AsyncConnection, name: str, hashed: str, *, by: str | None = None
) -> None:
    """Put a password's hash in place of the one before, in a transaction of the caller's."""
    values: dict[str, Any] = {"password_hash": hashed}
    if by is not None:
        values |= {"changed_at": datetime.now(UTC), "changed_by": by}
    await connection.execute(update(PEOPLE).where(PEOPLE.c.name == name).values(values))


def person_of(row: Row) -> Person:
    """A stored person."""
    names = Person.__dataclass_fields__
    return Person(**{name: row[name] for name in names} | {"roles": in_order(row["roles"])})


async def _locked(connection: AsyncConnection) -> dict[str, Row]:
    query = select(PEOPLE).order_by(PEOPLE.c.name).with_for_update()
    rows = (await connection.execute(query)).mappings().all()
    return {row["name"]: dict(row) for row in rows}


async def _stored(connection: AsyncConnection, name: str) -> Row:
    query = select(PEOPLE).where(PEOPLE.c.name == name)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise PersonNotFound(f"nobody signs in as {name}")
    return dict(row)


def _another_admin(everybody: Iterable[Row], name: str) -> None:
    others = (row for row in everybody if row["active"] and row["name"] != name)
    if not any("admin" in row["roles"] for row in others):
        raise LastAdmin(f"{name} is the last admin; make somebody else an admin first")


def _administers(person: Person) -> bool:
    return person.active and "admin" in person.roles


def _row(stored: Row) -> Row:
    """What is shown of a person: everything but the password."""
    return {name: one for name, one in stored.items() if name != "password_hash"}


def _in_words(person: Person) -> str:
    return f"{person.name}: {','.join(person.roles)} {person.agent or ''}".strip()


def _difference(before: Person, after: Person) -> str:
    names = [
        one for one in Person.__dataclass_fields__ if getattr(before, one) != getattr(after, one)
    ]

    def word(value: Any) -> str:
        return ",".join(value) if isinstance(value, tuple) else str(value)

    said = (f"{one} {word(getattr(before, one))} -> {word(getattr(after, one))}" for one in names)
    return f"{before.name}: {'; '.join(said)}"


async def _note(
    connection: AsyncConnection, by: str, role: str, what: audit.What, which: str
) -> None:
    await connection.execute(insert(AUDIT), [audit.entry_of(by, role, what, which)])
