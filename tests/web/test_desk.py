"""The agents' desk in a real browser, on a real PBX, with real sound.

One test is one stretch of an agent's day: a page is loaded, signed in and checked once for it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Dialog, Locator, Page, WebSocketRoute, expect

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PhoneFactory,
    being_recorded,
    channels,
    set_hours,
    wait_until,
)
from tests.pbx.scene import sign_in as by_code
from tests.pbx.served import whole_case
from tests.web.floor import MIC_HZ, OWN_PASSWORD, SignIn, assert_usable, hears

pytestmark = pytest.mark.pbx

CITIZEN_HZ, DESK_HZ = 500.0, 1300.0
BOTH = 0.2
"""Of two tones at once each has a good share of the energy."""


def key(page: Page, name: str) -> Locator:
    """A key that does something now."""
    return page.locator(f"[data-key='{name}']:not([aria-disabled])")


def progress(page: Page) -> Locator:
    return page.locator("[data-progress]")


def begin_work(page: Page) -> None:
    """Check the microphone, wait for the line, sign in for calls."""
    page.get_by_role("button", name="检查麦克风").click()
    expect(page.locator("[data-check=mic]")).to_contain_text("能听到您的声音")
    expect(page.locator("[data-check=line]")).to_contain_text("已连接交换机")
    page.get_by_role("button", name="签入", exact=True).click()
    expect(page.locator("[data-state=ready]")).to_be_visible()


def take_call(page: Page, citizen: SoftCall) -> None:
    """The page rings; the agent answers; both hear each other."""
    key(page, "answer").click()
    citizen.wait_answered(5)
    citizen.play_tone(CITIZEN_HZ)
    assert_together(page, citizen)


def assert_together(page: Page, citizen: SoftCall) -> None:
    hears(page, CITIZEN_HZ)
    citizen.wait_hears(MIC_HZ, 6)


def case_of(page: Page) -> str:
    """The case of the call, as the page shows it."""
    return page.locator(".caller dd.mono").last.inner_text()


def test_given_a_call_when_it_is_written_up_and_handed_over_then_it_comes_back_or_is_taken(
    sign_in: SignIn, phone: PhoneFactory, web_service: Service
) -> None:
    web_service.import_sample()
    desk_110 = phone("110")
    page = sign_in("agent")
    begin_work(page)
    citizen = phone(CITIZENS[0]).call(LINE)
    expect(page.locator("[data-number]")).to_have_text(CITIZENS[0])
    expect(key(page, "desk-110")).to_have_count(0)
    take_call(page, citizen)
    case = case_of(page)

    # The case is saved as it is typed; the matter is found by the first letters of its pinyin.
    page.get_by_label("内容摘要").fill("凌河街口两车相撞，有人受伤")
    page.get_by_label("类别").select_option("求助")
    page.get_by_role("combobox", name="事项").press_sequentially("jtsg")
    page.locator("#matters li").first.wait_for()
    page.keyboard.press("Enter")
    expect(page.locator("[data-saved=saved]")).to_be_visible()
    expect(page.locator("[data-proposal]")).to_be_visible()
    page.get_by_label("坐标").fill("somewhere")
    expect(page.get_by_label("坐标")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("[data-saved=wrong]")).to_be_visible()
    page.get_by_label("坐标").fill("41.5703,120.4508")
    expect(page.locator("[data-saved=saved]")).to_be_visible()
    details = web_service.get(f"/cases/{case}")["details"]
    assert details["summary"] == "凌河街口两车相撞，有人受伤"
    assert (details["kind"], details["position"]) == ("求助", "41.5703,120.4508")

    key(page, "hold").click()
    expect(page.locator("[data-key=hold][aria-pressed=true]")).to_be_visible()
    key(page, "hold").click()
    assert_together(page, citizen)

    key(page, "desk-110").click()
    offered = desk_110.wait_for_call(5)
    expect(progress(page)).to_contain_text(re.compile(r"正在呼叫 110（\d+ 秒）"))
    offered.deny(486)
    expect(progress(page)).to_have_text("110 占线。市民已回到您这里。")
    assert_together(page, citizen)

    page.keyboard.press("Alt+1")
    taken = desk_110.wait_for_call(5)
    taken.answer()
    taken.play_tone(DESK_HZ)
    expect(progress(page)).to_have_text("110 已接听，转接完成。")
    taken.wait_hears(CITIZEN_HZ, 6)
    citizen.wait_hears(DESK_HZ, 6)
    expect(page.locator("[data-call=none]")).to_be_visible()
    expect(page.locator("[data-state=ready]")).to_be_visible()
    citizen.hangup()
    taken.wait_ended(5)
    whole = whole_case(web_service, case)
    assert whole["owner"] == "110"
    assert [one["state"] for one in whole["handovers"]] == ["busy", "accepted"]
    agent = next(leg for leg in whole["legs"] if leg["role"] == "agent")
    assert (agent["party"], agent["agent"]) == ("8001", "8001")


def test_given_a_call_when_desks_are_asked_and_called_in_then_all_hear_each_other(
    sign_in: SignIn, phone: PhoneFactory, web_service: Service
) -> None:
    desk_110, desk_12345 = phone("110"), phone("12345")
    page = sign_in("agent")
    begin_work(page)
    citizen = phone(CITIZENS[1]).call(LINE)
    take_call(page, citizen)
    case = case_of(page)

    # First ask, and take the citizen back.
    page.keyboard.press("Alt+C")
    key(page, "desk-110").click()
    asked = desk_110.wait_for_call(5)
    asked.answer()
    asked.play_tone(DESK_HZ)
    expect(progress(page)).to_have_text("正在与 110 说话，市民在听音乐")
    hears(page, DESK_HZ)
    asked.wait_hears(MIC_HZ, 6)
    page.get_by_role("button", name="收回市民").click()
    asked.wait_ended(5)
    assert_together(page, citizen)

    # Then three of them.
    page.get_by_role("button", name="三方通话").click()
    key(page, "desk-12345").click()
    third = desk_12345.wait_for_call(5)
    third.answer()
    third.play_tone(DESK_HZ)
    expect(progress(page)).to_have_text("12345 已加入三方通话。")
    for one, tones in ((third, (CITIZEN_HZ, MIC_HZ)), (citizen, (DESK_HZ, MIC_HZ))):
        for tone in tones:
            one.wait_hears(tone, 6, BOTH)
    page.get_by_role("button", name="由 12345 承办").click()
    wait_until(lambda: web_service.get(f"/cases/{case}")["owner"] == "12345", "12345 has the case")
    key(page, "hangup").click()
    expect(page.locator("[data-call=none]")).to_be_visible()
    # The agent has left; the citizen and the desk talk on.
    third.wait_hears(CITIZEN_HZ, 6)
    citizen.hangup()
    third.wait_ended(5)


def test_given_a_call_when_the_page_is_loaded_anew_then_citizen_and_case_are_back_with_it(
    sign_in: SignIn, phone: PhoneFactory, web_service: Service
) -> None:
    page = sign_in("agent")
    begin_work(page)
    citizen = phone(CITIZENS[0]).call(LINE)
    take_call(page, citizen)
    case = case_of(page)
    expect(page.locator("[data-saved=ready]")).to_be_visible()
    page.get_by_label("内容摘要").fill("写到一半")
    page.reload()
    # The caller is in the queue, first in line, and rings where an agent is free: here again.
    take_call(page, citizen)
    assert case_of(page) == case
    expect(page.get_by_label("内容摘要")).to_have_value("写到一半")
    expect(page.locator("[data-saved=saved], [data-saved=ready]")).to_be_visible()
    assert web_service.get(f"/cases/{case}")["details"]["summary"] == "写到一半"
    assert page.evaluate("Object.keys(localStorage).filter(k => k.includes('draft'))") == []

    # The same person in a second tab: there is one desk only, and it is in a call.
    second = page.context.new_page()
    second.goto("/desk")
    expect(second.get_by_role("heading", name="坐席已在另一个标签页打开。")).to_be_visible()
    second.get_by_role("button", name="在这里使用").click()
    expect(second.get_by_text("另一个标签页正在通话，不能接管。")).to_be_visible()
    second.close()
    assert_together(page, citizen)

    # An admin changes something about the agent: the page listens anew, and that is all.
    with page.expect_websocket(lambda one: "/events" in one.url):
        change = {"department": "热线一组"}
        assert web_service.http.patch("/api/v1/people/agent", json=change).status_code == 200
    out = page.locator("[data-signed-out]")
    expect(key(page, "desk-110")).to_be_visible()
    expect(out).to_be_hidden()
    assert_together(page, citizen)

    # An admin ends the agent's sessions: the call and what is written stay in the page, which says
    # so, until the agent has signed in again; then what was written is saved.
    assert web_service.http.delete("/api/v1/people/agent/sessions").json()["ended"] >= 1
    expect(out).to_contain_text("登录已失效")
    page.get_by_label("内容摘要").fill("登录失效后写的")
    expect(page.locator("[data-saved=kept]")).to_be_visible()
    page.get_by_role("button", name="退出登录").click()
    expect(page.locator(".notice.bad").last).to_contain_text("正在通话")
    assert_together(page, citizen)
    again = {"name": "agent", "password": OWN_PASSWORD}
    assert page.request.post("/api/v1/session", data=again).ok
    expect(out).to_be_hidden(timeout=15000)
    expect(page.locator("[data-saved=saved]")).to_be_visible(timeout=15000)
    assert web_service.get(f"/cases/{case}")["details"]["summary"] == "登录失效后写的"
    assert_together(page, citizen)

    # Once more, and nobody signs in: the call ends as it does, and then the page is left.
    assert web_service.http.delete("/api/v1/people/agent/sessions").json()["ended"] == 1
    expect(out).to_be_visible()
    key(page, "hangup").click()
    page.wait_for_url("**/signin?next=*")
    citizen.wait_ended(10)
    returned = [
        entry for entry in whole_case(web_service, case)["legs"] if entry["role"] == "agent"
    ]
    assert len(returned) == 2
    assert returned[0]["cause"] == 41


def test_given_a_call_when_connections_are_cut_then_it_goes_on_and_nothing_is_done_late(
    sign_in: SignIn, phone: PhoneFactory, new_page: Any, web_service: Service, web: PrivatePbx
) -> None:
    desk_110 = phone("110")
    cut = {"events": False, "sip": False}
    routes: dict[str, WebSocketRoute] = {}

    def pass_through(name: str) -> Any:
        def route(socket: WebSocketRoute) -> None:
            if cut[name]:
                socket.close(code=1011)
                return
            socket.connect_to_server()
            routes[name] = socket

        return route

    def prepared(**profile: Any) -> Page:
        page: Page = new_page(**profile)
        page.route_web_socket(re.compile(r"/api/v1/events"), pass_through("events"))
        page.route_web_socket(re.compile(r"/ws$"), pass_through("sip"))
        return page

    page = SignIn(web_service.url, prepared)("agent")
    begin_work(page)
    citizen = phone(CITIZENS[2]).call(LINE)
    take_call(page, citizen)

    # The server cannot be reached: it is said, keys are refused, and nothing is done afterwards.
    cut["events"] = True
    routes["events"].close(code=1011)
    banner = page.get_by_role("alert").filter(has_text="与服务器的连接中断")
    expect(banner).to_be_visible()
    page.locator("[data-key=desk-110]").click(force=True)
    expect(page.locator(".notice.bad")).to_contain_text("没有执行")
    assert_together(page, citizen)
    cut["events"] = False
    expect(banner).to_be_hidden()
    expect(key(page, "desk-110")).to_be_visible()
    assert not desk_110.calls
    assert web_service.get("/handovers/running")["items"] == []

    # The telephone's own connection is cut: the call stays, and its end is seen after it is back.
    cut["sip"] = True
    routes["sip"].close(code=1011)
    expect(page.locator("[data-line=lost]")).to_contain_text("通话保持")
    assert_together(page, citizen)
    cut["sip"] = False
    expect(page.locator("[data-line=lost]")).to_be_hidden(timeout=15000)
    assert_together(page, citizen)
    citizen.hangup()
    expect(page.locator("[data-call=none]")).to_be_visible()
    wait_until(lambda: not channels(web), "nobody is left on the PBX")


def test_given_a_message_when_it_is_worked_through_then_it_is_heard_called_back_and_done(
    sign_in: SignIn, phone: PhoneFactory, web_service: Service, web: PrivatePbx
) -> None:
    set_hours(web, "closed")
    caller = phone(CITIZENS[1])
    message = caller.call(LINE)
    message.wait_answered(5)

    def left() -> list[dict[str, Any]]:
        found = web_service.get("/messages", kind="message", state="open")["items"]
        return [one for one in found if one["number"] == CITIZENS[1]]

    wait_until(lambda: being_recorded(web), "the message is being recorded", 10)
    message.play_tone(CITIZEN_HZ)
    page = sign_in("agent")
    begin_work(page)
    message.hangup()
    wait_until(left, "the message is on record", 10)

    page.get_by_role("tab", name="待回拨").click()
    page.get_by_role("button", name="我的").click()
    page.get_by_role("button", name="待回拨", exact=True).click()
    item = page.locator("[data-message]").filter(has_text="留言").last
    item.locator("[data-do=listen]").click()
    player = page.locator("audio[controls]")
    page.wait_for_function(
        "() => { const one = document.querySelector('audio[controls]');"
        " return one && one.readyState >= 3 && one.duration > 0.5; }"
    )
    assert player.evaluate(
        "one => new Promise(done => { one.onseeked = () => done(one.currentTime > 0.2);"
        " one.currentTime = one.duration / 2; })"
    )
    wait_until(lambda: left()[0]["heard_by"] == "agent", "who heard it is on record")
    item.locator("[data-do=take]").click()
    page.get_by_role("button", name="我的").click()
    mine = page.locator("[data-message]").filter(has_text="8001 在处理").last
    mine.locator("[data-do=call-back]").click()
    key(page, "answer").click()
    called = caller.wait_for_call(8)
    called.answer()
    called.play_tone(CITIZEN_HZ)
    assert_together(page, called)
    key(page, "hangup").click()
    called.wait_ended(10)
    page.get_by_role("tab", name="待回拨").click()
    page.get_by_role("button", name="我的").click()
    page.locator("[data-message]").last.locator("[data-do=outcome]").click()
    page.get_by_role("button", name="办结").click()
    expect(page.get_by_role("dialog").get_by_text("请填写")).to_be_visible()
    page.get_by_label("处理结果").fill("已告知所需材料")
    page.get_by_role("button", name="办结").click()
    wait_until(lambda: not left(), "the message is answered")


def test_given_a_desk_phone_that_can_be_told_when_the_key_is_pressed_then_it_answers(
    sign_in: SignIn, phone: PhoneFactory, web_service: Service, web: PrivatePbx
) -> None:
    page = sign_in("agent")
    page.get_by_label("桌面话机 8001").check()
    desk_phone = phone("8001")
    page.get_by_role("button", name="签入", exact=True).click()
    expect(page.locator("[data-state=ready]")).to_be_visible()
    citizen = phone(CITIZENS[0]).call(LINE)
    rings = desk_phone.wait_for_call(8)
    key(page, "answer").click()
    rings.wait_answered(5)
    citizen.wait_answered(5)
    rings.play_tone(MIC_HZ)
    citizen.wait_hears(MIC_HZ, 6)
    # Changing over to the browser: the desk phone rings no more, the agent stays signed in.
    answer = web_service.post("/agents/8001/sign-in", {"phone": "browser"})
    assert answer.json()["phone"] == "browser"
    citizen.hangup()
    rings.wait_ended(5)
    # And back, by the code on the desk phone.
    by_code(desk_phone, web)
    wait_until(lambda: web_service.get("/agents/8001")["phone"] == "desk", "the desk phone rings")
    assert "PJSIP/8001-web" not in web.console("queue show hotline")


def test_given_the_page_in_both_looks_then_everybody_can_use_it_and_it_is_small(
    sign_in: SignIn, phone: PhoneFactory, web: PrivatePbx
) -> None:
    page = sign_in("colleague", color_scheme="dark")
    expect(page.get_by_role("button", name="检查麦克风")).to_be_visible()
    loaded = page.evaluate(
        "['resource', 'navigation'].flatMap(kind => performance.getEntriesByType(kind))"
        ".filter(one => !one.name.includes('/api/'))"
        ".reduce((all, one) => all + one.transferSize, 0)"
    )
    assert 50_000 < loaded < 200_000
    assert_usable(page)
    # With a desk phone: it rings there, and the screen says why it cannot answer.
    page.get_by_label("桌面话机 8002").check()
    desk_phone = phone("8002")
    page.get_by_role("button", name="签入", exact=True).click()
    expect(page.locator("[data-state=ready]")).to_be_visible()
    citizen = phone(CITIZENS[0]).call(LINE)
    rings = desk_phone.wait_for_call(8)
    answer = page.locator("[data-key=answer]")
    expect(answer).to_have_attribute("title", re.compile("请拿起桌面话机接听"))
    rings.answer()
    citizen.wait_answered(5)
    expect(key(page, "desk-110")).to_be_visible()
    assert_usable(page)
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="English").click()
    expect(page.locator("[data-key=hold]")).to_contain_text("Hold")
    assert_usable(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert_usable(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    citizen.hangup()
    rings.wait_ended(5)
    page.get_by_label("Reason for the pause").select_option("2")
    expect(page.locator("[data-state=paused]")).to_contain_text("meal")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/signin*")
    assert "PJSIP/8002" not in web.console("queue show hotline")


KEPT = """() => Object.keys(localStorage).filter((key) => key.includes("draft")).sort()"""
KEEP = """() => {
  const entry = (hours, refused) => JSON.stringify(
    { changed: { citizen_name: "张三" }, at: Date.now() - hours * 3600000, refused });
  localStorage.setItem("hotline.draft.colleague/20260101-1.1", entry(25, true));
  localStorage.setItem("hotline.draft.colleague/20260101-1.2", entry(23, true));
  localStorage.setItem("hotline.draft.agent/20260101-1.3", entry(25, false));
  localStorage.setItem("hotline.draft.agent/20260101-1.4", entry(8 * 24, false));
  localStorage.setItem("hotline.draft.agent.20260101-1.5", "{\\"citizen_name\\": \\"张三\\"}");
}"""


def test_given_what_the_server_did_not_take_then_it_goes_after_a_day_and_with_who_signs_out(
    sign_in: SignIn, web: PrivatePbx
) -> None:
    page = sign_in("agent")
    page.evaluate(KEEP)
    page.reload()
    out = page.get_by_role("button", name="退出登录")
    expect(out).to_be_visible()
    # Refused a day ago, or never sent within a week: gone, whoever wrote it.
    left = ["hotline.draft.agent/20260101-1.3", "hotline.draft.colleague/20260101-1.2"]
    assert page.evaluate(KEPT) == left
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        if len(asked) == 1:
            dialog.dismiss()
        else:
            dialog.accept()

    page.on("dialog", answer)
    with page.expect_event("dialog"):
        out.click()
    assert page.evaluate(KEPT) == left
    with page.expect_event("dialog"):
        out.click()
    page.wait_for_url("**/signin")
    assert page.evaluate(KEPT) == left[1:]
    assert ["20260101-1.3" in one for one in asked] == [True, True]
