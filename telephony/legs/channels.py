"""The rows of one call, read: channels, moves between bridges, our dialplan's facts (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from telephony.cel import CelRow, Fact, load_extra, read_fact

PSEUDO = frozenset(
    ("Announcer", "Recorder", "CBAnn", "CBRec", "Message", "Snoop", "MulticastRTP", "UnicastRTP")
)
"""Channel technologies that are never a person."""
STAND_INS = frozenset(("AsyncGoto", "Surrogate", "Bridge", "Parked", "Transfered", "Masq"))
"""Channels that Asterisk makes in place of another, named after it."""
OUTGOING = frozenset(("AppDial", "AppDial2", "AppQueue"))
"""What Asterisk names as the application of a channel that it called."""
LISTENING = frozenset(("ChanSpy", "ExtenSpy"))
MAILBOXES = frozenset(("VoiceMail", "Record"))
TELLING = OUTGOING | LISTENING | MAILBOXES


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
        "exten",
        "extens",
        "first_at",
        "first_linkedid",
        "gone",
        "is_local",
        "is_pseudo",
        "is_real",
        "is_stand_in",
        "linkedid",
        "name",
        "names",
        "num",
        "outgoing",
        "source",
        "started",
        "uniqueid",
    )

    def __init__(self, row: CelRow) -> None:
        self.uniqueid = row.uniqueid
        self.name = row.channel
        technology = row.channel.partition("/")[0]
        self.is_local = technology == "Local"
        self.is_pseudo = technology in PSEUDO
        self.is_stand_in = technology in STAND_INS or row.channel.endswith("<ZOMBIE>")
        self.is_real = not (self.is_local or self.is_pseudo or self.is_stand_in)
        self.names = [row.channel] if row.channel else []
        self.linkedid = self.first_linkedid = row.linkedid
        self.first_at = row.at
        self.account = ""
        self.num = ""
        self.exten = ""
        self.extens: set[str] = set()  # where a Local channel was in the dialplan
        self.context = row.context
        self.apps: set[str] = set()  # those that tell what it is
        self.started: int | None = None
        self.answered: int | None = None
        self.ended: int | None = None
        self.gone = False  # it ended, but no row says when
        self.cause: int | None = None
        self.source = ""
        self.outgoing = False  # the PBX called it
        self.dialled_exten = ""  # the extension whose Dial called it

    @property
    def device(self) -> str:
        """The channel name without its serial: ``PJSIP/8001`` of ``PJSIP/8001-0000000a``."""
        return self.name.rpartition("-")[0] or self.name


class Move:
    """A channel enters a bridge, or leaves the one it is in (``bridge`` None)."""

    __slots__ = ("at", "bridge", "uniqueid")

    def __init__(self, at: int, uniqueid: str, bridge: str | None) -> None:
        self.at = at
        self.uniqueid = uniqueid
        self.bridge = bridge


class Attended(NamedTuple):
    """A phone joined two of its calls and let go; uniqueids of channels."""

    at: int
    by: str
    transferee: str
    target: str


class Call:
    """The rows of one call, read: its channels, moves between bridges and facts."""

    def __init__(self, rows: Iterable[CelRow]) -> None:
        self.channels: dict[str, Channel] = {}
        self.moves: list[Move] = []
        self.facts: list[Fact] = []
        self.attended: list[Attended] = []
        self.saw_bridges = False
        self._at: dict[str, str] = {}  # channel -> the bridge it is in
        self._holding: set[str] = set()
        self._ended_linkedids: dict[str, int] = {}
        self._read(rows)
        for channel in self.channels.values():
            ended = self._ended_linkedids.get(channel.linkedid)
            channel.gone = channel.ended is None and ended is not None

    def _read(self, rows: Iterable[CelRow]) -> None:
        """The hot loop of all leg building: a row is taken apart once."""
        channels, handlers = self.channels, _HANDLERS
        for row in rows:
            _, event, name, uniqueid, linkedid, _, exten, _, app, _, account, _, _, _ = row
            channel = channels.get(uniqueid)
            if channel is None:
                channel = channels[uniqueid] = Channel(row)
            elif name not in channel.names and name:
                channel.names.append(name)
            if linkedid != channel.linkedid and event != "LINKEDID_END":
                channel.linkedid = linkedid
            if account:
                channel.account = account
            if channel.is_local and exten:
                channel.extens.add(exten)
            if app in TELLING:
                channel.apps.add(app)
                if app in OUTGOING:
                    channel.outgoing = True
                    channel.dialled_exten = exten or channel.dialled_exten
            handler = handlers.get(event)
            if handler is not None:
                handler(self, channel, row)

    def _start(self, channel: Channel, row: CelRow) -> None:
        if channel.started is None:
            channel.started = row.at
            channel.num = channel.num or row.num
            channel.exten, channel.context = row.exten, row.context
            channel.first_linkedid = row.linkedid
            channel.outgoing |= row.linkedid != row.uniqueid

    def _answer(self, channel: Channel, row: CelRow) -> None:
        if channel.answered is None:
            channel.answered = row.at

    def _hangup(self, channel: Channel, row: CelRow) -> None:
        extra = load_extra(row.extra)
        cause = extra.get("hangupcause")
        # Asterisk writes 0 where it was told no cause.
        channel.cause = cause if isinstance(cause, int) and 0 < cause < 1000 else None
        channel.source = str(extra.get("hangupsource") or "")
        if channel.ended is None:
            channel.ended = row.at

    def _end(self, channel: Channel, row: CelRow) -> None:
        channel.ended = row.at
        self._leave(channel, row)

    def _enter(self, channel: Channel, row: CelRow) -> None:
        self.saw_bridges = True
        if channel.ended is not None:
            return
        # People in a holding bridge (parking, waiting) do not hear each other.
        bridge = None if "holding_bridge" in row.extra else self._bridge_of(row)
        if self._at.get(row.uniqueid) != bridge:
            self._move(row.at, row.uniqueid, bridge)

    def _bridge_of(self, row: CelRow) -> str:
        """The bridge's id, or where the flavour has none, the bridge of the peers."""
        named = bridge_id(row.extra)
        if named:
            return named
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

    def _exit(self, channel: Channel, row: CelRow) -> None:
        left = bridge_id(row.extra)
        if left and self._at.get(row.uniqueid, left) != left:
            return  # it is in another bridge already: the rows came in the wrong order
        self._leave(channel, row)

    def _leave(self, channel: Channel, row: CelRow) -> None:
        if channel.uniqueid in self._at:
            self._move(row.at, channel.uniqueid, None)

    def _old_bridge_end(self, channel: Channel, row: CelRow) -> None:
        """Asterisk 11 and older: one row ends the bridge for both channels."""
        bridge = self._at.get(channel.uniqueid)
        for uniqueid in [key for key, value in self._at.items() if value == bridge]:
            self._move(row.at, uniqueid, None)

    def _move(self, at: int, uniqueid: str, bridge: str | None) -> None:
        self.moves.append(Move(at, uniqueid, bridge))
        if bridge is None:
            self._at.pop(uniqueid, None)
        else:
            self._at[uniqueid] = bridge

    def _fact(self, channel: Channel, row: CelRow) -> None:
        fact = read_fact(row)
        if fact is not None:
            self.facts.append(fact)

    def _attended_transfer(self, channel: Channel, row: CelRow) -> None:
        extra = load_extra(row.extra)
        citizen = str(extra.get("transferee_channel_uniqueid") or "")
        target = str(extra.get("transfer_target_channel_uniqueid") or "")
        self.attended.append(Attended(row.at, row.uniqueid, citizen, target))

    def _linkedid_end(self, channel: Channel, row: CelRow) -> None:
        self._ended_linkedids[row.linkedid] = row.at


_HANDLERS = {
    "CHAN_START": Call._start,
    "ANSWER": Call._answer,
    "HANGUP": Call._hangup,
    "CHAN_END": Call._end,
    "BRIDGE_ENTER": Call._enter,
    "BRIDGE_EXIT": Call._exit,
    "BRIDGE_START": Call._enter,
    "BRIDGE_END": Call._old_bridge_end,
    "USER_DEFINED": Call._fact,
    "LINKEDID_END": Call._linkedid_end,
    "ATTENDEDTRANSFER": Call._attended_transfer,
}


@lru_cache(maxsize=8192)
def bridge_id(extra: str) -> str:
    """The bridge id inside ``eventextra``, or an empty string."""
    start = extra.find('"bridge_id"')
    if start < 0:
        return ""
    parts = extra[start + 11 : start + 160].split('"', 2)
    return parts[1] if len(parts) > 1 else ""
