"""The running service keeps the record, or says loudly that it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs

from telephony import service as module
from telephony.service import Service
from telephony.settings import Settings
from tests.unit.day_of_calls import DAY


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service without a PBX, and a day of calls to record."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    (tmp_path / "Master.csv").write_bytes(DAY)
    settings = Settings.model_validate(
        {
            "pbx": {"cel_file": tmp_path / "Master.csv", "ami_port": 1},
            "database_url": f"sqlite:///{tmp_path}/record.sqlite",
        }
    )
    service = Service(settings)
    yield service
    await service.stop()


async def recorded(service: Service) -> bool:
    """Wait until the day is on record; False when that does not come about."""
    for _ in range(1000):
        if service.recorder is not None and not service.recorder.lag.bytes:
            return True
        await asyncio.sleep(0.01)
    return False


async def set_version(service: Service, version: str) -> str:
    """Say that another version made the tables; returns what was there."""
    async with service.database.writing() as connection:
        query = text("SELECT version_num FROM alembic_version")
        before = (await connection.execute(query)).scalar_one()
        change = text("UPDATE alembic_version SET version_num = :version")
        await connection.execute(change, {"version": version})
    return str(before)


@pytest.fixture(autouse=True)
def logs_as_they_come() -> None:
    """Other tests of this process may have set the log up to say less."""
    structlog.reset_defaults()


async def test_given_tables_of_a_newer_version_then_it_is_logged_and_tried_again(
    service: Service,
) -> None:
    await service.database.migrate()
    ours = await set_version(service, "made-by-a-newer-version")
    with capture_logs() as logs:
        await service.start()
        for _ in range(1000):
            if len([one for one in logs if one["log_level"] == "error"]) > 1:
                break
            await asyncio.sleep(0.01)
    errors = [one for one in logs if one["log_level"] == "error"]
    assert len(errors) > 1
    assert {one["error"] for one in errors} == {"CommandError"}
    assert "recorder" in await service.not_ready()
    await set_version(service, ours)
    assert await recorded(service)
    assert "recorder" not in await service.not_ready()


async def test_given_the_record_has_ended_then_the_recorder_is_not_ready(service: Service) -> None:
    await service.start()
    assert await recorded(service)
    assert "recorder" not in await service.not_ready()
    (record,) = (task for task in asyncio.all_tasks() if task.get_name() == "record")
    record.cancel()
    await asyncio.wait([record])
    assert "recorder" in await service.not_ready()
