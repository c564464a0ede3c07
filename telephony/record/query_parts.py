"""What all reads of the record share: conditions, and pages by cursor."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, or_, tuple_
from sqlmodel import SQLModel

from telephony.database import Database
from telephony.errors import HotlineError, InvalidValue
from telephony.numbers import to_e164

MAX_PAGE = 500

Row = dict[str, Any]


class InvalidCursor(HotlineError):
    """A page cursor that this service did not give out."""

    code = "cursor-invalid"
    status = 422
    title = "The cursor is not valid"


@dataclass(frozen=True, slots=True)
class Page:
    """One page, newest first; ``next`` is the cursor of the following one, None at the end."""

    items: list[Row]
    next: str | None


def col(table: type[SQLModel], name: str) -> ColumnElement[Any]:
    """A column of a table."""
    return table.__table__.c[name]  # type: ignore[attr-defined, no-any-return]


def columns_of(table: type[SQLModel], names: Sequence[str]) -> list[ColumnElement[Any]]:
    """Columns of a table by the names that readers see."""
    renamed = {"case_id": "case"}
    return [col(table, name).label(renamed.get(name, name)) for name in names]


def equal(table: type[SQLModel], **values: str | None) -> list[ColumnElement[bool]]:
    """Conditions that columns have these values; None is no condition."""
    return [
        col(table, name) == storable(value) for name, value in values.items() if value is not None
    ]


def storable(text: str) -> str:
    """Refuse what no database can hold, and so cannot be on record."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidValue("a value holds a character that is no text")
    return text


def between(
    column: ColumnElement[Any], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    """Conditions that a moment lies in ``[since, until)``."""
    conditions = []
    if since is not None:
        conditions.append(column >= since)
    if until is not None:
        conditions.append(column < until)
    return conditions


def caller_conditions(
    database: Database, table: type[SQLModel], caller: str | None
) -> list[ColumnElement[bool]]:
    """Conditions that the citizen's number is this one, in whatever form."""
    if caller is None:
        return []
    e164 = to_e164(caller, database.area_code, database.country_code)
    dialled = col(table, "caller") == storable(caller)
    return [dialled if e164 is None else or_(dialled, col(table, "caller_e164") == e164)]


def where(query: Select[Any], conditions: list[ColumnElement[bool]]) -> Select[Any]:
    """The query with all conditions."""
    return query.where(*conditions) if conditions else query


async def all_rows(database: Database, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
    """All rows of a query that finds few. Raises :class:`DatabaseUnavailable`."""
    async with database.reading() as connection:
        rows: Sequence[Mapping[str, Any]] = (await connection.execute(query)).mappings().all()
        return rows


async def page_of(
    database: Database,
    query: Select[Any],
    key: tuple[ColumnElement[Any], ...],
    limit: int,
    cursor: str | None,
    shape: Any,
    *,
    ascending: bool = False,
) -> Page:
    """A page of what the query finds, by the key downwards, each row given its shape."""
    limit = max(1, min(limit, MAX_PAGE))
    if cursor is not None:
        here, there = tuple_(*key), tuple_(*read_cursor(cursor, key))
        query = query.where(here > there if ascending else here < there)
    order = key if ascending else [column.desc() for column in key]
    query = query.order_by(*order).limit(limit + 1)
    rows = await all_rows(database, query)
    following = None
    if len(rows) > limit:
        last = dict(rows[limit - 1])
        following = write_cursor([_key_value(last, column) for column in key])
    return Page([shape(row) for row in rows[:limit]], following)


def _key_value(row: Row, column: ColumnElement[Any]) -> Any:
    name = str(column.key)
    if name == "case_id":
        name = "case"
    return row["_at"] if name == "at" else row[name]


def write_cursor(values: Sequence[Any]) -> str:
    """The cursor after the row with this key, whose first value is its moment."""
    moment: datetime = values[0]
    return (
        base64.urlsafe_b64encode(
            orjson.dumps([int(moment.timestamp()), moment.microsecond, *values[1:]])
        )
        .decode()
        .rstrip("=")
    )


def read_cursor(cursor: str, key: Sequence[Any]) -> list[Any]:
    """The key that a cursor of ours holds; raises :class:`InvalidCursor` for any other."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seconds, micros, *rest = orjson.loads(raw)
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    except (ValueError, TypeError, OverflowError, OSError):
        raise InvalidCursor("the cursor is not one of ours; start from the first page") from None
    if len(rest) != len(key) - 1 or not all(isinstance(part, str) for part in rest):
        raise InvalidCursor("the cursor belongs to another list; start from the first page")
    return [moment, *map(storable, rest)]
