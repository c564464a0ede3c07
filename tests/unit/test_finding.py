"""Looking for something in the record as one types, a whole call, and a ledger that is checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from telephony.cases.store import CASES, LEDGER
from telephony.database import Database
from telephony.errors import CaseNotFound, LegNotFound
from telephony.models import CaseRecord
from telephony.record import finding
from telephony.record.ledger_check import verify_case
from tests.unit.api_fixtures import Running
from tests.unit.test_case_queries import TRANSFER, day
from tests.unit.two_cases import AGENT_8002, AUDITOR, CASE, EPOCH, MASKED, NUMBER, run, send

__all__ = ["day", "run"]  # fixtures

START = datetime.fromtimestamp(EPOCH, UTC)
DAY = f"{START:%Y%m%d}"


def case(number: int, caller: str, at: datetime = START) -> dict[str, Any]:
    name = f"{at:%Y%m%d}-{EPOCH}.{number}"
    both = {"caller": caller, "caller_e164": f"+86{caller.removeprefix('0')}"}
    row: dict[str, Any] = {"case_id": name, "pbx": "pbx1", "opened_at": at, "state": "open", **both}
    return CaseRecord(**row).model_dump()


async def found(database: Database, typed: str, *, callers: bool = True) -> list[tuple[Any, ...]]:
    items = await finding.beginning_with(database, typed, callers=callers)
    return [(one.what, one.value, one.calls) for one in items]


async def test_given_the_beginning_of_a_number_then_callers_and_cases_are_found(
    database: Database,
) -> None:
    other_day = START - timedelta(days=40)
    rows = [case(number, "13804210001") for number in range(3)]
    rows += [case(3, "13804219999"), case(4, "13904210001"), case(5, "04212800122", other_day)]
    async with database.writing() as connection:
        await connection.execute(insert(CASES), rows)
    calls = [("caller", "13804210001", 3), ("caller", "13804219999", 1)]
    assert await found(database, "1380421") == calls
    assert await found(database, "1380421", callers=False) == []
    assert await found(database, "138 0421 0001") == calls[:1]
    assert await found(database, "+86138") == [("caller", f"+86{one}", n) for _, one, n in calls]
    assert await found(database, "13") == []  # too little to be looked for
    this_day = [("case", f"{DAY}-{EPOCH}.{number}", 1) for number in (4, 3, 2, 1, 0)]
    assert await found(database, DAY) == this_day
    assert await found(database, f"{DAY}-{EPOCH}.2") == [this_day[2]]
    older = ("case", f"{other_day:%Y%m%d}-{EPOCH}.5", 1)
    assert await found(database, f"{other_day:%Y%m}") == [older]
    for nothing in ("20261399", "张%_'", f"{DAY}-_"):
        assert await found(database, nothing) == []
    newest = await finding.beginning_with(database, "13804210001", callers=True)
    assert newest[0].last_at == START


async def test_given_a_recorded_transfer_then_all_legs_of_the_call_are_found(day: Database) -> None:
    uniqueid = TRANSFER.partition("-")[2]
    linkedid, legs = await finding.legs_of_call(day, "pbx1", uniqueid)
    assert (linkedid, [leg["role"] for leg in legs]) == (uniqueid, ["citizen", "agent", "target"])
    of_target = await finding.legs_of_call(day, "pbx1", legs[2]["uniqueid"])
    assert of_target == (linkedid, legs)
    with pytest.raises(LegNotFound):
        await finding.legs_of_call(day, "pbx2", uniqueid)


async def test_given_a_ledger_that_was_changed_then_the_check_names_the_entry(
    day: Database,
) -> None:
    report = await verify_case(day, TRANSFER)
    assert (report.entries, report.problems) == (3, [])
    async with day.writing() as connection:
        number = await connection.scalar(
            select(LEDGER.c.number).where(LEDGER.c.case_id == TRANSFER, LEDGER.c.event == "offered")
        )
        changed = update(LEDGER).where(LEDGER.c.case_id == TRANSFER, LEDGER.c.number == number)
        await connection.execute(changed.values(to="12345"))
    report = await verify_case(day, TRANSFER)
    assert [(one.number, one.reason) for one in report.problems] == [
        (number, "was changed after it was written")
    ]
    with pytest.raises(CaseNotFound):
        await verify_case(day, "20260101-1.1")


async def test_given_who_sees_no_numbers_then_none_is_found_or_shown(run: Running) -> None:
    async def ask(token: str, path: str) -> Any:
        answer = await send(run, token, "GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    whole = await ask("supervisor-token-of-the-tests", f"/find?q={NUMBER[:5]}")
    assert [(one["what"], one["value"]) for one in whole["items"]] == [("caller", NUMBER)]
    assert await ask(AUDITOR, f"/find?q={NUMBER[:5]}") == {"items": []}
    path = f"/legs/pbx1/{EPOCH}.0/call"
    for token, seen in ((AUDITOR, MASKED), (AGENT_8002, MASKED)):
        call = await ask(token, path)
        assert [leg["caller"] for leg in call["items"]] == [seen, seen]
    admin = "admin-token-of-the-tests"
    noted = f"/audit?which=pbx1/{EPOCH}.0"
    assert (await ask(admin, noted))["items"] == []
    call = await ask("supervisor-token-of-the-tests", path)
    assert [leg["caller"] for leg in call["items"]] == [NUMBER, NUMBER]
    assert [one["what"] for one in (await ask(admin, noted))["items"]] == ["leg"]
    checked = await ask(AGENT_8002, f"/cases/{CASE}/ledger/check")
    assert checked == {"case": CASE, "ok": True, "entries": 1, "problems": []}
