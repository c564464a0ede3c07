"""CEL files in any order: read, then sorted on disk, so that memory stays the same (pure I/O)."""

from __future__ import annotations

import csv
import heapq
import marshal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, tzinfo
from operator import itemgetter
from pathlib import Path

from telephony.cel import OUR_COLUMNS, BadRow, CelHeaderError, CelRow, Layout, read_lines

RUN = 50_000
"""Rows that are sorted in memory at a time."""
BLOCK = 500

Keyed = tuple[int, int, CelRow]  # time, place among rows of the same time, row


def read_cel(
    lines: Iterator[str],
    on_bad: Callable[[int, str], None],
    *,
    zone: tzinfo = UTC,
    has_header: bool = True,
) -> Iterator[CelRow]:
    """The rows of a CEL file in the order of time.

    Rows of the same time stand in the order of an ``id`` column, or else of the file. ``zone``:
    of times that name none. ``has_header``: False for a file in the column order of Asterisk's
    sample ``cel_custom.conf``. Raises :class:`CelHeaderError`.
    """
    delimiter, first_line = ",", 1
    if has_header:
        header = next(lines, "")
        delimiter, first_line = _delimiter(header), 2
        names = next(csv.reader([header], delimiter=delimiter), [])
        layout = _layout(names, zone)
    else:
        layout = Layout(OUR_COLUMNS, zone)
    read = read_lines(lines, layout, on_bad, first_line=first_line, delimiter=delimiter)
    return sort_rows(_keyed(read, layout, on_bad))


def _layout(names: list[str], zone: tzinfo) -> Layout:
    if not any(name.strip() for name in names):
        raise CelHeaderError("the file is empty; it should begin with the names of CEL columns")
    try:
        return Layout(names, zone)
    except CelHeaderError:
        try:
            Layout(OUR_COLUMNS, zone).row(names)
        except BadRow:
            pass
        else:
            raise CelHeaderError(
                "the file begins with a CEL row instead of the column names; --no-header reads it "
                "in the column order of Asterisk's cel_custom.conf"
            ) from None
        raise


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count) if "," not in header else ","


def _keyed(
    lines: Iterable[tuple[int, list[str]]], layout: Layout, on_bad: Callable[[int, str], None]
) -> Iterator[Keyed]:
    place = layout.id_place
    for number, fields in lines:
        try:
            row = layout.row(fields)
        except BadRow as error:
            on_bad(number, str(error))
            continue
        tie = number
        if place is not None and fields[place].isdecimal():
            tie = int(fields[place])
        yield row.at, tie, row


def sort_rows(rows: Iterable[Keyed], run: int = RUN) -> Iterator[CelRow]:
    """Rows in the order of time; more than ``run`` of them are sorted on disk."""
    held: list[Keyed] = []
    with tempfile.TemporaryDirectory(prefix="hotline-cel-") as folder:
        runs: list[Path] = []
        for keyed in rows:
            held.append(keyed)
            if len(held) >= run:
                runs.append(_spill(held, Path(folder) / f"run{len(runs)}"))
                held = []
        held.sort(key=_ORDER)
        merged = heapq.merge(*map(_unspill, runs), held, key=_ORDER) if runs else held
        for _, _, row in merged:
            yield row


_ORDER = itemgetter(0, 1)


def _spill(rows: list[Keyed], path: Path) -> Path:
    rows.sort(key=_ORDER)
    with path.open("wb") as file:
        for start in range(0, len(rows), BLOCK):
            block = [(at, tie, tuple(row)) for at, tie, row in rows[start : start + BLOCK]]
            marshal.dump(block, file)
    return path


def _unspill(path: Path) -> Iterator[Keyed]:
    with path.open("rb") as file:
        while True:
            try:
                block = marshal.load(file)
            except EOFError:
                return
            for at, tie, row in block:
                yield at, tie, CelRow._make(row)
