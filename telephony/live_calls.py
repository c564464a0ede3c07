"""Who is talking with whom now, from AMI events: a picture of the PBX's channels.

Only the events in :data:`EVENTS` are needed; ``Newexten`` and ``VarSet``, which are most of what
Asterisk says, are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from telephony.errors import CallNotFound
from telephony.live.handovers import (
    ANSWERED,
    ENDS_HANDOVER,
    HANDED,
    HANDOVER,
    VARIABLES,
    offered,
    taken_up,
)
from telephony.live.model import (
    Call,
    Channel,
    Directory,
    Index,
    RunningHandover,
    State,
    state_of,
)
from telephony.live.picture import LivePicture
from telephony.live.shapes import handover_news
from telephony.pbx import ChannelNow, known

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.pbx import Pbx
    from telephony.settings import Settings

SNAPSHOTS = (
    "Newchannel",
    "Newstate",
    "NewCallerid",
    "NewConnectedLine",
    "NewAccountCode",
    "Hold",
    "Unhold",
    "BridgeEnter",
    "BridgeLeave",
    "QueueCallerJoin",
    "QueueCallerLeave",
)
"""Events that carry a whole channel, so that any of them brings what is known up to date."""
EVENTS = frozenset({*SNAPSHOTS, "Rename", "Hangup", "UserEvent"})
"""All events the live picture needs: what the AMI link must let through."""


class LiveCalls(LivePicture[list[ChannelNow]]):
    """The calls in progress on one PBX."""

    def __init__(self, pbx: Pbx, settings: Settings) -> None:
        self.directory = Directory(settings)
        """Whose device is whose."""
        self.on_touch: Callable[[str], None] = lambda uniqueid: None
        """Called with the uniqueid of a channel to whose calls something may have happened."""
        self.on_handover: Callable[[dict[str, Any]], None] = lambda news: None
        """Called when a hand-over has begun, has ended or the citizen is on the way back."""
        super().__init__(pbx, EVENTS, "calls")

    # -- what is asked --------------------------------------------------------------------------

    def calls(self) -> list[Call]:
        """All calls, the oldest first; raises :class:`PbxUnavailable` without a picture."""
        self._need_picture()
        found = [self._call(self._channels[uniqueid]) for uniqueid in self._citizens]
        seen = {party.uniqueid for call in found for party in call.parties}
        for linkedid in list(self._linked.ids):
            rest = [
                self._channels[uniqueid]
                for uniqueid in self._linked.get(linkedid)
                if uniqueid not in seen and self._channels[uniqueid].real
            ]
            if rest:
                found.append(self._call_without_citizen(rest))
        return sorted(found, key=lambda call: (call.started, call.id))

    def call(self, call_id: str) -> Call:
        """The call with this id: the citizen's uniqueid, the case, or any party's channel.

        Raises :class:`CallNotFound`, and :class:`PbxUnavailable` without a picture.
        """
        self._need_picture()
        uniqueid = self._names.get(call_id, call_id)
        if uniqueid in self._channels:
            citizen = self._citizen_of(self._channels[uniqueid])
            if citizen is not None:
                return self._call(citizen)
            linked = self._linked.get(self._channels[uniqueid].linkedid)
            real = [self._channels[one] for one in linked if self._channels[one].real]
            if real:
                return self._call_without_citizen(real)
        for one in self._accounts.get(call_id):
            if one in self._citizens:
                return self._call(self._channels[one])
        raise CallNotFound(f"no call {call_id!r} is in progress; it may have ended")

    def calls_about(self, uniqueids: Iterable[str]) -> list[Call]:
        """The calls to which these channels, or any that are tied to them, belong now.

        Raises :class:`PbxUnavailable` without a picture.
        """
        self._need_picture()
        here = [self._channels[one] for one in uniqueids if one in self._channels]
        tied = {one: self._channels[one] for channel in here for one in self._tied(channel)}
        citizens: dict[str, None] = {}
        linked: dict[str, None] = {}
        for channel in tied.values():
            citizens.update(dict.fromkeys(self._citizens_of(channel)))
            linked[channel.linkedid] = None
        found = [self._call(self._channels[one]) for one in citizens]
        for linkedid in linked:
            members = [self._channels[one] for one in self._linked.get(linkedid)]
            rest = [one for one in members if one.real and not any(self._citizens_of(one))]
            if rest:
                found.append(self._call_without_citizen(rest))
        return found

    def agent_channel(self, call: Call) -> Channel | None:
        """The other party in the citizen's bridge: who talks with the citizen now, or None.

        Where several are (a three-way call), an agent goes before a desk, and who came first
        before who came later.
        """
        if call.citizen is None:
            return None
        others = self._others_in_bridge(call.citizen)
        return next((one for one in others if one.role == "agent"), next(iter(others), None))

    def party_of(self, uniqueid: str) -> str:
        """Which agent or desk a channel belongs to; "" for a citizen's, or one not known."""
        channel = self._channels.get(uniqueid)
        return channel.party if channel and channel.role in ("agent", "target") else ""

    def channel(self, uniqueid: str) -> Channel | None:
        """A channel of the picture, or None."""
        return self._channels.get(uniqueid)

    def channels_now(self) -> int:
        """The number of channels in the picture (0 without one)."""
        return len(self._channels)

    def calls_now(self) -> int:
        """The number of citizens on the line (0 without a picture)."""
        return len(self._citizens)

    # -- how the picture is kept ----------------------------------------------------------------

    async def _ask(self) -> list[ChannelNow]:
        return await self._pbx.channels((*VARIABLES, HANDOVER, ANSWERED))

    def _take(self, answer: list[ChannelNow]) -> None:
        for now in answer:
            self._add(now)
        self._citizens |= taken_up(answer, self._citizens)

    def _clear(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._citizens: dict[str, RunningHandover | None] = {}
        self._names: dict[str, str] = {}
        self._bridges, self._accounts, self._linked = Index(), Index(), Index()

    def _add(self, now: ChannelNow) -> None:
        channel = Channel(now.uniqueid, now.name)
        self._channels[now.uniqueid] = channel
        self._names[now.name] = now.uniqueid
        channel.state, channel.context, channel.exten = now.state, now.context, now.exten
        channel.caller, channel.caller_name = now.caller, now.caller_name
        channel.connected = now.connected
        channel.queue = now.data.partition(",")[0] if now.application == "Queue" else ""
        if now.variables.get("HOTLINE_ROLE") == "citizen":  # one who is called back, too
            self._citizens.setdefault(now.uniqueid, None)
        self._tie(channel, now.linkedid, now.account)
        self._put_in_bridge(channel, now.bridge)
        channel.handed_over_by, channel.their_case = (now.variables.get(one, "") for one in HANDED)
        if now.variables.get("HOTLINE_ROLE") in ("agent", "target"):
            self._tell(channel, now.variables.get("PARTY", ""))
        elif now.variables.get("HOTLINE_ROLE") == "supervisor":
            channel.role, channel.told = "supervisor", True

    def _apply(self, event: Event) -> None:
        name, uniqueid = event.name, event.get("Uniqueid")
        if name == "Newchannel" and uniqueid not in self._channels:
            self._channels[uniqueid] = Channel(uniqueid, event["Channel"])
        channel = self._channels.get(uniqueid)
        if channel is None:
            return  # about a channel that has gone, or about none
        self.on_touch(uniqueid)
        if name == "Hangup":
            self._forget(channel)
        elif name == "Rename":
            self._rename(channel, event["Newname"])
        else:
            self._update(channel, event)
            self._step(channel, event)

    def _update(self, channel: Channel, event: Event) -> None:
        self._rename(channel, event.get("Channel", channel.name))
        channel.state = event.get("ChannelStateDesc")
        channel.context = event.get("Context")
        channel.exten = event.get("Exten")
        channel.caller = known(event.get("CallerIDNum"))
        channel.caller_name = known(event.get("CallerIDName"))
        channel.connected = known(event.get("ConnectedLineNum"))
        self._tie(channel, event.get("Linkedid"), event.get("AccountCode"))

    def _step(self, channel: Channel, event: Event) -> None:
        match event.name:
            case "BridgeEnter":
                self._put_in_bridge(channel, event.get("BridgeUniqueid"))
            case "BridgeLeave" if channel.bridge == event.get("BridgeUniqueid"):
                self._put_in_bridge(channel, "")
            case "QueueCallerJoin":
                channel.queue = event.get("Queue")
            case "QueueCallerLeave":
                channel.queue = ""
            case "Hold" | "Unhold":
                channel.held = event.name == "Hold"
            case "UserEvent" if event.get("UserEvent") == "Hotline":
                facts = parse_qs(event.get("Facts"))
                self._fact(channel, event.get("Kind"), {k: v[-1] for k, v in facts.items()})

    def _fact(self, channel: Channel, kind: str, fact: dict[str, str]) -> None:
        if kind == "HOTLINE_CALLBACK":  # whom we call is a citizen, too; told on their channel
            self._citizens.setdefault(channel.uniqueid, None)
            channel.role, channel.party = "citizen", fact.get("number", "")
        elif kind == "HOTLINE_MONITOR":  # who listens is no party of the call
            channel.role, channel.party, channel.told = "supervisor", fact.get("who", ""), True
            return
        elif kind == "HOTLINE_OFFERED":
            caller = fact.get("caller") or channel.uniqueid
            if caller in self._citizens:
                self.on_touch(caller)
                self._citizens[caller] = offered(fact)
        elif kind == "HOTLINE_ANSWERED":
            for caller in self._accounts.get(fact.get("case", "")):
                running = self._citizens.get(caller)
                if running is not None and running.id == fact.get("id"):
                    self._citizens[caller] = replace(running, state="answered")
                    self.on_touch(caller)
        elif kind in ENDS_HANDOVER:
            for caller in {channel.uniqueid, *self._accounts.get(fact.get("case", ""))}:
                running = self._citizens.get(caller)
                if running is not None and running.id == fact.get("id"):
                    self._citizens[caller] = None
                    self.on_touch(caller)
        elif kind == "HOTLINE_HANDED":
            channel.handed_over_by, channel.their_case = fact.get("by", ""), fact.get("their", "")
        self._tell_handover(channel, kind, fact)
        leg = self._channels.get(fact.get("leg", ""))
        if leg is not None:
            self.on_touch(leg.uniqueid)
            self._tell(leg, fact.get("agent") or fact.get("desk", ""))

    def _tell_handover(self, channel: Channel, kind: str, fact: dict[str, str]) -> None:
        citizens = (
            one for one in self._accounts.get(fact.get("case", "")) if one in self._citizens
        )
        news = handover_news(kind, fact, next(citizens, None), channel.account)
        if news is not None:
            self.on_handover(news)

    # -- the picture's parts --------------------------------------------------------------------

    def _rename(self, channel: Channel, name: str) -> None:
        if self._names.get(channel.name) == channel.uniqueid:
            del self._names[channel.name]
        channel.name = name
        self._names[name] = channel.uniqueid

    def _tie(self, channel: Channel, linkedid: str, account: str) -> None:
        self._linked.move(channel.uniqueid, channel.linkedid, linkedid)
        self._accounts.move(channel.uniqueid, channel.account, account)
        channel.linkedid, channel.account = linkedid, account
        if channel.uniqueid in self._citizens or self.directory.is_citizen(channel):
            channel.role, channel.party = "citizen", channel.caller
            self._citizens.setdefault(channel.uniqueid, None)
        elif not channel.told:
            channel.role, channel.party = self.directory.of_device(channel)
            for caller in self._accounts.get(account):
                running = self._citizens.get(caller)
                if running is not None and self.directory.rings(running.desk, channel):
                    self._tell(channel, running.desk)

    def _tell(self, channel: Channel, party: str) -> None:
        if party and channel.uniqueid not in self._citizens:
            channel.role, channel.party = self.directory.of_party(party)
            channel.told = True

    def _put_in_bridge(self, channel: Channel, bridge: str) -> None:
        self._bridges.move(channel.uniqueid, channel.bridge, bridge)
        channel.bridge = bridge

    def _forget(self, channel: Channel) -> None:
        self._put_in_bridge(channel, "")
        self._linked.move(channel.uniqueid, channel.linkedid, "")
        self._accounts.move(channel.uniqueid, channel.account, "")
        self._citizens.pop(channel.uniqueid, None)
        if self._names.get(channel.name) == channel.uniqueid:
            del self._names[channel.name]
        del self._channels[channel.uniqueid]

    def _others_in_bridge(self, channel: Channel) -> list[Channel]:
        inside = (self._channels[one] for one in self._bridges.get(channel.bridge))
        return [one for one in inside if one is not channel and one.real]

    def _tied(self, channel: Channel) -> Iterator[str]:
        """The channel itself, and what shares its bridge, its case or its linkedid."""
        yield channel.uniqueid
        yield from self._bridges.get(channel.bridge)
        yield from self._accounts.get(channel.account)
        yield from self._linked.get(channel.linkedid)

    def _citizens_of(self, channel: Channel) -> Iterator[str]:
        return (one for one in self._tied(channel) if one in self._citizens)

    def _citizen_of(self, channel: Channel) -> Channel | None:
        return next((self._channels[one] for one in self._citizens_of(channel)), None)

    def _call(self, citizen: Channel) -> Call:
        others = self._others_in_bridge(citizen)
        parties = {citizen.uniqueid: citizen} | {one.uniqueid: one for one in others}
        for uniqueid in (
            *self._accounts.get(citizen.account),
            *self._linked.get(citizen.linkedid),
        ):
            channel = self._channels[uniqueid]
            # A citizen with a call of their own is no party of this one, whatever links them.
            if channel.real and uniqueid not in self._citizens:
                parties.setdefault(uniqueid, channel)
        handover = self._citizens[citizen.uniqueid]
        return Call(
            id=citizen.uniqueid,
            case=citizen.account,
            state=state_of(citizen, others, list(parties.values()), handover),
            citizen=citizen,
            parties=tuple(parties.values()),
            handover=handover,
        )

    def _call_without_citizen(self, channels: list[Channel]) -> Call:
        first = min(channels, key=lambda channel: (channel.started, channel.uniqueid))
        bridged = sum(1 for channel in channels if channel.bridge)
        ringing: State = "queued" if first.queue else "ringing"
        state: State = "three-way" if bridged > 2 else "talking" if bridged == 2 else ringing
        return Call(first.uniqueid, first.account, state, None, tuple(channels))
