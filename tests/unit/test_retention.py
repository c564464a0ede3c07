"""Deleting by rule: what goes, what stays, and ledgers that can still be checked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, func, insert, select, update
from typer.testing import CliRunner

from telephony.audit import AUDIT
from telephony.cases.book import CaseBook
from telephony.cases.dispatch import Dispatches
from telephony.cases.store import CASES, HANDOVERS, LEDGER
from telephony.cli import app
from telephony.database import Database
from telephony.record.ledger_check import DELETED_CASES, DELETIONS, verify_ledger
from telephony.record.store import ROWS
from telephony.retention.keeper import next_run
from telephony.retention.rules import DELETIONS_LEDGER
from telephony.retention.subjects import (
    BROKEN,
    LANES,
    LEGS,
    ORDER_MESSAGES,
    OUTBOX,
    POSITIONS,
)
from telephony.settings import Settings
from tests.unit.day_of_calls import DAY, make
from tests.unit.retention_scene import BOSS, CALLER, LATER, TRANSFER, book_of, count, day

__all__ = ["day"]  # fixtures


async def everything(database: Database) -> dict[str, int]:
    sources = (ROWS, LEGS, CASES, LEDGER, HANDOVERS)
    return {source.name: await count(database, source) for source in sources}


async def test_given_rules_when_applied_then_what_is_old_goes_and_the_ledgers_stand(
    day: Database,
) -> None:
    before = await everything(day)
    book = book_of(day, cel_days=30, legs_days=60, cases_days=90)
    assert await everything(day) == before
    would = await book.run(dry=True, now=LATER)
    assert await everything(day) == before
    done = await book.run(now=LATER)
    assert [(one.rule, one.count) for one in done] == [(one.rule, one.count) for one in would]
    assert [one.what for one in done] == ["cases", "legs", "cel"]
    after = await everything(day)
    opened = await count(day, LEGS, LEGS.c.state == "open")
    assert (after["cel_rows"], after["legs"]) == (0, opened)
    assert after["cases"] == before["cases"] - 1  # the others are not closed
    assert await count(day, LEDGER, LEDGER.c.case_id == TRANSFER) == 0
    assert await count(day, HANDOVERS, HANDOVERS.c.case_id == TRANSFER) == 0
    report = await verify_ledger(day)
    assert (report.problems, report.deleted) == ([], 1)
    page = await book.deletions(limit=500)
    assert sum(one["count"] for one in page.items if one["what"] == "cel") == before["cel_rows"]
    assert max(one["count"] for one in page.items) == 3
    assert [one["number"] for one in page.items] == list(range(len(page.items), 0, -1))
    part = await book.deletions(limit=2)
    rest = await book.deletions(limit=500, cursor=part.next)
    assert [*part.items, *rest.items] == page.items
    assert [one.count for one in await book.run(now=LATER)] == [0, 0, 0]


async def test_given_cases_that_nobody_closed_then_their_own_rule_counts_from_the_last_entry(
    day: Database,
) -> None:
    (last,) = await latest(day)
    book = book_of(day, unclosed_cases_days=10)
    early = await book.run(now=last + timedelta(days=9))
    assert early[0].count == 0
    done = await book.run(now=last + timedelta(days=11))
    assert done[0].count > 3
    assert await count(day, CASES) == 1  # the closed one
    report = await verify_ledger(day)
    assert (report.problems, report.deleted) == ([], done[0].count)


async def latest(database: Database) -> tuple[datetime]:
    async with database.reading() as connection:
        query = select(func.max(LEDGER.c.at)).where(LEDGER.c.case_id != TRANSFER)
        return ((await connection.execute(query)).scalar_one(),)


async def test_given_a_platform_that_waits_for_news_then_the_case_stays(day: Database) -> None:
    book = book_of(day, cases_days=1)
    now = datetime.now(UTC)
    row = {"destination": "12345", "kind": "x", "case_id": TRANSFER, "sequence": 1, "key": "k"}
    row |= {"body": {}, "state": "waiting", "created_at": now, "next_at": now, "attempts": 0}
    async with day.writing() as connection:
        await connection.execute(insert(OUTBOX), [row])
    assert [one.count for one in await book.run(now=LATER)] == [0]
    async with day.writing() as connection:
        await connection.execute(update(OUTBOX).values(state="delivered"))
    assert [one.count for one in await book.run(now=LATER)] == [1]
    async with day.reading() as connection:
        assert (await connection.execute(select(OUTBOX))).all() == []


async def test_given_a_case_that_came_back_then_it_is_deleted_once_more(day: Database) -> None:
    async with day.reading() as connection:
        here = CASES.c.case_id == TRANSFER
        case = dict((await connection.execute(CASES.select().where(here))).mappings().one())
        entries = LEDGER.select().where(LEDGER.c.case_id == TRANSFER)
        told = [dict(row) for row in (await connection.execute(entries)).mappings()]
    book = book_of(day, cases_days=1)
    for _ in range(2):
        assert [one.count for one in await book.run(now=LATER)] == [1]
        report = await verify_ledger(day)
        assert (report.problems, report.deleted) == ([], 1)
        async with day.writing() as connection:  # an old CEL file was read again
            await connection.execute(insert(CASES), [case])
            await connection.execute(insert(LEDGER), told)


async def test_given_a_case_that_somebody_works_on_then_it_is_left_until_the_next_time(
    day: Database,
) -> None:
    settings = Settings(database_url="sqlite://")
    book, work = book_of(day, cases_days=1), CaseBook(day, settings, Dispatches(day, settings))
    if not day.is_sqlite:  # there nothing is deleted while somebody else writes
        mine = select(CASES).where(CASES.c.case_id == TRANSFER).with_for_update()
        async with day.writing() as connection:
            await connection.execute(mine)
            async with asyncio.timeout(5):
                assert [one.count for one in await book.run(now=LATER)] == [0]
    await work.act(TRANSFER, "reopen", actor=BOSS)
    assert [one.count for one in await book.run(now=LATER)] == [0]
    assert await count(day, CASES, CASES.c.case_id == TRANSFER) == 1


async def test_given_ledgers_that_were_touched_after_deleting_then_it_shows(day: Database) -> None:
    async with day.reading() as connection:
        case = dict((await connection.execute(CASES.select().limit(1))).mappings().one())
    await book_of(day, cases_days=1, unclosed_cases_days=1, cel_days=1).run(now=LATER)
    assert (await verify_ledger(day)).problems == []

    async def found(statement: Any, values: Any = None) -> list[tuple[str, str]]:
        async with day.engine.connect() as connection:
            transaction = await connection.begin()
            await connection.execute(statement, values)
            await transaction.commit()
        return [(one.case, one.reason) for one in (await verify_ledger(day)).problems]

    problems = await found(insert(CASES), [case])
    ((name, reason),) = [one for one in problems if "is on record again" in one[1]]
    assert (name, reason.startswith("was deleted by entry ")) == (case["case_id"], True)
    await found(delete(CASES))
    problems = await found(update(DELETIONS).where(DELETIONS.c.number == 2).values(count=1000))
    assert (DELETIONS_LEDGER, "was changed after it was written") in problems
    here = DELETED_CASES.c.case_id == case["case_id"]
    problems = await found(update(DELETED_CASES).where(here).values(entries=99))
    assert (DELETIONS_LEDGER, "the list of its cases was changed") in problems
    problems = await found(delete(DELETIONS).where(DELETIONS.c.number == 1))
    assert (DELETIONS_LEDGER, "missing: entry 2 follows") in problems


def test_given_the_command_then_it_shows_runs_holds_and_releases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/record.sqlite"

    async def fill() -> None:
        database = Database(url)
        await database.migrate()
        (tmp_path / "Master.csv").write_bytes(DAY)
        await make(database, tmp_path).catch_up()
        await database.close()

    asyncio.run(fill())
    monkeypatch.setenv("HOTLINE_DATABASE_URL", url)
    monkeypatch.setenv("HOTLINE_RETENTION__CEL_DAYS", "1")
    monkeypatch.delenv("HOTLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    def told(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["retention", *arguments, "--json"])
        assert result.exit_code == 0, result.stderr
        return orjson.loads(result.stdout)

    placed = told("hold", "--number", CALLER, "--reason", "诉讼", "--until", "2900-01-01")
    assert told("show")["holds"][0]["id"] == placed["id"]
    (dry,) = told("run", "--dry-run")
    assert told("release", placed["id"], "--reason", "结案")["release_reason"] == "结案"
    assert dry["rule"] == "cel_days=1"
    assert told("show")["rules"][0]["days"] == 1
    for arguments in (["show"], ["run"], ["hold", "--number", "110", "--reason", "x"]):
        assert CliRunner().invoke(app, ["retention", *arguments]).exit_code == 0
    wrong = CliRunner().invoke(app, ["retention", "release", "nothing", "--reason", "x"])
    assert (wrong.exit_code, "hold-not-found" in wrong.stderr) == (1, True)


def test_given_a_time_of_day_then_the_next_run_is_then_in_china() -> None:
    at = time(3, 0)
    before = datetime(2026, 11, 23, 18, 59, tzinfo=UTC)  # 02:59 in China
    assert next_run(before, at) == before + timedelta(minutes=1)
    assert next_run(before + timedelta(minutes=1), at) == before + timedelta(days=1, minutes=1)


async def test_given_what_stands_beside_the_record_then_it_goes_by_rule_as_well(
    day: Database,
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    looks = [
        {"id": which, "at": at, "who": "班长", "role": "supervisor", "what": "case", "which": which}
        for which in (TRANSFER, "20261124-1.1")
    ]
    letter = {"destination": "12345", "kind": "deadline.escalated", "sequence": 0, "attempts": 9}
    letter |= {"case_id": None, "body": {"case": TRANSFER, "caller": CALLER}, "created_at": at}
    letters = [
        {**letter, "key": state, "state": state, "next_at": at} for state in ("dead", "waiting")
    ]
    lane = {"destination": "12345", "case_id": TRANSFER, "last": 4}
    message = {"platform": "12345", "digest": "", "kind": "order.new", "received_at": at}
    messages = [
        {**message, "key": key, "signature": key, "number": key, "answer": {"case": case}}
        for key, case in (("1", TRANSFER), ("2", "20261124-1.1"))
    ]
    async with day.writing() as connection:
        position = (await connection.execute(select(POSITIONS.c.pbx, POSITIONS.c.file))).first()
        assert position is not None
        lines = [
            {
                "pbx": position.pbx,
                "file": position.file,
                "offset": place,
                "reason": "",
                "line": line,
            }
            for place, line in ((1, f'"half a row of {TRANSFER}'), (2, '"half a row'))
        ]
        await connection.execute(delete(BROKEN))
        for source, found in (
            *((AUDIT, looks), (OUTBOX, letters), (LANES, [lane])),
            *((ORDER_MESSAGES, messages), (BROKEN, lines)),
        ):
            await connection.execute(insert(source), found)
    days = {"audit_days": 1, "order_messages_days": 30, "cel_days": 1, "cases_days": 1}
    book = book_of(day, **days)
    hold = await book.hold(case=TRANSFER, reason="诉讼", until=None, who="x")
    outcomes = {one.what: (one.count, one.held) for one in await book.run(now=LATER)}
    assert {outcomes[what] for what in ("broken_rows", "audit", "order_messages")} == {(1, 1)}
    assert await count(day, OUTBOX, OUTBOX.c.key == "dead") == 1
    await book.release(hold["id"], reason="终结", who="x")
    outcomes = {one.what: (one.count, one.held) for one in await book.run(now=LATER)}
    assert {outcomes[what] for what in ("broken_rows", "audit", "order_messages")} == {(1, 0)}
    # The letter that still waits goes out; nothing else of the case is left.
    assert [await count(day, OUTBOX, OUTBOX.c.key == key) for key in ("dead", "waiting")] == [0, 1]
    assert await count(day, LANES, LANES.c.case_id == TRANSFER) == 0
    assert (await verify_ledger(day)).problems == []
