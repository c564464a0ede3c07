"""Backup and restore: what comes back is what was there, and nothing is overwritten unasked."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import sqlite3
import tarfile
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from telephony.around.settings import Recording
from telephony.backup import work
from telephony.backup.archive import BackupUnusable
from telephony.backup.work import backup, restore
from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.ownership import locks
from telephony.ownership.keeper import Ownership
from telephony.settings import Settings
from tests.unit.day_of_calls import DAY, make, record


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


async def test_given_a_database_whose_service_was_killed_then_all_of_it_is_set_aside(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path / "one")
    file, database = tmp_path / "backup.tar", tmp_path / "deep" / "record.sqlite"
    shutil.copy(sqlite_template, tmp_path / "record.sqlite")
    one = settings(f"sqlite:///{tmp_path / 'record.sqlite'}", tmp_path / "one")
    await backup(one, file)
    two = settings(f"sqlite:///{database}", tmp_path / "two")
    await restore(two, file)  # its folder is made

    running = sqlite3.connect(database)
    running.execute("PRAGMA journal_mode=WAL")
    running.execute("PRAGMA wal_autocheckpoint=0")
    running.execute("CREATE TABLE written_last (what TEXT)")
    running.execute("INSERT INTO written_last VALUES ('not in the file itself yet')")
    running.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("record.sqlite", "record.sqlite-wal"):
        shutil.copy(database.with_name(name), killed / name)
    running.close()
    there = settings(f"sqlite:///{killed / 'record.sqlite'}", tmp_path / "two")

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("telephony.backup.databases.os.fsync", full)
        with pytest.raises(DatabaseUnavailable, match="No space left"):
            await restore(there, file, force=True)
    kept = {one.name for one in killed.iterdir() if "owner" not in one.name}
    assert kept == {"record.sqlite", "record.sqlite-wal"}

    await restore(there, file, force=True)
    assert not (killed / "record.sqlite-wal").exists()
    [aside] = [one for one in killed.glob("record.sqlite.before-*") if one.suffix[-4:] != "-wal"]
    with closing(sqlite3.connect(aside)) as before:
        assert before.execute("SELECT count(*) FROM written_last").fetchone() == (1,)


async def test_given_sounds_of_a_pbx_that_no_setting_names_then_they_are_not_left_out_unsaid(
    tmp_path: Path, sqlite_template: Path
) -> None:
    lay_out(tmp_path / "one")
    file = tmp_path / "backup.tar"
    shutil.copy(sqlite_template, tmp_path / "record.sqlite")
    await backup(settings(f"sqlite:///{tmp_path / 'record.sqlite'}", tmp_path / "one"), file)
    other = settings(f"sqlite:///{tmp_path / 'two.sqlite'}", tmp_path / "two")
    other = other.model_copy(update={"pbx": other.pbx.model_copy(update={"name": "east"})})
    with pytest.raises(BackupUnusable, match="messages/pbx1"):
        await restore(other, file)
    assert not (tmp_path / "two.sqlite").exists()
    await restore(other, file, force=True)
    assert (tmp_path / "two.sqlite").exists()
    assert not (tmp_path / "two" / "messages").exists()


async def test_given_recordings_when_asked_for_then_they_are_in_it_and_come_back(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path / "one")
    shutil.copy(sqlite_template, tmp_path / "record.sqlite")
    url, there = f"sqlite:///{tmp_path / 'record.sqlite'}", tmp_path / "one" / "monitor"
    here = settings(url, tmp_path / "one").model_copy(update={"recording": Recording(folder=there)})
    plain, file = tmp_path / "plain.tar", tmp_path / "all.tar"
    with pytest.raises(BackupUnusable, match="monitor"):  # not there is not the same as empty
        await backup(here, file, recordings=True)
    assert not file.exists()
    (there / "2026").mkdir(parents=True)
    made = there / "2026" / "20261124-1764000000.12-r1.wav"
    made.write_bytes(b"RIFF" * 9000)
    os.utime(made, (1764000100, 1764000100))
    (there / "twice.wav").hardlink_to(made)
    (there / ".part-x.wav").write_bytes(b"half of one that is being sent")
    going_on = there / "now.wav"
    going_on.write_bytes(b"first")
    measured = tarfile.TarFile.gettarinfo

    def spoken_on(tar: tarfile.TarFile, **of: Any) -> tarfile.TarInfo:
        info = measured(tar, **of)
        if info.name.endswith("now.wav"):
            with going_on.open("ab") as sound:
                sound.write(b", and what is spoken meanwhile")
        return info

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(tarfile.TarFile, "gettarinfo", spoken_on)
        assert len((await backup(here, file, recordings=True)).parts) == 6
    await backup(here, plain)

    def names(of: Path) -> list[str]:
        with tarfile.open(of) as tar:
            return [name for name in tar.getnames() if name.startswith("recordings/")]

    assert names(plain) == []
    assert len(names(file)) == 3
    two = settings(f"sqlite:///{tmp_path / 'two.sqlite'}", tmp_path / "two")
    with pytest.raises(BackupUnusable, match="recordings/pbx1"):  # nowhere to put them
        await restore(two, file)
    back = tmp_path / "two" / "monitor"
    two = two.model_copy(update={"recording": Recording(folder=back)})
    with monkeypatch.context() as small:
        little = SimpleNamespace(free=50_000)
        small.setattr("telephony.backup.work.shutil.disk_usage", lambda _place: little)
        with pytest.raises(BackupUnusable, match="nothing was changed"):
            await restore(two, file)
    assert not (tmp_path / "two.sqlite").exists()
    assert not back.exists()
    await restore(two, file)
    again = back / "2026" / made.name
    assert again.read_bytes() == (back / "twice.wav").read_bytes() == made.read_bytes()
    assert again.stat().st_mtime == 1764000100
    assert (back / "now.wav").read_bytes() == b"first"
    assert len([one for one in back.rglob("*") if one.is_file()]) == 3
    three = settings(f"sqlite:///{tmp_path / 'three.sqlite'}", tmp_path / "three")
    with pytest.raises(BackupUnusable, match="monitor holds files; --force"):
        await restore(three.model_copy(update={"recording": Recording(folder=back)}), file)


@pytest.mark.postgres
async def test_given_a_long_restore_then_no_service_gets_the_lock_meanwhile(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SILENT_S", 0.4)
    monkeypatch.setattr(work, "BEAT_S", 0.1)
    database, other = Database(postgres_database), Database(postgres_database)
    here = settings(postgres_database, tmp_path)
    service = locks.lock_for(other, here.pbx.name)
    began = time.monotonic()
    async with work._alone(here, database):
        while time.monotonic() < began + 1.2:  # three times what a silent session is given
            assert not await service.take()
            await asyncio.sleep(0.1)
    await service.close()
    for one in (database, other):
        await one.close()
