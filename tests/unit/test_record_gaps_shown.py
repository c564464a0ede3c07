"""Gaps of the record and a full disk, as supervisors, the log and the doctor tell of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from api.app import create_app
from telephony.cel import disk as cel_disk
from telephony.checkup.gaps import check_gaps
from telephony.checkup.model import Patient
from telephony.checkup.record import check_disk
from telephony.database import Database
from telephony.record.settings import MB, RecordWatch
from telephony.service import Service
from telephony.settings import Settings, Token
from tests.unit.cel_samples import REPLAY
from tests.unit.day_of_calls import make
from tests.unit.gaps_scene import CRASH, one

__all__ = ["one"]  # fixtures


async def test_given_gaps_then_supervisors_list_them_page_by_page_and_agents_may_not(
    one: Database, tmp_path: Path
) -> None:
    (tmp_path / "Master.csv").write_bytes(CRASH + b"1,2\n3,4\n5,6\n")
    await make(one, tmp_path).catch_up()
    tokens = [
        Token.model_validate({"name": role, "role": role, "token": f"{role}-token-of-the-tests"})
        for role in ("supervisor", "admin")
    ]
    settings = Settings.model_validate(
        {"database_url": f"sqlite:///{tmp_path}/record.sqlite", "tokens": tokens}
    )
    service = Service(settings)
    transport = httpx.ASGITransport(app=create_app(service))
    headers = {"Authorization": "Bearer supervisor-token-of-the-tests"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api/api/v1", headers=headers
    ) as client:
        whole = (await client.get("/gaps")).json()["items"]
        assert sorted(gap["why"] for gap in whole) == ["pbx-stopped", *["row-broken"] * 3]
        pages, cursor = [], None
        while True:
            parameters = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/gaps", params=parameters)).json()
            pages += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        assert pages == whole
        only = (await client.get("/gaps", params={"why": "pbx-stopped"})).json()["items"]
        assert [gap["key"] for gap in only] == ["1795497831.0"]
        assert (await client.get("/gaps", params={"why": "bad-luck"})).status_code == 422
        assert (await client.get("/gaps", params={"cursor": "x"})).status_code == 422
    await service.database.close()


def test_given_little_room_then_it_is_measured_and_each_change_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [3000 * MB]

    class Usage:
        @property
        def free(self) -> int:
            return free[0]

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage())
    monkeypatch.setattr(cel_disk, "LOOK_EVERY_S", 0.0)
    watch = cel_disk.DiskWatch("pbx9", tmp_path, RecordWatch(disk_warning_mb=1000))
    states = []
    with capture_logs() as logs:
        for now in (3000, 900, 800, 150, 2000):
            free[0] = now * MB
            watch.look()
            states.append(watch.state)
            assert cel_disk.FREE.labels("pbx9")._value.get() == now * MB
    assert states == ["ok", "warning", "warning", "alarm", "ok"]
    assert [log["event"] for log in logs] == ["cel-disk-warning", "cel-disk-alarm", "cel-disk-ok"]


def test_given_an_alarm_above_the_warning_then_the_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="would never warn"):
        RecordWatch(disk_warning_mb=100, disk_alarm_mb=200)


async def test_given_gaps_and_little_room_then_the_doctor_says_so_by_the_limits_of_the_settings(
    one: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes((REPLAY / "cel_local_only.csv").read_bytes())
    recorder = make(one, tmp_path)
    await recorder.catch_up()

    def patient(warning_mb: int = 2048, alarm_mb: int = 200) -> Patient:
        return Patient(
            Settings.model_validate(
                {
                    "pbx": {"cel_file": file},
                    "database_url": f"sqlite:///{tmp_path}/record.sqlite",
                    "record": {"disk_warning_mb": warning_mb, "disk_alarm_mb": alarm_mb},
                }
            )
        )

    assert (await check_gaps(patient())).state == "ok"
    with file.open("ab") as target:
        target.write(b"no row\n")
    await recorder.catch_up()
    found = await check_gaps(patient())
    assert found.state == "warning"
    assert found.found.startswith("1 row-broken in the last 7 days")
    room = shutil.disk_usage(tmp_path)._replace(free=500 * MB)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    states = [(await check_disk(patient(*limits))).state for limits in ((400, 200), (600, 400))]
    states.append((await check_disk(patient(900, 600))).state)
    assert states == ["ok", "warning", "wrong"]
