"""The doctor's rules and its ways of not getting in; a real PBX is examined in tests/pbx."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time as clock
from dataclasses import asdict, replace
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from telephony import doctor
from telephony.checkup.dialplan import our_steps
from telephony.checkup.model import Check, NotChecked, Patient, Verdict, Words
from telephony.checkup.people import devices, is_open
from telephony.checkup.record import (
    last_row_at,
)
from telephony.cli import app
from telephony.commands import doctor as command
from telephony.doctor import Finding, examine, is_well
from telephony.plans.steps import Difference, compare, read_steps
from telephony.private_pbx import free_port
from telephony.settings import TIME_ZONE, Line, Pbx, Settings
from tests.unit.fake_ami import FakeAmi, FakeLink, fake_ami, silence

SHANGHAI = ZoneInfo(TIME_ZONE)
TUESDAY = datetime(2026, 11, 24, tzinfo=SHANGHAI)
ROW = '"HANGUP","{at}","","","","","","s","x","PJSIP/1-1","","","3","","1.1","1.1","","","",""\n'
OUR_ACTIONS = (
    *("Redirect", "Setvar", "Getvar", "Hangup", "Status", "Originate", "QueueAdd", "QueueRemove"),
    *("QueuePause", "CoreShowChannels", "ShowDialPlan", "ConfbridgeList"),
    *("DBPut", "DBDel", "DBGet", "ModuleCheck", "GetConfig", "CoreSettings", "CoreStatus"),
    *("Reload", "PJSIPShowContacts"),
)


def settings_for(port: int, **pbx: object) -> Settings:
    values = {"ami_port": port, "ami_secret": SecretStr("s3cret"), **pbx}
    return Settings(pbx=Pbx.model_validate(values), database_url="sqlite:///does-not-exist.sqlite")


def named(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make no other checks: the fake PBX never ends most lists, and each would be waited for."""
    monkeypatch.setattr(doctor, "CHECKS", tuple(c for c in doctor.CHECKS if c.name in names))


def lists_actions(server: FakeAmi, *actions: str) -> None:
    async def answer(link: FakeLink, action: dict[str, list[str]]) -> None:
        await link.reply(action, **dict.fromkeys(actions, "Something. (Priv: x,all)"))

    server.answers["ListCommands"] = answer


def refuses(server: FakeAmi, name: str, message: str) -> None:
    async def answer(link: FakeLink, action: dict[str, list[str]]) -> None:
        await link.reply(action, "Error", Message=message)

    server.answers[name] = answer


# -- the dialplan -------------------------------------------------------------------------------


def test_given_an_extensions_file_when_it_is_read_then_steps_are_those_asterisk_loads() -> None:
    text = """
        ; exten => no,1,Hangup()
        [one] ; the first
        exten => *45,1,Set(A=$[1 + (2)]) ; why
         same => n(there),Goto(two,s,1)
         same => 7,NoOp
        exten => s,1,Set(H=a\\;b)
        [two]
        exten => s,1,Playback(a,b)
    """
    assert read_steps(text) == {
        ("one", "*45", 1): "Set(A=$[1 + (2)])",
        ("one", "*45", 2): "there: Goto(two,s,1)",
        ("one", "*45", 7): "NoOp()",
        ("one", "s", 1): "Set(H=a;b)",
        ("two", "s", 1): "Playback(a,b)",
    }


def test_given_settings_when_their_steps_are_read_then_every_dialled_form_has_a_way_in() -> None:
    settings = settings_for(5038)
    steps = our_steps(settings)
    for form in settings.line.dialled_forms:
        assert steps["hotline-trunk", form, 2] == "Goto(hotline-case,s,1)"


def test_given_two_dialplans_when_compared_then_changed_missing_and_foreign_steps_are_named() -> (
    None
):
    ours = {("a", "s", 1): "One()", ("a", "s", 2): "Two()", ("trunk", "1", 1): "In()"}
    theirs = {
        ("a", "s", 1): "Other()",
        ("a", "s", 9): "More()",
        ("trunk", "1", 1): "In()",
        ("trunk", "999", 1): "Theirs()",
    }
    found = compare(ours, theirs, shared="trunk")
    assert found == [
        Difference(("a", "s", 1), "One()", "Other()"),
        Difference(("a", "s", 2), "Two()", ""),
        Difference(("a", "s", 9), "", "More()"),
    ]
    assert [str(one) for one in found] == [
        "a,s,1: Other() instead of One()",
        "a,s,2: missing, ours is Two()",
        "a,s,9: More() is not ours",
    ]


# -- hours, devices, the CEL file -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("special", "day", "at", "expected"),
    [
        (None, 24, time(8, 29, 59), False),
        (None, 24, time(8, 30), True),
        (None, 24, time(16, 59, 59), True),
        (None, 24, time(17, 0), False),
        (None, 28, time(12, 0), False),  # Saturday
        ("0900-1200", 28, time(9, 0), True),
        ("0900-1200", 24, time(12, 0), False),
        ("0000-2400", 24, time(23, 59), True),
        ("closed", 24, time(12, 0), False),
    ],
)
def test_given_a_moment_when_asked_then_the_line_is_open_as_the_dialplan_decides(
    special: str | None, day: int, at: time, expected: bool
) -> None:
    moment = datetime.combine(TUESDAY.replace(day=day), at, SHANGHAI)
    assert is_open(Line(), special, moment) is expected


def test_given_hours_that_are_none_when_asked_then_that_is_said() -> None:
    with pytest.raises(NotChecked, match="holds 'open', no hours"):
        is_open(Line(), "open", TUESDAY)


@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        ("PJSIP/110", [("PJSIP", "110")]),
        ("PJSIP/110@city", [("PJSIP", "city")]),
        ("PJSIP/city/sip:110@10.0.0.1", [("PJSIP", "city")]),
        ("PJSIP/110&Local/9@desks", [("PJSIP", "110"), ("Local", "9@desks")]),
    ],
)
def test_given_a_dial_string_when_read_then_the_devices_that_must_be_there_are_known(
    dial: str, expected: list[tuple[str, str]]
) -> None:
    assert devices(dial) == expected


def test_given_a_cel_file_when_read_then_the_last_whole_row_counts(tmp_path: Path) -> None:
    file = tmp_path / "hotline.csv"
    assert last_row_at(file) is None
    file.write_text(ROW.format(at="100.000000") + ROW.format(at="200.500000") + '"HANGUP","30')
    assert last_row_at(file) == 200.5
    file.write_text("nonsense\n")
    with pytest.raises(NotChecked, match="cannot be read: 'nonsense'"):
        last_row_at(file)


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody knows."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("openssl is not installed; it makes the certificates of this test")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", file),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context


# -- getting in -----------------------------------------------------------------------------------


async def test_given_nothing_at_the_port_when_examined_then_told_at_once_and_nothing_vanishes() -> (
    None
):
    started = clock.monotonic()
    findings = await examine(settings_for(free_port(socket.SOCK_STREAM)))
    assert clock.monotonic() - started < doctor.CONNECT_LIMIT_S
    assert [finding.name for finding in findings] == ["ami", *(one.name for one in doctor.CHECKS)]
    assert named(findings, "ami").state == "wrong"
    assert "nothing listens" in named(findings, "ami").found
    for check in doctor.CHECKS:
        if check.needs_link:
            assert named(findings, check.name).found == "not checked: no link"
            assert named(findings, check.name).state == "warning"
    assert not is_well(findings)


async def test_given_a_wrong_secret_when_examined_then_told_what_to_compare() -> None:
    async with fake_ami() as server:
        findings = await examine(settings_for(server.port, ami_secret=SecretStr("other")))
    link = named(findings, "ami")
    assert link.state == "wrong"
    assert "refused the login of 'hotline'" in link.found
    assert "HOTLINE_PBX__AMI_SECRET" in link.todo


async def test_given_tls_at_a_port_without_it_when_examined_then_told() -> None:
    async with fake_ami() as server:
        findings = await examine(settings_for(server.port, ami_tls=True))
    assert "does not speak TLS" in named(findings, "ami").found


async def test_given_a_certificate_that_is_not_trusted_when_examined_then_told(
    certificate: ssl.SSLContext,
) -> None:
    async with fake_ami(tls=certificate) as server:
        findings = await examine(settings_for(server.port, ami_tls=True))
    assert "certificate" in named(findings, "ami").found
    assert "not trusted" in named(findings, "ami").found


async def test_given_a_ca_file_that_is_missing_when_examined_then_told(tmp_path: Path) -> None:
    findings = await examine(settings_for(1, ami_tls=True, ami_ca_file=tmp_path / "none.pem"))
    assert "ami_ca_file cannot be used" in named(findings, "ami").found


async def test_given_something_else_at_the_port_when_examined_then_told() -> None:
    async with fake_ami() as server:
        server.banner = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
        findings = await examine(settings_for(server.port))
    assert "is no Asterisk manager" in named(findings, "ami").found


async def test_given_a_port_that_never_greets_when_examined_then_told_within_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "CONNECT_LIMIT_S", 0.1)
    async with fake_ami() as server:
        server.banner = b""
        findings = await examine(settings_for(server.port))
    assert "did not greet within 0.1 s" in named(findings, "ami").found


# -- rights and answers ---------------------------------------------------------------------------


async def test_given_a_right_is_missing_when_examined_then_it_is_named_with_what_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "rights")
    async with fake_ami() as server:
        lists_actions(server, *(one for one in OUR_ACTIONS if one != "Originate"))
        findings = await examine(settings_for(server.port))
    rights = named(findings, "rights")
    assert rights.state == "wrong"
    assert "write right originate is missing" in rights.found
    assert rights.means == "a third party cannot be called in from the desk"


async def test_given_rights_that_are_not_needed_when_examined_then_they_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "rights")
    async with fake_ami() as server:
        lists_actions(server, *OUR_ACTIONS, "Command")
        findings = await examine(settings_for(server.port))
    rights = named(findings, "rights")
    assert rights.state == "warning"
    assert rights.found == "more write rights than needed: command"


async def test_given_no_right_to_look_when_examined_then_each_check_says_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "dialplan", "music", "desks")
    async with fake_ami() as server:
        lists_actions(server, "Redirect")
        findings = await examine(settings_for(server.port))
    for name, right in [("dialplan", "reporting"), ("music", "system"), ("desks", "system")]:
        finding = named(findings, name)
        assert finding.state == "warning"
        assert finding.found.startswith(f"not checked: our AMI user lacks the write right {right}")


async def test_given_an_action_that_is_never_answered_when_examined_then_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "CHECK_LIMIT_S", 0.5)
    only(monkeypatch, "version", "cel-back-end")
    async with fake_ami() as server:
        lists_actions(server, *OUR_ACTIONS)
        server.answers["CoreSettings"] = silence
        findings = await examine(settings_for(server.port))
    assert named(findings, "version").found == "not checked: no answer within 0.5 s"
    assert named(findings, "cel-back-end").found.startswith("CSV only")


async def test_given_a_check_that_breaks_when_examined_then_it_is_a_line_like_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: Patient) -> Verdict:
        raise KeyError("Version")

    monkeypatch.setattr(
        doctor, "CHECKS", (Check("broken", Words("Nothing.", "没什么。"), broken, False),)
    )
    findings = await examine(settings_for(1))
    assert named(findings, "broken").found == "not checked: KeyError: 'Version'"
    assert named(findings, "broken").state == "wrong"


# -- the command ----------------------------------------------------------------------------------

WELL = Finding("ami", "ok", "signed in", "Hand-overs need it.", "", "转接需要它。", "")
ILL = Finding(
    *("desks", "wrong", "no device for desk [110]", "It comes back.", "correct dial"),
    *("会退回来。", "改正 dial"),
)


def run(
    monkeypatch: pytest.MonkeyPatch, findings: list[Finding], *arguments: str
) -> tuple[int, str]:
    async def found(*_: object, **__: object) -> list[Finding]:
        return findings

    monkeypatch.setattr(command, "examine", found)
    result = CliRunner().invoke(app, ["doctor", *arguments])
    return result.exit_code, result.stdout


def test_given_warnings_only_when_run_then_exit_0_and_every_line_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, out = run(monkeypatch, [WELL, replace(ILL, state="warning")])
    assert status == 0
    for words in (
        "signed in",
        "no device for desk [110]",
        "It comes back.",
        "-> correct dial",
        "改正 dial",
    ):
        assert words in out


def test_given_something_wrong_when_run_then_exit_1_and_json_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, out = run(monkeypatch, [WELL, ILL], "--json")
    assert status == 1
    assert json.loads(out) == {"ok": False, "pbx": "pbx1", "checks": [asdict(WELL), asdict(ILL)]}


def test_given_two_pbxs_when_run_then_each_is_examined_and_one_may_be_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOTLINE_PBXS", '[{"name": "pbx2", "ami_port": 5039}]')
    status, out = run(monkeypatch, [WELL], "--json")
    assert (status, json.loads(out)["ok"]) == (0, True)
    assert [one["pbx"] for one in json.loads(out)["pbxs"]] == ["pbx1", "pbx2"]
    status, out = run(monkeypatch, [WELL], "--json", "--pbx", "pbx2")
    assert (status, json.loads(out)["pbx"]) == (0, "pbx2")
    status, out = run(monkeypatch, [WELL], "--pbx", "pbx3")
    assert (status, out) == (2, "")


def test_given_a_wrong_setting_when_run_then_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_DATABASE_URL", "mysql://somewhere")
    assert run(monkeypatch, [WELL])[0] == 2
    monkeypatch.setenv("HOTLINE_PBX__AMI_PORT", "none")
    assert run(monkeypatch, [WELL])[0] == 2


def test_given_no_pbx_when_run_as_a_program_then_stdout_is_json_and_nothing_else() -> None:
    environment = os.environ | {
        "HOTLINE_PBX__AMI_PORT": str(free_port(socket.SOCK_STREAM)),
        "HOTLINE_DATABASE_URL": "sqlite:///does-not-exist.sqlite",
    }
    done = subprocess.run(
        [sys.executable, "-m", "telephony.cli", "doctor", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert json.loads(done.stdout)["ok"] is False
