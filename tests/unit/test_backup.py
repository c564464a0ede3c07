"""Backup and restore: what comes back is what was there, and nothing is overwritten unasked."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from telephony.backup.archive import BackupUnusable
from telephony.backup.work import backup, restore
from telephony.database import Database
from telephony.ownership.keeper import Ownership
from telephony.settings import Settings
from tests.unit.test_recorder import DAY, make, record


def settings(url: str, folder: Path) -> Settings:
    return Settings(
        database_url=url,
        messages={"folder": folder / "messages"},
        dialplan={"versions": folder / "versions"},
    )


def lay_out(folder: Path) -> None:
    """A day's CEL, a message's sound and a version of the dialplan."""
    folder.mkdir()
    (folder / "Master.csv").write_bytes(DAY)
    (folder / "messages").mkdir()
    (folder / "messages" / "20261124-1764000000.12-m1.wav").write_bytes(b"RIFF" * 5000)
    (folder / "versions" / "pbx1" / "0001").mkdir(parents=True)
    (folder / "versions" / "pbx1" / "0001" / "version.json").write_text("{}")


async def everything(database: Database) -> dict[str, Any]:
    """All rows of all tables, and the record as it is read."""
    found: dict[str, Any] = {"record": await record(database)}
    async with database.reading() as connection:
        if database.is_sqlite:
            query = (
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
        else:
            query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        for name in sorted((await connection.execute(text(query))).scalars()):
            rows = (await connection.execute(text(f'SELECT * FROM "{name}"'))).all()
            found[name] = sorted(map(repr, rows))
    return found


async def test_given_a_record_when_restored_elsewhere_then_every_row_and_file_is_the_same(
    database: Database, database_url: str, empty_copy: str, tmp_path: Path
) -> None:
    lay_out(tmp_path / "one")
    await make(database, tmp_path / "one").catch_up()
    before = await everything(database)
    file = tmp_path / "backup.tar"
    here = settings(database_url, tmp_path / "one")
    service = Ownership(database, "pbx1")  # it runs meanwhile
    service.start()
    await service.owned()
    made = await backup(here, file)
    await service.stop()
    assert made.rows["cel_rows"] == len(before["cel_rows"]) > 100
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(BackupUnusable, match="--force"):
        await backup(here, file)

    there = settings(empty_copy, tmp_path / "two")
    await restore(there, file)
    other = Database(empty_copy)
    assert await everything(other) == before
    sound = "messages/20261124-1764000000.12-m1.wav"
    assert (tmp_path / "two" / sound).read_bytes() == (tmp_path / "one" / sound).read_bytes()
    assert (tmp_path / "two" / "versions" / "pbx1" / "0001" / "version.json").is_file()
    # The record goes on where it was: nothing of the day is read twice.
    (tmp_path / "two" / "Master.csv").write_bytes(DAY)
    await make(other, tmp_path / "two").catch_up()
    assert (await everything(other))["cel_rows"] == before["cel_rows"]

    with pytest.raises(BackupUnusable, match="--force"):
        await restore(there, file)
    running = Ownership(other, "pbx1")
    running.start()
    await running.owned()
    with pytest.raises(BackupUnusable, match="stop it first"):
        await restore(there, file, force=True)
    await running.stop()
    async with other.writing() as connection:
        await connection.execute(text("DELETE FROM legs"))
    await restore(there, file, force=True)
    assert (await everything(other))["legs"] == before["legs"]
    # Rows can be added afterwards: counters stand behind the last.
    await other.migrate()
    await other.close()


@pytest.mark.parametrize("how", ["cut short", "changed", "of something else", "of a newer version"])
async def test_given_a_damaged_backup_then_it_is_refused_and_nothing_is_touched(
    tmp_path: Path, sqlite_template: Path, how: str
) -> None:
    folder = tmp_path / "one"
    lay_out(folder)
    shutil.copy(sqlite_template, folder / "record.sqlite")
    file = tmp_path / "backup.tar"
    await backup(settings(f"sqlite:///{folder / 'record.sqlite'}", folder), file)
    match how:
        case "cut short":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "changed":
            whole = bytearray(file.read_bytes())
            whole[4000] ^= 1
            file.write_bytes(whole)
        case "of something else":
            with tarfile.open(file, "w") as tar:
                tar.add(folder / "record.sqlite", "../../evil")
        case _:
            with tarfile.open(file) as tar:
                tar.extractall(tmp_path / "out", filter="data")
            said = json.loads((tmp_path / "out" / "manifest.json").read_text())
            (tmp_path / "out" / "manifest.json").write_text(json.dumps(said | {"revision": "9999"}))
            with tarfile.open(file, "w") as tar:
                for path in (tmp_path / "out").iterdir():
                    tar.add(path, path.name)
    with pytest.raises(BackupUnusable):
        await restore(settings(f"sqlite:///{tmp_path / 'two.sqlite'}", tmp_path / "two"), file)
    assert not (tmp_path / "two.sqlite").exists()
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "two").exists()
