"""Dispatch: a case handed to a desk without a call, in the record and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from telephony.models import CaseRecord
from telephony.record.ledger_check import verify_ledger
from telephony.responsibility import GENESIS
from tests.unit.api_fixtures import AGENT_8001, Running, running

CASE = "20261124-1795496800.0"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as one:
        case = CaseRecord(
            case_id=CASE,
            pbx="pbx1",
            opened_at=datetime.fromtimestamp(1795496800, UTC),
            state="open",
            entries=0,
            head=GENESIS,
        )
        async with one.service.database.writing() as connection:
            values = case.model_dump()
            await connection.execute(insert(CaseRecord.__table__).values(**values))  # type: ignore[attr-defined]
        yield one


async def dispatch(
    client: httpx.AsyncClient, desk: str = "110", case: str = CASE, expect: int = 201
) -> dict[str, Any]:
    answer = await client.post(f"/api/v1/cases/{case}/dispatch", json={"desk": desk})
    assert answer.status_code == expect, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def whole(run: Running) -> dict[str, Any]:
    async with run.as_("agent") as client:
        found: dict[str, Any] = (await client.get(f"/api/v1/cases/{CASE}")).json()
        return found


async def assert_ledger_stands(run: Running) -> None:
    report = await verify_ledger(run.service.database)
    assert report.problems == []


@pytest.mark.parametrize(
    ("decision", "state", "owner", "event"),
    [
        ("confirm", "accepted", "110", "accepted"),
        ("decline", "declined", None, "declined"),
        ("cancel", "cancelled", None, "withdrawn"),
    ],
)
async def test_given_dispatch_when_decided_then_recorded_and_responsibility_moves_only_if_taken(
    run: Running, decision: str, state: str, owner: str | None, event: str
) -> None:
    async with run.as_("supervisor") as client:
        offered = await dispatch(client)
        assert (offered["kind"], offered["state"], offered["desk"]) == (
            "dispatch",
            "offered",
            "110",
        )
        assert (await whole(run))["owner"] is None
        answer = await client.post(f"/api/v1/handovers/{offered['id']}/{decision}")
        assert answer.json()["state"] == state
        again = await client.post(f"/api/v1/handovers/{offered['id']}/{decision}")
        assert again.status_code == 409
    case = await whole(run)
    assert case["owner"] == owner
    assert [entry["event"] for entry in case["ledger"]] == ["offered", event]
    assert case["handovers"][0]["state"] == state
    await assert_ledger_stands(run)


async def test_given_open_dispatch_when_offered_again_then_only_to_another_desk(
    run: Running,
) -> None:
    async with run.as_("admin") as client:
        await dispatch(client)
        await dispatch(client, expect=409)
        second = await dispatch(client, desk="12345")
        assert second["id"].endswith("-d2")
    await assert_ledger_stands(run)


async def test_given_wrong_names_when_dispatched_then_404_and_nothing_written(run: Running) -> None:
    async with run.as_("admin") as client:
        assert (await dispatch(client, desk="999", expect=404))["code"] == "desk-not-found"
        assert (await dispatch(client, case="no", expect=404))["code"] == "case-not-found"
        missing = await client.post(f"/api/v1/handovers/{CASE}-d9/confirm")
        assert missing.json()["code"] == "handover-not-found"
    assert (await whole(run))["ledger"] == []


async def test_given_an_agents_token_when_it_confirms_for_a_desk_then_not_allowed(
    run: Running,
) -> None:
    async with run.client(AGENT_8001) as client:
        offered = await dispatch(client)
        assert offered["by"] == "8001"
        refused = await client.post(f"/api/v1/handovers/{offered['id']}/confirm")
        assert refused.status_code == 403
        withdrawn = await client.post(f"/api/v1/handovers/{offered['id']}/cancel")
        assert withdrawn.json()["state"] == "cancelled"


async def test_given_a_case_of_another_side_when_an_agent_dispatches_it_then_not_allowed(
    run: Running,
) -> None:
    async with run.as_("supervisor") as client:
        offered = await dispatch(client)
        await client.post(f"/api/v1/handovers/{offered['id']}/confirm")
    async with run.client(AGENT_8001) as client:
        assert (await dispatch(client, desk="12345", expect=403))["code"] == "not-allowed"
    assert [entry["event"] for entry in (await whole(run))["ledger"]] == ["offered", "accepted"]
