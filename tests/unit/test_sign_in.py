"""Signing in: sessions, what they are worth, and what wrong passwords cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from api.app import create_app
from api.security import Gate, Tokens
from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.people import passwords
from telephony.people.book import SESSIONS, PeopleBook
from telephony.people.rules import (
    PasswordWeak,
    Person,
    PersonInvalid,
    SignInRefused,
    TooManyTries,
    check_password,
    check_person,
    name_of,
    wait_after,
)
from telephony.people.sessions import Sessions
from telephony.people.tries import Tries
from tests.unit.api_fixtures import TOKENS, Running, running
from tests.unit.quick_passwords import quick_passwords  # noqa: F401 - it works by itself

PASSWORD = "four words make one"
LI_NA = {
    "name": "LiNa",
    "display_name": "李娜",
    "roles": ["agent"],
    "agent": "8001",
    "password": PASSWORD,
}


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        async with run.as_("admin") as admin:
            assert (await admin.post("/api/v1/people", json=LI_NA)).status_code == 201
        yield run


async def sign_in(client: httpx.AsyncClient, password: str = PASSWORD, **more: str) -> Any:
    return await client.post(
        "/api/v1/session", json={"name": "lina", "password": password}, headers=more
    )


async def audited(run: Running) -> list[tuple[str, str]]:
    async with run.as_("auditor") as auditor:
        items = (await auditor.get("/api/v1/audit")).json()["items"]
    return [(one["who"], one["what"]) for one in reversed(items)]


async def test_given_the_right_password_then_a_session_that_no_script_can_read(
    run: Running,
) -> None:
    async with run.client() as browser:
        answer = await sign_in(browser)
        assert answer.status_code == 200
        told = answer.json()
        assert told["roles"] == ["agent"]
        assert (told["name"], told["display_name"], told["agent"]) == ("lina", "李娜", "8001")
        assert told["page"] == "/desk"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/" in cookie
        assert "Secure" not in cookie  # over plain http a browser would not send it back
        assert (await browser.get("/api/v1/session")).json() == told
        assert (await browser.get("/api/v1/calls")).status_code == 200
        assert (await browser.get("/api/v1/audit")).status_code == 403
    token = cookie.split("=", 1)[1].split(";")[0]
    async with run.service.database.reading() as connection:
        stored = (await connection.exec_driver_sql("SELECT digest FROM sessions")).scalars().all()
        hashes = (await connection.exec_driver_sql("SELECT password_hash FROM people")).scalars()
        assert all(one.startswith("$argon2id$") for one in hashes)
    assert len(stored) == 1
    assert token not in stored
    assert told["csrf"] not in (token, *stored)


async def test_given_https_then_the_cookie_is_never_sent_in_clear(run: Running) -> None:
    transport = httpx.ASGITransport(app=create_app(run.service))
    async with httpx.AsyncClient(transport=transport, base_url="https://api") as browser:
        assert "Secure" in (await sign_in(browser)).headers["set-cookie"]


async def test_given_a_session_then_a_change_needs_the_csrf_token(run: Running) -> None:
    async with run.client() as browser:
        csrf = (await sign_in(browser)).json()["csrf"]
        path, body = "/api/v1/calls/1.1/transfer", {"desk": "110"}
        for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf[:-1]}):
            answer = await browser.post(path, json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
        answer = await browser.post(path, json=body, headers={"X-CSRF-Token": csrf})
        assert answer.json()["code"] == "call-not-found"  # it came through
        assert (await browser.delete("/api/v1/session")).status_code == 403
        answer = await browser.delete("/api/v1/session", headers={"X-CSRF-Token": csrf})
        assert answer.status_code == 204
        assert (await browser.get("/api/v1/session")).status_code == 401
    assert await audited(run) == [
        ("admin", "person-added"),
        ("lina", "sign-in"),
        ("lina", "sign-out"),
    ]


async def test_given_another_sites_page_then_it_signs_nobody_in(run: Running) -> None:
    async with run.client() as browser:
        assert (await sign_in(browser, origin="https://evil.example")).status_code == 403
        assert (await sign_in(browser, origin="null")).status_code == 403
        assert (await sign_in(browser, origin="http://api")).status_code == 200


async def test_given_wrong_passwords_then_even_the_right_one_waits(run: Running) -> None:
    async with run.client() as browser:
        for _ in range(run.service.settings.sign_in.tries):
            answer = await sign_in(browser, "not this one at all")
            assert (answer.status_code, answer.json()["code"]) == (401, "sign-in-refused")
        answer = await sign_in(browser)
        assert (answer.status_code, answer.json()["code"]) == (429, "locked-out")
        assert 0 < int(answer.headers["retry-after"]) <= 31
        assert answer.json()["wait_s"] == answer.headers["retry-after"]
    tried = [what for who, what in await audited(run) if who == "lina"]
    assert tried == ["sign-in-failed"] * 4 + ["sign-in-locked"]


async def wrong_elsewhere(run: Running, name: str, address: str, times: int) -> None:
    """Somebody tries passwords for a name from an address, until no more are read."""
    for _ in range(times):
        with suppress(TooManyTries, SignInRefused):
            await run.service.sessions.sign_in(name, "no password of theirs", address)


async def test_given_a_stranger_types_wrong_passwords_then_its_owner_still_signs_in_where_they_do(
    run: Running,
) -> None:
    sessions, tries = run.service.sessions, run.service.settings.sign_in.tries
    await sessions.sign_in("lina", PASSWORD, "192.0.2.1")
    for stranger in range(4 * tries):
        await wrong_elsewhere(run, "lina", f"198.51.100.{stranger}", 1)
    with pytest.raises(TooManyTries):  # nobody may guess on from ever new addresses
        await sessions.sign_in("lina", PASSWORD, "198.51.100.99")
    await sessions.sign_in("lina", PASSWORD, "192.0.2.1")
    later = datetime.now(UTC) + timedelta(hours=2)
    async with run.service.database.writing() as connection:
        await Tries(run.service.database, run.service.settings.sign_in).sweep(connection, later)
    for stranger in range(4 * tries):
        await wrong_elsewhere(run, "lina", f"198.51.100.{stranger}", 1)
    await sessions.sign_in("lina", PASSWORD, "192.0.2.1")  # it is still known there
    await wrong_elsewhere(run, "lina", "192.0.2.1", tries)
    with pytest.raises(TooManyTries):  # but where they do, no more are read than ever
        await sessions.sign_in("lina", PASSWORD, "192.0.2.1")


async def test_given_an_office_mistypes_all_day_then_who_is_known_there_still_signs_in(
    run: Running,
) -> None:
    sessions, tries = run.service.sessions, run.service.settings.sign_in.tries
    await sessions.sign_in("lina", PASSWORD, "192.0.2.1")
    for colleague in range(4 * tries):
        await wrong_elsewhere(run, f"colleague{colleague}", "192.0.2.1", 1)
    with pytest.raises(TooManyTries):
        await sessions.sign_in("colleague", PASSWORD, "192.0.2.1")
    await sessions.sign_in("lina", PASSWORD, "192.0.2.1")


async def test_given_a_new_password_from_an_admin_then_nobody_waits_for_older_mistakes(
    run: Running,
) -> None:
    await wrong_elsewhere(run, "lina", "192.0.2.1", 5)
    with pytest.raises(TooManyTries):
        await run.service.sessions.sign_in("lina", PASSWORD, "192.0.2.1")
    new = "another four words"
    async with run.as_("admin") as admin:
        body = {"password": new}
        assert (await admin.post("/api/v1/people/lina/password", json=body)).status_code == 204
    await run.service.sessions.sign_in("lina", new, "192.0.2.1")


async def test_given_the_password_changes_while_the_old_one_is_looked_at_then_nobody_is_signed_in(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, loop = run.service.people, asyncio.get_running_loop()
    plain = passwords.verified

    def meanwhile(password: str, stored: str | None) -> tuple[bool, str | None]:
        change = book.set_password("lina", "another four words", by="ops", role="command")
        asyncio.run_coroutine_threadsafe(change, loop).result(10)
        return plain(password, stored)

    monkeypatch.setattr(passwords, "verified", meanwhile)
    with pytest.raises(SignInRefused):
        await run.service.sessions.sign_in("lina", PASSWORD, "192.0.2.1")
    async with run.service.database.reading() as connection:
        assert (await connection.execute(select(SESSIONS))).first() is None


async def test_given_many_tries_at_once_then_no_more_are_read_than_one_by_one(
    run: Running,
) -> None:
    async with run.client() as browser:
        answers = await asyncio.gather(*(sign_in(browser, f"guess {n} of many") for n in range(12)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [401] * 5 + [429] * 7


async def test_given_the_right_password_then_earlier_mistakes_are_forgotten(run: Running) -> None:
    async with run.client() as browser:
        for _ in range(2):
            for _ in range(4):
                assert (await sign_in(browser, "not this one")).status_code == 401
            assert (await sign_in(browser)).status_code == 200


async def test_given_an_unknown_name_then_the_answer_is_the_same(run: Running) -> None:
    async with run.client() as browser:
        unknown = await browser.post(
            "/api/v1/session", json={"name": "my own password", "password": "x"}
        )
        wrong = await sign_in(browser, "x")
    assert unknown.json() == wrong.json()
    assert "my own password" not in str(await audited(run))


async def test_given_somebody_is_disabled_then_their_sessions_end_at_once(run: Running) -> None:
    async with run.client() as browser, run.as_("admin") as admin:
        await sign_in(browser)
        answer = await admin.patch("/api/v1/people/lina", json={"active": False})
        assert answer.json()["active"] is False
        assert (await browser.get("/api/v1/session")).status_code == 401
        assert (await sign_in(browser)).status_code == 401
        assert (await audited(run))[-1] == ("lina", "sign-in-failed")
        await admin.patch("/api/v1/people/lina", json={"active": True})
        assert (await browser.get("/api/v1/session")).status_code == 401  # signed out for good
        assert (await sign_in(browser)).status_code == 200


async def test_given_another_process_ends_a_session_then_it_is_noticed(run: Running) -> None:
    elsewhere = PeopleBook(run.service.database, run.service.settings)
    async with run.client() as browser:
        await sign_in(browser)
        token = browser.cookies["hotline_session"]
        session = await run.service.sessions.find(token)
        assert session is not None
        await elsewhere.sign_out("lina", by="ops", role="command")
        # The keeper looks every two seconds; what it does then:
        await run.service.sessions.look()
        assert session.ended.is_set()
        assert (await browser.get("/api/v1/session")).status_code == 401


async def test_given_the_database_is_away_then_who_is_signed_in_goes_on(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run.client() as browser, run.client() as other:
        csrf = (await sign_in(browser)).json()["csrf"]

        def away(_self: Database) -> Any:
            raise DatabaseUnavailable("the database is away")

        monkeypatch.setattr(Database, "reading", away)
        monkeypatch.setattr(Database, "writing", away)
        answer = await browser.post(
            "/api/v1/calls/1.1/transfer", json={"desk": "110"}, headers={"X-CSRF-Token": csrf}
        )
        assert answer.json()["code"] == "call-not-found"
        answer = await other.get("/api/v1/calls", headers={"Cookie": "hotline_session=unknown"})
        assert answer.status_code == 503


@pytest.mark.parametrize(("column", "past"), [("ends_at", 1), ("seen_at", 61 * 60)])
async def test_given_a_session_is_too_old_or_unused_then_it_is_over(
    run: Running, column: str, past: int
) -> None:
    async with run.client() as browser:
        await sign_in(browser)
        then = datetime.now(UTC) - timedelta(seconds=past)
        async with run.service.database.writing() as connection:
            await connection.execute(update(SESSIONS).values({column: then}))
        anew = Sessions(run.service.database, run.service.settings)  # as after a restart
        assert await anew.find(browser.cookies["hotline_session"]) is None


async def test_given_a_new_password_then_only_this_session_stays(run: Running) -> None:
    async with run.client() as here, run.client() as there:
        csrf = (await sign_in(here)).json()["csrf"]
        await sign_in(there)
        headers, new = {"X-CSRF-Token": csrf}, "another four words"
        for body, code in (
            ({"password": "wrong one", "new_password": new}, "wrong-password"),
            ({"password": PASSWORD, "new_password": "short"}, "password-weak"),
        ):
            answer = await here.post("/api/v1/session/password", json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (422, code)
        body = {"password": PASSWORD, "new_password": new}
        answer = await here.post("/api/v1/session/password", json=body, headers=headers)
        assert answer.status_code == 204
        assert (await here.get("/api/v1/session")).status_code == 200
        assert (await there.get("/api/v1/session")).status_code == 401
        assert (await sign_in(there)).status_code == 401
        assert (await sign_in(there, new)).status_code == 200


async def test_given_the_last_admin_then_they_stay_one(run: Running) -> None:
    chief = LI_NA | {"name": "chief", "roles": ["admin"], "agent": None}
    async with run.as_("admin") as admin:
        assert (await admin.post("/api/v1/people", json=chief)).status_code == 201
        for change in ({"active": False}, {"roles": ["auditor"]}):
            answer = await admin.patch("/api/v1/people/chief", json=change)
            assert (answer.status_code, answer.json()["code"]) == (409, "last-admin")
        answer = await admin.post("/api/v1/people", json=chief)
        assert (answer.status_code, answer.json()["code"]) == (409, "person-exists")
        answer = await admin.patch("/api/v1/people/lina", json={"agent": None})
        assert (answer.status_code, answer.json()["field"]) == (422, "agent")


def test_given_the_number_of_a_phone_then_only_who_has_that_phone_has_it_as_a_name() -> None:
    phones = {"8001", "8002"}
    check_person(Person("8001", "甲", ("agent",), agent="8001"), phones)
    for person in (
        Person("8002", "甲", ("agent",), agent="8001"),
        Person("8002", "班长", ("supervisor",)),
    ):
        with pytest.raises(PersonInvalid) as refused:
            check_person(person, phones)
        assert refused.value.extra["field"] == "name"
    audits = Person("audit", "督查", ("auditor", "integrator"), sees_numbers=True)
    with pytest.raises(PersonInvalid):
        check_person(audits, phones)


async def test_given_several_roles_then_all_of_them_count(run: Running) -> None:
    both = LI_NA | {"name": "both", "roles": ["auditor", "agent"]}
    async with run.as_("admin") as admin, run.client() as browser:
        await admin.post("/api/v1/people", json=both)
        answer = await browser.post("/api/v1/session", json={"name": "both", "password": PASSWORD})
        headers = {"X-CSRF-Token": answer.json()["csrf"]}
        assert (await browser.get("/api/v1/audit")).status_code == 200
        pressed = await browser.post("/api/v1/calls/1.1/hold", headers=headers)
        assert pressed.json()["code"] == "call-not-found"
        added = await browser.post("/api/v1/people", json=both, headers=headers)
        assert added.status_code == 403


async def test_given_a_token_then_it_has_no_session(run: Running) -> None:
    async with run.as_("auditor") as token:
        told = (await token.get("/api/v1/session")).json()
        assert (told["roles"], told["csrf"]) == (["auditor"], None)
        answer = await token.delete("/api/v1/session")
        assert (answer.status_code, answer.json()["code"]) == (409, "no-session")


class Socket:
    """What the gate tells a browser that opens the live events."""

    def __init__(self) -> None:
        self.let_in = False
        self.code = 0

    async def app(self, _scope: Any, _receive: Any, _send: Any) -> None:
        self.let_in = True

    async def send(self, message: Any) -> None:
        self.code = message["code"]

    @staticmethod
    def scope(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
        return {"type": "websocket", "path": "/api/v1/events", "headers": headers}

    @staticmethod
    async def receive() -> Any:
        return {"type": "websocket.connect"}


ORIGINS = {
    "http://api": True,
    "https://hotline.example": True,
    "http://evil.example": False,
    "http://api.evil.example": False,
    "null": False,
    "": False,
}


async def test_given_a_cookie_then_live_events_open_from_our_pages_only(run: Running) -> None:
    token, _ = await run.service.sessions.sign_in("lina", PASSWORD, "192.0.2.1")
    tokens = Tokens(run.service.settings.tokens)
    cookie = f"a=b; hotline_session={token}".encode()
    for origin, well in ORIGINS.items():
        socket = Socket()
        ours = ["https://hotline.example"]
        gate = Gate(socket.app, tokens, run.service.sessions, frozenset(), ours)
        headers = [(b"host", b"api"), (b"cookie", cookie), (b"origin", origin.encode())]
        await gate(socket.scope(headers), socket.receive, socket.send)
        assert (socket.let_in, socket.code) == ((True, 0) if well else (False, 4401)), origin
    for role, code in (("integrator", 4403), ("auditor", 0), ("agent", 0)):
        socket = Socket()
        gate = Gate(socket.app, tokens, run.service.sessions, frozenset())
        headers = [(b"authorization", f"Bearer {TOKENS[role]}".encode())]
        await gate(socket.scope(headers), socket.receive, socket.send)
        assert (socket.let_in, socket.code) == (code == 0, code), role


def test_waits_grow_up_to_a_limit() -> None:
    waits = [wait_after(failures, 5, 30, 900) for failures in range(1, 13)]
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]
    assert wait_after(10_000, 5, 30, 900) == 900


def test_names_are_one_in_any_width_and_case() -> None:
    assert name_of(" ＬｉＮａ ") == name_of("lina") == "lina"


@pytest.mark.parametrize("password", ["short", "x" * 20, "lina lina lina 1", "y" * 201])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(PasswordWeak):
        check_password(password, "lina", 10)
    check_password(PASSWORD, "lina", 10)
