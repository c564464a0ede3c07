"""The doctor's ways of not getting in, and its command; a real PBX is examined in tests/pbx."""

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
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from telephony import doctor
from telephony.checkup.model import Check, Patient, Verdict, Words
from telephony.cli import app
from telephony.commands import doctor as command
from telephony.doctor import Finding, examine, is_well
from telephony.private_pbx import free_port
from tests.unit.doctor_scene import settings_for
from tests.unit.fake_ami import FakeAmi, FakeLink, fake_ami, silence

OUR_ACTIONS = (
    *("Redirect", "Setvar", "Getvar", "Hangup", "Status", "Originate", "QueueAdd", "QueueRemove"),
    *("QueuePause", "CoreShowChannels", "ShowDialPlan", "ConfbridgeList"),
    *("DBPut", "DBDel", "DBGet", "ModuleCheck", "GetConfig", "CoreSettings", "CoreStatus"),
    *("Reload", "PJSIPShowContacts"),
)


def named(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make no other checks: the fake PBX never ends most lists, and each would be waited for."""
    monkeypatch.setattr(doctor, "CHECKS", tuple(c for c in doctor.CHECKS if c.name in names))


def lists_actions(server: FakeAmi, *actions: str) -> None:
    async def answer(link: FakeLink, action: dict[str, list[str]]) -> None:
        await link.reply(action, **dict.fromkeys(actions, "Something. (Priv: x,all)"))

    server.answers["ListCommands"] = answer


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
