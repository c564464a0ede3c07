"""Signing in and the admin pages in a real browser, against the real service and its PBX."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import wait_until
from tests.web.floor import OWN_PASSWORD, SignIn, assert_usable

pytestmark = pytest.mark.pbx

HEAD = "编号,事项名称,类别,方向,承办席位,紧急程度,反馈时限(工作小时),关键词,涉稳,涉险\n"
RIGHT = "W-1,占道停车,交通,12345转110,110,普通,8,停车,否,否\n"
WRONG = "W-2,,交通,斜着转,999,普通,8x,停车,否,否\n"


def fill_sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("用户名").fill(name)
    page.get_by_label("密码", exact=True).fill(password)
    page.get_by_role("button", name="登录", exact=True).click()


def change_password(page: Page) -> None:
    """To another one and back, by way of a wrong one, a weak one and two that differ."""
    another = "five other words this time"
    for present, new in ((OWN_PASSWORD, another), (another, OWN_PASSWORD)):
        page.get_by_role("link", name="管理员", exact=True).click()
        present_one = page.get_by_label("现在的密码")
        new_one, again = page.get_by_label("新密码", exact=True), page.get_by_label("再输一遍")
        go = page.get_by_role("button", name="更改密码")
        present_one.fill("not this one")
        new_one.fill(new)
        again.fill(f"{new}!")
        go.click()
        expect(page.locator("#again-say")).to_have_text("两次输入不一样")
        again.fill(new)
        go.click()
        expect(page.locator("#password-say")).to_have_text("现在的密码不对")
        present_one.fill(present)
        for one in (new_one, again):
            one.fill("short")
        go.click()
        expect(page.locator("#new_password-say")).to_contain_text("太短")
        assert_usable(page)
        for one in (new_one, again):
            one.fill(new)
        go.click()
        expect(page.get_by_role("status")).to_contain_text("密码已更改")
        page.get_by_role("link", name="继续到我的页面").click()


def test_given_mistakes_at_signing_in_then_each_is_said_at_its_field_and_what_was_typed_stays(
    web_service: Service, new_page: Any
) -> None:
    page: Page = new_page()
    page.goto("/admin")
    expect(page).to_have_url(re.compile(r"/signin\?next=%2Fadmin$"))
    assert_usable(page)
    page.keyboard.press("Enter")  # the name's field has the focus
    expect(page.locator("#name-say")).to_have_text("请填写")
    expect(page.get_by_label("用户名")).to_be_focused()
    fill_sign_in(page, "admin", "not the password")
    expect(page.locator("#password-say")).to_contain_text("用户名或密码不对")
    expect(page.get_by_label("用户名")).to_have_value("admin")
    expect(page.get_by_label("密码", exact=True)).to_have_value("")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_label("Name")).to_have_value("admin")
    page.get_by_role("button", name="中文").click()
    page.get_by_label("密码", exact=True).fill(OWN_PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/admin$"))
    expect(page.get_by_role("heading", name="人员与角色")).to_be_visible()
    cookie = next(one for one in page.context.cookies() if one["name"] == "hotline_session")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    change_password(page)
    page.get_by_role("button", name="退出登录").click()
    expect(page).to_have_url(re.compile(r"/signin$"))
    page.goto("/admin")
    expect(page).to_have_url(re.compile(r"/signin"))


def test_given_a_file_with_mistakes_then_each_is_named_and_nothing_is_taken_until_it_is_right(
    sign_in: SignIn, web_service: Service, tmp_path: Path
) -> None:
    before = web_service.get("/matters")["version"]
    page = sign_in("admin", "/admin#matters")
    file = tmp_path / "事项.csv"
    file.write_bytes((HEAD + RIGHT + WRONG).encode("gb18030"))
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("有 4 处错误")
    rows = page.get_by_role("group", name="文件中的错误").locator("tbody tr")
    said = {tuple(row.locator("td").all_inner_texts()) for row in rows.all()}
    assert {(row, column) for row, column, _ in said} == {
        ("3", "B (事项名称)"),
        ("3", "D (方向)"),
        ("3", "E (承办席位)"),
        ("3", "G (反馈时限(工作小时))"),
    }
    assert ("3", "B (事项名称)", "没有填") in said
    take = page.get_by_role("button", name="导入", exact=True)
    expect(take).to_have_attribute("aria-disabled", "true")
    assert_usable(page)
    assert web_service.get("/matters")["version"] == before
    # Mended and chosen again: the preview says what would change, and only then is it taken.
    file.write_bytes((HEAD + RIGHT).encode("gb18030"))
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("新增 1")).to_be_visible()
    assert web_service.get("/matters")["version"] == before
    take.click()
    expect(page.get_by_text(f"现行第 {before + 1} 版，")).to_be_visible()
    found = web_service.get("/matters/W-1")
    assert (found["name"], found["desk"]) == ("占道停车", "110")
    web_service.import_sample()  # as other tests want it


def test_given_a_new_person_then_they_sign_in_meet_the_walls_of_their_role_and_go_when_disabled(
    sign_in: SignIn, new_page: Any, web_service: Service
) -> None:
    admin = sign_in("admin")
    admin.get_by_role("button", name="添加人员").click()
    dialog = admin.get_by_role("dialog")
    assert_usable(admin)
    dialog.get_by_label("用户名").fill("王 伟")
    dialog.get_by_role("textbox", name="姓名").fill("王伟")
    dialog.get_by_role("button", name="保存").click()
    expect(dialog.get_by_text("坐席必须有分机")).to_be_visible()
    dialog.get_by_label("分机").select_option("8002")
    dialog.get_by_role("button", name="保存").click()
    expect(dialog.get_by_text("用户名须为")).to_be_visible()
    expect(dialog.get_by_role("textbox", name="姓名")).to_have_value("王伟")
    dialog.get_by_label("用户名").fill("WangWei")
    password = dialog.get_by_label("密码").input_value()
    dialog.get_by_role("button", name="保存").click()
    expect(dialog).to_have_count(0)
    expect(admin.get_by_role("row", name=re.compile("wangwei"))).to_contain_text("王伟")

    page: Page = new_page()
    page.goto("/signin")
    fill_sign_in(page, "ｗａｎｇｗｅｉ", password)
    expect(page).to_have_url(re.compile(r"/desk"))
    for walled in ("/console", "/admin"):
        answer = page.goto(walled)
        assert answer is not None
        assert answer.status == 403
        expect(page.get_by_role("heading")).to_contain_text("不属于您的角色")
        assert_usable(page)
    asked = page.request.get(f"{web_service.url}/api/v1/people")
    assert (asked.status, asked.json()["code"]) == (403, "not-allowed")
    # A page of another site has the cookie's browser, but not our token.
    pressed = page.request.post(f"{web_service.url}/api/v1/agents/8002/resume")
    assert (pressed.status, pressed.json()["code"]) == (403, "csrf")

    page.goto("/desk")
    expect(page.get_by_role("link", name="王伟")).to_be_visible()
    row = admin.get_by_role("row", name=re.compile("wangwei"))
    row.get_by_role("button", name="停用").click()
    admin.get_by_role("dialog").get_by_role("button", name="停用").click()
    expect(row).to_contain_text("已停用")
    # The live events of the open page end with the session: nobody has to press anything.
    expect(page).to_have_url(re.compile(r"/signin"))
    admin.goto("/admin#audit")
    admin.get_by_role("searchbox", name="查找").fill("wangwei")
    # Newest first: disabled, signed in, added.
    entries = admin.locator("tbody tr")
    expect(entries).to_have_count(3)
    assert [one.locator("td").nth(3).inner_text() for one in entries.all()] == [
        "更改人员",
        "登录",
        "添加人员",
    ]


def test_given_a_day_chosen_by_keys_then_it_is_closed_on_the_pbx_and_opened_again(
    sign_in: SignIn, web: PrivatePbx
) -> None:
    page = sign_in("admin", "/admin#calendar")
    page.get_by_role("button", name="下一年").click()
    expect(page.get_by_text("暂定", exact=False).first).to_be_visible()
    first = page.locator("button.day[tabindex='0']")
    first.focus()
    for key in ("PageDown", "PageDown", "ArrowDown", "ArrowRight"):  # 1 January → 9 March
        page.keyboard.press(key)
    chosen = page.locator("button.day[aria-pressed=true]")
    expect(chosen).to_be_focused()
    day = chosen.get_attribute("data-day") or ""
    assert day.endswith("-03-09")
    page.get_by_label("自定时间").check()
    page.get_by_label("时间", exact=True).fill("八点半")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("写成 08:30-12:00")).to_be_visible()
    page.get_by_label("时间", exact=True).fill("8:30-12:00")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("写成 08:30-12:00")).to_be_visible()
    page.get_by_label("时间", exact=True).fill("08:30-12:00，13:30-16:00")
    page.get_by_label("原因").fill("系统维护")
    page.get_by_role("button", name="保存").click()
    expect(chosen).to_have_class(re.compile("special"))
    assert_usable(page)
    key = day.replace("-", "")

    def on_pbx() -> str:
        return web.console(f"database get hotline-hours {key}")

    wait_until(lambda: "0830-1200,1330-1600" in on_pbx(), "the PBX has the hours of that day")
    page.get_by_role("button", name="取消特别日").click()
    expect(chosen).not_to_have_class(re.compile("special"))
    wait_until(lambda: "0830-1700" in on_pbx(), "the PBX has the ordinary hours again")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_given_each_admin_page_then_it_can_be_used_by_everybody_and_holds_what_is_true(
    sign_in: SignIn, web_service: Service, scheme: str
) -> None:
    page = sign_in("admin", "/admin#setup", color_scheme=scheme)
    expect(
        page.get_by_role("group", name="受转单位").get_by_text("PJSIP/12345", exact=True)
    ).to_be_visible()
    expect(page.get_by_text("一键转接 110").first).to_be_visible()
    assert_usable(page)
    for name, there in (
        ("人员与角色", "button:has-text('添加人员')"),
        ("平台消息", ".filters"),
        ("审计日志", "tbody tr"),
        ("拨号方案", "text=加载会改变什么"),
        ("体检", "h1:has-text('体检')"),
    ):
        page.get_by_role("link", name=name).click()
        page.locator(there).first.wait_for()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_focused()
        assert_usable(page)
    if scheme == "light":
        page.get_by_role("button", name="重新检查").click()
        expect(page.locator("[data-check=ami]")).to_contain_text("正常")
        assert_usable(page)


def test_given_an_auditor_or_integrator_then_they_look_and_find_nothing_to_change(
    sign_in: SignIn, web_service: Service
) -> None:
    auditor = sign_in("auditor", "/admin")
    expect(auditor.get_by_role("row", name=re.compile("supervisor"))).to_be_visible()
    expect(auditor.get_by_text("只能查看")).to_be_visible()
    for name in ("人员与角色", "事项目录", "日历", "拨号方案"):
        auditor.get_by_role("link", name=name, exact=True).click()
        expect(auditor.get_by_role("heading", name=name, exact=True)).to_be_visible()
        for word in ("添加人员", "停用", "导入", "恢复", "保存", "临时关闭", "检查并加载", "回滚"):
            expect(auditor.get_by_role("button", name=word, exact=True)).to_have_count(0)
    person = {"display_name": "对接", "roles": ["integrator"], "password": OWN_PASSWORD}
    web_service.post("/people", person | {"name": "integrator"}).raise_for_status()
    integrator = sign_in("integrator", "/admin")
    tabs = integrator.get_by_role("navigation", name="管理各页").get_by_role("link")
    expect(tabs).to_have_text(["平台消息"])
    expect(integrator.get_by_role("heading", name="平台消息")).to_be_visible()
    assert integrator.request.get(f"{web_service.url}/api/v1/cases").status == 403


def test_given_no_other_host_then_the_interface_is_described_in_the_browser(
    sign_in: SignIn, web_service: Service
) -> None:
    page = sign_in("auditor")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/docs")
    section = page.get_by_role("link", name="legs", exact=True)
    section.click()
    legs = page.get_by_role("button", name="get /api/v1/legs", exact=True)
    legs.click()
    expect(page.get_by_text("the citizen's number, in any form").first).to_be_visible()
    assert {"/docs/docs.js", "/vendor/swagger-ui.js", "/openapi.json"} <= {
        one.removeprefix(web_service.url) for one in asked
    }
    # No badge of a checker elsewhere, no style or sound from there.
    assert [one for one in asked if not one.startswith((f"{web_service.url}/", "data:"))] == []
