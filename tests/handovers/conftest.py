"""The cells of the table, played many at a time on one PBX for each test process.

A test waits for its cell. When the first of a batch is asked for, all cells of the batch that this
run has chosen are started; ``tests.spread`` keeps a batch in one process.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.handovers.cell import Cell
from tests.handovers.floor import SEATS, Floor
from tests.handovers.table import DRIVERS, Entry


class Board:
    """Plays cells and keeps what came of them."""

    def __init__(self, floor: Floor, chosen: list[tuple[int, Entry]]) -> None:
        self._floor = floor
        self._chosen = chosen
        self._pool = ThreadPoolExecutor(SEATS)
        self._played: dict[Entry, Future[None]] = {}
        self.stories: dict[Entry, str] = {}

    def result(self, batch: int, entry: Entry) -> None:
        """Play the cell, with the others of its batch; raises what went wrong in it."""
        if entry not in self._played:
            for number, one in self._chosen:
                if number == batch and one not in self._played:
                    self._played[one] = self._pool.submit(self._play, one)
        self._played[entry].result()

    def _play(self, entry: Entry) -> None:
        with self._floor.seat() as seat:
            cell = Cell(self._floor, seat, entry.way)
            try:
                DRIVERS[entry.column](cell)
                cell.come_out(entry.expected)
            except BaseException:
                self.stories[entry] = cell.story()
                raise
            finally:
                cell.close()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def floor() -> Iterator[Floor]:
    with Floor() as one:
        yield one


@pytest.fixture(scope="module")
def board(floor: Floor, request: pytest.FixtureRequest) -> Iterator[Board]:
    chosen = [
        (callspec.params["batch"], callspec.params["entry"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and (callspec := getattr(item, "callspec", None)) is not None
        and {"batch", "entry"} <= callspec.params.keys()
    ]
    one = Board(floor, chosen)
    yield one
    one.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed cell shows what the PBX did in its call."""
    report = yield
    funcargs = getattr(item, "funcargs", {})
    board, entry = funcargs.get("board"), funcargs.get("entry")
    if report.failed and isinstance(board, Board) and entry in board.stories:
        report.sections.append(("Asterisk's steps", board.stories[entry]))
    return report
