"""What is late and who holds it: over HTTP, in the live events, by command."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from api.schemas.live import LiveFrame
from telephony.cases.store import CASES, CaseStore
from telephony.cel.rows import Fact
from telephony.cli import app
from telephony.legs.model import moment
from telephony.models import CaseRecord
from telephony.responsibility import GENESIS
from tests.unit.api_fixtures import AGENT_8001, Running, running
from tests.unit.smtp_server import smtp_server

FIRST, SECOND = "20261001-1790000000.0", "20261001-1790000001.0"
DAY_US = 86_400 * 1_000_000


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    agents = [{"id": "8001", "department": "民意服务中心"}]
    async with running(tmp_path, agents=agents, deadlines={}) as run:
        yield run


async def add(run: Running, case: str, days_ago: int) -> None:
    """A case that 8001 took and 110 accepted so many days ago."""
    database = run.service.database
    at = time.time_ns() // 1000 - days_ago * DAY_US
    row = CaseRecord(
        case_id=case,
        pbx="pbx1",
        opened_at=moment(at),
        caller="13804210001",
        state="open",
        entries=0,
        head=GENESIS,
    )
    store = CaseStore(database, "pbx1")
    name = f"{case}-d1"
    facts = [
        Fact(at, "TAKEN", {"case": case, "agent": "8001", "leg": "1790000000.1"}, ""),
        Fact(at + 1, "OFFERED", {"case": case, "id": name, "desk": "110", "by": "8001"}, ""),
        Fact(at + 2, "ACCEPTED", {"case": case, "id": name, "desk": "110"}, ""),
    ]
    async with database.writing() as connection:
        await connection.execute(insert(CASES).values(row.model_dump()))
        for fact in facts:
            await store.note(connection, case, fact)


async def items(run: Running, token: str, **query: Any) -> list[dict[str, Any]]:
    async with run.client(token) as client:
        answer = await client.get("/api/v1/overdue", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


async def test_given_late_cases_then_it_is_one_query_who_holds_them(run: Running) -> None:
    await add(run, FIRST, 30)
    await add(run, SECOND, 20)
    subscriber = run.service.feed.subscribe(frozenset({"calls"}))
    await run.service.deadlines.round()
    supervisor = "supervisor-token-of-the-tests"
    late = await items(run, supervisor)
    assert [one["case"] for one in late] == [FIRST, SECOND]
    one = late[0]
    assert (one["kind"], one["holder"], one["department"]) == ("feedback", "110", "公安局指挥中心")
    assert (one["owner"], one["first_contact"], one["state"]) == ("110", "8001", "handed_over")
    assert one["late_s"] > 86_400
    assert one["caller"] == "13804210001"
    assert None not in (one["reminded_at"], one["escalated_at"], one["head_told_at"])
    # Whoever had a part in the case sees the number, others do not.
    assert (await items(run, AGENT_8001))[0]["caller"] == "13804210001"
    for query, count in (
        ({"holder": "110"}, 2),
        ({"holder": "8001"}, 0),
        ({"department": "公安局指挥中心", "kind": "feedback"}, 2),
        ({"kind": "message"}, 0),
        ({"limit": 1}, 1),
    ):
        assert len(await items(run, supervisor, **query)) == count, query
    async with run.client(supervisor) as client:
        page = (await client.get("/api/v1/overdue", params={"limit": 1})).json()
        rest = await client.get("/api/v1/overdue", params={"cursor": page["next"]})
        assert [row["case"] for row in rest.json()["items"]] == [SECOND]
        assert (await client.get("/api/v1/overdue?kind=late")).status_code == 422
        assert (await client.get("/api/v1/overdue?cursor=x")).status_code == 422
        metrics = (await client.get("/metrics")).text
        assert "hotline_overdue 2.0" in metrics
    frames: list[dict[str, Any]] = []
    while len(frames) < 6:
        async with asyncio.timeout(5):
            frame = orjson.loads(await subscriber.next())
        LiveFrame.model_validate(frame)
        frames += frame.get("deadlines", [])
    for case in (FIRST, SECOND):
        told = [frame["step"] for frame in frames if frame["case"] == case]
        assert told == ["remind", "escalate", "escalate_head"]


async def test_given_a_case_then_it_and_its_list_say_when_it_is_due(run: Running) -> None:
    await add(run, FIRST, 30)
    await add(run, SECOND, 0)
    await run.service.deadlines.round()
    async with run.client(AGENT_8001) as client:
        case = (await client.get(f"/api/v1/cases/{SECOND}")).json()
        due = datetime.fromisoformat(case["due_at"])
        assert due > datetime.now(UTC) + timedelta(days=4)
        assert case["late"] is False
        by_key = {one["key"]: one for one in case["deadlines"]}
        assert set(by_key) == {"feedback:1", f"acceptance:{SECOND}-d1", "feedback:3"}
        assert by_key["feedback:3"]["ended_at"] is None
        assert by_key[f"acceptance:{SECOND}-d1"]["late"] is False
        listed = (await client.get("/api/v1/cases?sort=due")).json()["items"]
        assert [(one["case"], one["late"]) for one in listed] == [(FIRST, True), (SECOND, False)]
        for late, case_id in ((True, FIRST), (False, SECOND)):
            found = await client.get("/api/v1/cases", params={"late": late})
            assert [one["case"] for one in found.json()["items"]] == [case_id]
        closed = await client.post(f"/api/v1/cases/{FIRST}/close", json={})
        assert closed.status_code == 403  # it is 110's
    async with run.as_("supervisor") as client:
        assert (await client.post(f"/api/v1/cases/{FIRST}/close", json={})).status_code == 200
        await run.service.deadlines.round()
        case = (await client.get(f"/api/v1/cases/{FIRST}")).json()
        assert (case["due_at"], case["late"]) == (None, False)
        assert (await client.get("/api/v1/overdue")).json()["items"] == []


async def test_given_late_cases_then_the_command_shows_them(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(run, FIRST, 30)
    await run.service.deadlines.round()
    monkeypatch.setenv("HOTLINE_DATABASE_URL", run.service.settings.database_url)

    def call(*words: str) -> Any:
        return CliRunner().invoke(app, ["cases", *words])

    shown = await asyncio.to_thread(call, "overdue")
    assert shown.exit_code == 0, shown.output
    assert FIRST in shown.output
    told = orjson.loads((await asyncio.to_thread(call, "overdue", "--json")).output)
    assert told["items"][0]["holder"] == "110"
    none = await asyncio.to_thread(call, "overdue", "--holder", "122", "--json")
    assert orjson.loads(none.output)["items"] == []
    assert (await asyncio.to_thread(call, "overdue", "--kind", "x")).exit_code == 2
    assert (await asyncio.to_thread(call, "--holder", "110")).exit_code == 2
    listed = orjson.loads((await asyncio.to_thread(call, "--late", "--by-due", "--json")).output)
    assert [one["case"] for one in listed["items"]] == [FIRST]
    assert (await asyncio.to_thread(call)).exit_code == 0


async def test_given_a_mail_server_then_the_supervisor_is_mailed_without_being_asked(
    tmp_path: Path,
) -> None:
    async with smtp_server() as server:
        mail = {"host": "127.0.0.1", "port": server.port, "tls": "none"}
        told = {"supervisors": ["boss@example.org"]}
        mail["sender"] = "hotline@example.org"
        async with running(tmp_path, deadlines=told, mail=mail) as run:
            await add(run, FIRST, 30)
            run.service.deadlines.poke()
            async with asyncio.timeout(10):
                await server.arrived.wait()
    taken = server.taken[0]
    assert taken.recipients == ["boss@example.org"]
    assert f"【督办：反馈已逾期】{FIRST}" in taken.message["Subject"]
    assert "138****0001" in taken.message.get_content()
    assert "13804210001" not in taken.message.as_string()
