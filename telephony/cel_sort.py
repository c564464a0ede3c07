"""CEL files in any order: read, then sorted on disk, so that memory stays the same (pure I/O)."""

from __future__ import annotations

import csv
import heapq
import marshal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, tzinfo
from itertools import chain, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from telephony.cel import OUR_COLUMNS, BadRow, CelHeaderError, CelRow, Layout, read_lines

RUN = 50_000
"""Rows that are sorted in memory at a time."""
BLOCK = 500

Keyed = tuple[int, int, tuple[Any, ...]]
"""Time, place among rows of the same time, and the values of the :class:`CelRow`."""


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
            values = layout.values(fields)
        except BadRow as error:
            on_bad(number, str(error))
            continue
        tie = number
        if place is not None and fields[place].isdecimal():
            tie = int(fields[place])
        yield values[0], tie, values


def sort_rows(rows: Iterable[Keyed], run: int = RUN) -> Iterator[CelRow]:
    """Rows in the order of time; more than ``run`` of them are sorted on disk."""
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
        make = CelRow._make
        for _, _, values in merged:
            yield make(values)


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
