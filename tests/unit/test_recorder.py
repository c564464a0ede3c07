"""The recorder: however its rows come, every leg is on record once."""

from __future__ import annotations

import asyncio
import random
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from telephony.call_legs import build_legs
from telephony.cel.rows import CelRow, our_layout, read_lines
from telephony.database import Database
from telephony.legs.model import Directory, Leg
from telephony.record.leg_table import COLUMNS, LEGS, WORTH_COPYING, LegTable
from telephony.recorder import Recorder, Work
from telephony.settings import Settings
from tests.unit.day_of_calls import AGENTS, DAY, make, record, same, whole

__all__ = ["whole"]  # fixtures


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
