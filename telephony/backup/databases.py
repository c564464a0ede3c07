"""The database in a backup: SQLite's file by its online backup, PostgreSQL's tables by COPY.

COPY in one snapshot and not ``pg_dump``: that refuses servers newer than itself, and need not be
there. The tables are made by our own migrations, at the version that the backup names.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from alembic.config import Config
from alembic.script import ScriptDirectory

from telephony.backup.archive import BackupUnusable, Manifest
from telephony.database import MIGRATIONS, clear_database_errors, migrate

if TYPE_CHECKING:
    from telephony.database import Database

FILE = "database.sqlite"
TABLES = "tables"
VERSION = "alembic_version"
_OURS = (
    "SELECT table_name FROM information_schema.tables "
    "WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1"
)


async def save(database: Database, folder: Path) -> Manifest:
    """Write what the database holds at this moment into ``folder``.

    Raises :class:`DatabaseUnavailable`, :class:`BackupUnusable`.
    """
    with clear_database_errors():
        if database.is_sqlite:
            return await asyncio.to_thread(_save_sqlite, _file_of(database), folder)
        return await _save_postgres(database, folder)


async def put_back(database: Database, folder: Path, manifest: Manifest, *, force: bool) -> None:
    """Make the database what the backup says.

    Raises :class:`DatabaseUnavailable`, and :class:`BackupUnusable` for a database that holds
    something (unless ``force``), that is of the other kind, or for a newer version's backup.
    """
    kind = "sqlite" if database.is_sqlite else "postgresql"
    if manifest.kind != kind:
        raise BackupUnusable(f"it is a backup of {manifest.kind}, database_url names {kind}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if manifest.revision not in known:
        raise BackupUnusable(f"it was made by a newer version ({manifest.revision}); update first")
    with clear_database_errors():
        if database.is_sqlite:
            await asyncio.to_thread(_put_back_sqlite, _file_of(database), folder, force=force)
        else:
            await _put_back_postgres(database, folder, manifest, force=force)


# -- SQLite


def _file_of(database: Database) -> Path:
    if database.file is None:
        raise BackupUnusable("a database in memory has no backup")
    return database.file


def _save_sqlite(file: Path, folder: Path) -> Manifest:
    if not file.is_file():
        raise BackupUnusable(f"there is no database {file}")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(folder / FILE)) as copy:
        source.backup(copy, pages=2000, sleep=0.01)
        copy.execute("PRAGMA journal_mode=DELETE")
        [(state,)] = copy.execute("PRAGMA integrity_check(1)").fetchall()
        if state != "ok":
            raise BackupUnusable(f"the database {file} is damaged: {state}")
        names = copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        ours = sorted(name for (name,) in names if not name.startswith("sqlite_"))
        rows = {name: copy.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in ours}
        if VERSION not in rows:
            raise BackupUnusable(f"{file} has no tables of ours yet")
        [(revision,)] = copy.execute(f"SELECT version_num FROM {VERSION}").fetchall()
    return Manifest("sqlite", revision, _now(), rows=rows)


def _put_back_sqlite(file: Path, folder: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise BackupUnusable(f"{file} is there already; --force sets it aside")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    try:
        with (folder / FILE).open("rb") as source, part.open("wb") as target:
            while data := source.read(2**20):
                target.write(data)
            target.flush()
            os.fsync(target.fileno())
    except BaseException:  # such as a full disk: what is there stays where it is
        part.unlink(missing_ok=True)
        raise
    # What a service that was killed had written last is in the file beside it (-wal): it belongs to
    # the database before, and would be taken for this one's.
    aside = file.with_name(f"{file.name}.before-{time.strftime('%Y%m%dT%H%M%S')}")
    file.with_name(f"{file.name}-shm").unlink(missing_ok=True)
    for rest in ("-wal", ""):
        before = file.with_name(f"{file.name}{rest}")
        if before.exists():
            before.rename(aside.with_name(f"{aside.name}{rest}"))
    part.rename(file)


# -- PostgreSQL


async def _connect(database: Database) -> asyncpg.Connection:
    url = database.url.set(drivername="postgresql")
    return await asyncpg.connect(url.render_as_string(hide_password=False), timeout=10)


async def _save_postgres(database: Database, folder: Path) -> Manifest:
    (folder / TABLES).mkdir()
    connection = await _connect(database)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            names = [row[0] for row in await connection.fetch(_OURS)]
            if VERSION not in names:
                raise BackupUnusable("the database has no tables of ours yet")
            revision = await connection.fetchval(f"SELECT version_num FROM {VERSION}")
            manifest = Manifest("postgresql", revision, _now())
            for name in names:
                done = await connection.copy_from_table(
                    name, output=folder / TABLES / f"{name}.csv", format="csv", header=True
                )
                manifest.rows[name] = int(done.split()[-1])
        return manifest
    finally:
        await connection.close()


async def _put_back_postgres(
    database: Database, folder: Path, manifest: Manifest, *, force: bool
) -> None:
    connection = await _connect(database)
    try:
        there = {row[0] for row in await connection.fetch(_OURS)}
        if VERSION in there:
            revision = await connection.fetchval(f"SELECT version_num FROM {VERSION}")
            if revision != manifest.revision:
                raise BackupUnusable(
                    f"the tables there are of version {revision}, the backup is of "
                    f"{manifest.revision}: restore it into an empty database, the service brings "
                    "it up to date when it starts"
                )
            held = [name for name in sorted(there - {VERSION}) if await _holds(connection, name)]
            if held and not force:
                raise BackupUnusable(f"the database holds {', '.join(held)}; --force empties it")
        else:
            url = database.url.render_as_string(hide_password=False)
            await asyncio.to_thread(migrate, url, manifest.revision)
        names = [name for name in manifest.rows if name != VERSION]
        async with connection.transaction():
            await connection.execute(f"TRUNCATE {', '.join(map(_quoted, names))}")
            for name in names:
                await _fill(connection, name, folder / TABLES / f"{name}.csv")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _holds(connection: asyncpg.Connection, table: str) -> bool:
    return bool(await connection.fetchval(f"SELECT EXISTS (SELECT FROM {_quoted(table)})"))


async def _fill(connection: asyncpg.Connection, table: str, file: Path) -> None:
    # What triggers would write is in the backup itself.
    await connection.execute(f"ALTER TABLE {_quoted(table)} DISABLE TRIGGER USER")
    with file.open("rb") as source:
        heading = source.readline().decode().strip()
        columns = [name.strip('"') for name in heading.split(",")]
    await connection.copy_to_table(table, source=file, columns=columns, format="csv", header=True)
    await connection.execute(f"ALTER TABLE {_quoted(table)} ENABLE TRIGGER USER")
    for column in columns:
        counter = await connection.fetchval(
            "SELECT pg_get_serial_sequence($1, $2)", _quoted(table), column
        )
        if counter is not None:
            largest = f"SELECT max({_quoted(column)}) FROM {_quoted(table)}"
            await connection.execute(
                f"SELECT setval('{counter}', COALESCE(({largest}), 1), ({largest}) IS NOT NULL)"
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
