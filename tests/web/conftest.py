"""The real service, a real Asterisk, and a real Chromium: one of each for the tests of a process.

Tests here are plain functions: Playwright's synchronous interface holds an event loop of its own,
which ends with the last test of this folder.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from telephony.asterisk_program import find_asterisk
from telephony.demo.stage import Service
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx
from telephony.softphone import Softphone
from tests.pbx.conftest import pytest_runtest_makereport  # noqa: F401 - pytest asks it
from tests.pbx.scene import (
    CITIZENS,
    PASSWORD,
    PhoneFactory,
    assert_quiet,
    brief_prompts,
    set_hours,
    sign_all_out,
)
from tests.pbx.served import service_settings, serving
from tests.web.floor import (
    INSTRUMENTS,
    SignIn,
    chromium,
    flags,
    make_people,
    microphone,
    web_settings,
)


@pytest.fixture(scope="package")
def shared_pbx() -> Iterator[PrivatePbx]:
    """An Asterisk with phones in the browser for 8001 and 8002."""
    with (
        tempfile.TemporaryDirectory(prefix="hotline-web-") as name,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
    ):
        silent.bind(("127.0.0.1", 0))
        folder = Path(name)
        folder.chmod(0o755)
        citizens = [Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS]
        with PrivatePbx(find_asterisk(), folder / "root", web_settings(), citizens) as pbx:
            brief_prompts(pbx)
            pbx.console("logger add channel steps verbose(3),notice,warning,error")
            yield pbx


@pytest.fixture(scope="package")
def web_service(
    shared_pbx: PrivatePbx, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service with everybody of PEOPLE; its record grows from test to test."""
    folder = tmp_path_factory.mktemp("web")
    with serving(service_settings(shared_pbx, folder), folder) as one:
        make_people(one)
        yield one


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium, with a microphone that hears a tone."""
    sound = microphone(tmp_path_factory.mktemp("microphone") / "tone.wav")
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium(), args=flags(sound))
        yield one
        one.close()


@pytest.fixture
def web(shared_pbx: PrivatePbx, web_service: Service) -> Iterator[PrivatePbx]:
    """The PBX, open for business, with nothing going on before and after."""
    set_hours(shared_pbx, "0000-2400")
    yield shared_pbx
    sign_all_out(shared_pbx)
    for agent in ("8001", "8002"):
        shared_pbx.console(f"queue remove member PJSIP/{agent}-web from hotline")
    assert_quiet(shared_pbx)


@pytest.fixture
def phone(web: PrivatePbx) -> Iterator[PhoneFactory]:
    """Phones of citizens, desks and agents by their number; let go after the test."""
    phones: dict[str, Softphone] = {}

    def register(who: str) -> Softphone:
        if who not in phones:
            phones[who] = Softphone("127.0.0.1", web.sip_port, who, PASSWORD)
            phones[who].start()
        return phones[who]

    yield register
    for one in phones.values():
        one.stop()


@pytest.fixture
def new_page(browser: Browser, web_service: Service) -> Iterator[Any]:
    """A page in a fresh profile; whatever the page says is wrong fails the test."""
    profiles: list[BrowserContext] = []
    wrong: list[str] = []

    def page(**profile: Any) -> Page:
        values = {"viewport": {"width": 1366, "height": 768}, "locale": "zh-CN", **profile}
        one = browser.new_context(base_url=web_service.url, **values)
        profiles.append(one)
        one.add_init_script(INSTRUMENTS)
        made = one.new_page()
        made.on("pageerror", lambda error: wrong.append(f"{error}\n{error.stack or ''}"))
        made.on(
            "console",
            lambda said: wrong.append(said.text) if "Content Security" in said.text else None,
        )
        return made

    yield page
    for one in profiles:
        one.close()
    assert wrong == []


@pytest.fixture
def sign_in(web_service: Service, new_page: Any) -> SignIn:
    """``sign_in("agent")`` is that person's page; see PEOPLE."""
    return SignIn(web_service.url, new_page)
