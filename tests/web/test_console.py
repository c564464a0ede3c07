"""The supervisors' console in a real browser: the record of some days, and the floor as it is."""

from __future__ import annotations

import asyncio
import csv
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from telephony.database import Database
from telephony.responsibility import Event
from tests.pbx.scene import CITIZENS, LINE, PASSWORD, PhoneFactory
from tests.pbx.scene import sign_in as sign_in_on_phone
from tests.pbx.served import whole_case
from tests.web.made_record import TALKED, MadeRecord, sounds, weeks

if TYPE_CHECKING:
    from telephony.demo.stage import Service
    from telephony.private_pbx import PrivatePbx
    from tests.web.floor import SignIn

pytestmark = pytest.mark.pbx

START = "2026-11-24T00:00:00Z"

PAGES = ("floor", "cases", "legs", "handovers", "messages", "overdue", "charts", "topics")


@pytest.fixture(scope="module")
def record(web_service: Service) -> MadeRecord:
    """Some days of calls, written into the service's record."""
    made = weeks(datetime.now(UTC), days=5, a_day=5)
    folder = web_service.settings.messages.folder
    assert folder is not None
    sounds(made, folder)
    done: list[BaseException] = []

    def write() -> None:
        try:
            asyncio.run(_store(made, web_service.settings.database_url))
        except BaseException as error:  # noqa: BLE001 - told to the test below
            done.append(error)

    # Playwright's loop runs in this thread.
    writer = threading.Thread(target=write)
    writer.start()
    writer.join()
    assert done == []
    return made


async def _store(made: MadeRecord, url: str) -> None:
    database = Database(url)
    try:
        await made.store(database)
    finally:
        await database.close()


MEETINGS = """async legs => (await import("/console/timeline.js")).meetings(legs)
  .map(one => [one.ids.join(" "), one.from / 1000, one.to / 1000])"""
TELL = """async ([events, language]) => {
  const { setLang } = await import("/shared/i18n.js");
  const { namesOf } = await import("/console/names.js");
  const { tell } = await import("/console/story.js");
  setLang(language);
  return tell(events, namesOf([])).map(line => line.text);
}"""


def legs_of(meetings: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    """Legs whose segments say that these were together from then to then, in seconds."""
    ids = {one for who, _, _ in meetings for one in who.split()}
    return [
        {
            "uniqueid": leg,
            "segments": [
                {
                    "with": [one for one in who.split() if one != leg],
                    "from": datetime.fromtimestamp(begin, UTC).isoformat(),
                    "to": datetime.fromtimestamp(end, UTC).isoformat(),
                }
                for who, begin, end in meetings
                if leg in who.split()
            ],
        }
        for leg in sorted(ids)
    ]


def entries() -> list[dict[str, Any]]:
    """An entry of every event, with the details that the ledger gives them."""
    details: dict[str, list[str | None]] = {
        "taken": ["first contact", "first contact, their case A1", None],
        "offered": ["one-key", "three-way", "refer", "attended", "dispatch", "incoming", "new"],
        "accepted": [None, "takes it (three-way)"],
        "undecided": ["joined a three-way call", "stays with the first contact", "said too late"],
        "failed": ["busy, cause 17", "unreachable", "caller_gone", "failed, cause 38"],
        "unanswered": ["unanswered, cause 19", "closed"],
        "declined": ["declined: 不属本单位"],
        "withdrawn": ["cancelled"],
        "parked": ["place 701"],
        "monitored": ["listen started", "barge stopped"],
        "recorded": ["started r-1", "paused r-1", "resumed r-1"],
        "message": ["12.3 s", "its sound is damaged", "its sound is missing"],
        "reminded": ["feedback, held by 8001, due 2026-11-24 17:00"],
        "escalated": ["missed_call, held by 8001, due 2026-11-24 17:00"],
        "edited": ["kind, summary"],
    }
    events = {word for part in get_args(Event) for word in get_args(part) or (part,)}
    return [
        {"event": event, "detail": detail, "key": f"{event}:1", "at": START, "handover": None}
        for event in sorted(events)
        for detail in details.get(event, [None, "说明"])
    ]


def show(page: Page, hash_: str) -> None:
    """Go to a page of the console and wait until it has loaded what it shows."""
    page.evaluate("hash => { location.hash = hash; }", hash_)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)


def assert_usable(page: Page, what: str, **only: Any) -> None:
    """No fault of WCAG 2.1 A and AA that axe-core finds, and nothing wider than the screen."""
    wanted = only or {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    # Rows of a list are alike, and each takes as long as a page.
    like_others = {"exclude": [["table.rows tbody tr:nth-child(n + 4)"]]}
    found = Axe().run(page, context=like_others, options={"runOnly": wanted})
    assert found.violations_count == 0, f"{what}: {found.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what


def test_given_a_record_when_a_supervisor_types_then_cases_legs_time_line_and_story_are_found(
    sign_in: SignIn, record: MadeRecord
) -> None:
    page = sign_in("supervisor", "/console#cases")
    box = page.get_by_role("combobox", name="查找")
    box.press_sequentially(TALKED[:9])
    option = page.get_by_role("option").filter(has_text=TALKED)
    expect(option).to_contain_text("3 次来电")
    box.press("ArrowDown")
    box.press("Enter")
    rows = page.locator("table.rows tbody tr")
    expect(rows).to_have_count(3)
    expect(page.get_by_text("共 3 条")).to_be_visible()
    assert f"caller={TALKED}" in page.url
    # What was chosen survives a reload, can be narrowed, and taken away again.
    page.reload()
    expect(rows).to_have_count(3)
    page.get_by_label("超期").select_option("true")
    expect(rows.first.locator(".tag.bad")).to_contain_text("超期")
    page.get_by_label("超期").select_option("")
    page.get_by_role("button", name=f"去掉条件：来电 {TALKED}").click()
    expect(page.get_by_text(re.compile(r"(已显示|共) (1[0-9]|[2-9][0-9]) 条"))).to_be_visible()
    # A whole number filters at once; columns are chosen and kept.
    page.locator(".tabs").get_by_role("link", name="话段").click()
    page.get_by_role("combobox", name="查找").fill("139 0421 0077")
    agents = rows.filter(has_text="坐席")
    expect(agents).to_have_count(2)
    expect(page.get_by_role("columnheader", name="话路号")).to_have_count(0)
    page.locator(".columns summary").click()
    page.get_by_label("话路号").check()
    expect(page.get_by_role("columnheader", name="话路号")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".columns summary")).to_be_focused()

    agents.first.get_by_role("link", name="时间线").click()
    drawing = page.get_by_role("img", name=re.compile("段通话的时间线"))
    expect(drawing).to_be_visible()
    expect(drawing.locator("desc")).to_contain_text(TALKED)
    expect(drawing.locator(".tl-ring, .tl-talk, .tl-wait").first).to_be_attached()
    page.get_by_text("看表格").first.click()
    expect(page.get_by_role("table", name="谁与谁通话").locator("tbody tr").first).to_contain_text(
        TALKED
    )

    unanswered = next(one for one in record.handovers if one["caller"] == TALKED)
    show(page, f"#case/{unanswered['case_id']}")
    story = page.locator("[data-part=story]")
    expect(story).to_contain_text(f"{TALKED} 来电")
    expect(story).to_contain_text(f"{unanswered['desk']} 无人接听，仍由 {unanswered['by']} 负责")
    expect(story).to_contain_text("市民回到坐席")
    expect(story).to_contain_text("填写：类型、事项、摘要、地点")
    expect(page.locator("[data-part=verified]")).to_contain_text("校验无误")
    page.get_by_role("button", name="English").click()
    expect(story).to_contain_text(f"{unanswered['desk']} does not answer")
    page.get_by_role("button", name="中文").click()

    # A message is listened to, with seeking.
    left = next(one for one in record.messages if one["caller"] == TALKED)
    show(page, f"#messages?kind=message&case={left['case_id']}")
    player = page.locator("audio").first
    assert player.evaluate(
        "one => new Promise((done, fail) => { one.onerror = () => fail(one.error.message);"
        " one.onseeked = () => done(one.duration > 2 && one.currentTime > 1);"
        " one.onloadedmetadata = () => { one.currentTime = 1.5; };"
        " one.preload = 'auto'; one.load(); })"
    )
    show(page, "#overdue")
    expect(rows.filter(has_text=left["case_id"])).to_contain_text(
        re.compile(r"答复留言.*超 \d+ 天")
    )
    # Whatever happens in a three-way call, each meeting is drawn once.
    together = [
        ("c a", 10, 20),
        ("c a t", 20, 30),
        ("c t", 30, 31),
        ("c t", 40, 50),
        ("a s", 40, 45),
    ]
    expected = [[" ".join(sorted(who.split())), begin, end] for who, begin, end in together]
    assert sorted(page.evaluate(MEETINGS, legs_of(together))) == sorted(expected)
    # Every entry that a ledger may hold is told in whole sentences of either language.
    made = [
        {"what": "ledger", "ledger": dict.fromkeys(("by", "to", "responsible"), "8001") | one}
        for one in entries()
    ]
    for language in ("en", "zh"):
        told = page.evaluate(TELL, [made, language])
        assert len(told) == len(made)
        assert not [text for text in told if re.search(r"[{}]|story\.|undefined|null", text)]
    show(page, "#case/20200101-1.1")
    expect(page.get_by_role("alert").filter(has_text="没有这个工单")).to_be_visible()


def test_given_an_export_when_asked_for_then_its_progress_is_seen_and_the_file_is_whole(
    sign_in: SignIn, record: MadeRecord, tmp_path: Path
) -> None:
    page = sign_in("supervisor", f"/console#cases?caller={TALKED}")
    page.get_by_role("link", name="导出这些").click()
    expect(page.get_by_label("导出什么")).to_have_value("cases")
    expect(page.get_by_role("button", name=f"去掉条件：来电 {TALKED}")).to_be_visible()
    page.get_by_label("文件格式").select_option("csv")
    page.get_by_label("从", exact=True).fill("2026-02-02")
    page.get_by_label("到", exact=True).fill("2026-02-01")
    page.get_by_role("button", name="开始导出").click()
    expect(page.get_by_text("结束日期早于开始日期")).to_be_visible()
    expect(page.get_by_label("文件格式")).to_have_value("csv")
    first = min(one["opened_at"] for one in record.cases) - timedelta(days=1)
    page.get_by_label("从", exact=True).fill(f"{first:%Y-%m-%d}")
    page.get_by_label("到", exact=True).fill(f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}")
    page.get_by_role("button", name="开始导出").click()
    job = page.locator("[data-part=exports] > li").first
    expect(job).to_have_attribute("data-state", "done", timeout=15000)
    with page.expect_download() as begun:
        job.get_by_role("link", name=re.compile("下载")).click()
    file = tmp_path / "cases.csv"
    begun.value.save_as(file)
    rows = list(csv.DictReader(file.open(encoding="utf-8-sig")))
    exported = {row["工单号"].strip() for row in rows}  # a tab keeps Excel from counting
    assert exported == {one["case_id"] for one in record.cases if one["caller"] == TALKED}
    job.get_by_role("button", name="删除文件").click()
    expect(job).not_to_have_attribute("data-state", "done")


def test_given_a_real_call_then_the_floor_and_the_wall_show_it_and_its_end(
    sign_in: SignIn, phone: PhoneFactory, web: PrivatePbx, web_service: Service
) -> None:
    agent = phone("8001")
    page = sign_in("supervisor", "/console#floor")
    someone = page.locator("[data-agent='8001']")
    expect(someone).to_have_attribute("data-state", "signed-out")
    sign_in_on_phone(agent, web)
    expect(someone).to_have_attribute("data-state", "ready")
    wall = page.context.new_page()
    wall.goto("/console?wall")
    expect(wall.locator("[data-figure=ready] b")).to_have_text("1")

    citizen = phone(CITIZENS[0]).call(LINE)
    call = page.locator("[data-call]")
    expect(call).to_contain_text(CITIZENS[0])
    rings = agent.wait_for_call(15)
    expect(call).to_have_attribute("data-state", "ringing")
    expect(someone).to_have_attribute("data-state", "ringing")
    rings.answer()
    expect(call).to_have_attribute("data-state", "talking")
    expect(call).to_contain_text("坐席 8001")
    expect(page.locator("[data-figure=talking] b")).to_have_text("1")
    expect(wall.locator("[data-figure=talking] b")).to_have_text("1")
    assert CITIZENS[0] not in wall.locator("body").inner_text()

    # One's own phone is asked for once; then it rings, and hears.
    boss = phone("8901")
    call.get_by_role("button", name="监听").click()
    dialog = page.get_by_role("dialog", name="用哪部话机监听？")
    dialog.get_by_role("button", name="确定").click()
    expect(dialog.get_by_text("请填写")).to_be_visible()
    dialog.get_by_label("您的分机号").fill("8901")
    dialog.get_by_role("button", name="确定").click()
    listening = boss.wait_for_call(8)
    listening.answer()
    citizen.play_tone(500.0)
    listening.wait_hears(500.0, 6)
    listening.hangup()

    # Without the server the page says so; nothing it shows is taken for new, and it comes back.
    page.context.set_offline(True)
    expect(page.get_by_role("alert").filter(has_text="与服务器的连接中断")).to_be_visible()
    expect(call.get_by_role("button", name="监听")).to_be_disabled()
    page.context.set_offline(False)
    expect(page.get_by_role("alert").filter(has_text="与服务器的连接中断")).to_have_count(0)
    expect(call.get_by_role("button", name="监听")).to_be_enabled()

    case = (call.get_by_role("link").first.get_attribute("href") or "").rpartition("/")[2]
    citizen.hangup()
    expect(call).to_have_count(0)
    expect(wall.locator("[data-figure=talking] b")).to_have_text("0")
    rings.wait_ended(5)
    whole_case(web_service, case)
    show(page, f"#case/{case}")
    expect(page.locator("[data-part=story]")).to_contain_text("8001 接听，首接负责")
    expect(page.locator("[data-part=story]")).to_contain_text("开始监听")
    expect(page.locator(".tl-row")).to_have_count(3)


def test_given_each_page_in_both_looks_then_everybody_can_use_it(
    sign_in: SignIn, record: MadeRecord, web_service: Service, tmp_path: Path
) -> None:
    page = sign_in("supervisor", "/console#floor")
    expect(page.locator("[data-agent]").first).to_be_visible()
    loaded = "() => performance.getEntriesByType('resource').map(one => one.name)"
    assert not any("chart.js" in name for name in page.evaluate(loaded))
    case = record.handovers[0]["case_id"]
    pages = [*PAGES, "exports", f"case/{case}"]
    for one in pages:
        show(page, f"#{one}")
        assert_usable(page, one)
    # On a phone's width, and with the other colours.
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    for one in [*pages, "wall"]:
        show(page, f"#{one}")
        assert_usable(page, f"{one}, dark", type="rule", values=["color-contrast"])

    # A chart is drawn by the library, has its table, and is saved as a picture.
    page.set_viewport_size({"width": 1366, "height": 768})
    show(page, "#charts")
    assert any("chart.js" in name for name in page.evaluate(loaded))
    chart = page.locator("[data-chart=matters]")
    chart.get_by_text("看表格").click()
    expect(chart.get_by_role("table").locator("tbody tr").first).to_be_visible()
    with page.expect_download() as begun:
        chart.get_by_role("button", name=re.compile("存为图片")).click()
    file = tmp_path / "chart.png"
    begun.value.save_as(file)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert file.stat().st_size > 5000
    # By keyboard alone: past the header, through the tabs, into a list.
    page.locator(".tabs a").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("工单")
    expect(page.locator("h1")).to_be_focused()


def test_given_another_role_then_the_console_is_closed_or_shows_what_it_may(
    sign_in: SignIn, record: MadeRecord
) -> None:
    page = sign_in("agent", "/desk")
    for address in ("/console", "/console/console.js", "/api/v1/find?q=139"):
        assert page.request.get(address).status == 403, address
    page.goto("/console")
    expect(page.locator(".tabs")).to_have_count(0)

    auditor = sign_in("auditor", "/console#cases")
    rows = auditor.locator("table.rows tbody tr")
    expect(rows.first).to_be_visible()
    box = auditor.get_by_role("combobox", name="查找")
    box.fill(TALKED)
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("139****0077")
    show(auditor, "#messages?kind=message")
    expect(auditor.locator("table.rows audio")).to_have_count(0)
    show(auditor, "#exports")
    expect(auditor.get_by_text("您的角色不能导出")).to_be_visible()
    show(auditor, f"#cases?caller={TALKED}")
    expect(rows).to_have_count(3)
    assert TALKED not in auditor.locator("table.rows").inner_text()
    answer: Any = auditor.request.get(f"/api/v1/find?q={TALKED[:5]}").json()
    assert answer == {"items": []}
    assert PASSWORD not in auditor.content()
