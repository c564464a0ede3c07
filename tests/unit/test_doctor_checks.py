"""Single checks of the doctor, against scripted answers and made databases."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from telephony.checkup import pbx as doctor_pbx
from telephony.checkup.dialplan import check_keys
from telephony.checkup.model import Config, Patient
from telephony.checkup.pbx import check_host_name, check_indications, check_music
from telephony.checkup.record import (
    check_cel,
    check_cel_back_end,
    check_database,
    check_recorder,
)
from telephony.database import Database, migrate
from telephony.dialplan import CEL_FIELDS
from telephony.recorder import Recorder
from telephony.settings import TIME_ZONE
from tests.unit.doctor_scene import settings_for

SHANGHAI = ZoneInfo(TIME_ZONE)
TUESDAY = datetime(2026, 11, 24, tzinfo=SHANGHAI)
ROW = '"HANGUP","{at}","","","","","","s","x","PJSIP/1-1","","","3","","1.1","1.1","","","",""\n'
OUR_ACTIONS = (
    *("Redirect", "Setvar", "Getvar", "Hangup", "Status", "Originate", "QueueAdd", "QueueRemove"),
    *("QueuePause", "CoreShowChannels", "ShowDialPlan", "ConfbridgeList"),
    *("DBPut", "DBDel", "DBGet", "ModuleCheck", "GetConfig", "CoreSettings", "CoreStatus"),
)


# -- single checks against scripted answers -------------------------------------------------------


class Scripted(Patient):
    """A patient whose configuration files and modules are given."""

    files: dict[str, Config]
    modules: set[str]

    @classmethod
    def make(cls, *, modules: Iterable[str] = (), **files: Config) -> Scripted:
        made = cls(settings_for(5038, cel_file="/var/log/asterisk/cel-custom/hotline.csv"))
        made.files = {f"{name}.conf": config for name, config in files.items()}
        made.modules = set(modules)
        return made

    async def config(self, file: str, category: str = "") -> Config | None:
        return self.files.get(file)

    async def loaded(self, modules: Iterable[str]) -> dict[str, bool]:
        return {name: name in self.modules for name in modules}


MAPPING = ", ".join(f"${{CSV_QUOTE({value})}}" for value in CEL_FIELDS.values())
CEL_ON: Config = {"general": [("enable", "yes"), ("apps", "all"), ("events", "ALL")]}
CEL_CUSTOM: Config = {"mappings": [("hotline.csv", MAPPING)]}


def cel_with(key: str, value: str) -> Config:
    return {"general": [(name, value if name == key else had) for name, had in CEL_ON["general"]]}


@pytest.mark.parametrize(
    ("cel", "custom", "state", "found"),
    [
        (CEL_ON, CEL_CUSTOM, "ok", "on for all events"),
        (cel_with("enable", "no"), CEL_CUSTOM, "wrong", "does not say enable = yes"),
        (cel_with("events", "CHAN_START,HANGUP"), CEL_CUSTOM, "wrong", "leaves out ANSWER, APP_ST"),
        (cel_with("apps", ""), CEL_CUSTOM, "warning", "apps = all"),
        (CEL_ON, {"mappings": [("Master.csv", MAPPING)]}, "wrong", "writes Master.csv, not hotl"),
        (CEL_ON, {"mappings": [("hotline.csv", "${eventtype}")]}, "wrong", "other columns"),
        (CEL_ON, {}, "wrong", "writes nothing, not hotline.csv"),
    ],
)
async def test_given_cel_settings_of_a_pbx_when_checked_then_what_spoils_the_record_is_told(
    cel: Config, custom: Config, state: str, found: str
) -> None:
    verdict = await check_cel(Scripted.make(cel=cel, cel_custom=custom))
    assert verdict.state == state
    assert found in verdict.found


async def test_given_no_cel_conf_when_checked_then_wrong() -> None:
    assert (await check_cel(Scripted.make())).state == "wrong"


async def test_given_the_sqlite_back_end_when_checked_then_wrong_with_the_figure() -> None:
    names_one: Config = {"master": [("table", "cel")]}
    loaded = ["cel_sqlite3_custom"]
    verdict = await check_cel_back_end(Scripted.make(modules=loaded, cel_sqlite3_custom=names_one))
    assert verdict.state == "wrong"
    # As Debian ships it: loaded, but its file names no database.
    assert (await check_cel_back_end(Scripted.make(modules=loaded))).state == "ok"
    idle = Scripted.make(modules=loaded, cel_sqlite3_custom={})
    assert (await check_cel_back_end(idle)).state == "ok"
    assert "16 ms at 10 calls/s, but 4.8 s at 50/s" in verdict.means.en
    assert (await check_cel_back_end(Scripted.make())).state == "ok"


def key_lines() -> list[tuple[str, str]]:
    return [
        (
            f"hotline-{key.action}-{key.desk}",
            f"{key.code},self,Gosub(hotline-key-{key.action},{key.desk},1)",
        )
        for key in settings_for(5038).keys
    ]


async def test_given_features_of_a_pbx_when_checked_then_missing_and_doubled_keys_are_told() -> (
    None
):
    lines = key_lines()
    assert (await check_keys(Scripted.make(features={"applicationmap": lines}))).state == "ok"
    verdict = await check_keys(Scripted.make(features={"applicationmap": lines[1:]}))
    assert (verdict.state, verdict.found) == (
        "wrong",
        "not in its features.conf: *1 (transfer 110)",
    )
    peer = [(name, value.replace("self", "peer")) for name, value in lines]
    assert (await check_keys(Scripted.make(features={"applicationmap": peer}))).state == "wrong"
    doubled: Config = {"applicationmap": lines, "featuremap": [("automon", "*1")]}
    verdict = await check_keys(Scripted.make(features=doubled))
    assert (verdict.state, verdict.found) == (
        "warning",
        "other features have the same codes: *1 automon",
    )


@pytest.mark.parametrize(
    ("config", "state"),
    [
        ({"general": [("country", "cn")], "cn": [("ring", "450/1000,0/4000")]}, "ok"),
        ({"general": [("country", "cn")], "us": [("ring", "440+480/2000,0/4000")]}, "wrong"),
        ({"cn": [("ring", "450/1000,0/4000")]}, "wrong"),
    ],
)
async def test_given_indications_when_checked_then_a_country_without_ring_tone_is_wrong(
    config: Config, state: str
) -> None:
    assert (await check_indications(Scripted.make(indications=config))).state == state


async def test_given_a_class_of_music_without_files_when_checked_then_wrong(tmp_path: Path) -> None:
    config: Config = {"hotline": [("mode", "files"), ("directory", str(tmp_path))]}
    assert (await check_music(Scripted.make(musiconhold=config))).state == "wrong"
    (tmp_path / "hold.wav").touch()
    assert (await check_music(Scripted.make(musiconhold=config))).state == "ok"
    assert (await check_music(Scripted.make(musiconhold={"default": []}))).state == "wrong"


async def test_given_a_host_name_that_does_not_resolve_when_checked_then_told_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor_pbx, "RESOLVE_LIMIT_S", 0.05)
    held = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: held.wait(5))
    verdict = await check_host_name(Patient(settings_for(5038)))
    held.set()
    assert verdict.state == "wrong"
    assert "does not resolve (no answer" in verdict.found


async def test_given_a_pbx_elsewhere_when_checked_then_its_host_name_is_not_judged_by_ours() -> (
    None
):
    verdict = await check_host_name(Patient(settings_for(5038, host="192.0.2.7")))
    assert verdict.state == "warning"
    assert "another machine" in verdict.found


# -- the database ---------------------------------------------------------------------------------


def patient_of(file: Path, **pbx: object) -> Patient:
    return Patient(
        settings_for(5038, **pbx).model_copy(update={"database_url": f"sqlite:///{file}"})
    )


async def test_given_no_database_yet_when_checked_then_told_and_none_is_made(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hotline.sqlite"
    assert (await check_database(patient_of(file))).state == "warning"
    assert not file.exists()


async def test_given_tables_of_another_version_when_checked_then_wrong(tmp_path: Path) -> None:
    file = tmp_path / "hotline.sqlite"
    await asyncio.to_thread(migrate, f"sqlite:///{file}")
    assert (await check_database(patient_of(file))).state == "ok"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'old'")
    verdict = await check_database(patient_of(file))
    assert verdict.state == "wrong"
    assert "tables are of version old" in verdict.found


async def test_given_rows_that_nobody_stored_when_checked_then_told(tmp_path: Path) -> None:
    cel, file = tmp_path / "hotline.csv", tmp_path / "hotline.sqlite"
    cel.write_text(ROW.format(at="100.000000"))
    await asyncio.to_thread(migrate, f"sqlite:///{file}")
    patient = patient_of(file, cel_file=cel)
    assert "was never read" in (await check_recorder(patient)).found
    await Recorder(patient.settings, Database.from_settings(patient.settings)).catch_up()
    assert (await check_recorder(patient)).state == "ok"
    with cel.open("a") as rows:
        rows.write(ROW.format(at="101.000000"))
    assert "bytes of" in (await check_recorder(patient)).found
