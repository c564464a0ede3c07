"""Which channel belongs to which leg (pure).

**Folding.** Every channel belongs to exactly one leg, by the first rule that fits:

1. A *real* channel (a device: PJSIP, SIP, IAX2, DAHDI …) is a leg of its own; its uniqueid names
   the leg.
2. A channel that Asterisk made in place of another (``AsyncGoto/PJSIP/8001-…``, ``…<ZOMBIE>``)
   belongs to the leg of the channel it is named after.
3. Both halves of a Local channel belong to the leg of the person they serve: the first real
   channel in a bridge with half 2 (through further Local channels if need be), else the first
   real channel that half 2 dialled.
4. A Local channel, announcer or recorder that serves nobody belongs to the leg of the channel
   that caused it: the first real channel it was in a bridge with, else the channel that its
   linkedid names, else the first real channel of the call.
5. A call without any real channel is one leg, named by its first channel.
"""

from __future__ import annotations

from collections.abc import Iterable

from telephony.legs.channels import Call, Channel, Move


class Folding:
    """Which leg each channel belongs to, and which channels stand for the person of the leg."""

    def __init__(self, call: Call) -> None:
        self.leg_of: dict[str, str] = {}
        self.speaks: dict[str, str] = {}  # channel that is a person's -> leg
        self._call = call
        for uniqueid, channel in call.channels.items():
            if channel.is_real:
                self.leg_of[uniqueid] = self.speaks[uniqueid] = uniqueid
        self.is_plain = len(self.leg_of) == len(call.channels)  # each channel is a leg of its own
        if self.is_plain:
            return
        channels = sorted(call.channels.values(), key=lambda one: (one.first_at, one.uniqueid))
        self._reals = [channel for channel in channels if channel.is_real]
        rest = [channel for channel in channels if not channel.is_real]
        if not self._reals:
            for channel in rest:
                self.leg_of[channel.uniqueid] = rest[0].uniqueid
            return
        self._by_name = {name: one for one in self._reals for name in one.names}
        self._members = _members(call.moves)
        self._halves = {one.name: one for one in rest if one.is_local}
        for channel in rest:
            self._place(channel)

    def _place(self, channel: Channel) -> None:
        leg = self._original(channel)
        if leg is not None:
            self.speaks[channel.uniqueid] = leg.uniqueid
        elif channel.is_local:
            leg = self._served(channel, set()) or self._dialled(channel)
        self.leg_of[channel.uniqueid] = (leg or self._cause(channel)).uniqueid

    def _original(self, channel: Channel) -> Channel | None:
        if not channel.is_stand_in:
            return None
        plain = channel.name.removesuffix("<ZOMBIE>").removesuffix("<MASQ>")
        return self._by_name.get(plain) or self._by_name.get(plain.partition("/")[2])

    def _half(self, channel: Channel, number: str) -> Channel | None:
        return self._halves.get(channel.name[:-1] + number)

    def _served(self, channel: Channel, seen: set[str]) -> Channel | None:
        second = self._half(channel, "2")
        if second is None or second.uniqueid in seen:
            return None
        seen.add(second.uniqueid)
        others = self._met(second)
        for other in others:
            if other.is_real:
                return other
        for other in others:
            # The far half of the next Local channel leads on to the person.
            found = self._served(other, seen) if other.is_local else None
            if found is not None:
                return found
        return None

    def _dialled(self, channel: Channel) -> Channel | None:
        second = self._half(channel, "2") or channel
        for real in self._reals:
            if (
                real.outgoing
                and real.first_at >= second.first_at
                and real.linkedid == second.linkedid
                and real.dialled_exten in second.extens
            ):
                return real
        return None

    def _cause(self, channel: Channel) -> Channel:
        halves = [self._half(channel, number) for number in "12"] if channel.is_local else [channel]
        for half in halves:
            for other in self._met(half) if half is not None else ():
                if other.is_real:
                    return other
        for real in self._reals:
            if real.uniqueid == channel.first_linkedid:
                return real
        return self._reals[0]

    def _met(self, channel: Channel) -> list[Channel]:
        """Who was in a bridge with it, in the order of their coming."""
        bridges = [bridge for _, one, bridge in self._call.moves if one == channel.uniqueid]
        found: dict[str, None] = {}
        for bridge in bridges:
            if bridge is not None:
                found.update(dict.fromkeys(self._members[bridge]))
        found.pop(channel.uniqueid, None)
        return [self._call.channels[uniqueid] for uniqueid in found]


def _members(moves: Iterable[Move]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for _, uniqueid, bridge in moves:
        if bridge is not None:
            members.setdefault(bridge, []).append(uniqueid)
    return members
