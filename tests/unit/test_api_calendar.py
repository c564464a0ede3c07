"""Special days by file over HTTP, and days and "closed now" of one line among several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.api_fixtures import Running, running

CSV = "date,hours,reason\n2026-12-30,closed,检修\n2026-12-31,08:30-12:00,年终盘点\n"
WRONG = "date,hours,reason\n2026-12-30,closed,\n2026-02-30,closed,\n2026-12-30,work,\n"
ICS = (
    "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20270102\r\nSUMMARY:元旦\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)
IMPORT = "/api/v1/calendar/import"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    second = {"id": "night", "name": "夜间热线", "number": "2800123"}
    async with running(tmp_path, line={"number": "2800122"}, lines=[second]) as run:
        yield run


async def special(run: Running, year: int, line: str) -> dict[str, str]:
    answer = await run.as_("agent").get(f"/api/v1/calendar/{year}", params={"line": line})
    assert answer.status_code == 200
    return {one["day"]: one["hours"] for one in answer.json()["days"] if one["why"] == "special"}


async def sent(run: Running, body: str, kind: str = "text/csv", **query: Any) -> Any:
    headers = {"Content-Type": kind}
    return await run.as_("admin").post(IMPORT, content=body, params=query, headers=headers)


async def test_given_a_file_when_sent_then_first_tried_then_taken_for_every_line_and_noted(
    run: Running,
) -> None:
    tried = await sent(run, CSV, dry_run=True)
    assert tried.status_code == 200
    assert (tried.json()["added"], tried.json()["changed"]) == (2, 0)
    assert [one["hours"] for one in tried.json()["days"]] == ["closed", "0830-1200"]
    assert await special(run, 2026, "night") == {}

    taken = await sent(run, CSV)
    assert (taken.json()["added"], taken.json()["unchanged"]) == (2, 0)
    wanted = {"2026-12-30": "closed", "2026-12-31": "0830-1200"}
    assert await special(run, 2026, "2800122") == await special(run, 2026, "night") == wanted
    assert (await sent(run, CSV)).json()["unchanged"] == 2
    only = await sent(run, ICS, "text/calendar; charset=utf-8", line="night", declares=2027)
    assert only.json()["added"] == 1
    assert await special(run, 2027, "night") == {"2027-01-02": "closed"}
    assert await special(run, 2027, "2800122") == {}

    entries = (await run.as_("admin").get("/api/v1/audit")).json()["items"]
    notes = [one for one in entries if one["what"] == "calendar-import"]
    assert [one["which"] for one in notes] == [
        "2027-01-02 to 2027-01-02: 1 added, 0 changed, 0 as before; all of 2027; line 2800123",
        "2026-12-30 to 2026-12-31: 0 added, 0 changed, 2 as before; line 2800122, 2800123",
        "2026-12-30 to 2026-12-31: 2 added, 0 changed, 0 as before; line 2800122, 2800123",
    ]
    assert {(one["who"], one["role"]) for one in notes} == {("admin", "admin")}


async def test_given_a_file_with_mistakes_when_sent_then_each_is_named_and_nothing_is_taken(
    run: Running,
) -> None:
    refused = await sent(run, WRONG)
    assert (refused.status_code, refused.json()["code"]) == (422, "calendar-file-refused")
    assert refused.json()["broken"] == [
        {"line": 3, "reason": "'2026-02-30' is no date such as 2026-10-01"},
        {"line": 4, "reason": "2026-12-30 is work, but line 2 says closed"},
    ]
    assert await special(run, 2026, "night") == {}
    assert (await sent(run, CSV, "application/json")).status_code == 415
    assert (await sent(run, "", "text/csv")).status_code == 422
    assert (await sent(run, CSV, declares=2027)).json()["code"] == "value-invalid"
    unknown = await sent(run, CSV, line="2800129")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "line-not-found")
    assert "there are: 2800122, night" in unknown.json()["detail"]


async def test_given_two_lines_when_one_has_a_day_or_is_closed_then_the_other_is_as_it_was(
    run: Running,
) -> None:
    admin = run.as_("admin")
    body = {"day": "2026-12-31", "hours": "closed", "reason": "检修", "line": "夜间热线"}
    assert (await admin.post("/api/v1/calendar/days", json=body)).status_code == 200
    assert await special(run, 2026, "night") == {"2026-12-31": "closed"}
    assert await special(run, 2026, "2800122") == {}
    days = "/api/v1/calendar/days/2026-12-31"
    assert (await admin.delete(days, params={"line": "2800122"})).status_code == 404
    assert (await admin.delete(days)).status_code == 204

    close = {"until": "24:00", "reason": "停电", "line": "night"}
    assert (await admin.post("/api/v1/calendar/closed", json=close)).status_code == 200
    at = {"night": "停电", "2800122": None}
    for line, reason in at.items():
        now = (await admin.get("/api/v1/calendar/now", params={"line": line})).json()
        assert (now["shut"] or {}).get("reason") == reason
    ends = await admin.delete("/api/v1/calendar/closed", params={"line": "2800122"})
    assert ends.status_code == 409
    assert (await admin.delete("/api/v1/calendar/closed")).status_code == 204
