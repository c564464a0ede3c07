"""Who sees citizens' numbers over HTTP, and numbers that are marked as a nuisance."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from api import sight
from api.schemas.audit import AuditEntry
from api.schemas.base import Page
from api.schemas.nuisance import NuisanceMark
from api.security import Identity
from telephony import audit
from telephony.database import Database
from telephony.errors import TooManySearches
from tests.unit.api_fixtures import AGENT_8001, TOKENS, Running, told
from tests.unit.two_cases import AGENT_8002, AUDITOR, CASE, EPOCH, MASKED, NUMBER, run, send

__all__ = ["run"]  # fixtures


# -- who sees what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "sees"),
    [
        (AGENT_8001, True),
        (AGENT_8002, False),
        (AUDITOR, False),
        (TOKENS["supervisor"], True),
        (TOKENS["admin"], True),
    ],
)
async def test_given_a_token_then_numbers_are_shown_or_masked_and_looks_are_logged(
    run: Running, token: str, sees: bool
) -> None:
    leg = f"pbx1/{EPOCH}.0"
    for path in ("/cases", "/legs", f"/cases/{CASE}", f"/cases/{CASE}/story", f"/legs/{leg}"):
        answer = await send(run, token, "GET", path)
        assert answer.status_code == 200
        assert (NUMBER in answer.text) == sees, path
        assert (MASKED in answer.text) != sees, path
    audit = await send(run, TOKENS["admin"], "GET", "/audit")
    page = Page[AuditEntry].model_validate(audit.json())
    looks = [(one.what, one.which) for one in reversed(page.items)]
    assert looks == ([("case", CASE), ("story", CASE), ("leg", leg)] if sees else [])


async def test_given_an_export_then_it_is_masked_or_logged_without_a_number(run: Running) -> None:
    masked = await send(run, AUDITOR, "GET", "/legs/export")
    assert NUMBER not in masked.text
    assert MASKED in masked.text
    for form in (NUMBER, "138.1234.5678"):
        whole = await send(run, TOKENS["supervisor"], "GET", f"/legs/export?caller={form}")
        assert NUMBER in whole.text
    audit = await send(run, TOKENS["admin"], "GET", "/audit")
    for entry in audit.json()["items"]:
        assert (entry["what"], entry["who"]) == ("legs-export", "supervisor")
        assert MASKED in entry["which"]
    assert len(audit.json()["items"]) == 2
    assert (await send(run, TOKENS["supervisor"], "GET", "/audit")).status_code == 403
    page = await send(run, TOKENS["admin"], "GET", "/audit?who=nobody&from=2026-01-01")
    assert page.json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (AGENT_8002, "8002"),
        (AUDITOR, "审计"),
        (TOKENS["supervisor"], "supervisor"),
    ],
)
async def test_given_a_search_by_a_number_then_it_is_in_the_audit_log_whoever_asks(
    run: Running, token: str, name: str
) -> None:
    forms = (NUMBER, f"%2B86{NUMBER}", "138 1234 5678", "138.1234.5678", "00" + "86" + NUMBER)
    for path in ("/cases", "/legs"):
        for form in forms:
            found = await send(run, token, "GET", f"{path}?caller={form}")
            assert found.status_code == 200
            assert found.json()["items"], (path, form)
        # What no mask hides tells nothing: a short code, a name.
        for free in ("110", "anonymous"):
            assert (await send(run, token, "GET", f"{path}?caller={free}")).status_code == 200
    audit = await send(run, TOKENS["admin"], "GET", "/audit?what=caller")
    entries = audit.json()["items"]
    assert {one["who"] for one in entries} == {name}
    assert len(entries) == 2 * len(forms)
    assert all("****" in one["which"] for one in entries)
    assert NUMBER not in audit.text


async def test_given_who_sees_masked_numbers_then_they_cannot_try_them_one_after_the_other(
    run: Running,
) -> None:
    for _ in range(sight.SEARCHES_AN_HOUR - 1):
        await audit.note(
            run.service.database, who="8002", role="agent", what="caller", which=MASKED
        )
    assert (await send(run, AGENT_8002, "GET", f"/legs?caller={NUMBER}")).status_code == 200
    body = {"what": "cases", "filters": {"caller": NUMBER}}
    for path in ("/legs", "/cases"):
        for number in (NUMBER, "13812345679"):  # one that called and one that did not
            answer = await send(run, AGENT_8002, "GET", f"{path}?caller={number}")
            assert (answer.status_code, answer.json()["code"]) == (429, "searches-limited")
            assert 3500 < int(answer.headers["retry-after"]) <= 3600
    # Everything else goes on, also for others, and whole numbers need no mask to be guessed.
    assert (await send(run, AGENT_8002, "GET", f"/legs?case={CASE}")).status_code == 200
    supervisor = TOKENS["supervisor"]
    assert (await send(run, supervisor, "GET", f"/cases?caller={NUMBER}")).status_code == 200
    # An hour later they may again.
    earlier = update(audit.AUDIT).values(at=datetime.now(UTC) - timedelta(minutes=61))
    async with run.service.database.writing() as connection:
        await connection.execute(earlier)
    assert (await send(run, AGENT_8002, "GET", f"/legs?caller={NUMBER}")).status_code == 200
    # Exports are no way around it, nor is asking whether a number is marked or held already.
    marked = {"number": NUMBER, "kind": "骚扰", "reason": "x", "until": "2800-01-01"}
    for _ in range(sight.SEARCHES_AN_HOUR):
        await audit.note(
            run.service.database, who="审计", role="supervisor", what="caller", which=MASKED
        )
    for answer in (
        await send(run, AUDITOR, "POST", "/exports", body),
        await send(run, AUDITOR, "GET", f"/legs/export?caller={NUMBER}"),
        await send(run, AUDITOR, "POST", "/nuisance", marked),
        await send(run, AUDITOR, "POST", "/holds", {"number": NUMBER, "reason": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (429, "searches-limited")


async def test_given_many_searches_at_once_then_no_more_are_answered_than_one_after_the_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "SEARCHES_AN_HOUR", 5)
    who = Identity("8002", "agent", "8002")

    async def search(number: int) -> bool:
        try:
            await sight.searched(database, who, f"138123400{number:02d}")
        except TooManySearches:
            return False
        return True

    answered = await asyncio.gather(*map(search, range(15)))
    assert sum(answered) == 5
    assert len((await audit.entries(database)).items) == 5


async def test_given_a_live_call_then_an_agent_sees_its_number_and_an_auditor_does_not(
    run: Running,
) -> None:
    run.simulated.talk(run.simulated.citizen(NUMBER))
    await told(run)
    (seen,) = (await send(run, AGENT_8002, "GET", "/calls")).json()["items"]
    assert seen["caller"] == NUMBER
    hidden = await send(run, AUDITOR, "GET", "/calls")
    assert hidden.json()["items"][0]["caller"] == MASKED
    assert NUMBER not in hidden.text


# -- nuisance callers ----------------------------------------------------------------------------


async def test_given_a_marked_number_then_its_next_call_shows_it_until_unmarked(
    run: Running,
) -> None:
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    body = {"case": CASE, "kind": "谎报", "reason": "三次假警", "until": until}
    made = await send(run, TOKENS["supervisor"], "POST", "/nuisance", body)
    assert made.status_code == 201
    mark = NuisanceMark.model_validate(made.json())
    assert (mark.number, mark.marked_by) == (f"+86{NUMBER}", "supervisor")
    again = {name: value for name, value in body.items() if name != "case"} | {"number": NUMBER}
    answer = await send(run, TOKENS["supervisor"], "POST", "/nuisance", again)
    assert answer.status_code == 409
    run.simulated.talk(run.simulated.citizen(NUMBER))
    await told(run)
    (call,) = (await send(run, AGENT_8002, "GET", "/calls")).json()["items"]
    assert (call["nuisance"]["kind"], call["nuisance"]["reason"]) == ("谎报", "三次假警")
    assert call["state"] == "talking"  # never blocked
    # Marks made elsewhere are taken up, those taken off are forgotten.
    await run.service.nuisance.refresh()
    assert run.service.nuisance.find(f"0{NUMBER}") is not None
    listed = await send(run, AUDITOR, "GET", "/nuisance")
    assert [one["number"] for one in listed.json()["items"]] == ["+86138****5678"]
    gone = f"/nuisance/{mark.id}"
    assert (await send(run, TOKENS["supervisor"], "DELETE", gone)).status_code == 204
    assert (await send(run, TOKENS["supervisor"], "DELETE", gone)).status_code == 404
    (call,) = (await send(run, AGENT_8002, "GET", "/calls")).json()["items"]
    assert call["nuisance"] is None
    assert (await send(run, TOKENS["supervisor"], "GET", "/nuisance")).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"until": "2020-01-01"}, 422),
        ({"number": None}, 422),
        ({"case": CASE}, 422),
        ({"kind": "其他"}, 422),
        ({"reason": ""}, 422),
    ],
)
async def test_given_a_mark_that_makes_no_sense_then_it_is_refused(
    run: Running, change: dict[str, Any], status: int
) -> None:
    body: dict[str, Any] = {"number": NUMBER, "kind": "骚扰", "reason": "x", "until": "2800-01-01"}
    answer = await send(run, TOKENS["supervisor"], "POST", "/nuisance", body | change)
    assert answer.status_code == status
    of_case = {name: value for name, value in body.items() if name != "number"} | {"case": "no"}
    answer = await send(run, TOKENS["supervisor"], "POST", "/nuisance", of_case)
    assert (answer.status_code, answer.json()["code"]) == (404, "case-not-found")
    assert await run.service.nuisance.marks() == []
