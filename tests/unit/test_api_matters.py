"""Matters over HTTP and from a shell: searched, imported, restored; what they do to keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from api.routes.matters import XLSX
from api.schemas.live import ChangesFrame, LiveFrame
from api.schemas.matters import Matter, MatterImport, MatterPage, Proposal
from telephony.cases.store import CASES
from telephony.cli import app
from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.matters import proposals
from telephony.matters.book import CaseMatterNow
from telephony.matters.files import BOM, MAX_BYTES, sample
from telephony.models import CaseRecord
from telephony.responsibility import GENESIS
from tests.unit.api_fixtures import AGENT_8001, Running, running, told
from tests.unit.simulated_pbx import SimChannel
from tests.unit.test_matter_files import xlsx

V1 = "/api/v1"
HEAD = "编号,名称,类别,方向,承办席位\n"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


async def imported(
    run: Running, data: bytes, kind: str = "text/csv", role: str = "admin", **query: Any
) -> httpx.Response:
    async with run.as_(role) as client:
        return await client.post(
            f"{V1}/matters/import", content=data, params=query, headers={"Content-Type": kind}
        )


async def get(run: Running, path: str, role: str = "agent", **query: Any) -> httpx.Response:
    async with run.as_(role) as client:
        return await client.get(f"{V1}{path}", params=query)


async def call_with_case(run: Running) -> SimChannel:
    """A citizen talks with 8001, and the case is on record."""
    citizen = run.simulated.citizen()
    run.simulated.talk(citizen)
    await told(run)
    at = datetime(2026, 11, 24, tzinfo=UTC)
    row = CaseRecord(
        case_id=citizen.account, pbx="pbx1", opened_at=at, state="open", head=GENESIS
    ).model_dump()
    async with run.service.database.writing() as connection:
        await connection.execute(insert(CASES).values(row))
    return citizen


async def set_matter(run: Running, case: str, matter: str | None, version: int) -> httpx.Response:
    async with run.client(AGENT_8001) as client:
        return await client.patch(
            f"{V1}/cases/{case}", json={"matter": matter}, headers={"If-Match": f'"{version}"'}
        )


async def test_given_the_sample_when_imported_then_agents_find_it_and_see_that_it_is_one(
    run: Running,
) -> None:
    empty = (await get(run, "/matters")).json()
    assert (empty["items"], empty["version"], empty["exact"]) == ([], 0, True)
    done = await imported(run, sample(), source="matters-sample.csv")
    body = MatterImport.model_validate(done.json())
    assert (body.version, len(body.new), body.broken) == (1, 33, [])
    assert (await imported(run, sample())).json()["unchanged"] == 33

    page = MatterPage.model_validate((await get(run, "/matters", q="jtsg", limit=2)).json())
    assert [one.name for one in page.items] == ["交通事故逃逸", "有人受伤的交通事故"]
    assert (page.sample, page.total, page.exact, page.version) == (True, 3, True, 1)
    rest = (await get(run, "/matters", q="jtsg", limit=2, cursor=page.next)).json()
    assert [one["name"] for one in rest["items"]] == ["道路交通事故"]
    assert rest["next"] is None
    desk = (await get(run, "/matters", desk="122", category="道路交通案事件")).json()
    assert {one["code"] for one in desk["items"]} == {"SAMPLE-121", "SAMPLE-123", "SAMPLE-124"}
    near = (await get(run, "/matters", q="道路上的交通意外")).json()
    assert (near["exact"], near["items"][0]["name"]) == (False, "道路交通事故")
    one = await get(run, "/matters/SAMPLE-121")
    assert Matter.model_validate(one.json()).keywords[0] == "车祸"
    for missing in ("SAMPLE-999", "x"):
        answer = await get(run, f"/matters/{missing}")
        assert (answer.status_code, answer.json()["code"]) == (404, "matter-not-found")


@pytest.mark.parametrize("cursor", ["x", "1", "-1-2", "1-2-3", "2-0", "١-١"])
async def test_given_a_cursor_of_another_version_or_none_of_ours_then_it_is_refused(
    run: Running, cursor: str
) -> None:
    await imported(run, sample())
    answer = await get(run, "/matters", cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor-invalid")


async def test_given_a_preview_and_wrong_rows_then_nothing_is_taken_unless_asked(
    run: Running,
) -> None:
    await imported(run, sample())
    text = f"{HEAD}1,火灾,灾害,12345转110,\n2,=x,灾害,双向,12345\n3,y,,双向,999\n"
    for encoding in ("utf-8", "gb18030"):
        answer = await imported(run, text.encode(encoding))
        assert (answer.status_code, answer.json()["code"]) == (422, "matter-file-refused")
        assert [(one["row"], one["column"]) for one in answer.json()["broken"]] == [
            (3, "B (名称)"),
            (4, "C (类别)"),
            (4, "E (承办席位)"),
        ]
    preview = (await imported(run, text.encode(), dry_run=True)).json()
    assert (preview["version"], preview["new"], len(preview["removed"])) == (None, ["1"], 33)
    assert len(preview["broken"]) == 3
    assert (await get(run, "/matters")).json()["version"] == 1
    done = (await imported(run, text.encode(), skip_broken=True)).json()
    assert (done["version"], done["new"], len(done["broken"])) == (2, ["1"], 3)
    assert (await get(run, "/matters")).json()["sample"] is False


async def test_given_what_is_no_directory_then_it_is_refused_by_its_kind_and_size(
    run: Running,
) -> None:
    rows: list[list[object]] = [["code", "name", "category", "direction"], [7, "Fire", "d", "both"]]
    for data, kind, status, code in (
        (sample(), "application/json", 415, "kind-not-supported"),
        (b"", "text/csv", 422, "matter-file-refused"),
        (b"x" * (MAX_BYTES + 10), "text/csv; charset=utf-8", 422, "matter-file-refused"),
        (xlsx(rows), XLSX, 422, "matter-file-refused"),  # both ways, and no desk
    ):
        answer = await imported(run, data, kind)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    rows[1][3] = "to_110"
    assert (await imported(run, xlsx(rows), XLSX)).json()["new"] == ["7"]
    assert (await imported(run, sample(), role="supervisor")).status_code == 403


async def test_given_versions_then_an_earlier_one_is_restored_and_each_can_be_exported(
    run: Running,
) -> None:
    await imported(run, sample(), source="a.csv")
    await imported(run, f"{HEAD}1,火灾,灾害,12345转110,\n".encode(), source="b.csv")
    async with run.as_("admin") as client:
        back = await client.post(f"{V1}/matters/versions/1/restore")
        assert (back.json()["version"], len(back.json()["new"])) == (3, 33)
        gone = await client.post(f"{V1}/matters/versions/9/restore")
        assert (gone.status_code, gone.json()["code"]) == (404, "matter-version-not-found")
    found = (await get(run, "/matters/versions", "supervisor")).json()["items"]
    assert [(one["version"], one["source"], one["restored_from"]) for one in found] == [
        (3, "a.csv", 1),
        (2, "b.csv", None),
        (1, "a.csv", None),
    ]
    now = await get(run, "/matters/export", "supervisor")
    assert now.headers["content-type"] == "text/csv; charset=utf-8"
    assert now.text.startswith(BOM)
    again = await imported(run, now.content)
    assert (again.json()["version"], again.json()["unchanged"]) == (3, 33)
    second = await get(run, "/matters/export", "supervisor", version=2, headings="en")
    assert second.text.splitlines()[1] == "1,火灾,灾害,to_110,110,normal,,,no,no"


async def test_given_a_directory_when_a_cases_matter_is_set_then_it_is_one_of_it_and_proposes(
    run: Running,
) -> None:
    citizen = await call_with_case(run)
    case = citizen.account
    free = await set_matter(run, case, "随便", 0)
    assert free.json()["matter"] == "随便"  # no directory: any word
    await imported(run, sample())
    unknown = await set_matter(run, case, "交通大事故", 1)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "matter-unknown")
    assert "道路交通事故" in unknown.json()["nearest"].split(", ")

    assert (await get(run, f"/cases/{case}/proposal")).json()["why"] == "no-matter"
    by_code = await set_matter(run, case, "sample-121", 1)
    assert (by_code.json()["matter"], by_code.headers["etag"]) == ("道路交通事故", '"2"')
    assert citizen.variables["SHARED(PROPOSED)"] == "122||道路交通事故"
    found = Proposal.model_validate((await get(run, f"/cases/{case}/proposal")).json())
    assert (found.desk, found.why, found.urgent, found.version) == ("122", "matter", False, 1)
    assert found.matter is not None
    assert found.matter.feedback_h == 2
    # The same again is no change; a version of the directory that says otherwise is one.
    assert (await set_matter(run, case, "道路交通事故", 2)).headers["etag"] == '"2"'
    other = sample().decode().replace(",122,紧急,2,车祸", ",110,紧急,2,车祸")
    assert (await imported(run, other.encode())).json()["version"] == 2
    assert (await get(run, f"/cases/{case}/proposal")).json()["desk"] == "122"
    assert (await set_matter(run, case, "道路交通事故", 2)).headers["etag"] == '"3"'
    assert (await get(run, f"/cases/{case}/proposal")).json()["desk"] == "110"
    async with run.client(AGENT_8001) as client:
        ledger = (await client.get(f"{V1}/cases/{case}")).json()["ledger"]
    assert [one["detail"] for one in ledger] == ["matter", "matter", "matter"]
    await set_matter(run, case, None, 3)
    assert citizen.variables["SHARED(PROPOSED)"] == ""
    assert (await get(run, f"/cases/{case}/proposal")).json()["why"] == "no-matter"
    missing = await get(run, "/cases/20261124-1.1/proposal")
    assert (missing.status_code, missing.json()["code"]) == (404, "case-not-found")


async def test_given_a_matter_of_danger_when_set_then_110_is_proposed_and_the_feed_tells_at_once(
    run: Running,
) -> None:
    citizen = await call_with_case(run)
    await imported(run, sample())
    listener = run.service.feed.subscribe(frozenset({"calls"}))
    await listener.next()  # everything as it stands
    answer = await set_matter(run, citizen.account, "燃气泄漏", 0)
    assert answer.status_code == 200
    async with asyncio.timeout(5):
        frame = LiveFrame.model_validate_json(await listener.next()).root
    assert isinstance(frame, ChangesFrame)
    (news,) = frame.proposals
    assert (news.call, news.case) == (citizen.uniqueid, citizen.account)
    assert (news.matter, news.desk, news.why) == ("燃气泄漏", "110", "danger")
    assert news.urgent


@pytest.mark.parametrize("key", ["transfer", "conference"])
async def test_given_a_proposal_when_a_key_names_no_desk_then_it_goes_there_with_the_matter(
    run: Running, key: str
) -> None:
    citizen = await call_with_case(run)
    await imported(run, sample())
    async with run.client(AGENT_8001) as client:
        press = f"{V1}/calls/{citizen.uniqueid}/{key}"
        nothing = await client.post(press, json={})
        assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing-proposed")
        assert "SHARED(PRESS)" not in citizen.variables  # the caller was not touched
        await set_matter(run, citizen.account, "集体讨薪", 0)
        taken = await client.post(press, json={})
    assert taken.status_code == 202, taken.text
    assert (taken.json()["desk"], taken.json()["case"]) == ("110", citizen.account)
    if key == "transfer":
        assert citizen.variables["SHARED(PRESS)"].split("|")[0::3] == ["one-key", "集体讨薪"]


async def test_given_the_desk_has_the_call_already_then_nothing_is_proposed(run: Running) -> None:
    citizen = run.simulated.citizen()
    run.simulated.talk(citizen, "PJSIP/110")
    await told(run)
    row = CaseRecord(
        case_id=citizen.account,
        pbx="pbx1",
        opened_at=datetime(2026, 11, 24, tzinfo=UTC),
        state="open",
        head=GENESIS,
    )
    async with run.service.database.writing() as connection:
        await connection.execute(insert(CASES).values(row.model_dump()))
    await imported(run, sample())
    async with run.as_("admin") as client:
        await client.patch(
            f"{V1}/cases/{citizen.account}", json={"matter": "火灾"}, headers={"If-Match": '"0"'}
        )
        answer = await client.post(f"{V1}/calls/{citizen.uniqueid}/transfer", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing-proposed")
    assert "it is with 110" in answer.json()["detail"]


async def test_given_the_pbx_is_away_when_a_matter_is_set_then_it_stands_and_is_told_at_link_up(
    run: Running,
) -> None:
    citizen = await call_with_case(run)
    await imported(run, sample())
    run.simulated.refused["Setvar"] = "not now"
    answer = await set_matter(run, citizen.account, "火灾", 0)
    assert answer.status_code == 200
    assert "SHARED(PROPOSED)" not in citizen.variables
    run.simulated.refused.clear()
    run.simulated.cut_links()
    async with asyncio.timeout(10):
        while "SHARED(PROPOSED)" not in citizen.variables:
            run.simulated.asked.clear()
            await run.simulated.asked.wait()
    assert citizen.variables["SHARED(PROPOSED)"] == "110||火灾"


@pytest.mark.parametrize("away", [False, True])
async def test_given_a_case_with_a_matter_when_a_call_in_it_is_taken_then_the_key_knows_it(
    run: Running, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    await imported(run, sample())
    first = await call_with_case(run)
    await set_matter(run, first.account, "火灾", 0)
    book, left = run.service.matters, [away]
    of_cases = book.of_cases

    async def asked(cases: Sequence[str]) -> dict[str, CaseMatterNow]:
        if left.pop() if left else False:
            raise DatabaseUnavailable("away for a moment")
        return await of_cases(cases)

    monkeypatch.setattr(book, "of_cases", asked)
    monkeypatch.setattr(proposals, "RETRY_S", 0.01)
    # Called back: another call in the same case.
    later = run.simulated.citizen("13900000009")
    run.simulated.account(later, first.account)
    run.simulated.talk(later, "PJSIP/8002")
    async with asyncio.timeout(5):
        while "SHARED(PROPOSED)" not in later.variables:
            run.simulated.asked.clear()
            await run.simulated.asked.wait()
    assert later.variables["SHARED(PROPOSED)"] == "110||火灾"
    assert left == []


# -- from a shell ---------------------------------------------------------------------------------


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    url = f"sqlite:///{tmp_path}/record.sqlite"

    async def make() -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    asyncio.run(make())
    monkeypatch.setenv("HOTLINE_DATABASE_URL", url)
    monkeypatch.delenv("HOTLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["matters", *arguments])


def as_json(*arguments: str) -> Any:
    found = command(*arguments, "--json")
    assert found.exit_code == 0, found.output
    return orjson.loads(found.stdout)


def test_given_the_command_line_then_it_imports_searches_restores_and_exports(
    record: Path,
) -> None:
    assert "none imported" in command("list").stdout
    preview = as_json("import", "--sample", "--dry-run")
    assert (preview["version"], len(preview["new"])) == (None, 33)
    assert as_json("import", "--sample")["version"] == 1
    assert "nothing changes" in command("import", "--sample").stdout
    assert "(sample)" in command("list").stdout
    assert [one["code"] for one in as_json("search", "xhd")["items"]] == ["SAMPLE-212"]
    assert "信号灯配时建议" in command("search", "hldps 信号灯").output

    file = record / "own.csv"
    file.write_text(f"{HEAD}1,火灾,灾害,12345转110,\n2,,灾害,双向,12345\n", encoding="gb18030")
    refused = command("import", "own.csv")
    assert refused.exit_code == 1
    assert "row 3, column B (名称): is empty" in refused.output
    preview_of_it = command("import", "own.csv", "--dry-run", "--json")
    assert preview_of_it.exit_code == 1
    assert orjson.loads(preview_of_it.stdout)["new"] == ["1"]
    assert as_json("import", "own.csv", "--skip-broken")["version"] == 2
    assert as_json("restore", "1")["version"] == 3
    assert [one["source"] for one in as_json("versions")] == [
        "matters-sample.csv",
        "own.csv",
        "matters-sample.csv",
    ]
    assert command("export", "--out", "out.csv").exit_code == 0
    exported = (record / "out.csv").read_bytes()
    assert exported.startswith(BOM.encode())
    assert as_json("import", "out.csv")["unchanged"] == 33
    assert command("export", "--version", "2", "--headings", "en").stdout.splitlines()[1][:5] == (
        "1,火灾,"
    )


@pytest.mark.usefixtures("record")
def test_given_what_cannot_be_then_the_exit_status_says_so() -> None:
    assert command("import").exit_code == 2
    assert command("import", "x.csv", "--sample").exit_code == 2
    assert command("export", "--headings", "fr").exit_code == 2
    assert command("import", "nowhere.csv").exit_code == 1
    assert command("restore", "1").exit_code == 1
    assert command("export", "--version", "7").exit_code == 1
    assert command("export", "--out", "no/such/folder.csv").exit_code == 1
