"""What the rows themselves show to be missing (pure).

Rows vanish silently when the PBX's disk is full or somebody tidies up its files. They leave traces:

- a channel that has rows but no start, or no end though its call is over;
- serials: Asterisk counts its PJSIP channels (``PJSIP/8001-0000000a``) from 0 at every start, and
  each begins with a row, so a serial that never came is a channel without any row;
- channels that were alive when the PBX stopped (``cut_off``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from telephony.cel.rows import CelRow
from telephony.legs.model import epoch_of

WHY = {
    "no-start": "a channel has rows, but the row of its start is missing",
    "no-end": "a call is over, but the row of a channel's end is missing",
    "channels-missing": "channels that the PBX counted have no row at all",
    "pbx-stopped": "the PBX stopped while calls were going on",
    "file-missing": "the CEL file was replaced, and what it held is nowhere to be found",
    "file-cut-short": "the CEL file became shorter than what was read of it",
    "file-unreadable": "a packed CEL file breaks off, is damaged, or is packed otherwise",
    "row-broken": "a line of the CEL file is no row",
}
"""Every reason why rows are missing."""
OF_CHANNELS = ("no-start", "no-end")
"""These are over as soon as the row comes after all."""

GRACE_US = 60 * 1_000_000
"""A row may come this long after later ones."""
SILENT_US = 24 * 3600 * 1_000_000
MAX_CALLS = 100
"""Calls that a gap names."""
MAX_KEPT = 1000
MAX_FILLED = 10_000
"""A hole of more serials is not watched for late rows."""

_SERIAL = re.compile(r"PJSIP/.+-([0-9a-f]{8})")
_UNIQUEID = re.compile(r"(?:(.*)-)?(\d{9,11})\.(\d+)")


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of which rows are missing. Times in microseconds since 1970."""

    why: str  # one of WHY
    key: str  # what is missing: the same gap found twice has the same key
    since: int
    until: int | None
    calls: tuple[str, ...] = ()  # linkedids
    detail: str = ""


def gaps_of_call(rows: Iterable[tuple[Any, ...]], lost: Collection[str], now: int) -> list[Gap]:
    """Channels of a call without the row of their start or of their end.

    ``rows``: the values of its :class:`CelRow` s in the order of time. ``lost``: channels known to
    be gone without an end; ``now``: the latest time in the record. Those that the PBX took with it
    when it stopped are no gap of this kind.
    """
    first: dict[str, int] = {}
    last: dict[str, tuple[int, str]] = {}  # its time, and the linkedid then
    started: set[str] = set()
    ended: set[str] = set()
    retired: dict[str, int] = {}
    for row in rows:
        at, event, uniqueid, linkedid = row[0], row[1], row[3], row[4]
        first.setdefault(uniqueid, at)
        if event == "LINKEDID_END":  # it names the linkedid that the channel has left
            retired[linkedid] = at
            last.setdefault(uniqueid, (at, linkedid))
            continue
        last[uniqueid] = (at, linkedid)
        if event == "CHAN_START":
            started.add(uniqueid)
        elif event in ("CHAN_END", "HANGUP"):
            ended.add(uniqueid)
    gaps = []
    for uniqueid, (at, linkedid) in last.items():
        if uniqueid not in started:
            until = first[uniqueid]
            made = epoch_of(uniqueid) * 1_000_000 or until
            gaps.append(Gap("no-start", uniqueid, min(made, until), until, (linkedid,)))
        if uniqueid in ended:
            continue
        over = retired.get(linkedid)
        if over is None and uniqueid in lost and at + SILENT_US <= now:
            over = now
        if over is not None:
            gaps.append(Gap("no-end", uniqueid, at, max(over, at), (linkedid,)))
    return gaps


def gap_of_stop(shown_by: str, began: int, calls: Iterable[tuple[str, int]]) -> Gap:
    """The PBX stopped under these calls: linkedid, and time of the last row of each.

    ``shown_by``: the uniqueid that shows the new run; ``began``: when that was made.
    """
    touched = sorted(calls, key=lambda one: one[1])
    named = tuple(dict.fromkeys(linkedid for linkedid, _ in touched))
    since = touched[-1][1]
    detail = f"{len(named)} calls were going on"
    return Gap("pbx-stopped", shown_by, since, max(began, since), named[:MAX_CALLS], detail)


@dataclass(slots=True)
class _Hole:
    gap: Gap
    system: str
    size: int
    first: int
    last: int
    filled: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Count:
    """How far one PBX has counted."""

    serial: int
    epoch: int
    counter: int
    at: int


class SerialWatch:
    """Finds channels without any row by the serials in the names of PJSIP channels.

    ``feed`` the rows in the order of their coming; ``found`` tells holes that nothing filled
    within the grace, each once; ``filled`` those that late rows filled after all.
    """

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._waiting: dict[str, _Hole] = {}
        self._told: dict[str, _Hole] = {}
        self._filled: list[Gap] = []

    def feed(self, row: CelRow) -> None:
        """Take a row; only starts of PJSIP channels tell something."""
        if row[1] != "CHAN_START":
            return
        serial = _SERIAL.fullmatch(row[2])
        made = _UNIQUEID.fullmatch(row[3])
        if serial is None or made is None:
            return
        system, number = made[1] or "", int(serial[1], 16)
        now = _Count(number, int(made[2]), int(made[3]), row[0])
        before = self._counts.get(system)
        if before is None:
            self._counts[system] = now
        elif now.counter > before.counter and number > before.serial:
            self._counts[system] = now
            if number > before.serial + 1:
                self._note(system, row, before.serial + 1, number - 1, before.at)
        elif now.epoch > before.epoch + 1:  # the PBX has started anew, or only its SIP
            self._counts[system] = now
            if number and now.counter <= before.counter:
                self._note(system, row, 0, number - 1, before.at)
        else:
            self._late(system, number)

    def _note(self, system: str, row: CelRow, first: int, last: int, since: int) -> None:
        size = last - first + 1
        many = f"{size} channels, " if size > 1 else ""
        detail = f"{many}PJSIP {first:08x}" + (f" to {last:08x}" if size > 1 else "")
        gap = Gap("channels-missing", row.uniqueid, since, max(row.at, since), (), detail)
        self._waiting[row.uniqueid] = _Hole(gap, system, size, first, last)

    def _late(self, system: str, serial: int) -> None:
        for holes in (self._waiting, self._told):
            for key, hole in holes.items():
                inside = hole.first <= serial <= hole.last and hole.system == system
                if not inside or len(hole.filled) > MAX_FILLED:
                    continue
                hole.filled.add(serial)
                if len(hole.filled) == hole.size:
                    del holes[key]
                    if holes is self._told:
                        self._filled.append(hole.gap)
                return

    def found(self, now: int) -> list[Gap]:
        """Holes for which the grace is over at this time."""
        ready = [
            key for key, hole in self._waiting.items() if (hole.gap.until or 0) + GRACE_US < now
        ]
        for key in ready:
            self._told[key] = self._waiting.pop(key)
        while len(self._told) > MAX_KEPT:
            del self._told[next(iter(self._told))]
        return [self._told[key].gap for key in ready if key in self._told]

    def filled(self) -> list[Gap]:
        """Told before, and filled since."""
        filled, self._filled = self._filled, []
        return filled
