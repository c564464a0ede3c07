"""Figures over HTTP and by command, hot topics, and the monthly report."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.schemas import figures as shapes
from telephony.cli import app
from telephony.database import Database
from telephony.figures.topics import Rise, risen, words
from tests.unit.api_fixtures import Running, running
from tests.unit.figures_by_hand import FIRST, LAST, Written

RANGE = f"from={FIRST}&to={LAST}"
NUMBER = "+8613812345678"


def _record() -> Written:
    written = Written(7)
    for number, one in enumerate(written.cases):
        one["caller_e164"] = NUMBER if number < 4 else None
    for one in written.details:
        one["summary"] = "南山路口红绿灯坏了"
    return written


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as one:
        await _record().store(one.service.database)
        await one.service.figures.catch_up()
        yield one


async def test_given_a_record_when_asked_by_month_and_agent_then_told(run: Running) -> None:
    async with run.as_("supervisor") as client:
        answer = await client.get(f"/api/v1/figures?by=month&group=agent&{RANGE}")
    assert answer.status_code == 200, answer.text
    page = shapes.FigurePage.model_validate(answer.json())
    assert {(one.period, one.member) for one in page.items} == {
        (month, member) for month in ("2026-09", "2026-10") for member in ("", "8001", "8002")
    }
    assert page.days_waiting == 0
    assert page.as_of is not None
    for member, one in page.totals.items():
        assert one.calls == sum(row.calls for row in page.items if row.member == member)
    async with run.as_("supervisor") as client:
        only = (await client.get(f"/api/v1/figures?group=agent&member=8001&{RANGE}")).json()
    assert {row["member"] for row in only["items"]} == {"8001"} == set(only["totals"])


WRONG = (
    *("from=2026-11-02&to=2026-11-01", "from=2026-11-01", "from=x&to=2026-11-01"),
    *(f"{RANGE}&by=year", f"{RANGE}&group=phone", f"{RANGE}&more=1"),
    "from=1926-11-02&to=2026-11-01",
)


async def test_given_a_wrong_question_then_422(run: Running) -> None:
    for wrong in WRONG:
        async with run.as_("supervisor") as client:
            answer = await client.get(f"/api/v1/figures?{wrong}")
        assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid"), wrong


async def test_given_nothing_today_then_the_last_24_hours_have_no_rate(run: Running) -> None:
    async with run.as_("supervisor") as client:
        now = shapes.Now.model_validate((await client.get("/api/v1/figures/now")).json())
    assert (now.last_24_hours.calls, now.last_24_hours.connect_rate) == (0, None)
    assert (now.connect_target, now.connect_target_met, now.answer_within_s) == (0.95, None, 15)


async def test_given_topics_then_numbers_are_by_role_and_in_the_audit_log(run: Running) -> None:
    async with run.as_("supervisor") as client:
        found = (await client.get(f"/api/v1/figures/topics?{RANGE}")).json()
    assert {"number": NUMBER, "calls": 4} in found["callers"]
    assert found["words"][0]["name"] == "南山路口红绿灯坏"
    async with run.as_("admin") as client:
        seen = (await client.get("/api/v1/audit")).json()["items"]
    assert (seen[0]["what"], seen[0]["who"]) == ("topics", "supervisor")


class _Tags(HTMLParser):
    """Whether every tag that is opened is closed, and in order."""

    VOID = frozenset({"meta", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_given_a_month_then_its_report_is_one_whole_page(run: Running) -> None:
    async with run.as_("supervisor") as client:
        answer = await client.get("/api/v1/figures/report/2026-10")
        wrong = await client.get("/api/v1/figures/report/2026-13")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = _Tags()
    page.feed(answer.text)
    assert page.open == []
    assert "2026-10 联动工作考核通报" in page.text
    assert "交通事故" in page.text
    assert "多次来电者" in page.text
    assert NUMBER not in answer.text
    assert wrong.status_code == 422


async def test_given_words_that_are_no_text_then_the_report_escapes_them(run: Running) -> None:
    written = Written(8)
    for number, one in enumerate(written.cases):
        one["case_id"] = f"20261101-{number}.2"
        one["opened_at"] += timedelta(days=32)
    written.legs, written.handovers, written.messages = [], [], []
    written.details = [
        {
            "case_id": one["case_id"],
            "version": 1,
            "changed_at": one["opened_at"],
            "changed_by": "甲",
            "matter": "<script>alert(1)</script>",
        }
        for one in written.cases
    ]
    async with run.service.database.writing() as connection:
        from sqlalchemy import insert

        from telephony.cases.store import CASES
        from telephony.figures.counting import DETAILS

        await connection.execute(insert(CASES), written.cases)
        await connection.execute(insert(DETAILS), written.details)
    await run.service.figures.catch_up()
    async with run.as_("supervisor") as client:
        answer = await client.get("/api/v1/figures/report/2026-11")
    assert "<script>" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


async def test_given_commands_then_they_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/record.sqlite"
    monkeypatch.setenv("HOTLINE_DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    database = Database(url)
    await database.migrate()
    await _record().store(database)
    await database.close()
    said = await _run("figures", "show", "--by", "month", "--from", str(FIRST), "--to", str(LAST))
    assert "are not counted yet" in said.stderr
    said = await _run("figures", "count")
    assert "days were counted" in said.stderr
    said = await _run(
        *("figures", "show", "--by", "month", "--json"), "--from", str(FIRST), "--to", str(LAST)
    )
    rows = json.loads(said.stdout)
    assert sum(row["calls"] for row in rows) == 160
    said = await _run("figures", "topics", "--from", str(FIRST), "--to", str(LAST), "--json")
    assert json.loads(said.stdout)["callers"] == [{"number": NUMBER, "calls": 4}]
    await _run("figures", "report", "2026-10")
    assert "考核通报" in (tmp_path / "report-2026-10.html").read_text(encoding="utf-8")
    said = await _run("figures", "report", "2026-13", status=1)
    assert "a month looks like 2026-11" in said.stderr
    said = await _run("figures", "report", "2026-10", "-o", f"{tmp_path}/no/r.html", status=1)
    assert "report-not-written" in said.stderr
    for wrong in (("--by", "year"), ("--group", "phone"), ("--from", "yesterday")):
        await _run("figures", "show", *wrong, status=2)


async def _run(*arguments: str, status: int = 0) -> Any:
    import asyncio

    found = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    assert found.exit_code == status, found.output
    return found


def test_given_what_rose_then_the_strongest_comes_first() -> None:
    now = {"停车": 9, "事故": 4, "噪音": 2, "驾照": 10}
    before = [{"停车": 2, "驾照": 9}, {"停车": 1, "驾照": 10}]
    assert risen(now, before) == [Rise("停车", 9, 1.5, 4.0), Rise("事故", 4, 0.0, 5.0)]
    assert risen(now, []) == risen(now, [{}])
    assert risen(now, before, limit=1) == [Rise("停车", 9, 1.5, 4.0)]


def test_given_summaries_then_words_are_found_without_a_dictionary() -> None:
    found = words(
        [
            *("市民反映南山路口红绿灯坏了", "南山路口信号灯不亮", "来电称南山路口堵车"),
            *("驾驶证换证", "咨询驾驶证换证要什么", "ETC 扣费", "etc 未到账", "只此一次"),
        ]
    )
    assert found == {"南山路口": 3, "驾驶证换证": 2, "etc": 2}


@given(st.lists(st.text(alphabet="南山路口红绿灯的了a1 ，", max_size=12), max_size=12))
@settings(max_examples=60)
def test_given_any_summaries_then_every_word_stands_in_as_many(summaries: list[str]) -> None:
    for word, count in words(summaries).items():
        assert count == sum(word in one.lower() for one in summaries)
        assert count > 1
