"""Wrong passwords: who must wait, who need not, and what is told."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from telephony.people import passwords
from telephony.people.book import SESSIONS
from telephony.people.rules import (
    SignInRefused,
    TooManyTries,
    wait_after,
)
from telephony.people.tries import Tries
from tests.unit.api_fixtures import Running
from tests.unit.quick_passwords import quick_passwords  # noqa: F401 - it works by itself
from tests.unit.sign_in_scene import PASSWORD, audited, run, sign_in

__all__ = ["run"]  # fixtures


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


def test_waits_grow_up_to_a_limit() -> None:
    waits = [wait_after(failures, 5, 30, 900) for failures in range(1, 13)]
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]
    assert wait_after(10_000, 5, 30, 900) == 900
