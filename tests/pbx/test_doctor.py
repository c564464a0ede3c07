"""The doctor on a real PBX: nothing wrong where nothing is, and each thing spoilt is named."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from telephony import doctor
from telephony.database import migrate
from telephony.dialplan import Phone, render
from telephony.doctor import Finding, examine, is_well
from telephony.messages.settings import Messages
from telephony.plans.versions import Unfinished, Versions
from telephony.plans.wanted import wanted
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import Settings
from tests.certificates import make_certificates
from tests.pbx.scene import (
    CITIZENS,
    PASSWORD,
    PhoneFactory,
    Talk,
    pbx_settings,
    set_hours,
    sign_in,
)

pytestmark = pytest.mark.pbx

TRANSFER = "hotline/extensions/transfer.conf"


@pytest.fixture
def settings(pbx: PrivatePbx, tmp_path: Path) -> Settings:
    """The PBX's settings, with a database that is there."""
    url = f"sqlite:///{tmp_path}/hotline.sqlite"
    migrate(url)
    return pbx.settings.model_copy(update={"database_url": url})


def with_pbx(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update={"pbx": settings.pbx.model_copy(update=values)})


def named(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


@contextmanager
def changed(pbx: PrivatePbx, file: str, old: str, new: str, reload: str) -> Iterator[None]:
    """The PBX with a changed configuration; as it was afterwards."""
    path = pbx.places.etc / file
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    pbx.console(reload)
    try:
        yield
    finally:
        path.write_text(before)
        pbx.console(reload)


async def test_given_a_healthy_pbx_when_examined_then_nothing_is_wrong(settings: Settings) -> None:
    started = time.monotonic()
    findings = await examine(settings, test_call=True)
    assert [finding for finding in findings if finding.state == "wrong"] == []
    assert is_well(findings)
    well = {finding.name for finding in findings if finding.state == "ok"}
    assert well >= {
        *("ami", "version", "modules", "dialplan", "keys", "cel", "cel-back-end", "cel-file"),
        *("clock", "indications", "music", "messages", "database"),
    }
    # What we render is the least that suffices: nothing is left unchecked for want of a right.
    assert named(findings, "rights").state == "ok"
    unchecked = {finding.name for finding in findings if "not checked" in finding.found}
    assert unchecked <= {"recorder"}  # which needs a first call on record
    assert all(finding.means for finding in findings)
    assert all(finding.todo and finding.todo_zh for finding in findings if finding.state != "ok")
    assert time.monotonic() - started < 10


async def test_given_a_step_that_was_changed_when_examined_then_it_is_named(
    pbx: PrivatePbx, settings: Settings
) -> None:
    step = (
        'GotoIf($["${SHARED(HANDOVER)}" != "" | "${SHARED(PRESS)}" = ""]'
        "?hotline-handover,s,other:hotline-handover,s,press)"
    )
    with changed(pbx, TRANSFER, step, "Hangup()", "dialplan reload"):
        dialplan = named(await examine(settings), "dialplan")
    assert dialplan.state == "wrong"
    assert dialplan.found == (
        f"differs from ours at hotline-transfer,110,2: Hangup() instead of {step}"
    )
    assert named(await examine(settings), "dialplan").state == "ok"


async def test_given_a_label_that_is_gone_when_examined_then_the_step_is_named(
    pbx: PrivatePbx, settings: Settings
) -> None:
    with changed(pbx, TRANSFER, "n(refer),MSet(KIND", "n,MSet(KIND", "dialplan reload"):
        dialplan = named(await examine(settings), "dialplan")
    assert "instead of refer: MSet(KIND=refer" in dialplan.found


async def test_given_a_context_that_is_not_loaded_when_examined_then_it_is_named(
    pbx: PrivatePbx, settings: Settings
) -> None:
    with changed(pbx, TRANSFER, "[hotline-way-back]", "[elsewhere]", "dialplan reload"):
        dialplan = named(await examine(settings), "dialplan")
    assert (dialplan.state, dialplan.found) == ("wrong", "not loaded at all: hotline-way-back")


async def test_given_an_admins_own_number_in_the_trunks_context_when_examined_then_well(
    pbx: PrivatePbx, settings: Settings
) -> None:
    own = "[hotline-trunk]\nexten => 999,1,Hangup()\n"
    entry = "hotline/extensions/entry.conf"
    with changed(pbx, entry, "[hotline-trunk]\n", own, "dialplan reload"):
        assert "999" in pbx.console("dialplan show hotline-trunk")
        assert named(await examine(settings), "dialplan").state == "ok"


async def test_given_a_wrong_secret_when_examined_then_told(settings: Settings) -> None:
    findings = await examine(with_pbx(settings, ami_secret=SecretStr("not-this-one")))
    assert "refused the login of 'hotline'" in named(findings, "ami").found
    assert named(findings, "dialplan").found == "not checked: no link"
    assert named(findings, "database").state == "ok"


async def test_given_more_rights_than_needed_when_examined_then_a_warning_names_them(
    pbx: PrivatePbx, settings: Settings
) -> None:
    more = "system,config,command\nwritetimeout"
    with changed(pbx, "hotline/manager.conf", "system\nwritetimeout", more, "manager reload"):
        rights = named(await examine(settings), "rights")
    assert rights.state == "warning"
    assert rights.found == "more write rights than needed: command, config"


async def test_given_a_user_who_hears_nothing_when_examined_then_told(
    pbx: PrivatePbx, settings: Settings
) -> None:
    with changed(pbx, "hotline/manager.conf", "read = call,user,", "read = ", "manager reload"):
        rights = named(await examine(settings), "rights")
    assert (rights.state, rights.found) == ("wrong", "read right call, user is missing")
    more = "read = dtmf,call,user,"
    with changed(pbx, "hotline/manager.conf", "read = call,user,", more, "manager reload"):
        rights = named(await examine(settings), "rights")
    assert (rights.state, rights.found) == ("warning", "more read rights than needed: dtmf")


async def test_given_a_cel_file_that_is_not_there_when_examined_then_told(
    pbx: PrivatePbx, settings: Settings, tmp_path: Path
) -> None:
    proven = await examine(settings, test_call=True)
    assert named(proven, "cel-file").state == "ok"
    # There have been calls, so the file would exist if it were this one.
    elsewhere = await examine(with_pbx(settings, cel_file=tmp_path / "hotline.csv"))
    assert named(elsewhere, "cel-file").state == "wrong"
    assert "does not exist, but the PBX has had calls since" in named(elsewhere, "cel-file").found
    nowhere = await examine(with_pbx(settings, cel_file=tmp_path / "no" / "hotline.csv"))
    assert "the folder" in named(nowhere, "cel-file").found
    unset = await examine(with_pbx(settings, cel_file=None))
    assert named(unset, "cel-file").found == "pbx.cel_file is not set"


async def test_given_cel_that_is_off_when_examined_then_told(
    pbx: PrivatePbx, settings: Settings
) -> None:
    with changed(pbx, "hotline/cel.conf", "enable = yes", "enable = no", "module reload cel"):
        findings = await examine(settings, test_call=True)
    assert named(findings, "cel").found == "cel.conf does not say enable = yes"
    assert named(findings, "cel-file").state == "wrong"
    assert "did not grow within 2 s of a test call" in named(findings, "cel-file").found


async def test_given_no_context_for_a_test_call_when_examined_then_cel_is_not_blamed(
    pbx: PrivatePbx, settings: Settings
) -> None:
    file = "hotline/extensions/three_way.conf"
    with changed(pbx, file, "[hotline-third-idle]", "[elsewhere]", "dialplan reload"):
        found = named(await examine(settings, test_call=True), "cel-file")
    assert found.found == "not checked: hotline-third-idle is not loaded"


async def test_given_a_talk_when_examined_then_its_rows_prove_that_cel_grows(
    talk: Talk, settings: Settings, tmp_path: Path
) -> None:
    found = named(await examine(settings), "cel-file")
    assert found.state == "ok"
    assert found.found.endswith("as new as the calls on the PBX")
    stale = tmp_path / "hotline.csv"
    assert settings.pbx.cel_file is not None
    first = settings.pbx.cel_file.read_text().splitlines(keepends=True)[0]
    stale.write_text(first.replace(first.split('"')[3], "1700000000.000000"))
    found = named(await examine(with_pbx(settings, cel_file=stale)), "cel-file")
    assert found.state == "wrong"
    assert "the PBX has had calls since" in found.found


async def test_given_agents_come_and_go_when_examined_then_told_by_the_hours(
    pbx: PrivatePbx, settings: Settings, phone: PhoneFactory
) -> None:
    agents = named(await examine(settings), "agents")
    assert (agents.state, agents.found) == (
        "warning",
        "0 signed in, 0 can be rung; the line is open",
    )
    set_hours(pbx, "closed")
    assert named(await examine(settings), "agents").state == "ok"
    set_hours(pbx, "0000-2400")
    await asyncio.to_thread(sign_in, phone("8001"), pbx)
    assert named(await examine(settings), "agents").state == "ok"


async def test_given_desks_with_and_without_phones_when_examined_then_who_is_away_is_named(
    pbx: PrivatePbx, settings: Settings, phone: PhoneFactory
) -> None:
    phone("110")
    phone("122")
    desks = named(await examine(settings), "desks")
    # 120 is reached by its second route, 121 by the first of its two phones.
    assert (desks.state, desks.found) == ("warning", "cannot be reached now: desk 12345, 119, 118")
    unknown = settings.model_copy(
        update={"desks": [settings.desks[0].model_copy(update={"dial": "PJSIP/nobody"})]}
    )
    desks = named(await examine(unknown), "desks")
    assert desks.state == "wrong"
    assert desks.found == "the PBX knows no device for desk 110 (PJSIP/nobody)"


async def test_given_no_ring_tone_when_examined_then_told(
    pbx: PrivatePbx, settings: Settings
) -> None:
    with changed(pbx, "hotline/indications.conf", "\nring =", "\nno-ring =", "core show version"):
        found = named(await examine(settings), "indications")
    assert (found.state, found.found) == ("wrong", "indications.conf has no ring tone for 'cn'")


async def test_given_no_folder_of_messages_when_examined_then_told(
    settings: Settings, tmp_path: Path
) -> None:
    elsewhere = Messages(folder=tmp_path / "no" / "hotline" / "messages")
    for messages, told in (
        (Messages(), "messages.folder is not set"),
        (elsewhere, f"{tmp_path / 'no'} (messages.folder) is no folder"),
    ):
        found = named(await examine(settings.model_copy(update={"messages": messages})), "messages")
        assert (found.state, found.found) == ("warning", told)


async def test_given_a_module_that_is_not_loaded_when_examined_then_what_fails_is_told(
    pbx: PrivatePbx, settings: Settings
) -> None:
    pbx.console("module unload app_softhangup.so")
    try:
        found = named(await examine(settings), "modules")
    finally:
        pbx.console("module load app_softhangup.so")
    assert (found.state, found.found) == ("wrong", "not loaded: app_softhangup")
    assert "the agent who waits is not let go" in found.means


async def test_given_a_pbx_that_stopped_when_examined_then_told_at_once(
    shared_pbx: PrivatePbx, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pbx-to-stop")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    citizens = [Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS]
    with PrivatePbx(shared_pbx.program, folder / "root", pbx_settings(), citizens) as pbx:
        fresh = named(await examine(pbx.settings), "cel-file")
        assert (fresh.state, "no call since the PBX started" in fresh.found) == ("warning", True)
        pbx.kill()
        started = time.monotonic()
        findings = await examine(pbx.settings)
    assert time.monotonic() - started < doctor.CONNECT_LIMIT_S
    assert "nothing listens" in named(findings, "ami").found
    assert not is_well(findings)


async def test_given_ami_over_tls_when_examined_then_only_the_right_certificate_lets_us_sign_in(
    pbx: PrivatePbx, settings: Settings, tmp_path: Path
) -> None:
    make_certificates(tmp_path, days=10)
    certificate = pbx.folder / "ami.pem"
    certificate.write_bytes((tmp_path / "both.pem").read_bytes())
    owner = pbx.places.etc.stat()
    os.chown(certificate, owner.st_uid, owner.st_gid)
    port = free_port(socket.SOCK_STREAM)
    tls = with_pbx(settings, ami_tls=True, ami_port=port, ami_ca_file=tmp_path / "ca.pem")
    places = replace(pbx.places, ami_certificate=certificate)
    rendered = render(tls, places)["hotline/manager.conf"]
    before = (pbx.places.etc / "hotline/manager.conf").read_text()
    # The port without TLS is the shared PBX's own: other tests have it.
    plain = f"port = {pbx.settings.pbx.ami_port}\n"
    rendered = rendered.replace(f"\nport = {port + 1}\n", f"\n{plain}")
    with changed(pbx, "hotline/manager.conf", before, rendered, "manager reload"):
        findings = await examine(tls)
        assert named(findings, "ami").found.endswith("as hotline over TLS")
        assert named(findings, "dialplan").state == "ok"
        certificates = named(findings, "certificates")
        assert certificates.state == "warning"
        assert f"the certificate of 127.0.0.1:{port} ends " in certificates.found
        assert certificates.found.endswith((", in 9 days", ", in 10 days"))
        wrong = await examine(with_pbx(tls, ami_ca_file=tmp_path / "other.pem"))
        assert "is not trusted" in named(wrong, "ami").found
        assert named(wrong, "dialplan").found == "not checked: no link"
        # The name of the host counts too: this certificate is for 127.0.0.1, not for any address.
        other = await examine(with_pbx(tls, host="127.0.0.2"))
        assert named(other, "ami").state == "wrong"


async def test_given_prompts_ports_and_a_load_that_went_wrong_when_examined_then_named(
    pbx: PrivatePbx, settings: Settings, tmp_path: Path
) -> None:
    kept = settings.dialplan.model_copy(
        update={"versions": tmp_path / "versions", "custom": tmp_path / "own"}
    )
    many = settings.checkup.model_copy(update={"expected_calls": 300})
    settings = settings.model_copy(update={"dialplan": kept, "checkup": many})
    (tmp_path / "own").mkdir()
    versions = Versions(tmp_path / "versions", settings.pbx.name)
    ours = wanted(settings)
    versions.keep(ours, by="li", what="loaded")
    other = {**ours, "hotline/extensions/custom-a.conf": "[custom-a]\nexten => 1,1,Hangup()\n"}
    versions.keep(other, by="wang", what="failed")
    versions.begin(
        Unfinished("reloading", "file", "wang", datetime.now(UTC), pid=1, before=1, after=2)
    )
    prompt = pbx.places.data / "sounds/zh/hotline/welcome.wav"
    (tmp_path / "own/info.conf").write_text("[info]\nexten => 1,1,Hangup()\n")
    away = prompt.rename(prompt.with_suffix(".away"))
    try:
        findings = await examine(settings)
    finally:
        away.rename(prompt)
    assert named(findings, "prompts").found.endswith("/sounds: zh/welcome")
    # What is only not loaded yet is nothing that callers suffer from.
    own = named(findings, "dialplan")
    assert (own.state, own.todo) == ("warning", "hotline dialplan load")
    assert own.found.endswith("info,1,1: missing, ours is Hangup()")
    ports = named(findings, "ports")
    assert (ports.state, ports.found[:30]) == ("wrong", "400 ports carry 100 calls of t")
    loading = named(findings, "loading")
    assert loading.state == "wrong"
    assert "the load of version 2 by wang" in loading.found
    assert "ended while reloading; the PBX runs the old dialplan (version 1);" in loading.found
    assert "hotline dialplan rollback" in loading.todo
    assert not is_well(findings)
