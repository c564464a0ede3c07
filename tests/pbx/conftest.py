"""A real Asterisk for each test process, and real SIP phones at it.

After every test all phones let go and nothing may be left on the PBX: no channel, no bridge.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Generator, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from telephony.asterisk_program import find_asterisk
from telephony.demo.stage import Service
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx
from telephony.softphone import Softphone
from tests.pbx.scene import (
    CITIZENS,
    NUMBER_OF_110,
    PASSWORD,
    PhoneFactory,
    Talk,
    assert_quiet,
    begin_talk,
    brief_prompts,
    pbx_settings,
    set_hours,
    sign_all_out,
    sign_in,
)
from tests.pbx.served import service_settings, serving


@pytest.fixture(scope="session")
def shared_pbx() -> Iterator[PrivatePbx]:
    # Not below pytest's own folder: that is closed to the unprivileged user Asterisk runs as.
    with (
        tempfile.TemporaryDirectory(prefix="hotline-tests-") as name,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
    ):
        silent.bind(("127.0.0.1", 0))
        pbx = _pbx(Path(name), silent.getsockname()[1])
        with pbx:
            brief_prompts(pbx)
            pbx.console("logger add channel steps verbose(3),notice,warning,error")
            yield pbx


def _pbx(folder: Path, silent_port: int) -> PrivatePbx:
    folder.chmod(0o755)
    phones = [
        *(Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS),
        # Its silence is noticed soon enough for a test.
        Phone("8004", PASSWORD, "hotline-agents", silence_s=2, qualify_s=1),
        # Trunks: one that is 110's alone, one that 12345 shares with citizens, one to the outside;
        # and 110's number, on any trunk.
        *(
            Phone(one, PASSWORD, "hotline-trunk")
            for one in ("trunk-110", "gov", "outside", NUMBER_OF_110)
        ),
        # A trunk of which nothing is ever heard.
        Phone("silent", "", "hotline-trunk", contact=f"sip:silent@127.0.0.1:{silent_port}"),
    ]
    return PrivatePbx(find_asterisk(), folder / "root", pbx_settings(), phones)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its PBX did meanwhile."""
    report = yield
    pbx = getattr(item, "funcargs", {}).get("shared_pbx")
    if report.failed and isinstance(pbx, PrivatePbx):
        began = datetime.fromtimestamp(call.start).strftime("%F %T")
        steps = (pbx.places.log / "steps").read_text(errors="replace").splitlines()
        recent = [line[:220] for line in steps if line[1:20] >= began]
        report.sections.append(("Asterisk's steps", "\n".join(recent[-250:])))
    return report


@pytest.fixture
def pbx(shared_pbx: PrivatePbx) -> Iterator[PrivatePbx]:
    """The PBX, open for business, with nothing going on before and after."""
    set_hours(shared_pbx, "0000-2400")
    yield shared_pbx
    # Over HTTP agents sign in without a phone of the test's.
    sign_all_out(shared_pbx)
    assert_quiet(shared_pbx)


@pytest.fixture
def phone(pbx: PrivatePbx) -> Iterator[PhoneFactory]:
    """Phones by their extension; each is registered once and let go after the test."""
    phones: dict[str, Softphone] = {}

    def register(who: str) -> Softphone:
        if who not in phones:
            phones[who] = Softphone("127.0.0.1", pbx.sip_port, who, PASSWORD)
            phones[who].start()
        return phones[who]

    yield register
    sign_all_out(pbx)
    for one in phones.values():
        one.stop()


@pytest.fixture
def talk(pbx: PrivatePbx, phone: PhoneFactory) -> Talk:
    """Citizen 13804210001 called the line, agent 8001 answered, both play their tones."""
    agent = phone("8001")
    sign_in(agent, pbx)
    return begin_talk(phone(CITIZENS[0]), agent)


@pytest.fixture
def service(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Service]:
    with serving(service_settings(pbx, tmp_path), tmp_path) as one:
        yield one
