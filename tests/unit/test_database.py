"""The database: tables made and made again, errors that say what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from telephony import database as database_module
from telephony.database import Database, driver_url, migrate
from telephony.errors import DatabaseUnavailable, SettingsError
from telephony.models import Record
from telephony.record import queries


async def test_given_the_migrations_then_they_make_the_tables_of_the_models(
    database: Database,
) -> None:
    def difference(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Record.metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(difference) == []


def test_given_two_services_that_start_at_once_then_both_find_the_tables(
    empty_database_url: str,
) -> None:
    async def both() -> None:
        await asyncio.gather(
            *(asyncio.to_thread(migrate, empty_database_url) for _ in range(3)),
        )

    asyncio.run(both())


async def test_given_sqlite_then_a_commit_survives_a_power_cut(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new/folder/record.sqlite")
    await database.migrate()
    async with database.reading() as connection:
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
        synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
    assert (mode, synchronous) == ("wal", 2)
    await database.close()


async def test_given_no_tables_then_the_error_says_so(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(DatabaseUnavailable, match="no tables yet"):
        await queries.list_legs(database, queries.LegFilter())
    await database.close()


async def test_given_tables_that_are_being_made_when_asked_then_the_answer_waits_for_them(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "TABLES_LIMIT_S", 60.0)
    database = Database(empty_database_url)
    database.expect_tables()
    asked = asyncio.create_task(queries.list_legs(database, queries.LegFilter()))
    await asyncio.sleep(0)  # it has begun, and there is no table
    await database.migrate()
    assert (await asked).items == []
    await database.close()


async def test_given_nobody_listens_then_the_database_is_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable, match="cannot be used"):
        await database.check()
    await database.close()


async def test_given_an_error_then_its_text_holds_no_number(database: Database) -> None:
    query = text("SELECT 1 FROM legs WHERE party = :party AND nothing_like_it = 1")
    with pytest.raises(DBAPIError) as caught:
        async with database.engine.connect() as connection:
            await connection.execute(query, {"party": "13812345678"})
    assert "13812345678" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "no url at all", ""])
def test_given_a_url_we_cannot_use_then_the_setting_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="database_url"):
        driver_url(url)
