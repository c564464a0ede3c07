"""The recorder when something dies: itself, the PBX, the database or its disk."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from telephony.call_legs import LegBuilder
from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.recorder import Recorder, Work
from telephony.service import Service
from telephony.settings import Settings
from tests.unit.cel_samples import REPLAY
from tests.unit.day_of_calls import AGENTS, DAY, make, record, same, whole

__all__ = ["whole"]  # fixtures

SERVICE = """
import asyncio, sys
from pathlib import Path
from telephony.cases.store import table
from telephony.database import Database
from tests.unit.day_of_calls import make
asyncio.run(make(Database(sys.argv[1]), Path(sys.argv[2])).run())
"""


async def test_given_a_service_killed_at_any_moment_then_nothing_is_lost_and_nothing_twice(
    database: Database, empty_database_url: str, tmp_path: Path, whole: dict[str, Any]
) -> None:
    file = tmp_path / "Master.csv"
    rng = random.Random(5)
    lines = DAY.splitlines(True)
    place = kills = 0
    while place < len(lines):
        service = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVICE, empty_database_url, str(tmp_path))
        )
        # The first rows after a start are written at some moment of its start, or after it.
        await asyncio.sleep(rng.uniform(0.6, 1.6))
        for _ in range(4):
            step = rng.randrange(10, 60)
            with file.open("ab") as target:
                target.write(b"".join(lines[place : place + step]))
            place += step
            await asyncio.sleep(rng.uniform(0, 0.25))
        service.send_signal(signal.SIGKILL)
        await service.wait()
        kills += 1
    assert kills > 2
    await make(database, tmp_path).catch_up()
    same(await record(database), whole)


async def test_given_the_pbx_crashed_then_its_legs_are_cut_off_by_the_next_call(
    database: Database, tmp_path: Path
) -> None:
    crash = (REPLAY / "cel_crash.csv").read_bytes().splitlines(True)
    restart = next(place for place, line in enumerate(crash) if b'"1795497831.0"' in line)
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(crash[:restart]))
    await make(database, tmp_path).catch_up()
    before = (await record(database))["legs"].values()
    assert Counter(leg["state"] for leg in before) == {"open": 4, "complete": 2}
    with file.open("ab") as target:
        target.write(b"".join(crash[restart:]))
    await make(database, tmp_path).catch_up()
    got = await record(database)
    assert Counter(leg["state"] for leg in got["legs"].values()) == {"cut_off": 4, "complete": 4}
    # Both citizens were taken, so the crash has not lost who answers for them.
    assert sorted(case["owner"] for case in got["cases"].values()) == ["8001", "8001", "8002"]


async def test_given_no_database_then_rows_wait_and_land_when_it_is_back(
    empty_database_url: str, tmp_path: Path, whole: dict[str, Any]
) -> None:
    (tmp_path / "Master.csv").write_bytes(DAY)
    database = Database(empty_database_url)
    recorder = make(database, tmp_path)
    running = asyncio.create_task(recorder.run())
    await asyncio.sleep(0.3)
    assert not running.done()
    assert recorder.lag.bytes == len(DAY)
    await database.migrate()
    for _ in range(400):
        if recorder.lag.bytes:
            await asyncio.sleep(0.05)
    running.cancel()
    same(await record(database), whole)
    await database.close()


async def test_given_a_stop_in_the_midst_of_a_batch_then_it_goes_on_from_what_is_stored(
    database: Database, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Master.csv").write_bytes(DAY)
    begun, go_on = threading.Event(), threading.Event()
    builders: list[object] = []
    work_out = Recorder._work_out

    def held_up(recorder: Recorder, builder: LegBuilder, *given: Any) -> Work:
        builders.append(builder)
        if len(builders) == 1:
            begun.set()
            assert go_on.wait(10)
        return work_out(recorder, builder, *given)

    monkeypatch.setattr(Recorder, "_work_out", held_up)
    recorder = make(database, tmp_path)
    running = asyncio.create_task(recorder.run())
    assert await asyncio.to_thread(begun.wait, 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    try:
        assert await recorder.catch_up() == DAY.count(b"\n")
    finally:
        go_on.set()
    assert builders[0] not in builders[1:]  # that thread may still be at work on it
    same(await record(database), whole)


async def test_given_the_disk_of_the_database_full_then_rows_wait_and_land_when_there_is_room(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    (tmp_path / "Master.csv").write_bytes(DAY)
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    await database.migrate()
    pages = 0

    def limit(connection: Any, _record: Any) -> None:
        # SQLite says of such a file what it says of a full disk: SQLITE_FULL.
        connection.execute(f"PRAGMA max_page_count={pages}")

    async with database.reading() as connection:
        pages = int((await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()) + 3
    event.listen(database.engine.sync_engine, "connect", limit)
    await database.engine.dispose()
    recorder = make(database, tmp_path)
    with pytest.raises(DatabaseUnavailable, match="full"):
        await recorder.catch_up()
    running = asyncio.create_task(recorder.run())
    await asyncio.sleep(0.3)
    assert not running.done()
    assert recorder.lag.bytes == len(DAY)
    pages = 2**30
    await database.engine.dispose()
    for _ in range(400):
        if recorder.lag.bytes:
            await asyncio.sleep(0.05)
    running.cancel()
    same(await record(database), whole)
    await database.close()


async def test_given_the_database_file_taken_away_then_nothing_is_written_until_it_is_back(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    file, record_file = tmp_path / "Master.csv", tmp_path / "record.sqlite"
    lines = DAY.splitlines(True)
    file.write_bytes(b"".join(lines[:200]))
    settings = Settings.model_validate(
        {
            "pbx": {"cel_file": file, "ami_port": 1},
            "agents": AGENTS,
            "database_url": f"sqlite:///{record_file}",
        }
    )
    service = Service(settings)
    await service.database.migrate()
    recorder = make(service.database, tmp_path)
    assert await recorder.catch_up() == 200
    assert "database" not in await service.not_ready()
    with closing(sqlite3.connect(record_file)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    away = record_file.rename(tmp_path / "away.sqlite")
    assert "database" in await service.not_ready()
    file.write_bytes(DAY)
    with pytest.raises(DatabaseUnavailable, match="taken away"):
        await recorder.catch_up()
    assert "database" in await service.not_ready()
    # Put back as a copy: another file under the same name.
    record_file.write_bytes(away.read_bytes())
    assert "database" not in await service.not_ready()
    assert await recorder.catch_up() == len(lines) - 200
    same(await record(service.database), whole)
    await service.database.close()
