"""The rows of one call, as they are gathered (pure)."""

from __future__ import annotations

from collections.abc import Set
from operator import itemgetter
from typing import Any

from telephony.cel.rows import Fact
from telephony.legs.channels import Call
from telephony.legs.model import Directory, Leg
from telephony.legs.rules import legs_of_call

by_time = itemgetter(0)

Row = tuple[Any, ...]
"""The values of a :class:`~telephony.cel.rows.CelRow`. A plain tuple is read faster."""


class GatheredCall:
    """All rows of one call so far, read as they come."""

    __slots__ = (
        *("awaited", "changed", "is_odd", "keys", "last_at", "lost", "mixed", "open", "rows"),
    )

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.mixed = False  # the rows are to be put in order, and some may be there twice
        self.keys: list[str] = []
        self.open: set[str] = set()  # channels that have not ended
        self.lost: Set[str] = NOTHING  # channels that were cut off
        self.awaited: Set[str] = NOTHING  # linkedids: channels without a row so far
        self.is_odd = False  # some are lost or awaited
        self.last_at = 0
        self.changed = False

    @property
    def is_over(self) -> bool:
        """Whether no channel of it is left that may still bring rows."""
        return self.open <= self.lost

    def lose(self, channels: Set[str]) -> None:
        """These channels were cut off: no row of theirs will come."""
        self.lost = self.lost | channels
        self.is_odd = True

    def wait_for(self, channel: str) -> None:
        """Another channel names this one, of which no row has come."""
        self.awaited = self.awaited | {channel}
        self.is_odd = True

    def take_over(self, other: GatheredCall) -> None:
        """The other one turned out to be the same call."""
        self.keys += other.keys
        self.rows += other.rows
        self.mixed = True
        self.open |= other.open
        if other.is_odd:
            self.lost, self.awaited = self.lost | other.lost, self.awaited | other.awaited
            self.is_odd = True
        self.last_at = max(self.last_at, other.last_at)
        other.keys = []

    def legs(self, pbx: str, directory: Directory) -> tuple[list[Leg], list[Fact]]:
        """The legs of the call as its rows stand, and what our dialplan noted."""
        if self.mixed:
            # Rows of the same time stand in the order of their coming.
            self.rows.sort(key=by_time)
            if _has_same_times(self.rows):
                self.rows = list(dict.fromkeys(self.rows))
        return legs_of_call(Call(self.rows), pbx, directory, self.lost)


NOTHING: frozenset[str] = frozenset()


def _has_same_times(rows: list[Row]) -> bool:
    before = None
    for row in rows:
        if row[0] == before:
            return True
        before = row[0]
    return False


def is_known(row: Row, rows: list[Row]) -> bool:
    """Whether the row is one of the last ones, which have the same time."""
    at = row[0]
    for known in reversed(rows):
        if known[0] != at:
            return False
        if known == row:
            return True
    return False
