"""Signing in by password: sessions, what they may do, and what ends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from api.app import create_app
from api.security import Gate, Tokens
from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.people.book import SESSIONS, PeopleBook
from telephony.people.rules import (
    PasswordWeak,
    Person,
    PersonInvalid,
    check_password,
    check_person,
    name_of,
)
from telephony.people.sessions import Sessions
from tests.unit.api_fixtures import TOKENS, Running
from tests.unit.quick_passwords import quick_passwords  # noqa: F401 - it works by itself
from tests.unit.sign_in_scene import LI_NA, PASSWORD, audited, run, sign_in

__all__ = ["run"]  # fixtures


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


def test_names_are_one_in_any_width_and_case() -> None:
    assert name_of(" ＬｉＮａ ") == name_of("lina") == "lina"


@pytest.mark.parametrize("password", ["short", "x" * 20, "lina lina lina 1", "y" * 201])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(PasswordWeak):
        check_password(password, "lina", 10)
    check_password(PASSWORD, "lina", 10)
