"""The rows of one call, read: channels, moves between bridges, our dialplan's facts (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from telephony.cel.rows import USER_DEFINED, CelRow, Fact, load_extra, read_fact

PSEUDO = frozenset(
    ("Announcer", "Recorder", "CBAnn", "CBRec", "Message", "Snoop", "MulticastRTP", "UnicastRTP")
)
"""Channel technologies that are never a person."""
STAND_INS = frozenset(("AsyncGoto", "Surrogate", "Bridge", "Parked", "Transfered", "Masq"))
"""Channels that Asterisk makes in place of another, named after it."""
OUTGOING = frozenset(("AppDial", "AppDial2", "AppQueue"))
"""What Asterisk names as the application of a channel that it called."""
LISTENING = frozenset(("ChanSpy", "ExtenSpy"))
MAILBOXES = frozenset(("VoiceMail", "Record", "MinivmMWI"))
TELLING = OUTGOING | LISTENING | MAILBOXES


Move = tuple[int, str, str | None]
"""A channel enters a bridge, or leaves the one it is in: time, uniqueid, bridge (None: leaves)."""


class Channel:
    """All that the rows say about one channel."""

    __slots__ = (
        "account",
        "answered",
        "apps",
        "cause",
        "context",
        "dialled_exten",
        "ended",
        "extens",
        "first_at",
        "first_linkedid",
        "holds",
        "is_local",
        "is_pseudo",
        "is_real",
        "is_stand_in",
        "last_name",
        "linkedid",
        "name",
        "names",
        "num",
        "outgoing",
        "source",
        "started",
        "uniqueid",
    )

    def __init__(self, at: int, name: str, uniqueid: str, linkedid: str, context: str) -> None:
        technology = name.partition("/")[0]
        self.uniqueid = uniqueid
        self.name = self.last_name = name
        self.is_local = technology == "Local"
        self.is_pseudo = technology in PSEUDO
        self.is_stand_in = technology in STAND_INS or name.endswith("<ZOMBIE>")
        self.is_real = not (self.is_local or self.is_pseudo or self.is_stand_in)
        self.names = [name] if name else []
        self.linkedid = self.first_linkedid = linkedid
        self.first_at = at
        self.account = ""
        self.num = ""
        self.extens: tuple[str, ...] = ()  # where a Local channel was in the dialplan
        self.context = context
        self.apps: tuple[str, ...] = ()  # those that tell what it is
        self.started: int | None = None
        self.answered: int | None = None
        self.ended: int | None = None
        self.cause: int | None = None
        self.source = ""
        self.outgoing = False  # the PBX called it
        self.dialled_exten = ""  # the extension whose Dial called it
        self.holds: list[tuple[int, bool]] | None = None  # when its phone pressed hold or unhold

    @property
    def device(self) -> str:
        """The channel name without its serial: ``PJSIP/8001`` of ``PJSIP/8001-0000000a``."""
        return self.name.rpartition("-")[0] or self.name

    def renamed(self, name: str) -> None:
        """It took the place of another channel, or the other way round."""
        self.last_name = name
        if name and name not in self.names:
            self.names.append(name)


class Attended(NamedTuple):
    """A phone joined two of its calls and let go; uniqueids of channels."""

    at: int
    by: str
    transferee: str
    target: str


class Call:
    """The rows of one call, read in the order of time: its channels, moves and facts."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self.channels: dict[str, Channel] = {}
        self.moves: list[Move] = []
        self.facts: list[Fact] = []
        self.attended: list[Attended] = []
        self.ended_linkedids: set[str] = set()
        self.saw_bridges = self.saw_holds = False
        self._at: dict[str, str] = {}  # channel -> the bridge it is in
        self._read(rows)

    def _read(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """The hot loop of all leg building: what comes with every call stands here in one piece."""
        channels, within, moves = self.channels, self._at, self.moves
        for row in rows:
            (
                at,
                event,
                name,
                uniqueid,
                linkedid,
                num,
                exten,
                context,
                app,
                _,
                account,
                _,
                _,
                extra,
            ) = row
            channel = channels.get(uniqueid)
            if channel is None:
                channel = channels[uniqueid] = Channel(at, name, uniqueid, linkedid, context)
            elif name != channel.last_name:
                channel.renamed(name)
            if account:
                channel.account = account
            if app in TELLING:
                if app not in channel.apps:
                    channel.apps += (app,)
                if app in OUTGOING:
                    channel.outgoing = True
                    if exten:
                        channel.dialled_exten = exten
            if channel.is_local and exten and exten not in channel.extens:
                channel.extens += (exten,)
            if event == "LINKEDID_END":  # it names the linkedid that the channel has left
                self.ended_linkedids.add(linkedid)
                continue
            channel.linkedid = linkedid
            if event == "BRIDGE_ENTER":
                self.saw_bridges = True
                if channel.ended is None:
                    # People in a holding bridge (parking, waiting) do not hear each other.
                    bridge = None
                    if "holding_bridge" not in extra:
                        bridge = bridge_id(extra) or self._bridge_of_peers(CelRow._make(row))
                    if within.get(uniqueid) != bridge:
                        self._move(at, uniqueid, bridge)
            elif event == "BRIDGE_EXIT":
                bridge = within.get(uniqueid)
                # In another one already? Then the rows came in the wrong order.
                if bridge is not None and (bridge_id(extra) or bridge) == bridge:
                    moves.append((at, uniqueid, None))
                    del within[uniqueid]
            elif event == "CHAN_END":
                channel.ended = at
                if uniqueid in within:
                    moves.append((at, uniqueid, None))
                    del within[uniqueid]
            elif event == "HANGUP":
                channel.cause, channel.source = _hangup(extra)
                if channel.ended is None:
                    channel.ended = at
            elif event == "ANSWER":
                if channel.answered is None:
                    channel.answered = at
            elif event == "CHAN_START":
                if channel.started is None:
                    channel.started = at
                    channel.num = channel.num or num
                    channel.context = context
                    channel.first_linkedid = linkedid
                    if linkedid != uniqueid:
                        channel.outgoing = True
            elif event == USER_DEFINED:
                fact = read_fact(row)
                if fact is not None:
                    self._fact(channel, fact)
            elif event in _HANDLERS:
                _HANDLERS[event](self, channel, CelRow._make(row))

    def _old_bridge_start(self, channel: Channel, row: CelRow) -> None:
        """Asterisk 11 and older: one row begins the bridge for both channels."""
        self.saw_bridges = True
        if channel.ended is None:
            bridge = bridge_id(row.extra) or self._bridge_of_peers(row)
            if self._at.get(channel.uniqueid) != bridge:
                self._move(row.at, channel.uniqueid, bridge)

    def _bridge_of_peers(self, row: CelRow) -> str:
        """Where the flavour of CEL has no bridge ids: the bridge that the peers are in."""
        names = {peer.strip() for peer in row.peer.split(",")}
        peers = [other for other in self.channels.values() if not names.isdisjoint(other.names)]
        for other in peers:
            if other.uniqueid in self._at:
                return self._at[other.uniqueid]
        bridge = f"of {row.uniqueid} at {row.at}"
        for other in peers:
            if other.ended is None:
                self._move(row.at, other.uniqueid, bridge)
        return bridge

    def _old_bridge_end(self, channel: Channel, row: CelRow) -> None:
        """Asterisk 11 and older: one row ends the bridge for both channels."""
        bridge = self._at.get(channel.uniqueid)
        for uniqueid in [key for key, value in self._at.items() if value == bridge]:
            self._move(row.at, uniqueid, None)

    def _move(self, at: int, uniqueid: str, bridge: str | None) -> None:
        self.moves.append((at, uniqueid, bridge))
        if bridge is None:
            self._at.pop(uniqueid, None)
        else:
            self._at[uniqueid] = bridge

    def _fact(self, channel: Channel, fact: Fact) -> None:
        self.facts.append(fact)
        if fact.kind in ("HOLD", "UNHOLD"):
            self.saw_holds = True
            # Noted on the channel whose phone it is, or on another one that names it.
            named = fact.values.get("leg")
            holder = self.channels.get(named) if named else channel
            if holder is not None:
                holder.holds = [*(holder.holds or ()), (fact.at, fact.kind == "HOLD")]

    def _attended_transfer(self, channel: Channel, row: CelRow) -> None:
        extra = load_extra(row.extra)
        citizen = str(extra.get("transferee_channel_uniqueid") or "")
        target = str(extra.get("transfer_target_channel_uniqueid") or "")
        self.attended.append(Attended(row.at, row.uniqueid, citizen, target))


_HANDLERS: dict[str, Callable[[Call, Channel, CelRow], None]] = {
    "BRIDGE_START": Call._old_bridge_start,
    "BRIDGE_END": Call._old_bridge_end,
    "ATTENDEDTRANSFER": Call._attended_transfer,
}


@lru_cache(maxsize=8192)
def _hangup(extra: str) -> tuple[int | None, str]:
    """The cause, and the name of the channel that hung up; both sides of a call tell the same."""
    loaded = load_extra(extra)
    cause = loaded.get("hangupcause")
    # Asterisk writes 0 where it was told no cause.
    known = isinstance(cause, int) and 0 < cause < 1000
    return cause if known else None, str(loaded.get("hangupsource") or "")


@lru_cache(maxsize=8192)
def bridge_id(extra: str) -> str:
    """The bridge id inside ``eventextra``, or an empty string."""
    start = extra.find('"bridge_id"')
    if start < 0:
        return ""
    parts = extra[start + 11 : start + 160].split('"', 2)
    return parts[1] if len(parts) > 1 else ""
