"""Calls over HTTP: what is shown, the keys, and every way in which a request is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.api_fixtures import AGENT_8001, Running, running, told

CALLS = "/api/v1/calls"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


async def test_the_calls_now(run: Running) -> None:
    citizen = run.simulated.citizen("13900000001")
    agent = run.simulated.talk(citizen)
    await told(run)
    async with run.as_("agent") as client:
        (call,) = (await client.get(CALLS)).json()["items"]
        assert (await client.get(f"{CALLS}/{citizen.account}")).json() == call
    assert call["id"] == citizen.uniqueid
    assert call["case"] == citizen.account
    assert call["state"] == "talking"
    assert call["caller"] == "13900000001"
    assert call["handover"] is None
    assert call["started_at"] == "2026-11-24T05:06:41Z"
    assert [
        (party["uniqueid"], party["role"], party["party"], party["with_citizen"])
        for party in call["parties"]
    ] == [
        (citizen.uniqueid, "citizen", "13900000001", False),
        (agent.uniqueid, "agent", "8001", True),
    ]


@pytest.mark.parametrize(("key", "kind"), [("transfer", "one-key"), ("conference", "three-way")])
async def test_a_key_answers_with_the_hand_over(run: Running, key: str, kind: str) -> None:
    citizen = run.simulated.citizen()
    run.simulated.talk(citizen)
    await told(run)
    async with run.as_("agent") as client:
        answer = await client.post(
            f"{CALLS}/{citizen.uniqueid}/{key}", json={"desk": "110", "reason": "盗窃"}
        )
        assert answer.status_code == 202
        assert answer.json() == {
            "id": f"{citizen.account}-h1",
            "call": citizen.uniqueid,
            "case": citizen.account,
            "desk": "110",
            "by": "8001",
            "kind": kind,
            "state": "offered",
        }
        call = (await client.get(f"{CALLS}/{citizen.uniqueid}")).json()
        assert call["state"] == "handing-over"
        assert call["handover"]["id"] == answer.json()["id"]
        again = await client.post(f"{CALLS}/{citizen.uniqueid}/{key}", json={"desk": "12345"})
    assert again.status_code == 409
    assert again.json()["code"] == "handover-running"
    assert again.json()["handover"] == answer.json()["id"]


async def test_an_agents_token_moves_only_its_own_calls(run: Running) -> None:
    own, other = run.simulated.citizen(), run.simulated.citizen("13900000002")
    run.simulated.talk(own, "PJSIP/8001")
    run.simulated.talk(other, "PJSIP/8002")
    await told(run)
    async with run.client(AGENT_8001) as client:
        for key in ("transfer", "conference"):
            refused = await client.post(f"{CALLS}/{other.uniqueid}/{key}", json={"desk": "110"})
            assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")
        moves = {"Setvar", "Redirect", "Originate"}
        assert not moves & {action["Action"] for action in run.simulated.actions}
        taken = await client.post(f"{CALLS}/{own.uniqueid}/transfer", json={"desk": "110"})
        assert taken.status_code == 202


@pytest.mark.parametrize("key", ["transfer", "conference"])
async def test_what_does_not_exist_is_not_found(run: Running, key: str) -> None:
    citizen = run.simulated.citizen()
    run.simulated.talk(citizen)
    await told(run)
    async with run.as_("agent") as client:
        answer = await client.post(f"{CALLS}/1.1/{key}", json={"desk": "110"})
        assert (answer.status_code, answer.json()["code"]) == (404, "call-not-found")
        answer = await client.post(f"{CALLS}/{citizen.uniqueid}/{key}", json={"desk": "999"})
        assert (answer.status_code, answer.json()["code"]) == (404, "desk-not-found")
        run.simulated.extensions.clear()  # in the settings, but the PBX has another dialplan
        answer = await client.post(f"{CALLS}/{citizen.uniqueid}/{key}", json={"desk": "110"})
        assert (answer.status_code, answer.json()["code"]) == (404, "desk-not-found")
        answer = await client.get(f"{CALLS}/1.1")
        assert (answer.status_code, answer.json()["code"]) == (404, "call-not-found")


async def test_nobody_talks_with_the_citizen_yet(run: Running) -> None:
    citizen = run.simulated.citizen()
    run.simulated.queue(citizen)
    await told(run)
    async with run.as_("agent") as client:
        answer = await client.post(f"{CALLS}/{citizen.uniqueid}/transfer", json={"desk": "110"})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"desk": ""}, "body.desk"),
        ({"desk": 110}, "body.desk"),
        ({"desk": "110\r\nAction: Logoff"}, "body.desk"),
        ({"desk": "1" * 200}, "body.desk"),
        ({"desk": "110", "reason": "a\nb"}, "body.reason"),
        ({"desk": "110", "reason": "x" * 201}, "body.reason"),
        ({"desk": "110", "reson": "a"}, "body.reson"),
        ([], "body"),
        ("110", "body"),
    ],
)
async def test_a_bad_body_is_refused_with_its_fields(
    run: Running, body: object, field: str
) -> None:
    citizen = run.simulated.citizen()
    run.simulated.talk(citizen)
    await told(run)
    asked = len(run.simulated.actions)
    async with run.as_("agent") as client:
        answer = await client.post(f"{CALLS}/{citizen.uniqueid}/transfer", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "request-invalid"
    assert [error["field"] for error in problem["errors"]] == [field]
    assert len(run.simulated.actions) == asked


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
async def test_a_body_that_is_no_json_is_refused(run: Running, content: bytes) -> None:
    async with run.as_("agent") as client:
        answer = await client.post(
            f"{CALLS}/1.1/transfer", content=content, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 422
    assert answer.json()["code"] == "request-invalid"


async def test_without_a_pbx_all_of_it_is_a_clear_503_at_once(run: Running) -> None:
    citizen = run.simulated.citizen()
    run.simulated.talk(citizen)
    await told(run)
    down = asyncio.Event()
    run.service.client.on_down(down.set)
    await run.simulated.stop()
    await down.wait()
    body = {"desk": "110"}
    async with run.as_("agent") as client:
        began = time.monotonic()
        answers = [
            await client.get(CALLS),
            await client.get(f"{CALLS}/{citizen.uniqueid}"),
            await client.post(f"{CALLS}/{citizen.uniqueid}/transfer", json=body),
            await client.post(f"{CALLS}/{citizen.uniqueid}/conference", json=body),
        ]
        assert time.monotonic() - began < 1  # the promise of the interface, for four of them
        ready = await client.get("/readyz")
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["code"] for answer in answers} == {"pbx-unavailable"}
    assert all(answer.headers["retry-after"] for answer in answers)
    assert (ready.status_code, ready.json()["parts"]) == (503, "pbx")


async def test_the_desks(run: Running) -> None:
    async with run.as_("agent") as client:
        desks = (await client.get("/api/v1/desks")).json()["items"]
    assert [desk["id"] for desk in desks] == ["110", "12345", "122"]
    assert {desk["kind"] for desk in desks} == {"desk"}
    assert set(desks[0]) == {"id", "kind", "name", "department", "ring_s", "acceptance"}
