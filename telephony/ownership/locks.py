"""A lock for each PBX: whoever holds it records this PBX and does what is to be done once.

On PostgreSQL it is an advisory lock of a session of its own. The server lets go of it when the
process dies (its sockets close), and, from version 14 on, when the session has said nothing for
:data:`SILENT_S`: so an owner that hangs, or whose network swallows everything without a word, does
not keep a PBX for itself. Older servers notice the latter by TCP keepalive. On SQLite it is a lock
on a file beside the database, which the kernel lets go of with the process.

The lock is for order, not for truth: what is written twice is kept apart by natural keys and by the
place up to which a file was read, which moves in the same transaction (``telephony/record``).

Sources: https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS and
https://www.postgresql.org/docs/15/runtime-config-client.html (idle_session_timeout).
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import asyncpg
from sqlalchemy import text

from telephony.database import clear_database_errors
from telephony.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from telephony.database import Database

SILENT_S = 3.5
"""A session that says nothing for so long loses its locks (PostgreSQL 14 and newer)."""
ANSWER_S = 2.0
"""How long the database may take over a question about a lock."""
HAS_SESSION_TIMEOUT = (14, 0)
"""The first version that has ``idle_session_timeout``."""
KEEPALIVE = {"tcp_keepalives_idle": 1, "tcp_keepalives_interval": 1, "tcp_keepalives_count": 3}
_APPLICATION = "hotline-owner "


def name_of_process() -> str:
    """How this process is named to others: its host and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Lock(Protocol):
    """The lock of one PBX as one process sees it."""

    async def take(self) -> bool:
        """Take the lock, or make sure that it is held still; False while another process has it.

        Raises :class:`DatabaseUnavailable`; the lock must be taken for lost then.
        """
        ...

    async def holder(self) -> str | None:
        """The process that holds it now, or None. Raises :class:`DatabaseUnavailable`."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


def lock_for(database: Database, pbx: str) -> Lock:
    """The lock of this PBX in this database."""
    if database.is_sqlite:
        return FileLock(database.file, pbx)
    return PostgresLock(database, pbx)


def key_of(pbx: str) -> int:
    """The number of a PBX's advisory lock."""
    digest = hashlib.blake2b(f"hotline-pbx:{pbx}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class PostgresLock:
    """An advisory lock of a session of its own."""

    def __init__(self, database: Database, pbx: str) -> None:
        self._database = database
        self._key = key_of(pbx)
        url = database.url.set(drivername="postgresql")
        self._url = url.render_as_string(hide_password=False)
        self._session: asyncpg.Connection | None = None
        self._held = False

    async def take(self) -> bool:
        """As :meth:`Lock.take`."""
        try:
            with clear_database_errors():
                async with asyncio.timeout(ANSWER_S):
                    return await self._take()
        except BaseException:
            await self.close()
            raise

    async def _take(self) -> bool:
        session = self._session or await self._connect()
        if self._held:  # the session stands, and with it the lock
            await session.execute("SELECT 1")
        else:
            self._held = await session.fetchval("SELECT pg_try_advisory_lock($1)", self._key)
        return self._held

    async def _connect(self) -> asyncpg.Connection:
        named = {"application_name": _APPLICATION + name_of_process()}
        session = await asyncpg.connect(self._url, timeout=ANSWER_S, server_settings=named)
        self._session = session
        limits = dict(KEEPALIVE)
        if session.get_server_version() >= HAS_SESSION_TIMEOUT:
            limits["idle_session_timeout"] = int(SILENT_S * 1000)
        await session.execute("".join(f"SET {name} = {value};" for name, value in limits.items()))
        return session

    async def holder(self) -> str | None:
        """As :meth:`Lock.holder`."""
        query = text(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
            "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND (l.classid::bigint << 32 | l.objid::bigint) = :key"
        )
        async with self._database.reading() as connection:
            found = await connection.scalar(query, {"key": self._key})
        return None if found is None else str(found).removeprefix(_APPLICATION)

    async def close(self) -> None:
        """As :meth:`Lock.close`; the session is cut, so that a dead network keeps nobody."""
        session, self._session, self._held = self._session, None, False
        if session is not None:
            session.terminate()


class FileLock:
    """A lock on a file beside the SQLite database."""

    def __init__(self, database: Path | None, pbx: str) -> None:
        """``database``: its file; None for one in memory, which nobody else can open."""
        digest = hashlib.blake2b(pbx.encode(), digest_size=4).hexdigest()
        self._file = database and database.with_name(f"{database.name}.owner-{digest}")
        self._open: int | None = None

    async def take(self) -> bool:
        """As :meth:`Lock.take`."""
        if self._file is None or self._open is not None:
            return True
        try:
            self._open = _locked(self._file)
        except OSError as error:
            raise DatabaseUnavailable(f"{self._file} cannot be locked: {error.strerror}") from None
        return self._open is not None

    async def holder(self) -> str | None:
        """As :meth:`Lock.holder`."""
        if self._file is None or self._open is not None:
            return name_of_process()
        try:
            free = _locked(self._file, write=False)
            if free is not None:
                os.close(free)
                return None
            return self._file.read_text() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DatabaseUnavailable(f"{self._file} cannot be read: {error.strerror}") from None

    async def close(self) -> None:
        """As :meth:`Lock.close`. The file stays: to delete it would part those who wait for it."""
        if self._open is not None:
            os.close(self._open)
        self._open = None


def _locked(file: Path, *, write: bool = True) -> int | None:
    """The open, locked file; None where another process has it. Raises :class:`OSError`."""
    how = fcntl.LOCK_EX if write else fcntl.LOCK_SH
    number = os.open(file, os.O_RDWR | (os.O_CREAT if write else 0) | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, how | fcntl.LOCK_NB)
        if write:
            os.truncate(number, 0)
            os.write(number, name_of_process().encode())
    except BlockingIOError:
        os.close(number)
        return None
    except OSError:
        os.close(number)
        raise
    return number
