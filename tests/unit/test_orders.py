"""Work orders both ways, over HTTP and through the outbox, on both databases."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from sqlalchemy import func, insert, select, text, update
from structlog.testing import capture_logs

from api.app import create_app
from telephony import audit
from telephony.cases.store import CASES, HANDOVERS, LEDGER, CaseStore
from telephony.cases.work import Actor
from telephony.database import Database
from telephony.models import AuditRecord, CaseDetails, CaseRecord
from telephony.orders.format import json_schema
from telephony.orders.models import OrderMessageRecord
from telephony.orders.outbox import OUTBOX
from telephony.orders.signing import HEADER, KEY_HEADER, PLATFORM_HEADER, sign
from telephony.orders.teller import DETAILS, ORDERS, OrdersTeller
from telephony.record.ledger_check import verify_ledger
from telephony.responsibility import GENESIS
from telephony.service import Service
from telephony.settings import Settings, load_settings
from tests.unit.order_receiving import SECRET, HeldReceiver, eventually, listening
from tests.unit.test_recorder import DAY, make

CASE = "20261124-1795496800.0"
CALLER = "13812345678"
TOKENS = {name: f"{name}-token-of-the-tests" for name in ("8001", "8002", "12345", "admin")}


def settings_for(url: str, port: int = 9, **platform: Any) -> Settings:
    one = {"id": "p", "url": f"http://127.0.0.1:{port}/o", "secrets": [SECRET], "desks": ["12345"]}
    agents = [{"id": "8001"}, {"id": "8002"}]
    tokens = [
        {"name": name, "token": token, "role": "admin" if name == "admin" else "agent"}
        | ({} if name == "admin" else {"agent": name})
        for name, token in TOKENS.items()
    ]
    return load_settings(
        database_url=url,
        platforms=[one | platform],
        outbox={"first_retry_s": 0.01, "longest_retry_s": 0.05},
        agents=agents,
        tokens=tokens,
    )


class Hotline:
    """A service without a PBX, and what a test asks of it."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self.database = self.service.database
        app = create_app(self.service)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api")

    async def ask(
        self, method: str, path: str, who: str = "admin", expect: int = 200, **options: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {TOKENS[who]}", **options.pop("headers", {})}
        answer = await self.client.request(method, f"/api/v1{path}", headers=headers, **options)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    async def send(
        self,
        message: dict[str, Any] | bytes,
        headers: Mapping[str, str] | None = None,
        *,
        at: float | None = None,
    ) -> httpx.Response:
        """What the platform sends; ``at``: signed then (default: now)."""
        body = message if isinstance(message, bytes) else orjson.dumps(message)
        signed = sign(body, [SECRET], int(time.time() if at is None else at))
        sent = {PLATFORM_HEADER: "p", HEADER: signed, **(headers or {})}
        return await self.client.post("/api/v1/orders", content=body, headers=sent)

    async def story(self, case: str) -> list[tuple[str, str | None, str | None, str | None]]:
        """The case's ledger: entry, by, to, and who answers for it then."""
        found = await self.ask("GET", f"/cases/{case}")
        names = ("event", "by", "to", "responsible")
        return [tuple(entry[name] for name in names) for entry in found["ledger"]]

    async def in_outbox(self) -> list[tuple[str, dict[str, Any]]]:
        async with self.database.reading() as connection:
            query = select(OUTBOX.c.kind, OUTBOX.c.body).order_by(OUTBOX.c.id)
            return [tuple(row) for row in await connection.execute(query)]

    async def count(self, model: Any) -> int:
        async with self.database.reading() as connection:
            query = select(func.count()).select_from(model.__table__)
            return await connection.scalar(query) or 0


@asynccontextmanager
async def hotline(url: str, port: int = 9, **platform: Any) -> AsyncIterator[Hotline]:
    one = Hotline(settings_for(url, port, **platform))
    try:
        yield one
    finally:
        await one.client.aclose()
        await one.service.delivery.stop()
        await one.database.close()


Url = Callable[[], str]


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> Url:
    """Makes databases with our tables where one kind of database is enough."""
    numbers = count()
    return lambda: f"sqlite:///{shutil.copy(sqlite_template, tmp_path / f'{next(numbers)}.sqlite')}"


@pytest.fixture
async def run(database_url: str) -> AsyncIterator[Hotline]:
    async with hotline(database_url) as one:
        yield one
        report = await verify_ledger(one.database)
        assert report.problems == []


async def a_case(one: Hotline, caller: str = CALLER) -> None:
    """A case of ours that agent 8001 has, with what was written about it."""
    opened = datetime.fromtimestamp(1_795_496_800, UTC)
    row = CaseRecord(
        case_id=CASE, pbx="pbx1", opened_at=opened, caller=caller, state="open", head=GENESIS
    )
    details = CaseDetails(
        case_id=CASE,
        version=1,
        changed_at=opened,
        changed_by="8001",
        kind="求助",
        summary="请回电 13900000002",
        citizen_name="王小明",
        position="41.5703,120.4508",
    )
    async with one.database.writing() as connection:
        await connection.execute(insert(CASES), [row.model_dump()])
        await connection.execute(insert(DETAILS), [details.model_dump()])
    await one.ask("POST", f"/cases/{CASE}/accept", "8001", json={})


def letter(kind: str, number: int = 1, /, **data: Any) -> dict[str, Any]:
    """A message of the platform."""
    more = {"given_by": "sender"} | data
    told = {"version": 1, "id": f"m{number}", "kind": f"order.{kind}", "case": "T-77"}
    return told | {"sequence": number, "at": "2026-11-24T08:30:00+08:00", "data": more}


NEW = letter(
    "new",
    order="T-1",
    reason="归交警",
    kind="投诉",
    matter="信号灯",
    summary="路口信号灯不亮",
    happened_at="2026-11-24T08:00:00+08:00",
    citizen={"number": CALLER, "name": "李四"},
)


# -- ours to them ---------------------------------------------------------------------------------


async def test_given_a_dispatch_then_the_order_is_told_with_its_case_and_follows_it(
    run: Hotline,
) -> None:
    await a_case(run)
    asked = {"desk": "12345", "reason": "归你们"}
    given = await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json=asked)
    await run.ask("POST", f"/cases/{CASE}/feedback", "8001", json={"text": "又来电"})
    (new, body), (more, told) = await run.in_outbox()
    assert (new, more) == ("order.new", "order.feedback")
    assert (body["order"], body["given_by"], body["accepted"]) == (given["id"], "sender", False)
    assert (body["desk"], body["by"], body["how"]) == ("12345", "8001", "dispatch")
    assert body["reason"] == "归你们"
    assert body["citizen"]["number"] == CALLER
    assert body["summary"] == "请回电 13900000002"
    assert told["text"] == "又来电"
    log = await audit.entries(run.database, which=CASE)
    assert [(one["who"], one["what"]) for one in log.items] == [("p", "order-sent")]
    await run.ask("POST", f"/handovers/{given['id']}/cancel", "8001", 202)
    assert [kind for kind, _ in await run.in_outbox()][2:] == ["order.withdrawn"]
    (order,) = (await run.ask("GET", "/orders"))["items"]
    assert (order["platform"], order["given_by"], order["state"]) == ("p", "us", "withdrawn")
    assert order["number"] == order["handover"] == given["id"]


async def test_given_a_platform_that_sees_no_numbers_then_they_are_masked(
    sqlite_url: Url,
) -> None:
    async with hotline(sqlite_url(), numbers=False) as run:
        await a_case(run)
        asked = {"desk": "12345", "reason": "找13812345678"}
        await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json=asked)
        ((_, body),) = await run.in_outbox()
        assert (await audit.entries(run.database, which=CASE)).items == []
    assert CALLER not in str(body)
    assert "13900000002" not in str(body)
    assert body["citizen"] | {"address": None} == {
        "number": "138****5678",
        "name": "王**",
        "phone": None,
        "address": None,
    }
    assert_fits({"kind": "order.new", "data": body})


@pytest.mark.parametrize("caller", ["anonymous", "#31#13812345678", "12"])
async def test_given_a_number_that_cannot_be_called_then_the_order_goes_without_it(
    sqlite_url: Url, caller: str
) -> None:
    """The other side would refuse it for good, and all that follows in its case would wait."""
    async with hotline(sqlite_url()) as run:
        await a_case(run, caller)
        await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json={"desk": "12345"})
        ((kind, body),) = await run.in_outbox()
    assert body["citizen"]["number"] is None
    assert_fits({"kind": kind, "data": body})


async def test_given_a_decision_while_a_message_about_it_is_taken_then_neither_waits_in_a_ring(
    run: Hotline,
) -> None:
    await a_case(run)
    asked = {"desk": "12345"}
    given = (await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json=asked))["id"]
    boss = Actor("值班长", is_senior=True)
    async with run.database.writing() as connection:
        await CaseStore(run.database, "pbx1").locked(connection, CASE)
        decides = asyncio.create_task(run.service.case_book.decide(given, "cancel", actor=boss))
        if not run.database.is_sqlite:
            await eventually(lambda: _somebody_waits(run.database))
        mine = update(HANDOVERS).where(HANDOVERS.c.id == given)
        await connection.execute(mine.values(reason="归你们"))
    assert (await decides).state == "cancelled"


async def _somebody_waits(database: Database) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with database.reading() as connection:
        return bool(await connection.scalar(query))


async def test_given_a_kind_that_a_platform_does_not_want_then_it_is_not_told(
    sqlite_url: Url,
) -> None:
    async with hotline(sqlite_url(), kinds=["order.new"]) as run:
        await a_case(run)
        await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json={"desk": "12345"})
        await run.ask("POST", f"/cases/{CASE}/feedback", "8001", json={"text": "又来电"})
        assert [kind for kind, _ in await run.in_outbox()] == ["order.new"]


def assert_fits(part: dict[str, Any]) -> None:
    """A message is as the published schema says."""
    whole = {"version": 1, "id": "x", "case": CASE, "sequence": 1}
    whole |= {"at": "2026-11-24T08:30:00+00:00"} | part
    jsonschema_rs.validator_for(json_schema()).validate(whole)


async def test_given_what_we_are_told_of_our_order_then_it_stands_in_the_ledger(
    run: Hotline,
) -> None:
    await a_case(run)
    given = await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json={"desk": "12345"})
    about = {"order": given["id"], "given_by": "receiver"}

    async def say(kind: str, number: int, **data: Any) -> dict[str, Any]:
        answer = await run.send(letter(kind, number, **about, **data))
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    accepted = await say("accepted", 1)
    assert accepted == about | {"case": CASE, "state": "accepted", "applied": True}
    assert (await say("accepted", 2))["applied"] is False
    await say("feedback", 3, text="已派人")
    await say("refused", 4, reason="不归我们")
    assert (await say("closed", 5))["state"] == "refused"
    assert await run.story(CASE) == [
        ("taken", "8001", None, "8001"),
        ("offered", "8001", "12345", "8001"),
        ("accepted", None, "12345", "12345"),
        ("feedback", "12345", None, "12345"),
        ("returned", "12345", "8001", "8001"),
    ]
    found = await run.ask("GET", f"/handovers/{given['id']}")
    assert found["state"] == "accepted"
    # What they said is not told back to them.
    assert [kind for kind, _ in await run.in_outbox()] == ["order.new"]


async def test_given_they_settle_our_order_then_the_case_is_closed_and_may_be_reopened(
    run: Hotline,
) -> None:
    await a_case(run)
    given = await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json={"desk": "12345"})
    about = {"order": given["id"], "given_by": "receiver"}
    assert (await run.send(letter("closed", 1, **about))).status_code == 409
    for number, kind in enumerate(("accepted", "closed"), 2):
        assert (await run.send(letter(kind, number, **about))).status_code == 200
    assert (await run.ask("GET", f"/cases/{CASE}"))["state"] == "closed"
    await run.ask("POST", f"/cases/{CASE}/reopen", "8001", json={"reason": "没修好"})
    kinds = [(kind, body.get("reason")) for kind, body in await run.in_outbox()]
    assert kinds == [("order.new", None), ("order.reopened", "没修好")]
    assert (await run.ask("GET", f"/cases/{CASE}"))["owner"] == "12345"


# -- theirs to us ---------------------------------------------------------------------------------


async def test_given_a_new_order_then_a_case_of_theirs_is_offered_to_us_and_they_hear_of_it(
    run: Hotline,
) -> None:
    answer = (await run.send(NEW)).json()
    case = answer["case"]
    assert answer == {"order": "T-1", "given_by": "sender", "case": case, "state": "new"} | {
        "applied": True
    }
    assert await run.story(case) == [
        ("taken", "12345", None, "12345"),
        ("offered", "12345", "2800122", "12345"),
    ]
    whole = await run.ask("GET", f"/cases/{case}")
    assert (whole["handed_over_by"], whole["their_case"], whole["caller"]) == (
        "12345",
        "T-77",
        CALLER,
    )
    assert (whole["details"]["matter"], whole["details"]["citizen_name"]) == ("信号灯", "李四")
    # Nobody of ours has it yet: an agent sees no number.
    assert (await run.ask("GET", f"/cases/{case}", "8002"))["caller"] == "138****5678"
    await run.ask("POST", f"/cases/{case}/accept", "8002", json={})
    assert (await run.ask("GET", f"/cases/{case}", "8002"))["caller"] == CALLER
    assert (await run.story(case))[2:] == [("accepted", None, "8002", "8002")]
    await run.ask("POST", f"/cases/{case}/feedback", "8002", json={"text": "已修"})
    await run.ask("POST", f"/cases/{case}/close", "8002", json={"result": "亮了"})
    told = [(kind, body["order"], body["given_by"]) for kind, body in await run.in_outbox()]
    assert told == [
        (f"order.{kind}", "T-1", "receiver") for kind in ("accepted", "feedback", "closed")
    ]
    for kind, body in await run.in_outbox():
        assert_fits({"kind": kind, "data": body})


async def test_given_a_new_order_with_a_matter_of_our_directory_then_it_has_its_desk_and_limit(
    run: Hotline,
) -> None:
    rows = "code,name,category,direction,desk,feedback_h\n7,信号灯,建议,both,122,16\n"
    kind = {"Content-Type": "text/csv"}
    await run.ask("POST", "/matters/import", content=rows.encode(), headers=kind)
    told: list[dict[str, Any]] = []
    for site in run.service.sites:
        site.proposals._tell = told.append
    case = (await run.send(NEW)).json()["case"]
    # The floor hears of it at once, and once.
    await run.send(NEW, at=time.time() + 1)
    assert [(one["case"], one["matter"], one["desk"]) for one in told] == [(case, "信号灯", "122")]
    proposal = await run.ask("GET", f"/cases/{case}/proposal", "8002")
    assert (proposal["matter"]["code"], proposal["matter"]["feedback_h"]) == ("7", 16)
    assert (proposal["desk"], proposal["version"]) == ("122", 1)


async def test_given_a_refusal_then_it_stays_theirs_and_they_hear_why(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    await run.ask("POST", f"/cases/{case}/decline", "8001", json={"reason": "不归我们"})
    assert (await run.story(case))[2:] == [("declined", None, "2800122", "12345")]
    ((kind, body),) = await run.in_outbox()
    assert (kind, body["reason"]) == ("order.refused", "不归我们")
    late = await run.send(letter("withdrawn", 2, order="T-1"))
    assert (late.status_code, late.json()["applied"]) == (200, False)


async def test_given_they_take_it_back_then_nobody_of_ours_is_asked_any_more(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    assert (await run.send(letter("withdrawn", 2, order="T-1"))).json()["state"] == "withdrawn"
    assert (await run.story(case))[2:] == [("withdrawn", None, "2800122", "12345")]
    await run.ask("POST", f"/cases/{case}/accept", "8001", 403, json={})
    assert await run.in_outbox() == []


async def test_given_they_take_back_what_we_accepted_then_they_answer_for_it(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    await run.ask("POST", f"/cases/{case}/accept", "8001", json={})
    assert (await run.send(letter("withdrawn", 2, order="T-1"))).status_code == 200
    assert (await run.story(case))[3:] == [("returned", "12345", "12345", "12345")]


async def test_given_whose_order_it_is_then_they_cannot_accept_for_us(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    assert (await run.send(letter("accepted", 2, order="T-1"))).status_code == 200
    assert (await run.story(case))[2:] == [("feedback", "12345", None, "12345")]
    await run.ask("POST", f"/cases/{case}/accept", "8001", json={})
    assert (await run.ask("GET", f"/cases/{case}"))["owner"] == "8001"
    refused = await run.send(letter("refused", 3, order="T-1", reason="x"))
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")


async def test_given_a_second_order_of_their_case_then_it_is_the_same_case_of_ours(
    run: Hotline,
) -> None:
    case = (await run.send(NEW)).json()["case"]
    await run.ask("POST", f"/cases/{case}/decline", "8001", json={"reason": "不归我们"})
    again = await run.send(letter("new", 2, order="T-2"))
    assert again.json()["case"] == case
    assert (await run.story(case))[3:] == [("offered", "12345", "2800122", "12345")]
    twice = await run.send(letter("new", 3, order="T-2"))
    assert (twice.status_code, twice.json()["code"]) == (409, "wrong-state")
    assert await run.count(CaseRecord) == 1


# -- what is not believed -------------------------------------------------------------------------


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


# -- two hotlines ---------------------------------------------------------------------------------


async def test_given_two_hotlines_then_an_order_goes_there_and_back(sqlite_url: Url) -> None:
    """Both sides are this service: what one sends the other takes, until it is settled."""
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(hotline(sqlite_url(), id="traffic", desks=["122"]))
        receiver = Forwarding(there)
        port = await stack.enter_async_context(listening(receiver))
        here = await stack.enter_async_context(hotline(sqlite_url(), port, own_id="traffic"))
        await a_case(here)
        here.service.delivery.start()
        asked = {"desk": "12345", "reason": "归你们"}
        await here.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json=asked)
        await eventually(lambda: is_there(there))
        ((case,),) = await rows(there, select(CASES.c.case_id))
        await there.ask("POST", f"/cases/{case}/accept", "8001", json={})
        await there.ask("POST", f"/cases/{case}/close", "8001", json={"result": "好了"})
        for kind, body in await there.in_outbox():
            told = letter(kind.removeprefix("order."), len(kind), **body)
            assert (await here.send(told)).status_code == 200
        assert (await here.ask("GET", f"/cases/{CASE}"))["state"] == "closed"
        assert [entry[0] for entry in await here.story(CASE)] == [
            *("taken", "offered", "accepted", "closed")
        ]


async def is_there(one: Hotline) -> bool:
    return await one.count(CaseRecord) == 1


async def rows(one: Hotline, query: Any) -> list[Any]:
    async with one.database.reading() as connection:
        return list((await connection.execute(query)).all())


class Forwarding(HeldReceiver):
    """Passes what comes on to a hotline without a socket."""

    def __init__(self, to: Hotline) -> None:
        super().__init__()
        self._to = to

    async def answer(self, body: bytes, headers: Any) -> dict[str, Any]:
        names = (PLATFORM_HEADER, HEADER, KEY_HEADER)
        sent = {name: headers[name.lower()] for name in names}
        answer = await self._to.client.post("/api/v1/orders", content=body, headers=sent)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


async def test_given_the_outbox_over_http_then_an_admin_decides(sqlite_url: Url) -> None:
    async with hotline(sqlite_url()) as run:
        await a_case(run)
        await run.ask("POST", f"/cases/{CASE}/dispatch", "8001", 201, json={"desk": "12345"})
        await run.ask("GET", "/outbox", "8001", 403)
        (shown,) = (await run.ask("GET", "/outbox", json=None))["items"]
        assert (shown["kind"], shown["state"], shown["case"]) == ("order.new", "waiting", CASE)
        assert "body" not in shown
        path = f"/outbox/{shown['id']}"
        await run.ask("POST", f"{path}/retry", expect=204)
        await run.ask("POST", f"{path}/skip", expect=422, json={"reason": ""})
        await run.ask("POST", f"{path}/skip", expect=204, json={"reason": "电话里说过了"})
        await run.ask("POST", f"{path}/retry", expect=409)
        await run.ask("POST", "/outbox/999/retry", expect=404)
        assert (await run.ask("POST", "/outbox/retry", json={})) == {"messages": 0}
        log = await audit.entries(run.database)
        done = [one["what"] for one in log.items if one["role"] == "admin"]
        assert done.count("message-skip") == 1
        assert done.count("message-retry") == 2


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


async def test_given_a_call_that_a_desk_accepted_then_the_recorder_gives_its_platform_the_order(
    database: Database, tmp_path: Path
) -> None:
    """The order comes from the PBX's own rows, once, however often they are read."""
    platform = {"id": "p", "url": "http://127.0.0.1:9/o", "secrets": [SECRET], "desks": ["110"]}
    teller = OrdersTeller(database, load_settings(platforms=[platform]))
    database.ledger_followers.append(teller.follow)
    (tmp_path / "Master.csv").write_bytes(DAY)
    for _ in range(2):
        await make(database, tmp_path).catch_up()
    async with database.reading() as connection:
        query = select(ORDERS.c.case_id, ORDERS.c.number, ORDERS.c.state)
        orders = {tuple(row) for row in await connection.execute(query)}
        told = (await connection.execute(select(OUTBOX.c.kind, OUTBOX.c.body))).all()
        entries = select(LEDGER.c.case_id, LEDGER.c.handover).where(
            LEDGER.c.event == "accepted", LEDGER.c.to == "110"
        )
        accepted = {(*row, "accepted") for row in await connection.execute(entries)}
    assert orders == accepted
    assert len(told) == len(orders) >= 1
    assert all(kind == "order.new" and body["accepted"] for kind, body in told)
    for kind, body in told:
        assert_fits({"kind": kind, "data": body})
