"""Cases on a day's real record: story, figures, people writing at once, and the migration."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select, update

from telephony.cases import queries as case_queries
from telephony.cases.book import CaseBook, VersionConflict
from telephony.cases.dispatch import Dispatches
from telephony.cases.store import CASES
from telephony.cases.work import Actor
from telephony.database import MIGRATIONS, Database
from telephony.errors import WrongState
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.record.store import LEGS
from telephony.settings import load_settings
from tests.unit.day_of_calls import DAY, make

TRANSFER = "20261124-1795497294.19"
BOSS = Actor("值班长", is_senior=True)


@pytest.fixture
async def day(database: Database, tmp_path: Path) -> Database:
    """A database with a day of recorded calls."""
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    return database


def book(database: Database) -> CaseBook:
    settings = load_settings()
    return CaseBook(database, settings, Dispatches(database, settings))


async def all_cases(database: Database) -> list[dict[str, Any]]:
    async with database.reading() as connection:
        rows = await connection.execute(select(CASES).order_by(CASES.c.case_id))
        return [dict(row) for row in rows.mappings()]


async def test_given_a_call_that_was_handed_over_then_its_story_is_in_order(day: Database) -> None:
    story = await case_queries.story(day, TRANSFER)
    told = [
        event["leg"]["role"]
        if event["leg"]
        else event["ledger"]["event"]
        if event["ledger"]
        else event["handover"]["kind"]
        for event in story["events"]
    ]
    assert told == ["citizen", "agent", "taken", "one-key", "offered", "target", "accepted"]
    assert (story["handover_count"], story["first_contact_resolution"]) == (1, None)
    assert 0 < story["time_to_answer_s"] < 60
    assert 0 < story["time_to_acceptance_s"] < 60


async def test_given_a_message_then_the_story_says_so(day: Database) -> None:
    async with day.writing() as connection:
        target = (LEGS.c.case_id == TRANSFER) & (LEGS.c.role == "target")
        await connection.execute(update(LEGS).where(target).values(role="mailbox"))
    story = await case_queries.story(day, TRANSFER)
    whats = [event["what"] for event in story["events"]]
    assert (whats.count("leg"), whats.count("message")) == (2, 1)


async def test_given_a_day_then_the_figures_are_those_of_its_cases(day: Database) -> None:
    cases = await all_cases(day)
    await book(day).act(cases[0]["case_id"], "close", actor=BOSS)
    cases = await all_cases(day)
    found = await case_queries.figures(day)
    assert found["cases"] == len(cases)
    for name in ("open", "taken", "handed_over", "closed"):
        assert found[name] == sum(case["state"] == name for case in cases)
    assert found["handovers"] == sum(case["handover_count"] for case in cases) > 0
    for name in ("time_to_answer_s", "time_to_acceptance_s"):
        known = [case[name] for case in cases if case[name] is not None]
        assert found[f"mean_{name}"] == pytest.approx(sum(known) / len(known))


async def test_given_work_on_a_case_when_its_calls_are_read_again_then_nothing_is_lost(
    day: Database, tmp_path: Path
) -> None:
    await book(day).edit(TRANSFER, {"summary": "挪车", "kind": "求助"}, version=0, actor=BOSS)
    await book(day).act(TRANSFER, "close", actor=BOSS)
    before = await all_cases(day)
    folder = tmp_path / "again"
    folder.mkdir()
    # Another file with the same rows: every call is worked out once more.
    (folder / "Master.csv").write_bytes(DAY + DAY.splitlines(keepends=True)[-1])
    await make(day, folder).catch_up()
    assert await all_cases(day) == before
    case = await queries.get_case(day, TRANSFER)
    assert (case["state"], case["kind"], case["details"]["summary"]) == ("closed", "求助", "挪车")
    assert (await verify_ledger(day)).problems == []


async def test_given_several_who_write_at_once_then_one_wins_and_the_ledger_stands(
    day: Database,
) -> None:
    one = book(day)
    edits = (
        one.edit(TRANSFER, {"summary": str(number)}, version=0, actor=BOSS) for number in range(5)
    )
    results = await asyncio.gather(*edits, return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [VersionConflict] * 4
    notes = (one.act(TRANSFER, "feedback", actor=BOSS, words=str(number)) for number in range(5))
    await asyncio.gather(*notes)
    assert len(await queries.ledger(day, TRANSFER)) == 3 + 1 + 5
    assert (await verify_ledger(day)).problems == []


async def test_given_two_who_attach_both_ways_at_once_then_one_succeeds(day: Database) -> None:
    one = book(day)
    first, second = [case["case_id"] for case in await all_cases(day)][:2]
    results = await asyncio.gather(
        one.attach(first, second, actor=BOSS),
        one.attach(second, first, actor=BOSS),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "WrongState"]
    merged = [case for case in await all_cases(day) if case["state"] == "merged"]
    assert len(merged) == 1
    with pytest.raises(WrongState):
        await one.act(merged[0]["case_id"], "close", actor=BOSS)
    assert (await verify_ledger(day)).problems == []
    assert (await case_queries.figures(day))["merged"] == 1


async def test_given_a_record_of_before_when_migrated_then_its_figures_are_worked_out(
    day: Database,
) -> None:
    before = await all_cases(day)
    assert any(case["time_to_acceptance_s"] for case in before)

    def there_and_back(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        command.upgrade(config, "head")

    async with day.writing() as connection:
        await connection.run_sync(there_and_back)
    # Deadlines of a record of before are taken up when something happens to its cases.
    assert await all_cases(day) == [{**case, "due_pending": None} for case in before]
