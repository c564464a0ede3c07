"""Deleting by rule: what goes, what a legal hold keeps, and ledgers that can still be checked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
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
from telephony.cases.work import Actor
from telephony.cli import app
from telephony.database import Database
from telephony.errors import CaseNotFound, InvalidValue, WrongState
from telephony.record.ledger_check import DELETED_CASES, DELETIONS, verify_ledger
from telephony.record.store import ROWS
from telephony.retention import sounds
from telephony.retention.book import HoldNotFound, RetentionBook, held_now
from telephony.retention.keeper import next_run
from telephony.retention.rules import DELETIONS_LEDGER
from telephony.retention.subjects import (
    BROKEN,
    LANES,
    LEGS,
    MESSAGES,
    ORDER_MESSAGES,
    OUTBOX,
    POSITIONS,
)
from telephony.settings import Settings
from tests.unit.api_fixtures import running
from tests.unit.test_recorder import DAY, make

TRANSFER = "20261124-1795497294.19"
CALLER = "13812345678"
BOSS = Actor("值班长", is_senior=True)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def day(database: Database, tmp_path: Path) -> Database:
    """A database with a day of recorded calls, of which one case is closed."""
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    settings = Settings(database_url="sqlite://")
    book = CaseBook(database, settings, Dispatches(database, settings))
    await book.act(TRANSFER, "close", actor=BOSS)
    return database


def book_of(database: Database, **days: Any) -> RetentionBook:
    folders: dict[str, Any] = {
        name: {"folder": days.pop(name)} for name in ("recording", "messages") if name in days
    }
    told: dict[str, Any] = {"retention": {"batch": 3, **days}, **folders}
    told["database_url"] = "sqlite://"
    return RetentionBook(database, Settings.model_validate(told))


async def count(database: Database, source: Any, *where: Any) -> int:
    async with database.reading() as connection:
        query = select(func.count()).select_from(source).where(*where)
        return int((await connection.execute(query)).scalar_one())


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


async def test_given_sound_that_is_old_then_its_file_goes_but_no_other(
    day: Database, tmp_path: Path
) -> None:
    recordings, sounds = tmp_path / "recordings", tmp_path / "messages"
    for folder in (recordings, sounds):
        folder.mkdir()
    other = "20261124-1795497300.1"
    old = [f"{TRANSFER}~1.1.wav", f"{other}~2.2.wav", "mine.wav", f"{other}~2.3.txt"]
    for name in old:
        (recordings / name).write_bytes(b"RIFF")
        os.utime(recordings / name, (1, 1))
    (recordings / f"{other}~new.wav").write_bytes(b"RIFF")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    common = {"pbx": "pbx1", "kind": "message", "at": at, "why": "day", "sound_state": "ok"}
    rows = [
        {**common, "id": str(number), "name": f"{case}-m1", "case_id": case, "tries": 0}
        | {"state": state, "file": f"{number}.wav"}
        for number, (case, state) in enumerate(
            [(TRANSFER, "answered"), (other, "answered"), (other + "0", "open")]
        )
    ]
    for row in rows:
        (sounds / str(row["file"])).write_bytes(b"RIFF")
    async with day.writing() as connection:
        await connection.execute(insert(MESSAGES), rows)
    days: dict[str, Any] = {"recordings_days": 1, "messages_days": 1}
    book = book_of(day, **days, recording=recordings, messages=sounds)
    await book.hold(case=TRANSFER, reason="诉讼", until=None, who="x")
    now = datetime.now(UTC)
    dry = await book.run(dry=True, now=now)
    assert len(list(recordings.iterdir())) == 5
    done = await book.run(now=now)
    for outcomes in (dry, done):
        assert [(one.what, one.count, one.held) for one in outcomes] == [
            ("messages", 1, 1),
            ("recordings", 1, 1),
        ]
    kept = sorted(one.name for one in recordings.iterdir())
    assert kept == sorted([*(one for one in old if "2.2" not in one), f"{other}~new.wav"])
    assert sorted(one.name for one in sounds.iterdir()) == ["0.wav", "2.wav"]
    assert await count(day, MESSAGES, MESSAGES.c.id.in_(("0", "1", "2"))) == 2


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


async def test_given_a_run_that_breaks_off_then_no_sound_is_lost_and_none_is_left(
    day: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    common = {"pbx": "pbx1", "kind": "message", "at": at, "why": "day", "sound_state": "ok"}
    rows = [
        {**common, "id": name, "name": name, "case_id": TRANSFER, "tries": 0}
        | {"state": "answered", "file": f"{name}.wav"}
        for name in ("a", "b")
    ]
    async with day.writing() as connection:
        await connection.execute(insert(MESSAGES), rows)
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    book = book_of(day, messages_days=1, messages=tmp_path)

    def breaks(_entry: Any) -> str:
        raise RuntimeError("no disk")

    def sounds() -> list[str]:
        return sorted(one.name for one in tmp_path.glob("*.wav*"))

    with monkeypatch.context() as broken:
        broken.setattr("telephony.retention.book.deletion_hash", breaks)
        with pytest.raises(RuntimeError, match="no disk"):
            await book.run(now=LATER)
    assert await count(day, MESSAGES, MESSAGES.c.id.in_(("a", "b"))) == 2
    # They are there again before anything else is done, and a hold that came meanwhile keeps them.
    hold = await book.hold(case=TRANSFER, reason="诉讼", until=None, who="x")
    await book.run(now=LATER)
    assert sounds() == ["a.wav", "b.wav"]
    await book.release(hold["id"], reason="终结", who="x")
    with monkeypatch.context() as broken:
        broken.setattr("telephony.retention.sounds.Path.unlink", breaks)
        with pytest.raises(RuntimeError, match="no disk"):
            await book.run(now=LATER)
    assert await count(day, MESSAGES, MESSAGES.c.id.in_(("a", "b"))) == 0
    await book.run(now=LATER)
    assert sounds() == []


async def test_given_two_runs_at_once_then_the_second_takes_no_sound_of_the_first_for_a_left_one(
    day: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"pbx": "pbx1", "kind": "message", "at": at, "why": "day", "sound_state": "ok"}
    row |= {"id": "a", "name": "a", "case_id": TRANSFER, "tries": 0, "state": "answered"}
    async with day.writing() as connection:
        await connection.execute(insert(MESSAGES), [row | {"file": "a.wav"}])
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    put_aside, reached, goes_on = sounds.put_aside, asyncio.Event(), asyncio.Event()

    async def slowly(files: Sequence[Path]) -> None:
        await put_aside(files)
        reached.set()
        await goes_on.wait()

    monkeypatch.setattr(sounds, "put_aside", slowly)
    first, second = (
        asyncio.create_task(book_of(day, messages_days=1, messages=tmp_path).run(now=LATER))
        for _ in range(2)
    )
    await reached.wait()
    asyncio.get_running_loop().call_later(0.3, goes_on.set)  # time for the other one to look
    done = await asyncio.gather(first, second)
    assert sum(one.count for outcomes in done for one in outcomes) >= 1
    left = await asyncio.to_thread(lambda: list(tmp_path.glob("*.wav*")))
    assert left == []


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
