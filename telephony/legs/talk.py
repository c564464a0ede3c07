"""Who talked with whom, and when: from moves between bridges to the segments of legs (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telephony.legs.channels import Call, Move
from telephony.legs.folding import Folding
from telephony.legs.model import Segment

SAME_TALK_US = 20_000
"""Nobody hears a change of bridge that is shorter: the same people talk on."""


def segments_of(call: Call, folding: Folding) -> dict[str, list[Segment]]:
    """The segments of every leg that talked with another one."""
    if not call.moves:
        return {}
    if folding.is_plain:
        return _plain_segments(call.moves)
    rooms = _Rooms(folding.speaks, _local_pairs(call))
    book = _Book()
    for at, uniqueid, bridge in call.moves:
        for leg in rooms.move(uniqueid, bridge):
            others = rooms.heard_by(leg)
            if others:
                book.hears(at, leg, others)
            else:
                book.silent(at, leg)
    return book.segments()


class _Book:
    """Whom each leg hears, as it changes."""

    def __init__(self) -> None:
        self._now: dict[str, tuple[tuple[str, ...], int]] = {}  # leg -> whom it hears, since when
        self._segments: dict[str, list[Segment]] = {}

    def hears(self, at: int, leg: str, others: tuple[str, ...]) -> None:
        """From now on the leg hears these."""
        now = self._now.get(leg)
        if now is not None:
            before, start = now
            if before == others:
                return
            if at > start:
                self._add(leg, before, start, at)
        self._now[leg] = (others, at)

    def silent(self, at: int, leg: str) -> None:
        """From now on the leg hears nobody."""
        now = self._now.pop(leg, None)
        if now is not None and at > now[1]:
            self._add(leg, now[0], now[1], at)

    def segments(self) -> dict[str, list[Segment]]:
        """All segments; who still hears somebody has one without an end."""
        for leg, (others, start) in self._now.items():
            self._add(leg, others, start, None)
        return self._segments

    def _add(self, leg: str, others: tuple[str, ...], start: int, end: int | None) -> None:
        segments = self._segments.get(leg)
        if segments is None:
            self._segments[leg] = [Segment(others, start, end)]
            return
        last = segments[-1]
        if last.others == others and start - (last.end or 0) <= SAME_TALK_US:
            last.end = end
        else:
            segments.append(Segment(others, start, end))


def _plain_segments(moves: Iterable[Move]) -> dict[str, list[Segment]]:
    """For most calls: every channel is a leg of its own, in one bridge at a time or in none."""
    book = _Book()
    hears, silent = book.hears, book.silent
    where: dict[str, list[str]] = {}  # leg -> the room it is in
    rooms: dict[str, list[str]] = {}  # bridge -> legs in there
    for at, leg, bridge in moves:
        left = where.pop(leg, None)
        if left is not None:
            left.remove(leg)
            _told(book, at, left)
        if bridge is None:
            silent(at, leg)
            continue
        room = where[leg] = rooms.setdefault(bridge, [])
        if len(room) == 1:
            other = room[0]
            hears(at, leg, (other,))
            hears(at, other, (leg,))
            room.append(leg)
        else:
            room.append(leg)
            _told(book, at, room)
    return book.segments()


def _told(book: _Book, at: int, room: list[str]) -> None:
    """Everybody in the room hears all others in there."""
    if len(room) == 1:
        book.silent(at, room[0])
        return
    for leg in room:
        book.hears(at, leg, tuple(sorted(other for other in room if other != leg)))


class _Rooms:
    """Who hears whom at a moment. A Local channel joins the bridges that its halves are in."""

    def __init__(self, speaks: Mapping[str, str], pairs: list[tuple[str, str]]) -> None:
        self._leg_of = speaks
        self._rooms: dict[str, list[str]] = {}  # bridge -> legs, once for each channel in there
        self._where: dict[str, str] = {}  # channel -> bridge
        self._bridges: dict[str, list[str]] = {}  # leg -> bridges, once for each channel in there
        self._pairs = pairs
        self._halves = {half for pair in pairs for half in pair}
        self._links: list[tuple[str, str]] = []  # bridges that are joined by a Local channel now

    def move(self, uniqueid: str, bridge: str | None) -> list[str]:
        """Carry out a move; returns the legs that may hear others now."""
        leg = self._leg_of.get(uniqueid)
        touched = [] if leg is None else [leg]
        left = self._where.pop(uniqueid, None)
        if left is not None:
            room = self._rooms[left]
            if leg is not None:
                room.remove(leg)
                self._bridges[leg].remove(left)
            touched += room
        if bridge is not None:
            self._where[uniqueid] = bridge
            room = self._rooms.setdefault(bridge, [])
            touched += room
            if leg is not None:
                room.append(leg)
                self._bridges.setdefault(leg, []).append(bridge)
        if uniqueid in self._halves:
            where = self._where
            joined = bool(self._links)
            self._links = [
                (where[first], where[second])
                for first, second in self._pairs
                if first in where and second in where
            ]
            if not joined and not self._links:
                return touched
        return list(self._bridges) if self._links or uniqueid in self._halves else touched

    def heard_by(self, leg: str) -> tuple[str, ...]:
        bridges = self._bridges.get(leg)
        if not bridges:
            return ()
        if self._links:
            bridges = self._joined(bridges)
        if len(bridges) == 1:
            room = self._rooms[bridges[0]]
            if len(room) == 2 and room[0] != room[1]:  # nearly always
                return (room[1] if room[0] == leg else room[0],)
        others = {one for bridge in bridges for one in self._rooms[bridge]}
        others.discard(leg)
        return tuple(sorted(others))

    def _joined(self, bridges: list[str]) -> list[str]:
        joined = set(bridges)
        size = 0
        while len(joined) > size:
            size = len(joined)
            for first, second in self._links:
                if first in joined:
                    joined.add(second)
                elif second in joined:
                    joined.add(first)
        return list(joined)


def _local_pairs(call: Call) -> list[tuple[str, str]]:
    halves = {one.name: one.uniqueid for one in call.channels.values() if one.is_local}
    if not halves:
        return []
    return [
        (uniqueid, halves[name[:-1] + "2"])
        for name, uniqueid in halves.items()
        if name.endswith(";1") and name[:-1] + "2" in halves
    ]
