"""The one database behind the record: SQLite with nothing to set up, PostgreSQL by URL.

SQLite runs in WAL mode with ``synchronous=FULL``: what was committed survives a power cut
(``NORMAL`` would not).
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from telephony.errors import DatabaseUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from telephony.responsibility import Entry
    from telephony.settings import Settings

    LedgerFollower = Callable[[AsyncConnection, str, Sequence[Entry]], Awaitable[None]]

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
BUSY_TIMEOUT_S = 10
TABLES_LIMIT_S = 5.0
"""How long a service that starts waits for tables that are being made, before it says so."""


class Database:
    """An engine with our ways of connecting.

    ``url`` is ``sqlite:///file`` or ``postgresql://…``; ``area_code`` and ``country_code`` say
    what a number without them means (needed when numbers are compared).
    """

    def __init__(self, url: str, *, area_code: str = "0421", country_code: str = "86") -> None:
        self.url = driver_url(url)
        self.area_code = area_code
        self.country_code = country_code
        self.engine = _engine(self.url)
        # Told of new entries of a case's ledger, inside the transaction that writes them.
        self.ledger_followers: list[LedgerFollower] = []
        self._file: Path | None = None  # of SQLite
        if self.is_sqlite and self.url.database not in (None, "", ":memory:"):
            self._file = Path(str(self.url.database)).expanduser()
        self._opened: tuple[int, int] | None = None  # device and inode of the file in use
        self._tables: asyncio.Event | None = None  # set when they are there, or cannot be made

    @classmethod
    def from_settings(cls, settings: Settings) -> Database:
        """The database that the settings name."""
        line = settings.line
        return cls(settings.database_url, area_code=line.area_code, country_code=line.country_code)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None for one in memory, and for PostgreSQL."""
        return self._file

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads; raises :class:`DatabaseUnavailable`."""
        with clear_database_errors():
            await self._tables_made()
            await self._look_at_file()
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: all of it is stored at the end, or nothing on any error.

        On SQLite it takes the write lock at once, so that what it reads first stays true.
        """
        with clear_database_errors():
            await self._tables_made()
            await self._look_at_file()
            async with self.engine.begin() as connection:
                if self.is_sqlite:
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection

    def expect_tables(self) -> None:
        """:meth:`migrate` comes next: who asks meanwhile waits for it, a moment long.

        Otherwise every part of a service that starts for the first time would say that there are
        no tables, while they are being made.
        """
        self._tables = asyncio.Event()

    async def _tables_made(self) -> None:
        if self._tables is not None and not self._tables.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TABLES_LIMIT_S):
                    await self._tables.wait()

    async def _look_at_file(self) -> None:
        """Notice that the SQLite file was taken away: what is written to it then is lost.

        One that was put in its place is opened; raises :class:`DatabaseUnavailable` without one.
        """
        if self._file is None:
            return
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            if self._opened is not None:
                raise DatabaseUnavailable(
                    f"the database file {self._file} was taken away while it was in use; put it "
                    "back, or start the service anew: it makes one and reads the CEL file again"
                ) from None
            return
        there = stat.st_dev, stat.st_ino
        if self._opened not in (None, there):
            await self.engine.dispose()
        self._opened = there

    async def check(self) -> None:
        """Raise :class:`DatabaseUnavailable` unless the database answers and has our tables."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1 FROM legs WHERE 1 = 0"))

    async def migrate(self) -> None:
        """Bring the tables to the newest form; does nothing when they are."""
        try:
            await asyncio.to_thread(migrate, self.url.render_as_string(hide_password=False))
        finally:
            if self._tables is not None:
                self._tables.set()

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def driver_url(url: str) -> URL:
    """The URL with the driver we use; raises :class:`SettingsError` for what we cannot use."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError(
            ["database_url: not a database URL; use sqlite:///file or postgresql://user@host/name"]
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+asyncpg")
        case other:
            raise SettingsError(
                [f"database_url: {other} is not supported; use sqlite or postgresql"]
            )


def migrate(url: str, revision: str = "head") -> None:
    """Bring the tables of this database to a form, the newest unless said (Alembic ``upgrade``).

    Safe to repeat, and safe when two services start at once. Blocks; not for an event loop.
    Raises :class:`DatabaseUnavailable`, :class:`SettingsError`.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    target = driver_url(url)
    if target.get_backend_name() == "sqlite" and target.database not in (None, "", ":memory:"):
        Path(str(target.database)).expanduser().parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(_upgrade(config, target, revision))


async def _upgrade(config: Config, target: URL, revision: str) -> None:
    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    engine = _engine(target)
    try:
        with clear_database_errors():
            async with engine.begin() as connection:
                if target.get_backend_name() == "sqlite":
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                else:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(4212800122)"))
                await connection.run_sync(run)
    finally:
        await engine.dispose()


def _engine(url: URL) -> AsyncEngine:
    # Parameters are hidden in the text of errors, for they hold callers' numbers.
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(
            url,
            connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None},
            hide_parameters=True,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
        )
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
        return engine
    return create_async_engine(
        url,
        hide_parameters=True,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        pool_pre_ping=True,
        pool_size=10,
        connect_args={"timeout": 5},
    )


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Of two that make a new database WAL at once SQLite refuses one, whatever its busy timeout."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except (OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


_AWAY = (
    *(OperationalError, InterfaceError, OSError, TimeoutError),
    # Bulk and the quick lists talk to the drivers themselves.
    *(sqlite3.OperationalError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError),
    *(asyncpg.UndefinedTableError, asyncpg.OperatorInterventionError),
    asyncpg.InsufficientResourcesError,
)


@contextmanager
def clear_database_errors() -> Iterator[None]:
    """Turn the ways in which a database is away into one error that says what to do."""
    try:
        yield
    except _AWAY as error:
        raise DatabaseUnavailable(_reason(error)) from error
    except DBAPIError as error:
        if _is_away(error):
            raise DatabaseUnavailable(_reason(error)) from error
        raise


def _is_away(error: DBAPIError) -> bool:
    """asyncpg reports a missing table and a server that shuts down as other kinds of error."""
    code = getattr(error.orig, "sqlstate", None) or ""
    # 08 connection, 40 undone so that another one can go on (two waited for each other), 53 no
    # resources, 57 shut down by its admin, 42P01 no such table
    away = code[:2] in ("08", "40", "53", "57") or code == "42P01"
    return error.connection_invalidated or away


def _reason(error: BaseException) -> str:
    origin = getattr(error, "orig", None) or error
    said = str(origin).strip().split("\n")[0] or type(origin).__name__
    if "no such table" in said or "does not exist" in said:
        return f"the database has no tables yet ({said}); start the service once or migrate it"
    return f"the database cannot be used ({said}); rows wait in the CEL file meanwhile"
