"""Our work orders as other platforms hear of them, on both databases, and what comes of them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from telephony import audit
from telephony.cases.store import CASES, HANDOVERS, LEDGER, CaseStore
from telephony.cases.work import Actor
from telephony.database import Database
from telephony.models import CaseDetails, CaseRecord
from telephony.orders.outbox import OUTBOX
from telephony.orders.signing import HEADER, KEY_HEADER, PLATFORM_HEADER
from telephony.orders.teller import DETAILS, ORDERS, OrdersTeller
from telephony.responsibility import GENESIS
from telephony.settings import load_settings
from tests.unit.day_of_calls import DAY, make
from tests.unit.order_hotline import (
    CALLER,
    CASE,
    Hotline,
    Url,
    assert_fits,
    hotline,
    letter,
    rows,
    run,
    sqlite_url,
)
from tests.unit.order_receiving import SECRET, HeldReceiver, eventually, listening

__all__ = ["run", "sqlite_url"]  # fixtures


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
