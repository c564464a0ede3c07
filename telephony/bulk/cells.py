"""What stands in a cell of a text file, made in Python or, for speed, by the database itself.

A caller may send any text as a name or number, so a text that a spreadsheet could run as a formula
comes with an apostrophe before it: one that starts with ``= + - @``, their full-width forms, a tab
or a line break. A ``+`` and nothing but digits, such as ``+8613804210001``, is no formula and stays
as it is.

In a file for Excel (with a BOM) numbers and names of things that look like a quantity come with a
tab before them: Excel would cut the zero of ``0421…`` and the last digit of ``1795497294.190``.
The usual alternative, ``="0421…"``, is a formula itself.

Both ways give the same cells; a test holds them against each other.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import ColumnElement, literal_column

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from telephony.bulk.tables import Column

CHINA = ZoneInfo("Asia/Shanghai")
_FORMULA = re.compile(r"(?!\+[0-9]+\Z)[=+\-@\t\r\n＝＋－＠]")
_GUARDED = ("text", "number", "id")
_LIKE_QUANTITIES = ("number", "id", "e164")


def cell(value: Any, column: Column, *, people: bool, excel: bool) -> Any:
    """A value as CSV holds it. ``people``: times as clocks in China show them."""
    if value is None:
        return None
    match column.kind:
        case "time":
            return for_people(value) if people else value.isoformat()
        case "bool":
            return "true" if value else "false"
        case "json":
            return orjson.dumps(value).decode()
        case kind if kind in (*_GUARDED, "e164"):  # masked, +86138**** looks like a formula
            return _text(value, excel=excel and kind in _LIKE_QUANTITIES)
        case _:
            return value


def for_people(moment: datetime) -> str:
    """A moment as people in China write it, to the second."""
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def china_clock(moment: datetime) -> datetime:
    """What a clock in China shows, without a zone: what a spreadsheet's cell can hold."""
    return moment.astimezone(CHINA).replace(tzinfo=None)


def _text(value: str, *, excel: bool) -> str:
    if _FORMULA.match(value):
        return f"'{value}"
    return f"\t{value}" if excel and value[:1] in "+0123456789" and value else value


def sql_cell(
    source: ColumnElement[Any], column: Column, dialect: Dialect, *, people: bool, excel: bool
) -> ColumnElement[Any]:
    """The same as :func:`cell`, as an expression of this database; ``source`` is its column."""
    name = str(source.compile(dialect=dialect))
    lite = dialect.name == "sqlite"
    match column.kind:
        case "time":
            template = (_LITE_TIME if lite else _TIME)[people]
        case "bool":
            template = "CASE WHEN {x} THEN 'true' WHEN NOT {x} THEN 'false' END"
        case "e164":  # a plus sign and digits, made by us
            template = f"{'char' if lite else 'chr'}(9) || {{x}}" if excel else "{x}"
        case kind if kind in _GUARDED:
            tab = excel and kind in _LIKE_QUANTITIES
            template = _guard(lite=lite, tab=tab)
        case _:
            template = "{x}"
    return literal_column(template.replace("{x}", name))


assert ZoneInfo("Asia/Shanghai").utcoffset(datetime(2026, 7, 1)) == timedelta(hours=8)
# China has had no summer time since 1991, so a fixed offset will do for SQLite.
_LITE_TIME = {
    False: "replace({x}, ' ', 'T') || '+00:00'",
    True: "datetime({x}, '+8 hours')",
}
_TIME = {
    # The session's time zone is UTC.
    False: "replace({x}::text, ' ', 'T') || ':00'",
    True: "date_trunc('second', {x} AT TIME ZONE 'Asia/Shanghai')",
}


_STARTS = ", ".join(str(ord(sign)) for sign in "=+-@\t\r\n＝＋－＠")
"""How a formula begins."""


def _guard(*, lite: bool, tab: bool) -> str:
    """The text as it is for what begins with a digit or letter, which is nearly all: cheap."""
    x = "{x}" if lite else '{x} COLLATE "C"'
    char = "char" if lite else "chr"
    starts = f"substr({{x}}, 1, 1) IN ('=', '+', '-', '@', {char}(9), {char}(13), {char}(10), "
    starts += "'＝', '＋', '－', '＠')"
    digits = (
        "({x} GLOB '+[0-9]*' AND substr({x}, 2) NOT GLOB '*[^0-9]*')"
        if lite
        else "{x} ~ '^[+][0-9]+$'"
    )
    number = f"{char}(9) || {{x}}" if tab else "{x}"
    if not lite and not tab:
        guarded = f"CASE WHEN {digits} THEN {{x}} ELSE '''' || {{x}} END"
        return f"CASE WHEN ascii({{x}}) IN ({_STARTS}) THEN {guarded} ELSE {{x}} END"
    return (
        f"CASE WHEN {x} >= '0' AND {x} < ':' THEN {number}"
        f" WHEN {x} >= 'A' AND {x} < '＋' THEN {{x}}"
        f" WHEN {digits} THEN {number}"
        f" WHEN {starts} THEN '''' || {{x}} ELSE {{x}} END"
    )
