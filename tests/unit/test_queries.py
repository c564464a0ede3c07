"""Reads of the record: filters, pages at any depth, export, the whole story of a case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from telephony.cases.store import LEDGER
from telephony.database import Database
from telephony.errors import CaseNotFound, InvalidValue, LegNotFound
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.record.queries import CaseFilter, HandoverFilter, InvalidCursor, LegFilter
from tests.unit.day_of_calls import DAY, make

TRANSFER = "20261124-1795497294.19"


@pytest.fixture
async def day(database: Database, tmp_path: Path) -> Database:
    """A database with a day of recorded calls."""
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    return database


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (LegFilter(case=TRANSFER), 3),
        (LegFilter(case=TRANSFER, role="target"), 1),
        (LegFilter(caller="+8613900000001"), 2),
        (LegFilter(caller="13900000001"), 2),
        (LegFilter(caller="8613900000001"), 2),
        (LegFilter(caller="13999999999"), 0),
        (LegFilter(agent="8001", case=TRANSFER), 1),
        (LegFilter(department="车管窗口", case=TRANSFER), 1),
        (LegFilter(case=TRANSFER, until=datetime(2026, 11, 24, 5, 14, 55, tzinfo=UTC)), 2),
        (LegFilter(case=TRANSFER, since=datetime(2026, 11, 24, 5, 14, 55, tzinfo=UTC)), 1),
    ],
)
async def test_given_a_filter_then_only_what_fits_is_listed(
    day: Database, filters: LegFilter, count: int
) -> None:
    assert len((await queries.list_legs(day, filters)).items) == count


async def test_given_pages_then_every_leg_comes_once_and_newest_first(day: Database) -> None:
    whole = (await queries.list_legs(day, LegFilter(), limit=500)).items
    paged, cursor = [], None
    while True:
        page = await queries.list_legs(day, LegFilter(), limit=7, cursor=cursor)
        paged += page.items
        cursor = page.next
        if cursor is None:
            break
    assert paged == whole
    times = [leg["started_at"] for leg in whole]
    assert times == sorted(times, reverse=True)
    assert len({leg["uniqueid"] for leg in whole}) == len(whole)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "bnVsbA",
        "W10",
        "WzEsMiwzXQ",
        "WzEsMiwiYSIsImIiLCJjIl0",
        "WzFlNDAsMCwiYSIsImIiXQ",
    ],
)
async def test_given_a_cursor_that_is_not_ours_then_it_is_refused(
    day: Database, cursor: str
) -> None:
    with pytest.raises(InvalidCursor):
        await queries.list_legs(day, LegFilter(), cursor=cursor)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
async def test_given_a_value_that_is_no_text_then_it_is_refused(day: Database, text: str) -> None:
    for filters in (LegFilter(caller=text), LegFilter(case=text), LegFilter(role=text)):
        with pytest.raises(InvalidValue):
            await queries.list_legs(day, filters)
    with pytest.raises(InvalidValue):
        await queries.get_leg(day, text)
    with pytest.raises(InvalidValue):
        await queries.get_case(day, text)


async def test_given_a_leg_then_it_is_found_by_its_uniqueid(day: Database) -> None:
    leg = await queries.get_leg(day, "1795497295.21")
    assert (leg["role"], leg["party"], leg["case"]) == ("target", "110", TRANSFER)
    assert leg["started_at"].utcoffset() == timedelta(0)
    with pytest.raises(LegNotFound):
        await queries.get_leg(day, "1795497295.999")
    with pytest.raises(LegNotFound):
        await queries.get_leg(day, "1795497295.21", pbx="another")


async def test_given_a_case_then_its_whole_story_is_told(day: Database) -> None:
    case = await queries.get_case(day, TRANSFER)
    assert (case["first_contact"], case["owner"], case["state"]) == ("8001", "110", "handed_over")
    assert case["caller_e164"] == "+8613812345678"
    assert [leg["role"] for leg in case["legs"]] == ["citizen", "agent", "target"]
    assert [one["state"] for one in case["handovers"]] == ["accepted"]
    assert [one["event"] for one in case["ledger"]] == ["taken", "offered", "accepted"]
    with pytest.raises(CaseNotFound):
        await queries.get_case(day, "20261124-1.1")


async def test_given_filters_of_cases_and_handovers_then_they_fit(day: Database) -> None:
    owned = await queries.list_cases(day, CaseFilter(owner="110"))
    assert [case["case"] for case in owned.items] == [TRANSFER]
    # A phone's own attended transfer is on record like any other hand-over.
    (attended,) = (await queries.list_cases(day, CaseFilter(owner="12345"))).items
    (handover,) = (await queries.get_case(day, attended["case"]))["handovers"]
    assert (handover["kind"], handover["by"], handover["state"]) == ("attended", "8001", "accepted")
    assert (await queries.list_cases(day, CaseFilter(state="open"), limit=1)).items
    assert not (await queries.list_cases(day, CaseFilter(caller="139"))).items
    busy = await queries.list_handovers(day, HandoverFilter(state="busy"))
    assert [one["desk"] for one in busy.items] == ["110", "110", "110", "122"]


@pytest.mark.parametrize("what", ["changed", "missing", "last"])
async def test_given_a_ledger_that_was_touched_then_the_entry_is_named(
    day: Database, what: str
) -> None:
    assert (await verify_ledger(day)).to_dict()["ok"]
    number = 3 if what == "last" else 2
    here = (LEDGER.c.case_id == TRANSFER) & (LEDGER.c.number == number)
    async with day.writing() as connection:
        if what == "changed":
            await connection.execute(update(LEDGER).where(here).values(responsible="8009"))
        else:
            await connection.execute(delete(LEDGER).where(here))
    report = await verify_ledger(day)
    assert (TRANSFER, number) in [(one.case, one.number) for one in report.problems]
