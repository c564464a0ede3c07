"""CEL files in any order: read, then sorted on disk, so that memory stays the same (pure I/O)."""

from __future__ import annotations

import csv
import heapq
import marshal
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, tzinfo
from itertools import chain, islice, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from telephony.cel.rows import OUR_COLUMNS, BadRow, CelHeaderError, Layout, read_lines

RUN = 50_000
"""Rows that are sorted in memory at a time."""
BLOCK = 500
LOOK = 1000
"""Rows that tell whether the file has the newest row first."""

Keyed = tuple[int, int, tuple[Any, ...]]
"""Time, place among rows of the same time, and the values of the :class:`CelRow`."""


def read_cel(
    lines: Iterator[str],
    on_bad: Callable[[int, str], None],
    *,
    zone: tzinfo = UTC,
    has_header: bool = True,
) -> Iterator[tuple[Any, ...]]:
    """The values of the rows of a CEL file (:class:`CelRow`), in the order of time.

    Rows of the same time stand in the order of an ``id`` column, or else of the file (backwards,
    when it has the newest row first). CSV, TSV, and tables as psql and mysql print them. ``zone``:
    of times that name none. ``has_header``: False for a file in the column order of Asterisk's
    sample ``cel_custom.conf``. Raises :class:`CelHeaderError`.
    """
    delimiter, first_line = ",", 1
    if has_header:
        header = next(lines, "")
        while _is_rule(header):
            header, first_line = next(lines, ""), first_line + 1
        delimiter, first_line = _delimiter(header), first_line + 1
        if delimiter == "|":
            layout = _layout(_cells(header), zone)
            return sort_rows(_keyed(_table(lines, first_line), layout, on_bad))
        names = next(csv.reader([header], delimiter=delimiter), [])
        layout = _layout(names, zone)
    else:
        layout = Layout(OUR_COLUMNS, zone)
    read = read_lines(lines, layout, on_bad, first_line=first_line, delimiter=delimiter)
    if delimiter == "\t":
        read = ((number, _without_nulls(fields)) for number, fields in read)
    return sort_rows(_keyed(read, layout, on_bad))


def _table(lines: Iterable[str], first_line: int) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table as psql or mysql print it: bars between padded cells."""
    for number, line in enumerate(lines, first_line):
        if line.strip() and not _is_rule(line) and not _COUNT.fullmatch(line.strip()):
            yield number, _without_nulls(_cells(line))


def _cells(line: str) -> list[str]:
    text = line.strip("\r\n")
    if text.startswith("|"):  # mysql has a bar at both ends, psql at none
        text = text.strip().removeprefix("|").removesuffix("|")
    return [cell.strip() for cell in text.split("|")]


def _is_rule(line: str) -> bool:
    text = line.strip()
    return "-" in text and not text.strip("-+|")


_COUNT = re.compile(r"\(\d+ rows?\)")
_NULLS = frozenset(("NULL", "\\N"))


def _without_nulls(fields: list[str]) -> list[str]:
    """A dump of a database has a word for what is not there."""
    return ["" if field in _NULLS else field for field in fields]


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
    return max(",;\t|", key=header.count) if "," not in header else ","


def _keyed(
    lines: Iterable[tuple[int, list[str]]], layout: Layout, on_bad: Callable[[int, str], None]
) -> Iterator[Keyed]:
    place = layout.id_place

    def keyed() -> Iterator[Keyed]:
        for number, fields in lines:
            try:
                values = layout.values(fields)
            except BadRow as error:
                on_bad(number, str(error))
                continue
            tie = number
            if place is not None and fields[place].isdecimal():
                tie = int(fields[place])
            yield values[0], tie, values

    rows = keyed()
    first = list(islice(rows, LOOK))
    if place is None and _is_newest_first(first):
        return ((at, -tie, values) for at, tie, values in chain(first, rows))
    return chain(first, rows)


def _is_newest_first(rows: list[Keyed]) -> bool:
    return rows[:1] > rows[-1:] and all(one[0] >= other[0] for one, other in pairwise(rows))


def sort_rows(rows: Iterable[Keyed], run: int = RUN) -> Iterator[tuple[Any, ...]]:
    """The values of rows in the order of time; more than ``run`` of them are sorted on disk."""
    held: list[Keyed] = []
    with tempfile.TemporaryDirectory(prefix="hotline-cel-") as folder:
        runs: list[_Run] = []
        merged: Iterator[Keyed]
        for keyed in rows:
            held.append(keyed)
            if len(held) >= run:
                runs.append(_Run.spill(held, Path(folder) / f"run{len(runs)}"))
                held = []
        held.sort(key=_ORDER)
        if runs:
            if held:
                runs.append(_Run.spill(held, Path(folder) / "last"))
            runs.sort(key=_Run.key)
            apart = all(one.last <= other.first for one, other in pairwise(runs))
            # Files are in the order of time as a rule: then nothing is to be merged.
            merged = chain(*runs) if apart else heapq.merge(*runs, key=_ORDER)
        else:
            merged = iter(held)
        for _, _, values in merged:
            yield values


_ORDER = itemgetter(0, 1)


class _Run:
    """Rows in order, on disk."""

    def __init__(self, path: Path, first: tuple[int, int], last: tuple[int, int]) -> None:
        self.path = path
        self.first = first
        self.last = last

    @classmethod
    def spill(cls, rows: list[Keyed], path: Path) -> _Run:
        rows.sort(key=_ORDER)
        with path.open("wb") as file:
            for start in range(0, len(rows), BLOCK):
                block = [(at, tie, tuple(row)) for at, tie, row in rows[start : start + BLOCK]]
                marshal.dump(block, file)
        return cls(path, _ORDER(rows[0]), _ORDER(rows[-1]))

    def key(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return self.first, self.last

    def __iter__(self) -> Iterator[Keyed]:
        with self.path.open("rb") as file:
            while True:
                try:
                    block = marshal.load(file)
                except EOFError:
                    return
                yield from block
