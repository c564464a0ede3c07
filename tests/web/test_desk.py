"""The agents' desk in a real browser, on a real PBX, with real sound."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.pbx.scene import CITIZENS, LINE, PhoneFactory
from tests.web.floor import MIC_HZ, SignIn, hears

pytestmark = pytest.mark.pbx


def begin_work(page: Page) -> None:
    """Check the microphone, wait for the line, sign in for calls."""
    page.get_by_role("button", name="检查麦克风").click()
    expect(page.locator("[data-check=mic]")).to_contain_text("能听到您的声音")
    expect(page.locator("[data-check=line]")).to_contain_text("已连接交换机")
    page.get_by_role("button", name="签入", exact=True).click()
    expect(page.locator("[data-state=ready]")).to_be_visible()


def test_an_agent_takes_a_call(sign_in: SignIn, phone: PhoneFactory) -> None:
    page = sign_in("agent")
    begin_work(page)
    citizen = phone(CITIZENS[0]).call(LINE)
    page.locator("[data-key=answer]:not([aria-disabled])").click()
    citizen.wait_answered(5)
    citizen.play_tone(500.0)
    hears(page, 500.0)
    citizen.wait_hears(MIC_HZ, 6)
    citizen.hangup()
    expect(page.locator("[data-call=none]")).to_be_visible()
