"""What agents do at their desk beside calls: messages, the desk phone, looks, unsent write-ups."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Dialog, expect

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PhoneFactory,
    being_recorded,
    set_hours,
    wait_until,
)
from tests.pbx.scene import sign_in as by_code
from tests.web.desk_page import CITIZEN_HZ, assert_together, begin_work, key
from tests.web.floor import MIC_HZ, SignIn, assert_usable

pytestmark = pytest.mark.pbx


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
