"""CSV: UTF-8, a heading row, JSON in the columns that hold lists; for Excel with a BOM."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from telephony.bulk import rows
from telephony.bulk.cells import cell

if TYPE_CHECKING:
    from telephony.bulk.tables import Spec
    from telephony.database import Database

BOM = b"\xef\xbb\xbf"

AT_ONCE = 200
"""Rows that are masked in one go: a few milliseconds, which whoever presses a key may wait."""

OnRows = Callable[[int], None]
"""Told now and then how many rows are through so far."""


async def chunks(
    database: Database, spec: Spec, on_rows: OnRows | None = None
) -> AsyncGenerator[bytes, None]:
    """An export in pieces; memory stays the same whatever its length.

    The first piece comes when the database has answered, so an error before it is the whole
    answer. Raises :class:`DatabaseUnavailable`, :class:`InvalidValue` for an unknown column.
    """
    copied = spec.whole and not database.is_sqlite
    lead = (BOM if spec.bom else b"") + _lines([spec.heads], end="\n" if copied else "\r\n")
    body = _masked(database, spec, on_rows) if not spec.whole else _whole(database, spec, on_rows)
    async for piece in body:
        yield lead + piece
        lead = b""
    if lead:
        yield lead


async def _whole(database: Database, spec: Spec, on_rows: OnRows | None) -> AsyncIterator[bytes]:
    query = rows.plain(database, spec)
    seen = 0
    if not database.is_sqlite:
        async for piece in rows.copied(database, query, on_rows):
            # Line breaks inside of cells count too: near enough until the end, when it is told.
            seen += piece.count(b"\n") if on_rows is not None else 0
            if on_rows is not None:
                on_rows(seen)
            yield piece
        return
    async for found in rows.lite_rows(database, query):
        seen += len(found)
        if on_rows is not None:
            on_rows(seen)
        yield _lines(found)


async def _masked(database: Database, spec: Spec, on_rows: OnRows | None) -> AsyncIterator[bytes]:
    people, excel, chosen = spec.headings != "names", spec.bom, spec.chosen
    seen = 0
    async for found in rows.values(database, spec, at_once=AT_ONCE):
        seen += len(found)
        if on_rows is not None:
            on_rows(seen)
        yield _lines(
            [cell(row[one.name], one, people=people, excel=excel) for one in chosen]
            for row in found
        )


def _lines(found: Iterable[Iterable[Any]], *, end: str = "\r\n") -> bytes:
    """Lines end as RFC 4180 says; PostgreSQL ends its own with a line feed, and its heading too."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=end).writerows(found)
    return buffer.getvalue().encode()
