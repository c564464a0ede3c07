"""Legal holds: what they keep, and who sees them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from telephony.cases.store import CASES, HANDOVERS, LEDGER
from telephony.database import Database
from telephony.errors import CaseNotFound, InvalidValue, WrongState
from telephony.record.ledger_check import DELETED_CASES, verify_ledger
from telephony.record.store import ROWS
from telephony.retention.book import HoldNotFound, held_now
from telephony.retention.subjects import (
    LEGS,
)
from tests.unit.api_fixtures import running
from tests.unit.retention_scene import CALLER, LATER, TRANSFER, book_of, count, day

__all__ = ["day"]  # fixtures


async def test_given_a_legal_hold_then_everything_of_it_stays_until_it_ends(day: Database) -> None:
    async with day.writing() as connection:
        other = select(CASES.c.case_id).where(CASES.c.case_id != TRANSFER).limit(1)
        attached = (await connection.execute(other)).scalar_one()
        mine = update(CASES).where(CASES.c.case_id == attached)
        await connection.execute(mine.values(merged_into=TRANSFER, state="merged"))
    book = book_of(day, cel_days=1, legs_days=1, cases_days=1, unclosed_cases_days=1)
    hold = await book.hold(case=TRANSFER, reason="诉讼", until=None, who="法制科")
    again = await book.hold(case=TRANSFER, reason="诉讼", until=None, who="法制科")
    assert hold == again
    kept = {
        source.name: await count(day, source, source.c.case_id.in_((TRANSFER, attached)))
        for source in (ROWS, LEGS, CASES, LEDGER, HANDOVERS)
    }
    done = await book.run(now=LATER)
    assert [bool(one.held) for one in done] == [True, False, True, True]
    assert await count(day, CASES) == 2
    for source in (ROWS, LEGS, CASES, LEDGER, HANDOVERS):
        of_both = source.c.case_id.in_((TRANSFER, attached))
        assert await count(day, source, of_both) == kept[source.name] > 0, source.name
    assert (await verify_ledger(day)).problems == []
    released = await book.release(hold["id"], reason="结案", who="局长")
    assert (released["released_by"], released["release_reason"]) == ("局长", "结案")
    with pytest.raises(WrongState):
        await book.release(hold["id"], reason="结案", who="局长")
    await book.hold(number="138 1234 5678", reason="诉讼", until=None, who="法制科")
    async with day.reading() as connection:
        held = await held_now(connection, datetime.now(UTC))
    assert held.numbers == {f"+86{CALLER}"}
    assert {TRANSFER, attached} <= held.cases
    assert "1795497295.21" in held.calls
    await book.run(now=LATER)
    assert await count(day, CASES) == 2
    (by_number,) = (await book.holds(active=True)).items
    await book.release(by_number["id"], reason="结案", who="局长")
    await book.run(now=LATER)
    assert await count(day, CASES) == 0
    report = await verify_ledger(day)
    assert report.problems == []
    assert {TRANSFER, attached} <= set(await gone(day))


async def gone(database: Database) -> list[str]:
    async with database.reading() as connection:
        return list((await connection.execute(select(DELETED_CASES.c.case_id))).scalars())


async def test_given_a_hold_that_makes_no_sense_then_it_is_refused(day: Database) -> None:
    book = book_of(day)
    common: dict[str, Any] = {"reason": "x", "who": "x"}
    past = datetime.now(UTC) - timedelta(days=1)
    with pytest.raises(InvalidValue):
        await book.hold(case=TRANSFER, until=past, **common)
    with pytest.raises(InvalidValue):
        await book.hold(until=None, **common)
    with pytest.raises(CaseNotFound):
        await book.hold(case="20261124-1.1", until=None, **common)
    with pytest.raises(HoldNotFound):
        await book.release("nothing", reason="x", who="x")
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    short = await book.hold(case=TRANSFER, until=soon, **common)
    assert [one["id"] for one in (await book.holds(active=True)).items] == [short["id"]]
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.01)
    assert (await book.holds(active=True)).items == []
    assert [one["id"] for one in (await book.holds(active=False)).items] == [short["id"]]


async def test_given_holds_over_http_then_who_sees_no_numbers_sees_none(tmp_path: Path) -> None:
    async with running(tmp_path, retention={"legs_days": 730}) as run:
        async with run.as_("supervisor") as client:
            rules = (await client.get("/api/v1/retention")).json()
            assert [(one["what"], one["days"]) for one in rules["rules"]] == [("legs", 730)]
            body = {"number": "138 1234 5678", "reason": "诉讼"}
            placed = await client.post("/api/v1/holds", json=body)
            assert placed.status_code == 201
            hold = placed.json()
            assert (hold["number"], hold["placed_by"]) == (f"+86{CALLER}", "supervisor")
            release = f"/api/v1/holds/{hold['id']}/release"
            assert (await client.post(release, json={"reason": "x"})).status_code == 403
            listed = (await client.get("/api/v1/holds", params={"active": True})).json()
            assert listed["items"] == [hold]
            for wrong in ({"reason": "x"}, {"reason": "x", "case": "1", "number": "2"}):
                refused = await client.post("/api/v1/holds", json=wrong)
                assert (refused.status_code, refused.json()["code"]) == (422, "request-invalid")
            assert (await client.get("/api/v1/deletions")).json() == {"items": [], "next": None}
            assert (await client.get("/api/v1/deletions?cursor=x")).status_code == 422
        async with run.as_("admin") as client:
            assert (await client.post(release, json={"reason": "x"})).status_code == 200
            again = await client.post(release, json={"reason": "x"})
            assert (again.status_code, again.json()["code"]) == (409, "wrong-state")
