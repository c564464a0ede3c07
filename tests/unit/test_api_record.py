"""The record over HTTP: filters, pages, the export, and what is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import structlog
from sqlalchemy import insert, text
from sqlmodel import SQLModel

from api.schemas.base import Page
from api.schemas.record import Case, Leg, WholeCase
from api.schemas.record_queries import HandoverState
from telephony.models import CaseRecord, HandoverRecord, LedgerRecord, LegRecord
from telephony.record import queries
from telephony.responsibility import OUTCOMES
from tests.unit.api_fixtures import Running, running

LEGS = "/api/v1/legs"
EPOCH = 1795496800
START = datetime.fromtimestamp(EPOCH, UTC)
CASE = f"20261124-{EPOCH}.0"
COUNT = 25


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        await store(run, LegRecord, [leg(number) for number in range(COUNT)])
        case = {"case_id": CASE, "pbx": "pbx1", "opened_at": START, "caller": "13900000000"}
        await store(run, CaseRecord, [{**case, "state": "taken", "first_contact": "8001"}])
        offered = {"id": f"{CASE}-h1", "case_id": CASE, "pbx": "pbx1", "offered_at": START}
        await store(run, HandoverRecord, [{**offered, "state": "busy", "desk": "110", "route": 1}])
        entry = {"case_id": CASE, "number": 1, "key": "k", "at": START, "event": "taken"}
        await store(run, LedgerRecord, [{**entry, "previous": "", "hash": "h"}])
        yield run


async def store(run: Running, table: type[SQLModel], rows: list[dict[str, Any]]) -> None:
    async with run.service.database.writing() as connection:
        for row in rows:
            await connection.execute(insert(table).values(**table(**row).model_dump()))


def leg(number: int) -> dict[str, Any]:
    at = START + timedelta(minutes=number)
    even = number % 2 == 0
    return {
        "pbx": "pbx1",
        "epoch": EPOCH + 60 * number,
        "uniqueid": f"{EPOCH + 60 * number}.{number}",
        "at": at,
        "linkedid": f"{EPOCH}.0",
        "case_id": CASE if number < 2 else None,
        "role": "citizen" if even else "agent",
        "party": '公安,"110"',
        "caller": f"1390000{number:04d}",
        "caller_e164": f"+861390000{number:04d}",
        "agent": None if even else "8001",
        "department": "民意" if even else None,
        "started_at": at,
        "talk_s": 1.5,
        "cause": 16,
        "state": "complete",
        "channels": [f"{EPOCH + 60 * number}.{number}"],
        "channel_names": ["PJSIP/x-1"],
        "segments": [{"with": ["1.1"], "from": at.isoformat(), "to": at.isoformat()}],
    }


async def test_pages_cover_all_legs_once_newest_first(run: Running) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 10}
    async with run.as_("agent") as client:
        while True:
            answer = await client.get(LEGS, params=query)
            assert answer.status_code == 200
            page = Page[Leg].model_validate(answer.json())
            seen += [one.uniqueid for one in page.items]
            if page.next is None:
                break
            query["cursor"] = page.next
    assert seen == [leg(number)["uniqueid"] for number in reversed(range(COUNT))]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"caller": "13900000003"}, [3]),
        ({"caller": "+86 139 0000 0003"}, [3]),
        ({"agent": "8001", "limit": "2"}, [23, 21]),
        ({"department": "民意", "limit": "1"}, [24]),
        ({"case": CASE}, [1, 0]),
        ({"role": "agent", "case": CASE}, [1]),
        ({"from": "2026-11-24T05:29:40+00:00"}, [24, 23]),
        ({"from": "2026-11-24T13:29:40"}, [24, 23]),  # without a zone: Asia/Shanghai
        ({"to": "2026-11-24T05:07:41Z"}, [1, 0]),
        ({"from": "0001-01-01T00:00:00+14:00", "case": CASE}, [1, 0]),
        ({"to": "9999-12-31T23:59:59-14:00", "case": CASE}, [1, 0]),
        ({"caller": "nobody"}, []),
    ],
)
async def test_filters(run: Running, query: dict[str, str], numbers: list[int]) -> None:
    async with run.as_("agent") as client:
        answer = await client.get(LEGS, params=query)
    assert answer.status_code == 200
    assert [item["uniqueid"] for item in answer.json()["items"]] == [
        leg(number)["uniqueid"] for number in numbers
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"callr": "139"}, "query.callr"),
        ({"caller": ["139", "138"]}, "query.caller"),
        ({"limit": "0"}, "query.limit"),
        ({"limit": "501"}, "query.limit"),
        ({"role": "boss"}, "query.role"),
        ({"from": "yesterday"}, "query.from"),
        ({"from": "20261124"}, "query.from"),
        ({"caller": "1\x00"}, "query.caller"),
        ({"from": "2026-11-25", "to": "2026-11-24"}, "query"),
    ],
)
@pytest.mark.parametrize("path", [LEGS, f"{LEGS}/export"])
async def test_a_bad_query_is_refused(
    run: Running, path: str, query: dict[str, str | list[str]], field: str
) -> None:
    async with run.as_("admin") as client:
        answer = await client.get(path, params=query)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_cursor_that_is_not_ours_is_refused(run: Running) -> None:
    async with run.as_("agent") as client:
        for cursor in ("x", "WzFd", "AAAA"):
            answer = await client.get(LEGS, params={"cursor": cursor})
            assert (answer.status_code, answer.json()["code"]) == (422, "cursor-invalid")


async def test_one_leg(run: Running) -> None:
    async with run.as_("agent") as client:
        answer = await client.get(f"{LEGS}/pbx1/{leg(3)['uniqueid']}")
        assert Leg.model_validate(answer.json()).agent == "8001"
        for path in (f"{LEGS}/pbx1/1.1", f"{LEGS}/pbx2/{leg(3)['uniqueid']}"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "leg-not-found")


async def test_the_export_is_csv_oldest_first(run: Running) -> None:
    async with run.as_("supervisor") as client:
        answer = await client.get(f"{LEGS}/export", params={"agent": "8001"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["uniqueid"] for row in rows] == [leg(n)["uniqueid"] for n in range(1, COUNT, 2)]
    assert rows[0]["party"] == '公安,"110"'


async def test_handovers_by_their_state(run: Running) -> None:
    assert {"offered", "accepted", *OUTCOMES} == set(get_args(HandoverState))
    async with run.as_("agent") as client:
        path = "/api/v1/handovers"
        found = (await client.get(path, params={"state": "busy"})).json()["items"]
        assert [one["state"] for one in found] == ["busy"]
        assert (await client.get(path, params={"state": "closed"})).json()["items"] == []
        answer = await client.get(path, params={"state": "bussy"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["query.state"]


async def test_cases(run: Running) -> None:
    async with run.as_("agent") as client:
        answer = await client.get("/api/v1/cases", params={"state": "taken"})
        (case,) = Page[Case].model_validate(answer.json()).items
        whole = WholeCase.model_validate((await client.get(f"/api/v1/cases/{case.case}")).json())
        answer = await client.get("/api/v1/cases/20261124-1.1")
    assert (answer.status_code, answer.json()["code"]) == (404, "case-not-found")
    assert case.first_contact == "8001"
    assert [one.uniqueid for one in whole.legs] == [leg(0)["uniqueid"], leg(1)["uniqueid"]]
    assert [(one.desk, one.state) for one in whole.handovers] == [("110", "busy")]
    assert [entry.event for entry in whole.ledger] == ["taken"]


async def test_without_a_database_it_is_a_clear_503(run: Running) -> None:
    async with run.service.database.writing() as connection:
        for table in ("legs", "cases"):
            await connection.execute(text(f"DROP TABLE {table}"))
    async with run.as_("admin") as client:
        for path in (LEGS, f"{LEGS}/export", f"{LEGS}/pbx1/1.1", "/api/v1/cases"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["parts"]) == (503, "database")
        assert (await client.get("/api/v1/calls")).status_code == 200


async def test_an_unexpected_error_shows_nothing_of_our_insides(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the caller 13900000001 broke it")

    monkeypatch.setattr(queries, "list_legs", broken)
    with structlog.testing.capture_logs() as logs:
        async with run.as_("agent") as client:
            answer = await client.get(LEGS, params={"caller": "13900000001"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal"
    assert "13900000001" not in answer.text
    assert "13900000001" not in str(logs)
    assert any(entry.get("error") == "RuntimeError" and entry["at"] for entry in logs)


async def test_other_addresses_and_methods_are_problems_too(run: Running) -> None:
    async with run.as_("admin") as client:
        nothing = await client.get("/api/v1/nothing")
        wrong = await client.delete(LEGS)
    assert (nothing.status_code, nothing.json()["code"]) == (404, "not-found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")
    assert wrong.headers["allow"] == "GET"
    for answer in (nothing, wrong):
        assert answer.headers["content-type"] == "application/problem+json"


async def test_metrics(run: Running) -> None:
    run.simulated.talk(run.simulated.citizen())
    run.simulated.offered(next(iter(run.simulated.channels.values())), "110", by="", kind="")
    await run.service.pbx.get_var(None, "EPOCH")
    async with run.as_("supervisor") as client:
        figures = (await client.get("/metrics")).text
    assert "hotline_ami_up 1.0" in figures
    assert "hotline_calls 1.0" in figures
    assert 'hotline_handovers_total{outcome="offered"} 1.0' in figures
    assert 'hotline_ami_events_total{event="BridgeEnter"} 2.0' in figures
