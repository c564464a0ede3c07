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

**When a channel has rows but no start** (the stream begins in mid-call): it is a leg all the same,
with ``started_at`` unknown, ``open`` while it lasts and ``cut_off`` when it ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from telephony.cel import CelRow, Fact, read_fact
from telephony.legs.channels import bridge_id
from telephony.legs.model import Directory, Leg
from telephony.legs.rules import CASE, legs_of_call

__all__ = ["Directory", "GatheredCall", "Leg", "LegBuilder", "build_legs"]

GRACE_S = 60
"""A row may come this long after later ones."""
LOST_GRACE_S = 4 * 3600
"""A call that a restart seems to have cut off is kept in mind for so long."""

by_time = itemgetter(0)


class GatheredCall:
    """All rows of one call so far."""

    __slots__ = ("closed", "keys", "last_at", "lost", "open", "rows")

    def __init__(self) -> None:
        self.rows: list[CelRow] = []
        self.keys: list[str] = []
        self.open: set[str] = set()  # channels that have not ended
        self.closed: set[str] = set()
        self.lost: set[str] = set()  # channels that a restart cut off
        self.last_at = 0

    @property
    def is_over(self) -> bool:
        return self.open <= self.lost

    def legs(self, pbx: str, directory: Directory) -> tuple[list[Leg], list[Fact]]:
        """The legs of the call as its rows stand, and what our dialplan noted."""
        rows = dict.fromkeys(sorted(self.rows, key=by_time))
        return legs_of_call(rows, pbx, directory, frozenset(self.lost))


@dataclass(slots=True)
class Run:
    """The channels of one run of Asterisk, as far as seen: epochs and counters of uniqueids."""

    first_epoch: int
    first_counter: int
    last_epoch: int
    last_counter: int
    before: int = 0  # the run before had a channel with this epoch

    def take(self, epoch: int, counter: int) -> None:
        """Another channel of this run."""
        self.first_epoch = min(self.first_epoch, epoch)
        self.first_counter = min(self.first_counter, counter)
        self.last_epoch = max(self.last_epoch, epoch)
        self.last_counter = max(self.last_counter, counter)


class LegBuilder:
    """Gathers rows into calls; memory is bounded by the calls that are open.

    ``feed`` rows; take calls that are over by ``finished``, calls that got rows by ``changed``
    (live), and at the end of a file all that is left by ``rest``.
    """

    def __init__(self) -> None:
        self.now = 0  # the latest time seen in the rows
        self._index: dict[str, GatheredCall] = {}
        self._changed: dict[GatheredCall, None] = {}
        self._over: deque[tuple[int, GatheredCall]] = deque()
        self._runs: dict[str, Run] = {}  # PBX -> its run since the last restart
        self._shared: set[str] = set()  # uniqueids of two PBXs without a system name

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def feed(self, row: CelRow) -> None:
        """Take one row."""
        at, event, _, uniqueid, linkedid, _, _, _, _, _, account, _, _, _ = row
        index = self._index
        call = index.get(uniqueid)
        if call is None:
            call = index.get(linkedid)
            if call is None:
                call = GatheredCall()
            self._join(call, uniqueid)
        if uniqueid not in call.open:
            if uniqueid not in call.closed:
                call.open.add(uniqueid)
        elif call.lost and uniqueid in call.lost:
            self._not_lost(row)
        call.rows.append(row)
        if at > call.last_at:
            call.last_at = at
            if at > self.now:
                self.now = at
        # LINKEDID_END names the linkedid that the channel has left.
        if linkedid != uniqueid and index.get(linkedid) is not call and event != "LINKEDID_END":
            call = self._join(call, linkedid)
        if account and index.get(account) is not call and _is_case(account):
            call = self._join(call, account)
        tie = _TIES.get(event)
        if tie is not None:
            call = tie(self, call, row)
        self._changed[call] = None

    def changed(self) -> list[GatheredCall]:
        """Calls that got rows since the last time, or were found cut off."""
        calls = [call for call in self._changed if call.keys]
        self._changed.clear()
        return calls

    def finished(self) -> Iterator[GatheredCall]:
        """Calls that are over, and let go of: no row can come for them within the grace."""
        self._changed.clear()
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
        self._changed.clear()
        for call in list(dict.fromkeys(self._index.values())):
            self._forget(call)
            yield call

    @property
    def open_calls(self) -> int:
        """How many calls are held in memory."""
        return len(set(map(id, self._index.values())))

    # --- ties between channels

    def _join(self, call: GatheredCall, key: str) -> GatheredCall:
        """Tie a key to the call; two calls that share it become one."""
        other = self._index.get(key)
        if other is None:
            self._index[key] = call
            call.keys.append(key)
            return call
        if other is call:
            return call
        if len(other.rows) > len(call.rows):
            call, other = other, call
        for moved in other.keys:
            self._index[moved] = call
        call.keys += other.keys
        call.rows += other.rows
        call.open |= other.open
        call.closed |= other.closed
        call.lost |= other.lost
        call.last_at = max(call.last_at, other.last_at)
        other.keys = []
        self._changed.pop(other, None)
        if call.is_over:
            self._over.append((call.last_at, call))
        return call

    def _forget(self, call: GatheredCall) -> None:
        for key in call.keys:
            del self._index[key]
        call.keys = []

    def _start(self, call: GatheredCall, row: CelRow) -> GatheredCall:
        self._watch_restart(row.uniqueid)
        name = row.channel
        if name.endswith((";1", ";2")):
            call = self._join(call, f"pair {name[:-2]} of {row.linkedid}")
        # Only for flavours of CEL that name a bridge by its channels.
        named = f"name {name}"
        if named in self._index:
            self._index[named].keys.remove(named)
            del self._index[named]
        return self._join(call, named)

    def _end(self, call: GatheredCall, row: CelRow) -> GatheredCall:
        if row.uniqueid not in call.closed:
            call.closed.add(row.uniqueid)
            call.open.discard(row.uniqueid)
            if call.is_over:
                self._over.append((call.last_at, call))
        return call

    def _enter(self, call: GatheredCall, row: CelRow) -> GatheredCall:
        if "holding_bridge" in row.extra:  # many calls wait in one of these, apart from each other
            return call
        bridge = bridge_id(row.extra)
        if bridge:
            return self._join(call, bridge)
        for peer in row.peer.split(","):
            if peer.strip() and f"name {peer.strip()}" in self._index:
                call = self._join(call, f"name {peer.strip()}")
        return call

    def _fact(self, call: GatheredCall, row: CelRow) -> GatheredCall:
        if row.account and self._index.get(row.account) is call:
            return call  # the account code is the case already
        fact = read_fact(row)
        case = fact.values.get("case", "") if fact is not None else ""
        return self._join(call, case) if CASE.fullmatch(case) else call

    # --- restarts

    def _watch_restart(self, uniqueid: str) -> None:
        system, epoch, counter = _parse_uniqueid(uniqueid)
        if not epoch or system in self._shared:
            return
        run = self._runs.get(system)
        if run is None:
            self._runs[system] = Run(epoch, counter, epoch, counter)
        elif epoch > run.last_epoch + 1 and counter <= run.last_counter:
            self._runs[system] = Run(epoch, counter, epoch, counter, before=run.last_epoch)
            self._cut_off(system, run.last_epoch)
        elif epoch <= run.before or (
            epoch < run.first_epoch - 1 and counter >= run.first_counter
        ):  # a late row of the run before
            run.before = max(run.before, epoch)
            self._cut_off(system, epoch)
        else:
            run.take(epoch, counter)

    def _cut_off(self, system: str, epoch: int) -> None:
        """What was made until then and has no end was cut off."""
        for call in dict.fromkeys(self._index.values()):
            gone = {one for one in call.open - call.lost if _made_by(one, system, epoch)}
            if gone:
                call.lost |= gone
                self._changed[call] = None
                if call.is_over:
                    self._over.append((call.last_at, call))

    def _not_lost(self, row: CelRow) -> None:
        """A channel that should be gone is alive, unless its row is a late one."""
        system = _parse_uniqueid(row.uniqueid)[0]
        run = self._runs.get(system)
        if run is None or row.at < (run.first_epoch + 1) * 1_000_000:
            return
        self._shared.add(system)
        for call in dict.fromkeys(self._index.values()):
            back = {one for one in call.lost if _parse_uniqueid(one)[0] == system}
            if back:
                call.lost -= back
                self._changed[call] = None


_TIES = {
    "CHAN_START": LegBuilder._start,
    "CHAN_END": LegBuilder._end,
    "HANGUP": LegBuilder._end,
    "BRIDGE_ENTER": LegBuilder._enter,
    "BRIDGE_START": LegBuilder._enter,
    "USER_DEFINED": LegBuilder._fact,
}


def _parse_uniqueid(uniqueid: str) -> tuple[str, int, int]:
    """System name, epoch and counter; epoch 0 where the uniqueid is not of that form."""
    made, _, counter = uniqueid.rpartition(".")
    system, _, epoch = made.rpartition("-")
    if 9 <= len(epoch) <= 11 and epoch.isdecimal() and counter.isdecimal():
        return system, int(epoch), int(counter)
    return "", 0, 0


def _made_by(uniqueid: str, system: str, epoch: int) -> bool:
    named, made, _ = _parse_uniqueid(uniqueid)
    return named == system and 0 < made <= epoch


@lru_cache(maxsize=65536)
def _is_case(account: str) -> bool:
    return CASE.fullmatch(account) is not None


def build_legs(
    rows: Iterable[CelRow], *, pbx: str = "", directory: Directory | None = None
) -> Iterator[Leg]:
    """The legs of these rows, as soon as each call is over; at the end those still open.

    ``rows``: in the order of time, give or take 60 s. ``pbx``: the name to give the PBX.
    """
    directory = directory or Directory()
    builder = LegBuilder()
    feed = builder.feed
    for count, row in enumerate(rows):
        feed(row)
        if count % 2048 == 0:
            for call in builder.finished():
                yield from call.legs(pbx, directory)[0]
    for call in builder.rest():
        yield from call.legs(pbx, directory)[0]
