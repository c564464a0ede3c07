"""Rules of the doctor about ports, certificates, messages to platforms, loads, and its figures."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from telephony.checkup.certificates import Certificate, end_of, ends_in, verdict
from telephony.checkup.keeper import DoctorKeeper
from telephony.checkup.loading import check_loading
from telephony.checkup.model import NotChecked, Patient, Words
from telephony.checkup.outbox import check_outbox
from telephony.checkup.pbx import check_rights
from telephony.checkup.sound import ports_verdict
from telephony.database import Database, migrate
from telephony.dialplan import render, write_rights
from telephony.orders.outbox import enqueue
from telephony.plans.versions import Unfinished, Versions
from telephony.settings import Settings
from tests.certificates import make_certificates

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


# -- ports --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ports", "expected", "state"),
    [(199, 50, "wrong"), (200, 50, "warning"), (299, 50, "warning"), (300, 50, "ok")],
)
def test_given_ports_for_sound_when_judged_then_by_two_legs_a_call_and_a_third(
    ports: int, expected: int, state: str
) -> None:
    found = ports_verdict(ports, expected)
    assert found.state == state
    assert bool(found.todo) == (state != "ok")


# -- certificates -------------------------------------------------------------------------------


def test_given_certificates_when_read_then_their_ends_are_those_that_openssl_wrote(
    tmp_path: Path,
) -> None:
    make_certificates(tmp_path, days=12)
    [end] = ends_in((tmp_path / "both.pem").read_text())
    assert abs(end - datetime.now(UTC) - timedelta(days=12)) < timedelta(minutes=1)
    ca = (tmp_path / "ca.pem").read_text()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca)
    told = str(context.get_ca_certs()[0]["notAfter"])
    assert next(iter(ends_in(ca))).timestamp() == ssl.cert_time_to_seconds(told)
    with pytest.raises(NotChecked, match="is none"):
        end_of(b"\x30\x03\x02\x01\x01")


@pytest.mark.parametrize(
    ("days", "state"), [(-1, "wrong"), (0, "wrong"), (29, "warning"), (31, "ok")]
)
def test_given_a_certificate_when_judged_then_by_the_days_that_are_left(
    days: int, state: str
) -> None:
    found = [
        Certificate(
            "one", NOW + timedelta(days=days), Words("nobody can register", "谁也无法注册")
        ),
        Certificate("two", NOW + timedelta(days=300)),
    ]
    told = verdict(found, NOW, 30)
    assert told.state == state
    assert "one ends" in told.found
    assert state == "ok" or told.means.en == "Once it has ended, nobody can register."


# -- rights -------------------------------------------------------------------------------------


def test_given_dialplans_loaded_over_ami_when_rendered_then_and_only_then_the_user_has_config() -> (
    None
):
    plain = Settings()
    pbx = plain.pbx.model_copy(update={"ami_secret": SecretStr("a-secret-of-tests")})
    for over_ami in (False, True):
        at = pbx.model_copy(update={"load_over_ami": over_ami})
        settings = plain.model_copy(update={"pbx": at})
        assert ("config" in write_rights(settings)) is over_ami
        text = render(settings)["hotline/manager.conf"]
        [line] = [one for one in text.splitlines() if one.startswith("write = ")]
        assert line == "write = " + ",".join(write_rights(settings))


async def test_given_a_user_without_config_when_dialplans_go_over_ami_then_the_right_is_named() -> (
    None
):
    actions = (
        *("Redirect", "Setvar", "Getvar", "Hangup", "Status", "Originate", "QueueAdd", "Reload"),
        *("QueueRemove", "QueuePause", "CoreShowChannels", "ShowDialPlan", "ConfbridgeList"),
        *("DBPut", "DBDel", "ModuleCheck", "GetConfig"),
    )
    plain = Settings()
    at = plain.pbx.model_copy(update={"load_over_ami": True})
    patient = Patient(
        plain.model_copy(update={"pbx": at}), actions=dict.fromkeys(actions, "(Priv: x)")
    )
    told = await check_rights(patient)
    assert told.state == "wrong"
    assert told.found.startswith("write right config is missing")
    assert "add `config` to write =" in told.todo.en


# -- messages to platforms ------------------------------------------------------------------------


async def test_given_messages_to_a_platform_that_is_gone_when_examined_then_told(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/hotline.sqlite"
    await asyncio.to_thread(migrate, url)
    settings = Settings(database_url=url)
    assert (await check_outbox(Patient(settings))).found == ("nothing waits, nothing was given up")
    database = Database.from_settings(settings)
    async with database.writing() as connection:
        await enqueue(
            connection, destination="city", kind="order.new", case_id=None, body={}, key="1"
        )
    await database.close()
    told = await check_outbox(Patient(settings))
    assert (told.state, told.found[:13]) == ("wrong", "wait for city")


# -- loads --------------------------------------------------------------------------------------


async def test_given_loads_when_examined_without_a_link_then_how_far_each_was_is_told(
    tmp_path: Path,
) -> None:
    plain = Settings()
    kept = plain.dialplan.model_copy(update={"versions": tmp_path})
    settings = plain.model_copy(update={"dialplan": kept})
    assert (await check_loading(Patient(settings))).found == "none was loaded from here yet"
    versions = Versions(tmp_path, settings.pbx.name)
    versions.keep({}, by="li", what="found")
    versions.keep({"hotline/extensions/a.conf": "[a]\n"}, by="li", what="loaded")
    assert (await check_loading(Patient(settings))).found.startswith("version 2, loaded by li")
    versions.begin(Unfinished("writing", "ami", "li", NOW, pid=1, before=1, after=2))
    told = await check_loading(Patient(settings))
    assert told.state == "wrong"
    assert "ended while writing; the PBX runs what it had when it was last asked" in told.found
    with versions.alone():
        assert (await check_loading(Patient(settings))).state == "warning"


# -- figures ------------------------------------------------------------------------------------


async def test_given_what_was_found_when_figures_are_read_then_each_check_is_one(
    tmp_path: Path,
) -> None:
    plain = Settings(database_url=f"sqlite:///{tmp_path}/none.sqlite")
    # Nothing listens there.
    at = plain.pbx.model_copy(update={"ami_port": 1, "name": "pbx7"})
    settings = plain.model_copy(update={"pbx": at})
    registry = CollectorRegistry()
    keeper = DoctorKeeper(settings, lambda: [settings], registry)
    assert keeper.last("pbx7") is None
    found = await keeper.examine(settings)
    assert keeper.last("pbx7") == found
    levels = {
        one.name: registry.get_sample_value("hotline_check", {"pbx": "pbx7", "check": one.name})
        for one in found.findings
    }
    assert levels["ami"] == 2
    assert levels["database"] == 1
    assert None not in levels.values()
    looked = registry.get_sample_value("hotline_check_at", {"pbx": "pbx7"})
    assert looked == found.at.timestamp()
