"""Figures of the record are those that a person would count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from telephony.cases.store import CASES, HANDOVERS
from telephony.database import Database
from telephony.errors import InvalidValue
from telephony.figures import periods, reading
from telephony.figures.counting import DELETIONS, DETAILS, LEGS, MESSAGES, Dimension
from telephony.figures.keeper import FIGURES, FigureKeeper
from telephony.figures.measures import figures_of
from tests.unit.figures_by_hand import BEGIN, FIRST, LAST, Written

SINCE, UNTIL = periods.bounds(FIRST, LAST)


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: value for name, value in found.items() if name not in ("period", "member")} == {
        name: value if not isinstance(value, float) else pytest.approx(value, abs=1e-3)
        for name, value in expected.items()
    }


async def test_given_a_record_then_every_period_is_as_counted_by_hand(database: Database) -> None:
    written = Written(1)
    await written.store(database)
    await FigureKeeper(database).catch_up()
    for grain in periods.GRAINS:
        rows = await reading.by_period(database, grain, "all", FIRST, LAST)
        assert rows
        days = (date.fromordinal(one) for one in range(FIRST.toordinal(), LAST.toordinal() + 1))
        spans = {periods.period_of(day, grain): periods.span(day, grain) for day in days}
        assert {row["period"] for row in rows} <= set(spans)
        for row in rows:
            same(row, written.counted(*spans[row["period"]]))
    totals = await reading.in_all(database, "matter", FIRST, LAST)
    same(totals["车驾管"], written.counted(FIRST, LAST, matter="车驾管"))
    same(await reading.live(database, SINCE, UNTIL), written.counted(FIRST, LAST))


async def test_given_members_then_they_sum_up_to_all(database: Database) -> None:
    await Written(2).store(database)
    await FigureKeeper(database).catch_up()
    everything = (await reading.in_all(database, "all", FIRST, LAST))[""]
    told: dict[Dimension, tuple[str, ...]] = {
        "department": ("calls", "answered", "talks"),
        "agent": ("calls", "answered", "talks", "messages_replied"),
        "matter": ("calls", "answered", "talks", "messages", "abandoned"),
    }
    for dimension, counted in told.items():
        members = await reading.in_all(database, dimension, FIRST, LAST)
        assert len(members) > 2
        for name in counted:
            assert sum(one[name] for one in members.values()) == everything[name], name
    desks = await reading.in_all(database, "desk", FIRST, LAST)
    assert set(desks) == {"", "110", "12345"}
    handed: dict[str, int] = {}
    for one in desks.values():
        for state, times in one["handovers"].items():
            handed[state] = handed.get(state, 0) + times
    assert handed == everything["handovers"]


async def test_given_a_change_when_counted_anew_then_only_it_has_changed(
    database: Database,
) -> None:
    written = Written(3)
    await written.store(database)
    keeper = FigureKeeper(database)
    await keeper.catch_up()
    assert await reading.days_waiting(database) == 0
    case = next(one for one in written.cases if one["time_to_answer_s"] is None)
    case["time_to_answer_s"] = 7.0
    changed = next(one for one in written.details)
    changed["matter"] = "噪音扰民"
    async with database.writing() as connection:
        await connection.execute(
            update(CASES).where(CASES.c.case_id == case["case_id"]).values(time_to_answer_s=7.0)
        )
        await connection.execute(
            update(DETAILS).where(DETAILS.c.case_id == changed["case_id"]).values(matter="噪音扰民")
        )
    assert await reading.days_waiting(database) >= 1
    await keeper.catch_up()
    same((await reading.in_all(database, "all", FIRST, LAST))[""], written.counted(FIRST, LAST))
    found = await reading.in_all(database, "matter", FIRST, LAST)
    assert found["噪音扰民"]["calls"] == 1


async def test_given_what_retention_deleted_then_its_figures_stay(database: Database) -> None:
    written = Written(4)
    await written.store(database)
    keeper = FigureKeeper(database)
    await keeper.catch_up()
    before = await reading.in_all(database, "all", FIRST, LAST)
    since, until = periods.bounds(date(2026, 9, 29), date(2026, 10, 2))
    async with database.writing() as connection:
        await connection.execute(delete(LEGS).where(LEGS.c.at >= since, LEGS.c.at < until))
        await connection.execute(
            insert(DELETIONS),
            {
                "number": 1,
                "at": UNTIL,
                "what": "legs",
                "rule": "legs_days=1",
                "oldest": since,
                "newest": until - timedelta(seconds=1),
                "count": 9,
                "digest": "",
                "previous": "",
                "hash": "",
            },
        )
    await keeper.touch(FIRST, LAST)
    await keeper.catch_up()
    assert await reading.in_all(database, "all", FIRST, LAST) == before


async def test_given_two_services_then_they_take_turns(database: Database) -> None:
    written = Written(5)
    await written.store(database)
    await asyncio.gather(*(FigureKeeper(database).catch_up() for _ in range(3)))
    same((await reading.in_all(database, "all", FIRST, LAST))[""], written.counted(FIRST, LAST))


async def test_given_a_moment_that_moves_to_another_day_then_it_is_counted_there_alone(
    database: Database,
) -> None:
    written = Written(11)
    await written.store(database)
    keeper = FigureKeeper(database)
    await keeper.catch_up()
    one = next(case for case in written.cases if periods.day_of(case["opened_at"]) > FIRST)
    one["opened_at"] = BEGIN  # the row of its beginning came late
    async with database.writing() as connection:
        here = update(CASES).where(CASES.c.case_id == one["case_id"])
        await connection.execute(here.values(opened_at=BEGIN))
    await keeper.catch_up()
    same((await reading.in_all(database, "all", FIRST, LAST))[""], written.counted(FIRST, LAST))


async def test_given_calls_without_end_then_a_count_comes_to_its_own(database: Database) -> None:
    written = Written(8)
    await written.store(database)
    keeper = FigureKeeper(database)
    count, busy = keeper._round, date(2026, 10, 1)
    rounds: list[Sequence[str]] = []

    async def while_calls_come_in(counted: set[str]) -> Sequence[str]:
        days = await count(counted)
        rounds.append(days)
        assert len(rounds) < 20
        await keeper.touch(busy, busy)
        return days

    keeper._round = while_calls_come_in  # type: ignore[method-assign]
    await keeper.catch_up()
    assert [day for days in rounds for day in days].count(busy.isoformat()) == 1
    assert keeper.as_of is not None
    assert await reading.days_waiting(database) == 1  # for the next time
    same((await reading.in_all(database, "all", FIRST, LAST))[""], written.counted(FIRST, LAST))


async def test_given_legs_that_retention_deleted_then_cases_keep_their_departments(
    database: Database,
) -> None:
    await Written(9).store(database)
    keeper = FigureKeeper(database)
    await keeper.catch_up()
    before = await reading.in_all(database, "department", FIRST, LAST)
    async with database.writing() as connection:
        await connection.execute(delete(LEGS))
        words = dict.fromkeys(("digest", "previous", "hash"), "")
        moments = {"at": UNTIL, "oldest": SINCE, "newest": UNTIL}
        entry = {"number": 1, "what": "legs", "rule": "legs_days=1", "count": 9, **words}
        await connection.execute(insert(DELETIONS), entry | moments)
        await connection.execute(update(CASES).values(state="closed"))
    await keeper.catch_up()
    assert await reading.in_all(database, "department", FIRST, LAST) == before


async def test_given_more_than_an_answer_holds_then_said_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Written(10).store(database)
    await FigureKeeper(database).catch_up()
    rows = await reading.by_period(database, "day", "agent", FIRST, LAST, member="8001")
    assert {row["member"] for row in rows} == {"8001"}
    monkeypatch.setattr(reading, "MAX_COUNTS", 20)
    with pytest.raises(reading.TooManyFigures, match="fewer days"):
        await reading.by_period(database, "day", "agent", FIRST, LAST)


async def test_given_nobody_writes_then_nothing_is_counted(database: Database) -> None:
    await Written(6).store(database)
    keeper = FigureKeeper(database)
    told: list[int] = []
    await keeper.catch_up(told=told.append)
    assert sum(told) == len({periods.day_of(one) for one in await _moments(database)})
    again: list[int] = []
    await keeper.catch_up(told=again.append)
    assert again == []
    assert keeper.as_of is not None


async def _moments(database: Database) -> list[datetime]:
    found: list[datetime] = []
    async with database.reading() as connection:
        for column in (CASES.c.opened_at, LEGS.c.at, HANDOVERS.c.offered_at, MESSAGES.c.at):
            query = column.table.select().with_only_columns(column)
            found += (await connection.execute(query)).scalars().all()
    return found


def test_given_days_then_their_periods_are_those_of_shanghai() -> None:
    assert periods.day_of(datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)) == date(2026, 12, 31)
    assert periods.day_of(datetime(2026, 12, 31, 16, tzinfo=UTC)) == date(2027, 1, 1)
    assert periods.period_of(date(2027, 1, 1), "week") == "2026-W53"
    assert periods.span(date(2027, 1, 1), "week") == (date(2026, 12, 28), date(2027, 1, 3))
    assert periods.span(date(2028, 2, 29), "month") == (date(2028, 2, 1), date(2028, 2, 29))
    assert periods.month_of("2026-12") == (date(2026, 12, 1), date(2026, 12, 31))


@pytest.mark.parametrize("wrong", ["2026", "2026-13", "2026-1", "11-2026", "2026-11-24", ""])
def test_given_no_month_then_said_so(wrong: str) -> None:
    with pytest.raises(InvalidValue, match="a month looks like 2026-11"):
        periods.month_of(wrong)


def test_given_nothing_then_no_share_and_no_mean() -> None:
    nothing = figures_of({})
    assert (nothing.calls, nothing.connect_rate, nothing.mean_talk_s) == (0, None, None)
    only_at_night = figures_of({"calls": (3, 0.0), "after_hours": (3, 0.0)})
    assert only_at_night.connect_rate is None


def test_the_tables_are_those_of_the_keeper() -> None:
    assert [column.name for column in FIGURES.primary_key] == [
        *("grain", "period", "dimension", "member", "measure")
    ]
