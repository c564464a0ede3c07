"""The CEL file as it may be found: half written, rotated, broken, missing, with line breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from telephony.cases.store import table
from telephony.cel.rows import our_layout
from telephony.cel.tail import CHUNK, Source, read_batch
from telephony.database import Database
from telephony.errors import SettingsError
from telephony.models import BrokenRow
from telephony.recorder import Recorder
from telephony.settings import Settings
from tests.unit.day_of_calls import DAY, make, record, same, whole

__all__ = ["whole"]  # fixtures


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
