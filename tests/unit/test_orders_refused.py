"""Messages of other platforms that are refused: sent again, wrongly signed, bad, or too many."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jsonschema_rs
import orjson
import pytest
from structlog.testing import capture_logs

from api.app import create_app
from telephony import audit
from telephony.models import AuditRecord, CaseRecord
from telephony.orders.format import json_schema
from telephony.orders.models import OrderMessageRecord
from telephony.orders.signing import HEADER, KEY_HEADER, PLATFORM_HEADER, sign
from tests.unit.order_hotline import (
    NEW,
    TOKENS,
    Hotline,
    Url,
    hotline,
    letter,
    run,
    settings_for,
    sqlite_url,
)
from tests.unit.order_receiving import SECRET

__all__ = ["run", "sqlite_url"]  # fixtures


async def refusals(run: Hotline) -> list[tuple[str, str]]:
    log = await audit.entries(run.database)
    refused = [one for one in log.items if one["what"] == "order-refused"]
    return [(one["who"], one["which"]) for one in refused]


async def test_given_the_same_message_again_then_it_is_done_once_and_answered_as_before(
    run: Hotline,
) -> None:
    now = time.time()
    first, *others = await asyncio.gather(*(run.send(NEW, at=now - n) for n in range(4)))
    for one in (first, *others):
        assert one.status_code == 200
        assert one.json() == first.json()
    again = [one.headers.get("idempotency-replayed") for one in (first, *others)]
    assert sorted(map(str, again)) == ["None", "true", "true", "true"]
    assert await run.count(CaseRecord) == 1
    other = await run.send({**NEW, "data": {**NEW["data"], "order": "T-9"}})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_given_a_replay_then_it_is_409_and_logged(run: Hotline) -> None:
    now = time.time()
    assert (await run.send(NEW, at=now)).status_code == 200
    replayed = await run.send(NEW, at=now)
    assert (replayed.status_code, replayed.json()["code"]) == (409, "order-replayed")
    assert replayed.headers["content-type"] == "application/problem+json"
    assert await refusals(run) == [("p", "order-replayed T-1")]
    assert await run.count(CaseRecord) == await run.count(OrderMessageRecord) == 1


@pytest.mark.parametrize("wrong", ["none", "other", "body", "platform", "old", "early", "bearer"])
async def test_given_a_wrong_signature_then_it_is_401_and_logged(run: Hotline, wrong: str) -> None:
    body = orjson.dumps(NEW)
    headers = {
        "none": {HEADER: ""},
        "other": {HEADER: sign(body, ["another-secret" * 3], int(time.time()))},
        "body": {HEADER: sign(body + b" ", [SECRET], int(time.time()))},
        "platform": {PLATFORM_HEADER: "q"},
        "bearer": {HEADER: "", "Authorization": f"Bearer {TOKENS['admin']}"},
    }
    at = time.time() + {"old": -301, "early": 310}.get(wrong, 0)
    answer = await run.send(body, headers.get(wrong), at=at)
    code = "signature-expired" if wrong in ("old", "early") else "signature-wrong"
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert await refusals(run) == [("q" if wrong == "platform" else "p", code)]
    assert await run.count(CaseRecord) == 0


BAD: list[tuple[str, bytes]] = [
    ("no json", b"{"),
    ("no object", b"[]"),
    ("empty", b""),
    ("unknown kind", orjson.dumps({**NEW, "kind": "order.eaten"})),
    ("another version", orjson.dumps({**NEW, "version": 2})),
    ("no order", orjson.dumps({**NEW, "data": {}})),
    ("a line break", orjson.dumps({**NEW, "data": {**NEW["data"], "order": "T\r\n1"}})),
    ("a NUL", orjson.dumps({**NEW, "id": "x\x00y"})),
    ("a year nobody has", orjson.dumps({**NEW, "at": "0001-01-01T00:00:00+08:00"})),
    ("a time that is a number", orjson.dumps({**NEW, "at": 1795496800})),
    ("half a character", orjson.dumps(NEW).replace(b"T-1", b"\\ud800")),
    ("no UTF-8", orjson.dumps(NEW).replace(b"T-1", b"\xff\xfe")),
    ("no reason", orjson.dumps(letter("refused", order="T-1"))),
]


@pytest.mark.parametrize(("what", "body"), BAD, ids=[what for what, _ in BAD])
async def test_given_a_bad_message_then_it_is_422_and_nothing_is_taken(
    sqlite_url: Url, what: str, body: bytes
) -> None:
    async with hotline(sqlite_url()) as run:
        answer = await run.send(body)
        assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid"), what
        assert answer.json()["errors"]
        other_key = await run.send(NEW, {KEY_HEADER: "another"})
        assert other_key.status_code == 422
        unknown = await run.send(letter("feedback", order="T-404", text="x"))
        assert (unknown.status_code, unknown.json()["code"]) == (404, "order-not-found")
        long = await run.send(b" " * 300_000)
        assert (long.status_code, long.json()["code"]) == (413, "too-large")
        assert await run.count(CaseRecord) == await run.count(OrderMessageRecord) == 0


async def test_given_a_flood_of_refused_messages_then_the_audit_log_is_not_filled(
    sqlite_url: Url,
) -> None:
    async with hotline(sqlite_url()) as run:
        for _ in range(70):
            assert (await run.send(NEW, {HEADER: ""})).status_code == 401
        assert len(await refusals(run)) == 50  # a page
        assert await run.count(AuditRecord) == 60
        metrics = (await run.client.get("/metrics", headers=_admin())).text
        assert 'hotline_orders_refused_total{code="signature-wrong"} 70.0' in metrics


async def test_given_a_sender_that_hangs_up_half_way_then_it_is_no_error_of_ours(
    sqlite_url: Url,
) -> None:
    parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])
    answers: list[Any] = []

    async def receive() -> Any:
        return next(parts, {"type": "http.disconnect"})

    async def send(answer: Any) -> None:
        answers.append(answer)

    path = "/api/v1/orders"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"headers": [], "query_string": b"", "root_path": "", "scheme": "http"}
    scope |= {"http_version": "1.1", "server": ("api", 80), "client": ("127.0.0.1", 1)}
    async with hotline(sqlite_url()) as run:
        with capture_logs() as said:
            await create_app(run.service)(scope, receive, send)
    assert answers[0]["status"] == 422
    assert [one for one in said if one["log_level"] == "error"] == []


def _admin() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS['admin']}"}


async def test_given_the_schema_then_what_is_published_is_what_is_checked(sqlite_url: Url) -> None:
    async with hotline(sqlite_url()) as run:
        schema = await run.ask("GET", "/orders/schema", "8001")
    assert schema == json_schema()
    check = jsonschema_rs.validator_for(schema)
    assert check.is_valid(NEW)
    assert not check.is_valid({**NEW, "kind": "order.eaten"})
    assert not check.is_valid(letter("refused", order="T-1"))


async def test_given_the_database_is_away_then_nothing_is_taken_and_they_try_again() -> None:
    one = Hotline(settings_for("postgresql://nobody@127.0.0.1:1/none"))
    answer = await one.send(NEW)
    assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
    assert "retry-after" in answer.headers
    await one.client.aclose()
    await one.database.close()
