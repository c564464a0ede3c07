"""Calls at the agents' desk in a real browser, on a real PBX, with real sound.

One test is one stretch of an agent's day: a page is loaded, signed in and checked once for it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PhoneFactory,
    channels,
    wait_until,
)
from tests.pbx.served import whole_case
from tests.web.desk_page import CITIZEN_HZ, DESK_HZ, assert_together, begin_work, key
from tests.web.floor import MIC_HZ, OWN_PASSWORD, SignIn, hears

pytestmark = pytest.mark.pbx

BOTH = 0.2
"""Of two tones at once each has a good share of the energy."""


def progress(page: Page) -> Locator:
    return page.locator("[data-progress]")


def take_call(page: Page, citizen: SoftCall) -> None:
    """The page rings; the agent answers; both hear each other."""
    key(page, "answer").click()
    citizen.wait_answered(5)
    citizen.play_tone(CITIZEN_HZ)
    assert_together(page, citizen)


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
    expect(progress(page)).to_have_text("没有转给 110。市民已回到您这里。")
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
    expect(page.locator(".notice.good")).to_contain_text("已记下：由 12345 承办。")
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
