"""The recorder: whatever dies and whenever, every leg is on record once."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
import threading
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from telephony.call_legs import LegBuilder, build_legs
from telephony.cases.store import table
from telephony.cel.rows import CelRow, our_layout, read_lines
from telephony.cel.tail import CHUNK, Source, read_batch
from telephony.database import Database
from telephony.errors import DatabaseUnavailable, SettingsError
from telephony.legs.model import Directory, Leg
from telephony.models import BrokenRow, CelRecord
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.record.leg_table import COLUMNS, LEGS, WORTH_COPYING, LegTable
from telephony.recorder import Recorder, Work
from telephony.service import Service
from telephony.settings import Settings
from tests.unit.cel_samples import NAMES, REPLAY

AGENTS = [{"id": "8001", "department": "车管窗口"}, {"id": "8002"}, {"id": "8003"}]
DAY = b"".join((REPLAY / f"cel_{name}.csv").read_bytes() for name in NAMES if name != "crash")


def make(database: Database, folder: Path) -> Recorder:
    settings = Settings.model_validate(
        {"pbx": {"cel_file": folder / "Master.csv"}, "agents": AGENTS, "database_url": "sqlite://"}
    )
    return Recorder(settings, database)


async def record(database: Database) -> dict[str, Any]:
    """All that is on record, in a form that can be compared."""
    legs = await queries.list_legs(database, queries.LegFilter(), limit=500)
    cases = await queries.list_cases(database, queries.CaseFilter(), limit=500)
    handovers = await queries.list_handovers(database, queries.HandoverFilter(), limit=500)
    async with database.reading() as connection:
        query = select(func.count()).select_from(table(CelRecord))
        rows = (await connection.execute(query)).scalar_one()
    ledgers = {one["case"]: await queries.ledger(database, one["case"]) for one in cases.items}
    assert (await verify_ledger(database)).problems == []
    return {
        "rows": rows,
        "legs": {leg["uniqueid"]: leg for leg in legs.items},
        "cases": {one["case"]: one for one in cases.items},
        "handovers": handovers.items,
        "ledger": {
            case: [(entry["event"], entry["by"], entry["responsible"]) for entry in entries]
            for case, entries in ledgers.items()
        },
    }


@pytest.fixture
async def whole(tmp_path: Path) -> dict[str, Any]:
    """The record of the day when nothing goes wrong."""
    database = Database(f"sqlite:///{tmp_path}/whole/record.sqlite")
    await database.migrate()
    (tmp_path / "whole" / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path / "whole").catch_up()
    found = await record(database)
    await database.close()
    return found


def same(got: dict[str, Any], whole: dict[str, Any]) -> None:
    assert got["rows"] == whole["rows"]
    assert got["legs"].keys() == whole["legs"].keys()
    for uniqueid, leg in got["legs"].items():
        assert leg == whole["legs"][uniqueid]
    assert got["ledger"] == whole["ledger"]
    assert got["handovers"] == whole["handovers"]
    assert got["cases"] == whole["cases"]


async def test_given_a_day_of_calls_then_the_legs_are_those_that_the_file_gives(
    database: Database, tmp_path: Path, whole: dict[str, Any]
) -> None:
    (tmp_path / "Master.csv").write_bytes(DAY)
    recorder = make(database, tmp_path)
    assert await recorder.catch_up() == DAY.count(b"\n")
    assert await recorder.catch_up() == 0
    assert recorder.lag.bytes == 0
    got = await record(database)
    same(got, whole)
    layout = our_layout()
    lines = read_lines(DAY.decode().splitlines(True), layout, lambda line, reason: None)
    directory = Directory.from_settings(
        Settings.model_validate({"agents": AGENTS, "database_url": "sqlite://"})
    )
    rows = [layout.row(fields) for _, fields in lines]
    built = {leg.uniqueid: leg for leg in build_legs(sorted(rows), directory=directory)}
    assert built.keys() == got["legs"].keys()
    for uniqueid, leg in built.items():
        stored = got["legs"][uniqueid]
        assert (leg.role, leg.party, leg.talk_s) == (
            stored["role"],
            stored["party"],
            stored["talk_s"],
        )


@pytest.mark.parametrize("restarts", [False, True])
async def test_given_rows_that_come_in_pieces_then_the_record_is_the_same(
    database: Database, tmp_path: Path, whole: dict[str, Any], restarts: bool
) -> None:
    rng = random.Random(7)
    file = tmp_path / "Master.csv"
    recorder = make(database, tmp_path)
    place = 0
    while place < len(DAY):
        step = rng.randrange(1, 6000)  # mostly ends in the middle of a line
        with file.open("ab") as target:
            target.write(DAY[place : place + step])
        place += step
        if restarts:
            recorder = make(database, tmp_path)
        await recorder.catch_up()
    same(await record(database), whole)


async def test_given_half_a_line_then_it_waits_for_its_end(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "Master.csv"
    lines = DAY.splitlines(True)
    file.write_bytes(lines[0] + lines[1][:50])
    recorder = make(database, tmp_path)
    assert await recorder.catch_up() == 1
    assert recorder.lag.bytes == 50
    with file.open("ab") as target:
        target.write(lines[1][50:])
    assert await recorder.catch_up() == 1
    assert recorder.broken == 0


@pytest.mark.parametrize("way", ["renamed", "copied and cut"])
async def test_given_rotation_while_the_service_is_away_then_no_row_is_lost(
    database: Database, tmp_path: Path, whole: dict[str, Any], way: str
) -> None:
    file = tmp_path / "Master.csv"
    lines = DAY.splitlines(True)
    cuts = [120, 200, 330]
    parts = [b"".join(lines[a:b]) for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    file.write_bytes(parts[0])
    await make(database, tmp_path).catch_up()
    with file.open("ab") as target:
        target.write(parts[1])
    for number, part in ((2, parts[2]), (1, parts[3])):
        rotated = tmp_path / f"Master.csv.{number}"
        if way == "renamed":
            file.rename(rotated)
        else:
            rotated.write_bytes(file.read_bytes())
        file.write_bytes(part)
    (tmp_path / "Master.csv.9.gz").write_bytes(b"\x1f\x8b")
    await make(database, tmp_path).catch_up()
    same(await record(database), whole)


async def test_given_rotation_while_it_runs_then_the_old_file_is_finished_first(
    database: Database, tmp_path: Path, whole: dict[str, Any]
) -> None:
    file = tmp_path / "Master.csv"
    lines = DAY.splitlines(True)
    file.write_bytes(b"".join(lines[:100]))
    recorder = make(database, tmp_path)
    await recorder.catch_up()
    with file.open("ab") as target:
        target.write(b"".join(lines[100:150]))
    file.rename(tmp_path / "Master.csv.1")
    assert await recorder.catch_up() == 50
    file.write_bytes(b"".join(lines[150:]))
    await recorder.catch_up()
    same(await record(database), whole)


async def test_given_the_same_file_again_then_nothing_is_there_twice(
    database: Database, tmp_path: Path, whole: dict[str, Any]
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    lines = DAY.splitlines(True)
    file.write_bytes(b"".join(lines[:230]))  # cut short, and in the middle of a call
    await make(database, tmp_path).catch_up()
    same(await record(database), whole)
    file.write_bytes(b"".join(lines[40:]))  # another first line: taken for another file
    await make(database, tmp_path).catch_up()
    same(await record(database), whole)


async def test_given_two_services_on_one_file_then_every_leg_is_there_once(
    database: Database, empty_database_url: str, tmp_path: Path, whole: dict[str, Any]
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"")
    other = Database(empty_database_url)
    recorders = [make(database, tmp_path), make(other, tmp_path)]
    running = [asyncio.create_task(one.run()) for one in recorders]
    rng = random.Random(3)
    place = 0
    while place < len(DAY):
        step = rng.randrange(1, 9000)
        with file.open("ab") as target:
            target.write(DAY[place : place + step])
        place += step
        for one in recorders:
            one.poke()
        await asyncio.sleep(0.02)
    await asyncio.gather(*(one.catch_up() for one in recorders))
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    same(await record(database), whole)
    await other.close()


SERVICE = """
import asyncio, sys
from pathlib import Path
from telephony.cases.store import table
from telephony.database import Database
from tests.unit.test_recorder import make
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


async def test_given_broken_lines_then_they_are_kept_with_the_reason(
    database: Database, tmp_path: Path
) -> None:
    lines = DAY.splitlines(True)
    bad = [b'"half a li\n', b"1,2,3\n", b"\x00\xff\xfe\n", b"\n"]
    mixed = [lines[0], bad[0], lines[1], bad[1], bad[2], bad[3], lines[2]]
    (tmp_path / "Master.csv").write_bytes(b"".join(mixed))
    recorder = make(database, tmp_path)
    assert await recorder.catch_up() == 3
    assert recorder.broken == 3
    async with database.reading() as connection:
        kept = (await connection.execute(select(table(BrokenRow)))).mappings().all()
    assert {row["offset"] for row in kept} == {
        len(lines[0]),
        len(lines[0] + bad[0] + lines[1]),
        len(lines[0] + bad[0] + lines[1] + bad[1]),
    }
    assert all(row["reason"] for row in kept)


async def test_given_much_to_catch_up_with_then_others_get_their_turns(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    loop_thread = threading.get_ident()
    batches: list[int] = []  # turns before each batch is worked out
    work_out = Recorder._work_out

    def noted(*given: Any) -> Work:
        assert threading.get_ident() != loop_thread
        batches.append(turns)
        return work_out(*given)

    monkeypatch.setattr(Recorder, "_work_out", noted)
    (tmp_path / "Master.csv").write_bytes(DAY)
    counter = asyncio.create_task(count())
    assert await make(database, tmp_path).catch_up() == DAY.count(b"\n")
    counter.cancel()
    assert len(batches) > 2  # not all in one go
    assert all(later > before for before, later in pairwise(batches))


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


@pytest.mark.parametrize("inside", range(1, 130, 16))
def test_given_a_value_with_a_line_break_where_a_batch_ends_then_it_is_one_row(
    tmp_path: Path, inside: int
) -> None:
    lines = DAY.splitlines(True)
    split = lines[1].replace(b'"Citizen"', b'"Citi\nzen"', 1)
    assert split != lines[1]
    filler = lines[0] * (CHUNK // len(lines[0]) - 1)
    # Blank lines move the row, so that the batch ends so many bytes inside it.
    blank = b"\n" * (CHUNK - inside - len(filler))
    file = tmp_path / "Master.csv"
    file.write_bytes(filler + blank + split + lines[2])
    first = read_batch(file, "file", 0, our_layout(), Source())
    second = read_batch(file, "file", first.end, our_layout(), Source())
    assert not first.broken + second.broken
    assert second.end == file.stat().st_size
    got = [one.line.encode() for one in [*first.rows, *second.rows][-2:]]
    assert got == [split.rstrip(), lines[2].rstrip()]


async def test_given_no_file_yet_then_there_is_nothing_to_do(
    database: Database, tmp_path: Path
) -> None:
    recorder = make(database, tmp_path)
    assert await recorder.catch_up() == 0
    assert recorder.lag.bytes == 0


def test_given_no_cel_file_in_the_settings_then_the_setting_is_named(tmp_path: Path) -> None:
    settings = Settings.model_validate({"database_url": "sqlite://"})
    with pytest.raises(SettingsError, match="cel_file"):
        Recorder(settings, Database("sqlite://"))


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


async def test_given_legs_that_are_new_known_or_both_then_each_is_in_the_table_as_it_is_now(
    database: Database,
) -> None:
    source = build_legs(sorted(read_rows(DAY)), pbx="pbx1")
    legs = sorted(source, key=lambda leg: leg.uniqueid)
    assert len(legs) > WORTH_COPYING
    columns = {column.name for column in LEGS.c}
    assert columns == set(COLUMNS)

    async def stored() -> dict[str, dict[str, Any]]:
        async with database.reading() as connection:
            rows = (await connection.execute(select(LEGS))).mappings()
            return {row["uniqueid"]: dict(row) for row in rows}

    async def write(target: LegTable, part: list[Leg]) -> None:
        async with database.writing() as connection:
            await target.write(connection, [target.values(leg) for leg in part])

    first = LegTable(database, "pbx1")
    await write(first, legs[:WORTH_COPYING])  # new ones
    for leg in legs[::3]:
        leg.cause, leg.talk_s = 41, 0.125
    await write(first, legs[:WORTH_COPYING])  # known ones
    await write(LegTable(database, "pbx1"), legs)  # another service: some are there already
    assert await stored() == {leg.uniqueid: first.row(leg) for leg in legs}
    async with database.writing() as connection:
        await first.write(connection, [])


def read_rows(text: bytes) -> list[CelRow]:
    layout = our_layout()
    lines = read_lines(text.decode().splitlines(True), layout, lambda line, reason: None)
    return [layout.row(fields) for _, fields in lines]
