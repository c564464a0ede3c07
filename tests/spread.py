"""How the tests are dealt out to several processes: those that wait beside those that work.

A test on the PBX waits most of its time for people and clocks, a test without one uses a processor
whole: one after the other they would leave the machine idle first, and crowded then. Some belong
together in one process: the tests of a file without PBX, the cells of a batch of the table.

(The marks of ``--dist loadgroup`` are without effect in pytest-xdist 3.8 with pytest 9.2.)
"""

from __future__ import annotations

from functools import cache
from itertools import groupby

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

WAITING = ("tests/handovers/", "tests/pbx/")
PAGES = "tests/web/"
"""A file of these is long and keeps a browser: they begin early, and not all at once."""
TABLE = "tests/handovers/test_table.py"
SWEEPS = "tests/handovers/test_sweeps.py"


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process that has no more to do the next piece of work, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return piece(nodeid)


def piece(nodeid: str) -> str:
    """The piece of work that a test is part of."""
    file, _, test = nodeid.partition("::")
    if file == TABLE and test.endswith("]"):
        return f"{TABLE} {_batches()[test.partition('[')[2][:-1]]}"
    return file if file == SWEEPS or not file.startswith(WAITING) else nodeid


@cache
def _batches() -> dict[str, int]:
    from tests.handovers.test_table import batches

    return {entry.name: batch for batch, entry in batches()}


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    """pytest-xdist asks who deals out the tests."""
    return SideBySide(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that work between those that wait."""
    if not hasattr(config, "workerinput"):
        return
    files = [list(tests) for _, tests in groupby(items, lambda item: item.nodeid.split("::")[0])]
    waiting = [tests for tests in files if tests[0].nodeid.startswith(WAITING)]
    pages = [tests for tests in files if tests[0].nodeid.startswith(PAGES)]
    working = [tests for tests in files if not tests[0].nodeid.startswith((*WAITING, PAGES))]
    placed = [
        (place / len(some), tests)
        for some in (pages, waiting, working)
        for place, tests in enumerate(some)
    ]
    placed.sort(key=lambda one: one[0])
    items[:] = [test for _, tests in placed for test in tests]
