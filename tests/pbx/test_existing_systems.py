"""Beside systems that were there before: the examples of docs/existing-systems.md as they stand."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from telephony.asterisk_program import checkout, find_asterisk
from telephony.dialplan import render, write
from telephony.plans import scratch
from telephony.plans.check import check_files
from telephony.plans.desk import differences_now
from telephony.private_pbx import free_port
from telephony.settings import Agent, Desk, Key, Line, Settings, load_settings
from telephony.softphone import Softphone
from tests.pbx.existing_scene import PlainPbx, Sbc, example, value
from tests.pbx.plans_scene import WELL, own, settings_for_loads
from tests.pbx.scene import (
    PASSWORD,
    Talk,
    assert_quiet,
    begin_talk,
    brief_prompts,
    set_hours,
    sign_in,
    wait_until,
)
from tests.pbx.test_dialplan_load import loader_of

pytestmark = pytest.mark.pbx
CITIZEN, FROM_AFAR, NUMBER = "13804210001", "+8613804210002", "+864212800122"
FREEPBX = checkout() / "tests/fixtures/freepbx"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


def settings_of_the_line() -> Settings:
    return Settings(
        line=Line(number="2800122", queue_wait_s=8, agent_ring_s=8, numbers=["4001234567"]),
        agents=[Agent(id="8001", name="8001")],
        desks=[
            Desk(id="110", name="110", dial="PJSIP/110@ims", ring_s=5),
            Desk(id="12345", name="12345", dial="PJSIP/12345", ring_s=5),
        ],
        keys=[
            Key(code="*1", action="transfer", desk="110"),
            Key(code="*2", action="transfer", desk="12345"),
        ],
    )


@pytest.fixture
def sbc() -> Iterator[Sbc]:
    with Sbc() as one:
        yield one


@pytest.fixture
def plain(sbc: Sbc) -> Iterator[PlainPbx]:
    # Not below pytest's own folder: that is closed to the user Asterisk runs as.
    with tempfile.TemporaryDirectory(prefix="hotline-plain-") as name:
        Path(name).chmod(0o755)
        pbx = PlainPbx(find_asterisk(), Path(name) / "root", settings_of_the_line(), PASSWORD, sbc)
        with pbx:
            brief_prompts(pbx)
            set_hours(pbx, "0000-2400")
            yield pbx
            assert_quiet(pbx)


@pytest.fixture
def phones(plain: PlainPbx) -> Iterator[dict[str, Softphone]]:
    names = ("6001", "6002", "8001", "12345", CITIZEN)
    there = {one: Softphone("127.0.0.1", plain.sip_port, one, PASSWORD) for one in names}
    for one in there.values():
        one.start()
    yield there
    for one in there.values():
        one.stop()


def their_own(pbx: PlainPbx) -> dict[str, str]:
    """What is the office's: files, contexts, queue, keys."""
    files = {one.name: one.read_text() for one in pbx.places.etc.glob("*.conf")}
    shown = ("dialplan show internal", "dialplan show from-provider", "dialplan show globals")
    keys = {line for line in pbx.console("features show").splitlines() if "hotline-" not in line}
    return files | {one: pbx.console(one) for one in shown} | {"keys": "\n".join(sorted(keys))}


def test_given_a_pbx_with_a_life_of_its_own_when_the_hotline_is_put_beside_it_then_both_work(
    plain: PlainPbx, phones: dict[str, Softphone], sbc: Sbc, tmp_path: Path
) -> None:
    told = [line for line in log(plain) if "WARNING" in line or "ERROR" in line]
    # Every Asterisk says so that has no minivm.conf; our dialplan needs none. The other is said of
    # PJSIP's own modules, if two start in one moment.
    harmless = ("app_minivm", "PJSIP_SAFE_MODULE")
    assert [line for line in told if not any(one in line for one in harmless)] == []
    settings = settings_for_loads(plain.settings, plain, tmp_path)
    found = check_files([plain.places.etc / "extensions.conf"], settings)
    assert [str(one) for one in found.errors] == []
    before = their_own(plain)
    assert "note" in before["keys"]
    assert "blindxfer" in before["keys"].lower() or "##" in before["keys"]

    their_queue_rings(phones)
    internal = phones["6001"].call("6002")
    theirs = phones["6002"].wait_for_call(5)
    theirs.answer()
    internal.wait_answered(5)
    internal.play_tone(700)
    theirs.wait_hears(700, 5)

    sign_in(phones["8001"], plain)
    the_network_calls(plain, phones["8001"], sbc)
    talk = begin_talk(phones[CITIZEN], phones["8001"])
    asyncio.run(load_and_back(settings))
    assert their_own(plain) == before
    talk.assert_together()
    # Their key still does what it did.
    internal.send_dtmf("*77")
    wait_until(lambda: "6001" in plain.console("database get notes last"), "their key works")
    theirs.wait_hears(700, 5)
    internal.hangup()
    theirs.wait_ended(5)

    busy_over_the_trunk(talk, sbc)
    talk.assert_together()
    talk.agent.send_dtmf("*2")
    desk = phones["12345"].wait_for_call(5)
    assert desk.caller_number == CITIZEN
    desk.answer()
    desk.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 5)
    talk.agent.wait_ended(5)
    desk.hangup()
    talk.citizen.wait_ended(8)
    # Two ends that hang up in one moment cross on the wire; Asterisk calls that an error.
    crossed = "Session already DISCONNECTED [reason=200 (OK)]"
    assert [line for line in log(plain) if "ERROR" in line and crossed not in line] == []


def log(pbx: PlainPbx) -> list[str]:
    return (pbx.places.log / "messages").read_text(errors="replace").splitlines()


def their_queue_rings(phones: dict[str, Softphone]) -> None:
    waiting = phones["6001"].call("700")
    member = phones["6002"].wait_for_call(5)
    member.answer()
    member.play_tone(800)
    waiting.wait_hears(800, 5)
    waiting.hangup()
    member.wait_ended(5)


def the_network_calls(pbx: PlainPbx, agent: Softphone, sbc: Sbc) -> None:
    """A citizen whose number only the network tells; the number as the network writes it."""
    # By itself it registers at some moment of the first ten seconds.
    pbx.console("pjsip send register ims")
    registered = sbc.registered.get(timeout=5)
    assert value(registered, "To") == f"<sip:{NUMBER}@ims.example>"
    assert f"sip:{NUMBER}@127.0.0.1" in value(registered, "Contact")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sound:
        sound.bind(("127.0.0.1", 0))
        body = SDP.format(port=sound.getsockname()[1])
        known = f"\r\nP-Asserted-Identity: <sip:{FROM_AFAR}@ims.example>\r\nPrivacy: id\r\n"
        sbc.send(
            pbx.trunk_port, "INVITE", NUMBER, f"{known}Content-Type: application/sdp\r\n", body
        )
        answered = sbc.wait("SIP/2.0 200")
        assert "m=audio" in answered
        tag = value(answered, "To").partition(";tag=")[2]
        sbc.send(pbx.trunk_port, "ACK", NUMBER, f";tag={tag}\r\n")
        ringing = agent.wait_for_call(5)
        # The citizen hides the number: phones that are trusted with it show it all the same.
        assert ringing.caller_number == FROM_AFAR
        rows = pbx.cel_file.read_text()
        assert f"number={quote(FROM_AFAR)}" in rows
        sbc.send(pbx.trunk_port, "BYE", NUMBER, f";tag={tag}\r\n")
        ringing.wait_ended(5)


def busy_over_the_trunk(talk: Talk, sbc: Sbc) -> None:
    """110 over the trunk: from a number of ours, A-law first, session timers; it is busy."""
    talk.agent.send_dtmf("*1")
    invite = sbc.wait("INVITE")
    assert invite.startswith("INVITE sip:110@ims.example ")
    assert f"<sip:{NUMBER}@ims.example>" in value(invite, "From")
    assert "P-Asserted-Identity" not in invite
    assert CITIZEN not in invite
    assert "m=audio" in invite
    assert invite.partition("RTP/AVP ")[2].split()[0] == "8"
    assert "timer" in value(invite, "Supported")
    assert "100rel" in value(invite, "Supported")
    sbc.answer(invite, "486 Busy Here")
    sbc.wait("ACK")


async def load_and_back(settings: Settings) -> None:
    """A load changes what it says and nothing else; it is taken back."""
    async with loader_of(settings) as loader:
        assert (await differences_now(settings, loader._client)).equal
        own(settings, WELL)
        loaded = await loader.load(by="li")
        assert loaded.changed == ("hotline/extensions/custom-info.conf",)
        await loader.rollback(by="li")
        assert not list((Path(str(settings.pbx.etc)) / "hotline/extensions").glob("custom-*"))


MODULES = (
    *("app_queue", "app_confbridge", "res_musiconhold", "res_timing_timerfd", "bridge_softmix"),
    *("func_strings", "res_cdrel_custom", "cel_custom", "format_wav"),
)


def test_given_the_layout_of_freepbx_when_our_lines_are_in_its_custom_files_then_all_is_loaded(
    tmp_path: Path,
) -> None:
    etc = tmp_path / "etc"
    shutil.copytree(FREEPBX, etc, ignore=shutil.ignore_patterns("*.md"))
    for name, text in example("freepbx").items():
        assert name == "cel_custom.conf" or name.replace(".conf", "") in includes(etc), name
        (etc / name).write_text(text)
    settings = settings_of_the_line().model_copy(
        update={"pbx": load_settings(pbx={"ami_secret": PASSWORD}).pbx}
    )
    moh = checkout() / "dialplans/sounds/moh"
    write(render(settings, moh_dir=moh), etc)
    found = check_files([etc / "extensions.conf"], settings, folder=etc)
    # FreePBX includes contexts that nobody has written; that is its own.
    of_freepbx = {str(etc / one.name) for one in FREEPBX.glob("*.conf")}
    assert [str(one) for one in found.errors if one.file not in of_freepbx] == []
    assert [str(one) for one in found.errors if one.code != "include-context"] == []

    port = str(free_port(socket.SOCK_STREAM))
    files = {
        str(path.relative_to(etc)): path.read_text().replace("5038", port)
        for path in etc.rglob("*.conf")
    }
    load = "".join(f"load = {name}.so\n" for name in MODULES)
    with scratch._running(find_asterisk(), scratch.READER + load, files) as pbx:
        keys = pbx.ask("features show")
        assert "hotline-transfer-110" in keys
        assert "apprecord" in keys
        assert "hotline-agent-up" in pbx.folder.joinpath("etc/hotline/queues.conf").read_text()
        assert "hotline " in pbx.ask("queue show")
        assert "700 " in pbx.ask("queue show")
        assert "hotline-room" in pbx.ask("confbridge show profile bridges")
        assert "Class: hotline" in pbx.ask("moh show classes")
        users = pbx.ask("manager show users")
        assert "hotline" in users
        assert "admin" in users
        cel = pbx.ask("cel show status")
        assert "CEL Logging: Enabled" in cel
        assert "CEL Tracking Event: BRIDGE_ENTER" in cel
        route = pbx.ask("dialplan show 2800122@from-trunk")
        assert "Goto(customdests,dest-1,1)" in route
        code = pbx.ask("dialplan show *45@from-internal")
        assert code.index("hotline-agents") < code.index("app-queue-toggle")
        told = [line for line in pbx.log().splitlines() if re.search("WARNING|ERROR", line)]
        assert [line for line in told if "hotline" in line] == []


def includes(etc: Path) -> str:
    return "\n".join(path.read_text() for path in etc.glob("*.conf"))
