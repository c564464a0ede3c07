"""The agents' desk as a person uses it: its keys, beginning to work, who hears whom."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from telephony.softphone import SoftCall
from tests.web.floor import MIC_HZ, hears

CITIZEN_HZ, DESK_HZ = 500.0, 1300.0


def key(page: Page, name: str) -> Locator:
    """A key that does something now."""
    return page.locator(f"[data-key='{name}']:not([aria-disabled])")


def begin_work(page: Page) -> None:
    """Check the microphone, wait for the line, sign in for calls."""
    page.get_by_role("button", name="检查麦克风").click()
    expect(page.locator("[data-check=mic]")).to_contain_text("能听到您的声音")
    expect(page.locator("[data-check=line]")).to_contain_text("已连接交换机")
    page.get_by_role("button", name="签入", exact=True).click()
    expect(page.locator("[data-state=ready]")).to_be_visible()


def assert_together(page: Page, citizen: SoftCall) -> None:
    hears(page, CITIZEN_HZ)
    citizen.wait_hears(MIC_HZ, 6)
