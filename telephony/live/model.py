"""What the live picture is made of: channels, calls, running hand-overs, and whose device is whose.

No AMI here: :mod:`telephony.live_calls` fills these from events.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from telephony.settings import Settings

State = Literal[
    "queued",
    "ringing",
    "talking",
    "held",
    "parked",
    "handing-over",
    "three-way",
    "message",
    "survey",
]
Role = Literal["citizen", "agent", "target", "supervisor", "mailbox", "other"]

MESSAGE_CONTEXT = "hotline-message"
"""Where our dialplan takes messages."""
SURVEY_CONTEXT = "hotline-survey"
"""Where it asks citizens, after the call, whether they were content."""
ASIDE: dict[str, State] = {"hotline-hold": "held", "hotline-park": "parked"}
"""Where our dialplan puts citizens aside."""
MACHINERY = ("Local/", "CBAnn/", "CBRec/", "Message/", "Announcer/", "Recorder/", "Surrogate/")
"""Channels that Asterisk makes for its own use: nobody speaks on them."""


@dataclass(slots=True)
class Channel:
    """One channel on the PBX: one device's connection."""

    uniqueid: str
    name: str
    linkedid: str = ""
    state: str = ""
    context: str = ""
    exten: str = ""
    account: str = ""
    caller: str = ""
    caller_name: str = ""
    connected: str = ""
    bridge: str = ""
    queue: str = ""
    held: bool = False
    role: Role = "other"
    party: str = ""
    handed_over_by: str = ""
    """Of a citizen's channel: the side that handed the call over to us, before anybody of ours."""
    their_case: str = ""
    """Its case number with that side."""
    told: bool = False
    """Whether the dialplan said whose leg this is, which goes before the device's name."""

    @property
    def endpoint(self) -> str:
        """The channel's device: ``PJSIP/8001`` of ``PJSIP/8001-0000000a``."""
        return self.name.rpartition("-")[0] or self.name

    @property
    def real(self) -> bool:
        """Whether a party of a call is at the other end: no supervisor who listens to one, and not
        a helper of Asterisk's own."""
        return self.role != "supervisor" and not self.name.startswith(MACHINERY)

    @property
    def started(self) -> float:
        """When the channel was made: seconds since 1970, from its uniqueid; 0 when not there."""
        head = self.uniqueid.rpartition(".")[0].rpartition("-")[2]
        return float(head) if head.isdecimal() else 0.0


@dataclass(frozen=True, slots=True)
class RunningHandover:
    """A hand-over that has been offered and not taken, refused or given back yet."""

    id: str
    desk: str
    by: str
    kind: str
    reason: str = ""
    state: str = "offered"
    """``offered`` while the desk rings, ``answered`` while it is asked or has yet to confirm."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call in progress: a citizen and whoever is on the line with them or being rung.

    ``id`` is the citizen's channel (its uniqueid), in a call without a citizen that of the first
    channel.
    """

    id: str
    case: str
    state: State
    citizen: Channel | None
    parties: tuple[Channel, ...]
    handover: RunningHandover | None = None

    @property
    def started(self) -> float:
        """When the call began, in seconds since 1970."""
        return min((channel.started for channel in self.parties), default=0.0)


@dataclass(slots=True)
class Index:
    """Uniqueids by some value of their channel, in the order they came; empty sets go at once."""

    ids: defaultdict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def move(self, uniqueid: str, old: str, new: str) -> None:
        """A channel's value has changed; "" is no value."""
        if old == new:
            return
        if old and old in self.ids:
            self.ids[old].pop(uniqueid, None)
            if not self.ids[old]:
                del self.ids[old]
        if new:
            self.ids[new][uniqueid] = None

    def get(self, key: str) -> tuple[str, ...]:
        """The channels with this value."""
        return tuple(self.ids.get(key, ())) if key else ()


class Directory:
    """Whose device a channel is, from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._trunk = settings.trunk_context
        self._outside = settings.outside_number
        self._agents = {agent.id for agent in settings.agents}
        self._desks = {
            desk.id: frozenset(devices(desk.dial) + devices(desk.dial_backup or ""))
            for desk in settings.desks
        }
        self._members = {group.id: frozenset(group.members) for group in settings.groups}
        self._devices = self._desks | {
            one.id: frozenset(devices("&".join(one.dials))) for one in settings.agents
        }
        self._parties: dict[str, tuple[Role, str]] = {}
        for device in frozenset().union(*self._desks.values()):
            # A desk's own device stays its own when a ring-all desk rings it too; desks behind one
            # trunk cannot be told apart by it.
            own = [desk.id for desk in settings.desks if desk.dial == device]
            ringing = own or [desk for desk, theirs in self._desks.items() if device in theirs]
            self._parties[device] = ("target", ringing[0] if len(ringing) == 1 else "")
        for agent in settings.agents:
            for device in devices("&".join(agent.dials)):
                self._parties[device] = ("agent", agent.id)
        for one in settings.supervisors:
            for device in devices(one.dial):
                self._parties.setdefault(device, ("supervisor", one.id))

    def is_citizen(self, channel: Channel) -> bool:
        """Whether a channel came in on our line (not out by the same trunk), or opened a case."""
        came_in = channel.context == self._trunk and channel.state == "Ring"
        return channel.real and (came_in or channel.account.endswith(f"-{channel.uniqueid}"))

    def of_device(self, channel: Channel) -> tuple[Role, str]:
        """Role and party of a channel that is not a citizen's, by its device."""
        return self._parties.get(channel.endpoint, ("other", ""))

    def rings(self, desk: str, channel: Channel) -> bool:
        """Whether a desk is called on this channel's device."""
        found = self._outside(desk) if desk not in self._desks else None
        dial = found.dial_for(desk) if found is not None else ""
        return channel.endpoint in self._desks.get(desk, devices(dial))

    def members(self, target: str) -> frozenset[str]:
        """The agents and desks that a group is made of; nobody for what is no group."""
        return self._members.get(target, frozenset())

    def is_phone_of(self, party: str, channel: Channel) -> bool:
        """Whether this channel's device is that agent's or desk's."""
        return channel.endpoint in self._devices.get(party, ())

    def of_party(self, party: str) -> tuple[Role, str]:
        """Role and party of somebody the dialplan names: an agent, else a desk."""
        return ("agent" if party in self._agents else "target"), party


def devices(dial: str) -> list[str]:
    """The devices of a dial string, as channel names begin: ``PJSIP/1@trunk`` is ``PJSIP/trunk``.

    >>> devices("PJSIP/110@police&PJSIP/111")
    ['PJSIP/police', 'PJSIP/111']
    """
    found = []
    for part in filter(None, dial.split("&")):
        tech, _, rest = part.partition("/")
        number, at, trunk = rest.partition("@")
        found.append(f"{tech}/{trunk.partition('/')[0] if at else number.partition('/')[0]}")
    return found


def state_of(
    citizen: Channel,
    others: list[Channel],
    parties: list[Channel],
    handover: RunningHandover | None,
) -> State:
    """What a citizen's call is doing, in one word.

    ``others`` are in the citizen's bridge, ``parties`` are all who belong to the call.
    """
    if handover is not None:
        return "handing-over"
    if others:
        return "three-way" if len(others) > 1 else "talking"
    if citizen.context in ASIDE:
        return ASIDE[citizen.context]
    if any(one is not citizen for one in parties):
        return "ringing"
    if citizen.context == SURVEY_CONTEXT:
        return "survey"
    return "message" if citizen.context == MESSAGE_CONTEXT else "queued"
