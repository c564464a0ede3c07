"""CEL rows -> legs (pure): the same for live rows, for rows found later and for any file.

Rows of one call are gathered by what ties channels together: their linkedid (which can change in
mid-call), our case number, a bridge they share, the two halves of a Local channel. A call's legs
are worked out from all of its rows in the order of time, so rows may come in any order within
the grace, and more than once.

**When a leg has no end.** It is ``open`` unless a later row proves that its channel is gone:
its linkedid ended, or the PBX restarted. A restart shows in the uniqueids, ``epoch.counter``: the
counter only grows while Asterisk runs and starts again at 0, so a channel made at least 2 s later
with a counter that is not greater belongs to a new run, and what the old run left open was
``cut_off``, with no end time, for nobody saw it. (Should a row of such a channel still come, two
PBXs share the file: then nothing is concluded from counters any more.)
A call of which no row came for a day, while others had some, has lost its end: it is ``cut_off``.

**When a channel has rows but no start** (the stream begins in mid-call): it is a leg all the same,
with ``started_at`` unknown, ``open`` while it lasts and ``cut_off`` when it ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from telephony.cel.rows import USER_DEFINED, read_fact
from telephony.legs.channels import bridge_id
from telephony.legs.gathering import GatheredCall, Row, by_time, is_known
from telephony.legs.model import Directory, Leg
from telephony.legs.restarts import Restarts, made_by, parse_uniqueid
from telephony.legs.rules import is_case

__all__ = ["Directory", "GatheredCall", "Leg", "LegBuilder", "Row", "build_legs"]

GRACE_S = 60
"""A row may come this long after later ones."""
LOST_GRACE_S = 4 * 3600
"""A call that a restart seems to have cut off is kept in mind for so long."""
SILENT_S = 24 * 3600
"""A call without a row for so long, while others have some, has lost its end: it is cut off."""
JUMP_US = 3600 * 1_000_000
"""The time goes on by more than this only when two rows say so: one row may be wrong."""

CHUNK = 1024
"""Rows that are taken before calls that are over are looked for."""

_ENDS = frozenset(("CHAN_END", "HANGUP"))
_TYING = _ENDS | {"CHAN_START", "ANSWER", "BRIDGE_ENTER", "BRIDGE_START", USER_DEFINED}
"""Events whose linkedid, account and facts tie channels together."""
_HALVES = frozenset((";1", ";2"))


class LegBuilder:
    """Gathers rows into calls; memory is bounded by the calls that are open.

    ``feed`` rows; take calls that are over by ``finished``, calls that got rows by ``changed``
    (live), and at the end of a file all that is left by ``rest``.
    """

    def __init__(self) -> None:
        self.now = 0  # the latest time seen in the rows
        self._ahead = 0  # a time far ahead that only one row has told so far
        self._looked_at = 0  # when calls without an end were last looked for
        self._index: dict[str, GatheredCall] = {}
        self._changed: list[GatheredCall] = []
        self._over: deque[tuple[int, GatheredCall]] = deque()
        self._restarts = Restarts()
        self._by_name = False  # the rows name a bridge by its channels

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def feed(self, row: Row) -> None:
        """Take one row."""
        self.feed_all((row,))

    def feed_all(self, rows: Iterable[Row]) -> None:
        """Take rows. What comes with nearly every row stands here in one piece: it is hot."""
        find, changed, over = self._index.get, self._changed, self._over
        now = self.now
        for values in rows:
            row = values if type(values) is tuple else tuple(values)
            at, event, uniqueid = row[0], row[1], row[3]
            call = find(uniqueid)
            if call is None:
                call = self._begin(uniqueid, row[4], event)
            held = call.rows
            if at > call.last_at:
                call.last_at = at
                if at > now:
                    if at - now < JUMP_US or self._jumps(at):
                        self.now = now = at
                    else:
                        call.mixed, call.last_at = True, now
            elif at < call.last_at:
                call.mixed = True
            elif is_known(row, held):
                continue
            held.append(row)
            if call.is_odd:
                self._look_closer(call, row)
            if event in _TYING:
                linkedid, account = row[4], row[10]
                if linkedid != uniqueid and find(linkedid) is not call:
                    call = self._join_linkedid(call, linkedid)
                if account and find(account) is not call and is_case(account):
                    call = self._join(call, account)
                if event in _ENDS:
                    if uniqueid in call.open:
                        call.open.remove(uniqueid)
                        if call.open <= call.lost:
                            over.append((call.last_at, call))
                elif event == "CHAN_START":
                    call = self._start(call, row)
                elif event != "ANSWER":
                    call = (
                        self._fact(call, row) if event == USER_DEFINED else self._enter(call, row)
                    )
            if not call.changed:
                call.changed = True
                changed.append(call)

    def _begin(self, uniqueid: str, linkedid: str, event: str) -> GatheredCall:
        """The call of a channel that is new."""
        call = self._index.get(linkedid)
        if call is None:
            call = GatheredCall()
        call.open.add(uniqueid)
        self._index[uniqueid] = call
        call.keys.append(uniqueid)
        # LINKEDID_END names the linkedid that the channel has left.
        if linkedid == uniqueid or event == "LINKEDID_END":
            return call
        return self._join_linkedid(call, linkedid)

    def _look_closer(self, call: GatheredCall, row: Row) -> None:
        uniqueid = row[3]
        if uniqueid in call.awaited:
            call.awaited = call.awaited - {uniqueid}
            call.open.add(uniqueid)
        elif uniqueid in call.lost:
            self._not_lost(row[0], uniqueid)

    def _jumps(self, at: int) -> bool:
        """Whether the time goes on so far; False when no other row has said so."""
        told, self._ahead = self._ahead, at
        if self.now and (not told or at < told - GRACE_S * 1_000_000):
            return False
        self._ahead = 0
        return True

    def changed(self) -> list[GatheredCall]:
        """Calls that got rows since the last time, or were found cut off."""
        self._look_for_silent()
        calls = [call for call in self._changed if call.keys]
        self._settle()
        return calls

    def finished(self) -> Iterator[GatheredCall]:
        """Calls that are over, and let go of: no row can come for them within the grace."""
        self._look_for_silent()
        self._settle()
        over = self._over
        while over and over[0][0] + GRACE_S * 1_000_000 < self.now:
            _, call = over.popleft()
            if not call.keys or not call.is_over:
                continue
            wait_s = LOST_GRACE_S if call.lost else GRACE_S
            if call.last_at + wait_s * 1_000_000 >= self.now:
                over.append((self.now if call.lost else call.last_at, call))
                continue
            self._forget(call)
            yield call

    def rest(self) -> Iterator[GatheredCall]:
        """All calls that are left, at the end of the rows."""
        self._look_for_silent()
        self._settle()
        for call in list(dict.fromkeys(self._index.values())):
            self._forget(call)
            yield call

    def _settle(self) -> None:
        for call in self._changed:
            call.changed = False
        self._changed.clear()

    def _touch(self, call: GatheredCall) -> None:
        if not call.changed:
            call.changed = True
            self._changed.append(call)

    def _look_for_silent(self) -> None:
        """What has been silent for too long has lost its end."""
        if self.now - self._looked_at < JUMP_US:
            return
        self._looked_at = self.now
        for call in dict.fromkeys(self._index.values()):
            if call.last_at + SILENT_S * 1_000_000 < self.now and not call.is_over:
                call.lose(call.open)
                self._touch(call)
                self._over.append((call.last_at, call))

    def restart_after(self, uniqueid: str) -> tuple[str, int] | None:
        """The channel that showed that the run of this one is over, and when it was made."""
        return self._restarts.shown_by(uniqueid)

    def calls(self) -> list[GatheredCall]:
        """All calls that are held in memory."""
        return list(dict.fromkeys(self._index.values()))

    @property
    def open_calls(self) -> int:
        """How many calls are held in memory."""
        return len(self.calls())

    # --- ties between channels

    def _join_linkedid(self, call: GatheredCall, linkedid: str) -> GatheredCall:
        if linkedid not in self._index:
            call.wait_for(linkedid)
        return self._join(call, linkedid)

    def _join(self, call: GatheredCall, key: str) -> GatheredCall:
        """Tie a key to the call; two calls that share it become one."""
        other = self._index.get(key)
        if other is call:
            return call
        if other is None:
            self._index[key] = call
            call.keys.append(key)
            return call
        if len(other.rows) > len(call.rows):
            call, other = other, call
        for moved in other.keys:
            self._index[moved] = call
        call.take_over(other)
        if call.is_over:
            self._over.append((call.last_at, call))
        return call

    def _forget(self, call: GatheredCall) -> None:
        for key in call.keys:
            del self._index[key]
        call.keys = []

    def _start(self, call: GatheredCall, row: Row) -> GatheredCall:
        gone = self._restarts.seen(row[3])
        if gone is not None:
            self._cut_off(*gone)
        name: str = row[2]
        if name[-2:] in _HALVES:
            call = self._join(call, f"pair {name[:-2]} of {row[4]}")
        return self._join_name(call, name) if self._by_name else call

    def _join_name(self, call: GatheredCall, name: str) -> GatheredCall:
        """Names serve again and again: the channel that was made last has it."""
        named = f"name {name}"
        before = self._index.pop(named, None)
        if before is not None:
            before.keys.remove(named)
        return self._join(call, named)

    def _enter(self, call: GatheredCall, row: Row) -> GatheredCall:
        extra: str = row[13]
        if "holding_bridge" in extra:  # many calls wait in one of these, apart from each other
            return call
        bridge = bridge_id(extra)
        return self._join(call, bridge) if bridge else self._enter_by_name(call, row[11])

    def _enter_by_name(self, call: GatheredCall, peers: str) -> GatheredCall:
        """A flavour of CEL that names a bridge by the channels in it."""
        if not self._by_name:
            self._by_name = True
            rows = [one for each in dict.fromkeys(self._index.values()) for one in each.rows]
            for row in sorted(rows, key=by_time):
                if row[1] == "CHAN_START":
                    self._join_name(self._index[row[3]], row[2])
        for peer in peers.split(","):
            if peer.strip() and f"name {peer.strip()}" in self._index:
                call = self._join(call, f"name {peer.strip()}")
        return call

    def _fact(self, call: GatheredCall, row: Row) -> GatheredCall:
        if row[10] and self._index.get(row[10]) is call:
            return call  # the account code is the case already
        fact = read_fact(row)
        case = fact.values.get("case", "") if fact is not None else ""
        return self._join(call, case) if is_case(case) else call

    # --- restarts

    def _cut_off(self, system: str, epoch: int) -> None:
        """What was made until then and has no end was cut off."""
        for call in dict.fromkeys(self._index.values()):
            gone = {one for one in call.open - call.lost if made_by(one, system, epoch)}
            if gone:
                call.lose(gone)
                self._touch(call)
                if call.is_over:
                    self._over.append((call.last_at, call))

    def _not_lost(self, at: int, uniqueid: str) -> None:
        """A channel that should be gone is alive, unless its row is a late one."""
        system = self._restarts.alive_after_all(at, uniqueid)
        if system is None:
            return
        for call in dict.fromkeys(self._index.values()):
            back = {one for one in call.lost if parse_uniqueid(one)[0] == system}
            if back:
                call.lost = call.lost - back
                self._touch(call)


def build_legs(
    rows: Iterable[Row], *, pbx: str = "", directory: Directory | None = None
) -> Iterator[Leg]:
    """The legs of these rows, as soon as each call is over; at the end those still open.

    ``rows``: in the order of time, give or take 60 s. ``pbx``: the name to give the PBX.
    """
    directory = directory or Directory()
    builder = LegBuilder()
    source = iter(rows)
    while chunk := tuple(islice(source, CHUNK)):
        builder.feed_all(chunk)
        for call in builder.finished():
            yield from call.legs(pbx, directory)[0]
    for call in builder.rest():
        yield from call.legs(pbx, directory)[0]
