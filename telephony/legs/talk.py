"""Who talked with whom, and when: from moves between bridges to the segments of legs (pure)."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from operator import attrgetter

from telephony.legs.channels import Call, Move
from telephony.legs.folding import Folding
from telephony.legs.model import Segment

SAME_TALK_US = 20_000
"""Nobody hears a change of bridge that is shorter: the same people talk on."""

Talk = tuple[tuple[str, ...], int]


def segments_of(call: Call, folding: Folding) -> dict[str, list[Segment]]:
    """The segments of every leg that talked with another one."""
    rooms = _Rooms(call, folding)
    talking: dict[str, Talk] = {}
    segments: dict[str, list[Segment]] = {}
    for at, moves in groupby(call.moves, attrgetter("at")):
        touched: set[str] = set()
        for move in moves:
            touched |= rooms.move(move)
        for leg in touched:
            others = rooms.heard_by(leg)
            before, start = talking.get(leg, ((), at))
            if others == before:
                continue
            if before and at > start:
                _add(segments.setdefault(leg, []), before, start, at)
            talking[leg] = (others, at)
    for leg, (others, start) in talking.items():
        if others:
            _add(segments.setdefault(leg, []), others, start, None)
    return segments


def _add(segments: list[Segment], others: tuple[str, ...], start: int, end: int | None) -> None:
    last = segments[-1] if segments else None
    if last is not None and last.others == others and start - (last.end or 0) <= SAME_TALK_US:
        last.end = end
    else:
        segments.append(Segment(others, start, end))


class _Rooms:
    """Who hears whom at a moment. A Local channel joins the bridges that its halves are in."""

    def __init__(self, call: Call, folding: Folding) -> None:
        self._leg_of = folding.speaks
        self._rooms: dict[str, dict[str, int]] = {}  # bridge -> leg -> its channels in there
        self._where: dict[str, str] = {}  # channel -> bridge
        self._bridges: dict[str, dict[str, int]] = {}  # leg -> bridge -> its channels in there
        self._pairs = _local_pairs(call)

    def move(self, move: Move) -> set[str]:
        """Carry out a move; returns the legs that may hear others now."""
        leg = self._leg_of.get(move.uniqueid)
        touched: set[str] = set() if leg is None else {leg}
        for bridge, step in ((self._where.pop(move.uniqueid, None), -1), (move.bridge, 1)):
            if bridge is None:
                continue
            room = self._rooms.setdefault(bridge, {})
            if leg is not None:
                _count(room, leg, step)
                _count(self._bridges.setdefault(leg, {}), bridge, step)
            touched.update(room)
        if move.bridge is not None:
            self._where[move.uniqueid] = move.bridge
        return set(self._bridges) if self._pairs else touched

    def heard_by(self, leg: str) -> tuple[str, ...]:
        bridges: Collection[str] = self._bridges.get(leg, ())
        if self._pairs:
            bridges = self._joined(set(bridges))
        others = {one for bridge in bridges for one in self._rooms[bridge]}
        others.discard(leg)
        return tuple(sorted(others))

    def _joined(self, bridges: set[str]) -> set[str]:
        links = [
            {self._where[first], self._where[second]}
            for first, second in self._pairs
            if first in self._where and second in self._where
        ]
        grown = True
        while grown:
            size = len(bridges)
            for link in links:
                if link & bridges:
                    bridges |= link
            grown = len(bridges) > size
        return bridges


def _local_pairs(call: Call) -> list[tuple[str, str]]:
    halves = {one.name: one.uniqueid for one in call.channels.values() if one.is_local}
    return [
        (uniqueid, halves[name[:-1] + "2"])
        for name, uniqueid in halves.items()
        if name.endswith(";1") and name[:-1] + "2" in halves
    ]


def _count(counts: dict[str, int], key: str, step: int) -> None:
    now = counts.get(key, 0) + step
    if now > 0:
        counts[key] = now
    else:
        counts.pop(key, None)
