"""Every cell of the table of hand-overs, on a real Asterisk with real phones."""

from __future__ import annotations

import pytest

from tests.handovers.conftest import Board
from tests.handovers.floor import SEATS
from tests.handovers.table import DRIVERS, ENTRIES, Entry

PLAYED = [entry for entry in ENTRIES if not entry.reason]
BATCHES = -(-len(PLAYED) // SEATS)


def batches() -> list[tuple[int, Entry]]:
    """Each cell with its batch; a batch holds cells from all over the table, slow and quick."""
    return [(number % BATCHES, entry) for number, entry in enumerate(PLAYED)]


@pytest.mark.pbx
@pytest.mark.parametrize(
    ("batch", "entry"), [pytest.param(*one, id=one[1].name) for one in batches()]
)
def test_given_talk_when_handed_over_then_it_comes_out_as_the_table_says(
    board: Board, batch: int, entry: Entry
) -> None:
    board.result(batch, entry)


def test_given_the_table_when_counted_then_at_most_fifteen_percent_make_no_sense() -> None:
    left_out = [entry for entry in ENTRIES if entry.reason]
    assert len(left_out) <= 0.15 * len(ENTRIES)
    assert {entry.column for entry in ENTRIES} == set(DRIVERS)
