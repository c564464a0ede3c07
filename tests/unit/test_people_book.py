"""People, sessions and wrong passwords in the database, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from telephony import audit
from telephony.database import Database
from telephony.people.book import SESSIONS, PeopleBook
from telephony.people.rules import LastAdmin, Person, PersonExists, SignInRefused, TooManyTries
from telephony.people.sessions import Sessions
from telephony.people.tries import WRONG, Tries
from telephony.settings import Settings
from tests.unit.quick_passwords import quick_passwords  # noqa: F401 - it works by itself

PASSWORD = "four words make one"
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def settings() -> Settings:
    return Settings()


async def add(book: PeopleBook, name: str, *roles: Any) -> None:
    await book.add(Person(name, name, roles), PASSWORD, by="test", role="admin")


async def rows(database: Database, table: Any) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def test_given_two_processes_then_what_one_ends_the_other_notices(
    database: Database, settings: Settings
) -> None:
    book = PeopleBook(database, settings)
    here, there = Sessions(database, settings), Sessions(database, settings)
    await add(book, "lina", "auditor")
    token, session = await here.sign_in("LINA", PASSWORD, HERE)
    found = await there.find(token)
    assert found is not None
    assert (found.person, found.csrf) == (session.person, session.csrf)
    assert await there.find(token + "x") is None
    # Roles that were taken away count from the next request on.
    await book.change("lina", {"roles": ("integrator",)}, by="test", role="admin")
    await there.look()
    again = await there.find(token)
    assert again is not None
    assert again.person.roles == ("integrator",)
    await here.sign_out(session)
    await there.look()
    assert again.ended.is_set()
    assert await there.find(token) is None
    assert await rows(database, SESSIONS) == 0
    page = await audit.entries(database, limit=10)
    assert [(one["who"], one["what"]) for one in page.items] == [
        ("lina", "sign-out"),
        ("test", "person-changed"),
        ("lina", "sign-in"),
        ("test", "person-added"),
    ]


async def test_given_guesses_at_once_then_no_more_are_counted_in_than_allowed(
    database: Database, settings: Settings
) -> None:
    sessions = Sessions(database, settings)
    await add(PeopleBook(database, settings), "lina", "auditor")

    async def guess(number: int) -> type[Exception]:
        with pytest.raises((SignInRefused, TooManyTries)) as caught:
            await sessions.sign_in("lina", f"guess {number} of many", HERE)
        return caught.type

    found = await asyncio.gather(*map(guess, range(12)))
    assert found.count(SignInRefused) == settings.sign_in.tries
    assert found.count(TooManyTries) == 12 - settings.sign_in.tries
    # From another address the person gets in: a name waits only after four times as many.
    await sessions.sign_in("lina", PASSWORD, ELSEWHERE)


async def test_given_an_address_that_tries_many_names_then_it_waits_and_others_do_not(
    database: Database, settings: Settings
) -> None:
    tries = Tries(database, settings.sign_in)
    allowed = settings.sign_in.tries * 4
    waits = [await tries.count(f"name{number}", HERE) for number in range(allowed)]
    assert waits == [0] * (allowed - 1) + [settings.sign_in.wait_s]
    with pytest.raises(TooManyTries):
        await tries.count("another", HERE)
    assert await tries.count("another", ELSEWHERE) == 0
    # The wait is over; one more wrong one costs twice as long.
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with database.writing() as connection:
        await connection.execute(update(WRONG).values(locked_until=past))
    assert await tries.count("another", HERE) == 2 * settings.sign_in.wait_s
    # After an hour without one all is forgotten, and swept away.
    long_ago = datetime.now(UTC) - timedelta(minutes=61)
    async with database.writing() as connection:
        await connection.execute(update(WRONG).values(last_at=long_ago, locked_until=past))
        await tries.sweep(connection, datetime.now(UTC))
    assert await rows(database, WRONG) == 0


async def test_given_two_admins_who_take_the_role_from_each_other_then_one_stays(
    database: Database, settings: Settings
) -> None:
    book = PeopleBook(database, settings)
    for name in ("anna", "bert"):
        await add(book, name, "admin")
    with pytest.raises(PersonExists):
        await add(book, "Anna", "admin")
    taken = await asyncio.gather(
        book.change("anna", {"active": False}, by="bert", role="admin"),
        book.change("bert", {"active": False}, by="anna", role="admin"),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in taken) == ["LastAdmin", "dict"]
    (left,) = [one["name"] for one in await book.everybody() if one["active"]]
    with pytest.raises(LastAdmin):
        await book.change(left, {"roles": ("auditor",)}, by="x", role="admin")
