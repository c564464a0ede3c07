"""Pages of legs as finished JSON, as fast as the database can give them.

The list of legs is what every screen of a supervisor asks for all day, at ten million legs and at
any depth. So its query is written by hand and goes to the driver, lists stay the JSON that they are
stored as, and a page follows on the last one's key: no depth costs more than the first page. What
it finds is what :func:`telephony.record.queries.list_legs` finds; a test holds both together.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson

from telephony.database import BUSY_TIMEOUT_S, clear_database_errors
from telephony.numbers import to_e164
from telephony.record import queries
from telephony.record.queries import LEG_KEY, LegFilter
from telephony.record.query_parts import MAX_PAGE, read_cursor, storable, write_cursor

if TYPE_CHECKING:
    from telephony.database import Database

CONNECTIONS = 4
THREADS = 2
CONNECT_S = 5.0
_NAMES = ["case" if name == "case_id" else name for name in queries.LEG_FIELDS]
_KEY = ("at", "pbx", "uniqueid")
_LISTS = ("channels", "channel_names", "segments")
_JSON = tuple(_NAMES.index(name) for name in _LISTS)
_TIMES = ("started_at", "answered_at", "ended_at")


def _lite_cell(field: str, name: str) -> str:
    """A name and its value as SQLite writes them, letter for letter as orjson would."""
    value = field
    if field in _LISTS:
        value = f"json({field})"
    elif field in _TIMES:
        value = f"replace(replace({field}, '.000000', ''), ' ', 'T') || '+00:00'"
    return f"'{name}', {value}"


_CELLS = ", ".join(map(_lite_cell, queries.LEG_FIELDS, _NAMES))


class LegPages:
    """Reads pages with connections of its own, which are made when they are needed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader: _Postgres | _Lite = (
            _Lite(str(database.url.database)) if database.is_sqlite else _Postgres(database)
        )

    async def page(
        self, filters: LegFilter, *, limit: int = 50, cursor: str | None = None
    ) -> bytes:
        """A page, newest first, as JSON: ``items`` and ``next``.

        Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`.
        """
        limit = max(1, min(limit, MAX_PAGE))
        asked = _Asked(lite=self._database.is_sqlite)
        asked.filter(filters, self._e164(filters.caller))
        if cursor is not None:
            asked.after(read_cursor(cursor, LEG_KEY))
        with clear_database_errors():
            sql = asked.sql(self._reader.select, limit + 1)
            return await self._reader.page(sql, asked.values, limit)

    async def close(self) -> None:
        """Close the connections."""
        await self._reader.close()

    def _e164(self, caller: str | None) -> str | None:
        if caller is None:
            return None
        return to_e164(caller, self._database.area_code, self._database.country_code)


class _Asked:
    """The conditions of a page, and their values in the order of their places."""

    def __init__(self, *, lite: bool) -> None:
        self.values: list[Any] = []
        self._lite = lite
        self._conditions: list[str] = []

    def filter(self, filters: LegFilter, e164: str | None) -> None:
        if filters.caller is not None:
            either = f"caller = {self._place(storable(filters.caller))}"
            if e164 is not None:
                either = f"({either} OR caller_e164 = {self._place(e164)})"
            self._conditions.append(either)
        for name in ("agent", "department", "role"):
            value = getattr(filters, name)
            if value is not None:
                self._conditions.append(f"{name} = {self._place(storable(value))}")
        if filters.case is not None:
            case = storable(filters.case)
            attached = f"SELECT case_id FROM cases WHERE merged_into = {self._place(case)}"
            self._conditions.append(f"(case_id = {self._place(case)} OR case_id IN ({attached}))")
        for sign, moment in ((">=", filters.since), ("<", filters.until)):
            if moment is not None:
                self._conditions.append(f"at {sign} {self._place(self._moment(moment))}")

    def after(self, key: Sequence[Any]) -> None:
        places = ", ".join(self._place(value) for value in (self._moment(key[0]), *key[1:]))
        self._conditions.append(f"({', '.join(_KEY)}) < ({places})")

    def sql(self, select: str, limit: int) -> str:
        where = f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
        order = ", ".join(f"{name} DESC" for name in _KEY)
        return f"{select}{where} ORDER BY {order} LIMIT {limit:d}"

    def _place(self, value: Any) -> str:
        self.values.append(value)
        # Numbered in SQLite too: the places of a condition need not be in order.
        return f"?{len(self.values)}" if self._lite else f"${len(self.values)}"

    def _moment(self, moment: datetime) -> Any:
        if not self._lite:
            return moment
        utc = moment.astimezone(UTC) if moment.tzinfo else moment
        return utc.strftime("%Y-%m-%d %H:%M:%S.%f")


class _Postgres:
    """A pool of its own: no transaction is begun and none rolled back for a single read."""

    select = f"SELECT {', '.join(queries.LEG_FIELDS)}, at FROM legs"

    def __init__(self, database: Database) -> None:
        url = database.url.set(drivername="postgresql")
        self._url = url.render_as_string(hide_password=False)
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def page(self, sql: str, values: Sequence[Any], limit: int) -> bytes:
        pool = self._pool or await self._open()
        async with pool.acquire() as connection:
            rows = await connection.fetch(sql, *values)
        return _encoded([list(row) for row in rows], limit)

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=CONNECTIONS,
                    timeout=CONNECT_S,
                    reset=_nothing,
                )
            return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


async def _nothing(_connection: Any) -> None:
    """A single read leaves nothing behind that would have to be reset."""


class _Lite:
    """Connections in threads of their own; SQLite makes the JSON, while other threads go on."""

    select = f"SELECT json_object({_CELLS}), {', '.join(_KEY)} FROM legs"

    def __init__(self, file: str) -> None:
        self._file = file
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="leg-pages")
        self._own = threading.local()
        self._open: list[sqlite3.Connection] = []

    async def page(self, sql: str, values: Sequence[Any], limit: int) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, sql, values, limit)

    async def close(self) -> None:
        self._threads.shutdown(wait=True)
        for connection in self._open:
            connection.close()
        self._open.clear()

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection, to the file that is there now; raises sqlite3's error for none.

        A file that is not there is not made: it would be taken for the record, and be empty.
        """
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        try:
            stat = Path(self._file).stat()
        except OSError as error:
            raise sqlite3.OperationalError(f"{self._file}: {error.strerror}") from None
        there = stat.st_dev, stat.st_ino
        if connection is not None and self._own.file == there:
            return connection
        if connection is not None:
            self._open.remove(connection)
            connection.close()
        address = f"{Path(self._file).absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            address, BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=True
        )
        self._own.connection, self._own.file = connection, there
        self._open.append(connection)
        return connection

    def _read(self, sql: str, values: Sequence[Any], limit: int) -> bytes:
        connection = self._connection()
        rows = connection.execute(sql, values).fetchall()
        following = "null"
        if len(rows) > limit:
            _, at, *rest = rows[limit - 1]
            cursor = write_cursor([datetime.fromisoformat(at).replace(tzinfo=UTC), *rest])
            following = f'"{cursor}"'
        items = ",".join([row[0] for row in rows[:limit]])
        return f'{{"items":[{items}],"next":{following}}}'.encode()


def _encoded(rows: list[list[Any]], limit: int) -> bytes:
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = write_cursor([last[-1], *(last[_NAMES.index(name)] for name in _KEY[1:])])
        del rows[limit:]
    for row in rows:
        for place in _JSON:
            row[place] = orjson.Fragment(row[place])
    items = [dict(zip(_NAMES, row, strict=False)) for row in rows]
    return orjson.dumps({"items": items, "next": following})
