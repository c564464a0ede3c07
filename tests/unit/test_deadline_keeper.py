"""The keeper of deadlines: who hears what and when, whatever fails or changes."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from telephony.audit import AUDIT
from telephony.calendar.book import CalendarBook
from telephony.database import Database
from telephony.deadlines import queries as deadline_queries
from telephony.deadlines.book import DEADLINES, DeadlineBook
from telephony.deadlines.keeper import POLL_S, DeadlineKeeper
from telephony.deadlines.mail import MAILS
from telephony.deadlines.notes import News
from telephony.deadlines.queries import OverdueFilter
from telephony.deadlines.rules import Deadline, deadlines
from telephony.deadlines.teller import DeadlineTeller
from telephony.errors import WrongState
from telephony.orders.outbox import OUTBOX
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from tests.unit.deadlines_scene import CASE, Scene, at, both, scene, settings_of, steps

__all__ = ["both", "scene"]  # fixtures

OTHER = "20261124-1795482001.7"

ALL = [
    ("reminded", "110"),
    ("escalated", "supervisors"),
    ("escalated", "head of 公安局指挥中心"),
]


async def test_given_a_case_that_nobody_acts_on_then_each_hears_in_turn_and_once(
    both: Scene,
) -> None:
    scene = both
    await scene.add()
    await scene.handed_over()
    keeper = scene.keeper()
    assert await keeper.round() == []
    due = at("2026-12-01T10:00")
    assert await scene.running() == {"feedback:3": due}
    expected = [[], ["remind"], ["escalate"], ["escalate_head"], []]
    times = [
        "2026-11-30T16:29",
        "2026-11-30T16:30",  # two working hours before 10:00
        "2026-12-01T10:00",
        "2026-12-02T10:00",
        "2026-12-31T10:00",
    ]
    for now, wanted in zip(times, expected, strict=True):
        scene.now = at(now)
        assert steps(await keeper.round()) == wanted, now
        assert await keeper.round() == []
    assert await scene.events() == ALL
    assert steps(scene.told) == ["remind", "escalate", "escalate_head"]
    assert keeper.overdue == 1
    assert (await verify_ledger(scene.database)).problems == []
    assert (await queries.get_case(scene.database, CASE))["owner"] == "110"


async def test_given_an_outage_then_what_is_late_is_done_at_once_and_told_once(
    both: Scene,
) -> None:
    scene = both
    await scene.add()
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")
    assert steps(await scene.keeper().round()) == ["remind", "escalate", "escalate_head"]
    for _ in range(2):
        assert await scene.keeper().round() == []  # another life of the service
    assert await scene.events() == ALL
    mails = await scene.rows(MAILS)
    assert sorted((one["key"].split(":")[1], one["recipient"]) for one in mails) == [
        ("escalate", "boss@example.org"),
        ("escalate", "duty@example.org"),
        ("escalate_head", "boss@example.org"),
        ("escalate_head", "duty@example.org"),
        ("escalate_head", "head@example.org"),
        ("remind", "duty@example.org"),
    ]
    told = await scene.rows(OUTBOX)
    told.sort(key=lambda one: one["id"])
    # Of no case: whoever refuses one must not hold up the work orders of the case.
    assert [(one["destination"], one["kind"], one["case_id"]) for one in told] == [
        ("city", "deadline.reminder", None),
        ("city", "deadline.escalated", None),
        ("city", "deadline.escalated", None),
    ]
    assert [one["body"]["case"] for one in told] == [CASE] * 3
    assert told[0]["body"]["caller"] == "138****0001"
    assert "13804210001" not in str(mails)


async def test_given_two_services_at_once_then_each_step_is_done_once(both: Scene) -> None:
    scene = both
    cases = [CASE, OTHER, "20261124-1795482002.9"]
    for case in cases:
        await scene.add(case)
        await scene.handed_over(case)
    scene.now = at("2026-11-30T16:30")
    done = await asyncio.gather(*(scene.keeper().round() for _ in range(3)))
    assert steps([news for one in done for news in one]) == ["remind"] * 3
    scene.now = at("2026-12-07T09:00")
    done = await asyncio.gather(*(scene.keeper().round() for _ in range(3)))
    assert sum(map(len, done)) == 6
    assert len(scene.told) == 9
    for case in cases:
        assert sorted(await scene.events(case)) == sorted(ALL)
    assert (await verify_ledger(scene.database)).problems == []
    assert len(await scene.rows(OUTBOX)) == 9
    assert len(await scene.rows(MAILS)) == 18
    assert await scene.rows(AUDIT) == []  # nobody was told a number whole


async def test_given_a_step_that_fails_half_way_then_nothing_of_it_is_left(scene: Scene) -> None:
    await scene.add()
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")

    class Broken(DeadlineTeller):
        async def tell(self, connection: Any, news: News) -> None:
            await super().tell(connection, news)
            raise WrongState("it breaks after everything was written")

    settings = scene.settings
    book = DeadlineBook(scene.database, settings, Broken(settings))
    calendar = CalendarBook(scene.database, settings)
    broken = DeadlineKeeper(book, calendar, settings, clock=lambda: scene.now)
    assert await broken.round() == []
    assert (await scene.events(), await scene.rows(MAILS), await scene.rows(OUTBOX)) == ([], [], [])
    assert await broken._until_next() == POLL_S  # it is due still, and not tried again at once
    assert len(await scene.keeper().round()) == 3


async def test_given_a_case_that_cannot_be_worked_out_then_it_holds_up_no_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [f"{CASE}{number}" for number in range(3)]
    for case in cases:
        await scene.add(case)
        await scene.handed_over(case)
    broken = cases[1]

    def deadlines_of(facts: Any, *rest: Any) -> Any:
        if facts.entries[0].case == broken:
            raise ValueError("no such state")
        return deadlines(facts, *rest)

    keeper = scene.keeper()
    monkeypatch.setattr("telephony.deadlines.book.deadlines", deadlines_of)
    await keeper.round()
    assert {row["case_id"] for row in await scene.rows(DEADLINES)} == {*cases} - {broken}
    monkeypatch.undo()
    await keeper.round()  # it is left for a while
    assert broken not in {row["case_id"] for row in await scene.rows(DEADLINES)}
    scene.now += timedelta(minutes=11)
    await keeper.round()
    assert {row["case_id"] for row in await scene.rows(DEADLINES)} == {*cases}


async def test_given_many_cases_then_other_work_comes_between_any_two(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, seen = 0, []

    def counted(*given: Any) -> list[Deadline]:
        seen.append(turns)
        return deadlines(*given)

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr("telephony.deadlines.book.deadlines", counted)
    for number in range(5):
        await scene.add(f"20261124-1795482000.{number}")
    other = asyncio.create_task(other_work())
    await scene.keeper().round()
    other.cancel()
    assert len(seen) == len(set(seen)) == 5


async def test_given_the_calendar_or_the_limits_change_then_open_deadlines_follow(
    both: Scene,
) -> None:
    scene = both
    await scene.add()
    await scene.handed_over()
    keeper = scene.keeper()
    await keeper.round()
    calendar = CalendarBook(scene.database, scene.settings)
    await calendar.set_day(date(2026, 11, 26), "closed", "停电", by="admin")
    await keeper.round()
    assert await scene.running() == {"feedback:3": at("2026-12-02T10:00")}
    await scene.keeper(settings_of(feedback="1d")).round()
    assert await scene.running() == {"feedback:3": at("2026-11-25T10:00")}


async def test_given_what_began_long_ago_when_first_seen_then_it_is_shown_and_not_chased(
    scene: Scene,
) -> None:
    await scene.add()
    await scene.handed_over()
    scene.now = at("2027-03-01T10:00")
    keeper = scene.keeper()
    assert await keeper.round() == []
    assert keeper.overdue == 1
    assert await scene.events() == []


async def test_given_it_is_switched_off_then_late_ones_are_shown_and_nobody_hears(
    scene: Scene,
) -> None:
    await scene.add()
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")
    keeper = scene.keeper(settings_of(enabled=False))
    assert await keeper.round() == []
    assert keeper.overdue == 1


async def test_given_another_pbx_then_its_cases_are_left_to_its_service(scene: Scene) -> None:
    await scene.add(pbx="pbx2")
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")
    assert await scene.keeper().round() == []
    assert await scene.rows(DEADLINES) == []


async def test_given_many_late_ones_then_they_are_listed_page_by_page_the_oldest_first(
    both: Scene,
) -> None:
    scene = both
    cases = [f"20261124-179548200{number}.0" for number in range(5)]
    for case in cases:
        await scene.add(case)
        await scene.handed_over(case)
    await scene.add(OTHER)
    await scene.note("2026-11-24T10:00", "OFFERED", OTHER, id=f"{OTHER}-d1", desk="12345")
    scene.now = at("2026-12-07T09:00")
    await scene.keeper().round()
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await deadline_queries.overdue(
            scene.database, OverdueFilter(), now=scene.now, limit=2, cursor=cursor
        )
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    assert [one["case"] for one in found] == [OTHER, *cases]
    assert found[0]["department"] == "12345平台"
    assert found[1]["late_s"] == timedelta(days=5, hours=23).total_seconds()
    for filters, count in (
        (OverdueFilter(holder="110"), 5),
        (OverdueFilter(department="12345平台"), 1),
        (OverdueFilter(kind="acceptance"), 1),
        (OverdueFilter(holder="110", kind="acceptance"), 0),
    ):
        page = await deadline_queries.overdue(scene.database, filters, now=scene.now)
        assert len(page.items) == count, filters
    listed = await queries.list_cases(scene.database, queries.CaseFilter(), by_due=True, limit=3)
    rest = await queries.list_cases(
        scene.database, queries.CaseFilter(), by_due=True, cursor=listed.next
    )
    assert [one["case"] for one in [*listed.items, *rest.items]] == [OTHER, *cases]


async def test_given_a_running_keeper_when_it_is_poked_then_it_acts_at_once(scene: Scene) -> None:
    await scene.add()
    await scene.handed_over()
    acted = asyncio.Event()
    scene.on_told = acted.set
    keeper = scene.keeper()
    keeper.start()
    try:
        # Nothing was worked out before: the poke alone makes it look again within the time.
        scene.now = at("2026-11-30T16:30")
        keeper.poke()
        async with asyncio.timeout(4):
            await acted.wait()
    finally:
        await keeper.stop()
    assert steps(scene.told) == ["remind"]


async def test_given_no_tables_yet_then_a_running_keeper_waits_for_them(
    empty_database_url: str,
) -> None:
    database = Database(empty_database_url)
    scene = Scene(database, settings_of(), datetime.now(UTC))
    keeper = scene.keeper()
    keeper.start()
    try:
        await database.migrate()
        await scene.add(due_pending=None)
        keeper.poke()
        assert await keeper.round() == []
    finally:
        await keeper.stop()
        await database.close()
