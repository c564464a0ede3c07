"""Reading many rows: as plain cells that the database makes itself, or as values in Python.

PostgreSQL hands out plain cells as finished CSV by ``COPY``, without Python touching a row; SQLite
by its own cursor, which is read in a thread. Both see one moment of the record, whatever is written
meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Label, Select, func

from telephony.bulk.cells import sql_cell
from telephony.record.query_parts import Row

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.bulk.tables import Spec
    from telephony.database import Database

BATCH = 2000
_PIECE = 1 << 17
"""PostgreSQL sends 8 KB at a time: handing each on by itself, to the network at last, takes longer
than reading it."""
_AHEAD = 8
"""Pieces of a COPY that may wait for whoever writes them out."""


async def count(database: Database, spec: Spec) -> int:
    """How many rows there are now. Raises :class:`DatabaseUnavailable`."""
    found = spec.table.select(database, spec.filters).with_only_columns(
        func.count(), maintain_column_froms=True
    )
    async with database.reading() as connection:
        return int((await connection.execute(found)).scalar_one())


async def values(
    database: Database, spec: Spec, *, at_once: int = BATCH
) -> AsyncIterator[list[Row]]:
    """The rows in batches, oldest first, masked where the export is; every column is there."""
    mask = None if spec.whole else spec.table.mask
    query = _in_order(spec, spec.table.select(database, spec.filters))
    async with database.reading() as connection:
        result = await connection.stream(query)
        async for rows in result.mappings().partitions(at_once):
            yield [dict(row) if mask is None else mask(row) for row in rows]


def plain(database: Database, spec: Spec) -> Select[Any]:
    """The query whose rows are the cells of a CSV file."""
    query = spec.table.select(database, spec.filters)
    dialect = database.engine.dialect
    sources = {column.key: column for column in query.selected_columns}
    people, excel = spec.headings != "names", spec.bom
    cells = [
        sql_cell(_bare(sources[column.name]), column, dialect, people=people, excel=excel)
        for column in spec.chosen
    ]
    return _in_order(spec, query.with_only_columns(*cells, maintain_column_froms=True))


def _bare(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column without the name that readers see."""
    return column.element if isinstance(column, Label) else column


async def lite_rows(database: Database, query: Select[Any]) -> AsyncIterator[list[Any]]:
    """The rows of a query of plain cells, from SQLite, as its own tuples."""
    async with database.reading() as connection:
        sql, arguments = driver_query(database, query)
        cursor = await (await _driver(connection)).execute(sql, arguments)
        try:
            while rows := await cursor.fetchmany(BATCH // 2):
                yield rows
        finally:
            await cursor.close()


async def copied(
    database: Database, query: Select[Any], on_rows: Callable[[int], None] | None = None
) -> AsyncIterator[bytes]:
    """What a query of plain cells finds, from PostgreSQL, as CSV without a heading.

    ``on_rows`` is told how many rows there were, at the end.
    """
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
    copying = asyncio.create_task(_copy(database, query, pieces.put), name="copy")
    copying.add_done_callback(lambda _: _wake(pieces))
    try:
        while not copying.done() or not pieces.empty():
            piece = await pieces.get()
            if piece is not None:
                yield piece
        found = await copying
        if on_rows is not None:
            on_rows(found)
    finally:
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)


def _wake(pieces: asyncio.Queue[bytes | None]) -> None:
    """Whoever waits for a piece looks again; a full queue keeps nobody waiting."""
    if not pieces.full():
        pieces.put_nowait(None)


async def _copy(
    database: Database, query: Select[Any], sink: Callable[[bytes], Awaitable[None]]
) -> int:
    gathered = bytearray()

    async def gather(sent: bytes) -> None:
        gathered.extend(sent)
        if len(gathered) >= _PIECE:
            piece = bytes(gathered)
            gathered.clear()
            await sink(piece)

    async with database.reading() as connection:
        sql, arguments = driver_query(database, query)
        driver = await _driver(connection)
        await connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        try:
            status: str = await driver.copy_from_query(sql, *arguments, output=gather, format="csv")
            if gathered:
                await sink(bytes(gathered))
        except BaseException:
            # What is left of the answer would be taken for that of the next query.
            await connection.invalidate()
            raise
    return int(status.split()[-1])


def driver_query(database: Database, query: Select[Any]) -> tuple[str, list[Any]]:
    """A query as the driver below SQLAlchemy takes it: its text and arguments."""
    compiled: Any = query.compile(dialect=database.engine.dialect)
    given = compiled.construct_params()
    makers = compiled._bind_processors
    names: Sequence[str] = compiled.positiontup or ()
    return str(compiled), [makers[n](given[n]) if n in makers else given[n] for n in names]


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


def _in_order(spec: Spec, query: Select[Any]) -> Select[Any]:
    return query.order_by(*(column.asc() for column in spec.table.key))
