"""Who is signed in and what they are doing, and who waits in the queue: from AMI events.

The one place to read agents' states. ``service.live_agents.agents()`` lists every agent of the
settings (signed out ones too) and every other member of a queue; ``service.live_agents.queues()``
the callers who wait. Built by ``QueueStatus`` at every link-up and kept by the queue events in
:data:`EVENTS`; without a link there is no picture (:class:`PbxUnavailable`), because a stale one
would send calls to people who have gone.

Whoever signs an agent in or lets them rest need not tell this module: the PBX's events do, whether
it was done by a code on the phone, over HTTP or at the PBX's console.
Source: https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Events/
(QueueMemberStatus and its neighbours).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from telephony.live.picture import LivePicture
from telephony.pbx import QueueNow, known

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.pbx import Pbx
    from telephony.settings import Agent, Settings

MEMBER = frozenset({"QueueMemberStatus", "QueueMemberPause", "QueueMemberAdded"})
"""Events that carry the whole of a membership."""
CALLER = frozenset({"QueueCallerJoin", "QueueCallerLeave"})
"""A caller who gives up is told twice: ``QueueCallerAbandon``, then ``QueueCallerLeave``."""
EVENTS = MEMBER | CALLER | {"QueueMemberRemoved", "QueueCallerAbandon"}
"""All events of this picture: what the AMI link must let through."""

AgentState = Literal["signed-out", "ready", "ringing", "talking", "paused", "away"]

_PHONE: dict[int, AgentState] = {
    2: "talking",  # in use
    3: "talking",  # busy
    4: "away",  # no such device
    5: "away",  # not registered
    6: "ringing",
    7: "talking",  # in use, and another call rings
    8: "talking",  # holds its call
}
"""Device states of Asterisk; 0 (unknown) and 1 (not in use) are phones that can be rung."""


@dataclass(frozen=True, slots=True)
class AgentNow:
    """An agent and what they are doing.

    ``state`` is what the phone does while it does something (``ringing``, ``talking``), else
    ``paused``, ``away`` (signed in, but the phone is not there) or ``ready``. Who rests and
    telephones meanwhile is ``talking`` with ``paused`` true. ``since`` is when this state began, in
    seconds since 1970; None when it began before we looked and the PBX does not say.
    """

    id: str
    name: str
    department: str
    interface: str
    state: AgentState
    since: float | None
    signed_in: bool
    paused: bool
    reason: str
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitingCaller:
    """A caller in a queue; position 1 is next; ``since`` in seconds since 1970."""

    uniqueid: str
    channel: str
    caller: str
    position: int
    since: float


@dataclass(frozen=True, slots=True)
class QueueState:
    """Who waits in one queue, the next one first."""

    name: str
    callers: tuple[WaitingCaller, ...]


@dataclass(slots=True)
class _Member:
    """A device in one queue."""

    name: str
    status: int
    paused: bool
    reason: str


@dataclass(slots=True)
class _Caller:
    uniqueid: str
    channel: str
    caller: str
    since: float


class LiveAgents(LivePicture[QueueNow]):
    """The agents and the waiting callers of one PBX.

    ``clock`` gives seconds since 1970.
    """

    def __init__(
        self, pbx: Pbx, settings: Settings, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._known = list(settings.agents)
        self._by_device = {dial: agent for agent in settings.agents for dial in agent.dials}
        self.on_agent: Callable[[str], None] = lambda interface: None
        """Called with the device of an agent whose state may have changed."""
        self.on_queue: Callable[[str], None] = lambda queue: None
        """Called with the name of a queue whose callers have changed."""
        super().__init__(pbx, EVENTS, "agents")

    # -- what is asked --------------------------------------------------------------------------

    def agents(self) -> list[AgentNow]:
        """All agents of the settings, then other members of queues; raises PbxUnavailable."""
        self._need_picture()
        others = [device for device in self._members if device not in self._by_device]
        return [self._agent(device) for device in (*map(self.device_of, self._known), *others)]

    def agent(self, agent_id: str) -> AgentNow | None:
        """The agent with this id, or None; raises PbxUnavailable."""
        return next((one for one in self.agents() if one.id == agent_id), None)

    def by_device(self, interface: str) -> AgentNow | None:
        """The agent with this device; None for one who is neither in the settings nor a member."""
        self._need_picture()
        if interface not in self._by_device and interface not in self._members:
            return None
        agent = self._by_device.get(interface)
        return self._agent(self.device_of(agent) if agent else interface)

    def device_of(self, agent: Agent) -> str:
        """The device an agent of the settings works with: the one they are signed in with, of
        several the one that is busy; the desk phone while they are signed out."""
        members = [dial for dial in agent.dials if dial in self._members]
        busy = [dial for dial in members if self._state(dial) in ("talking", "ringing")]
        return next(iter(busy or members), agent.dial)

    def main_device(self, interface: str) -> str:
        """The device that stands for an agent with several, whichever they work with."""
        agent = self._by_device.get(interface)
        return agent.dial if agent else interface

    def queues(self) -> list[QueueState]:
        """All queues in which somebody waits or is signed in; raises PbxUnavailable."""
        self._need_picture()
        return [self.queue(name) for name in self._callers]

    def queue(self, name: str) -> QueueState:
        """Who waits in a queue; nobody in one that is not known."""
        self._need_picture()
        waiting = enumerate(self._callers.get(name, ()), 1)
        return QueueState(
            name,
            tuple(
                WaitingCaller(one.uniqueid, one.channel, one.caller, position, one.since)
                for position, one in waiting
            ),
        )

    # -- how the picture is kept ----------------------------------------------------------------

    async def _ask(self) -> QueueNow:
        return await self._pbx.queues()

    def _clear(self) -> None:
        # By device, then by queue: an agent may be in several.
        self._members: dict[str, dict[str, _Member]] = {}
        self._callers: dict[str, list[_Caller]] = {}
        self._since: dict[str, tuple[AgentState, float | None]] = {}

    def _take(self, answer: QueueNow) -> None:
        for member in answer.members:
            self._callers.setdefault(member.queue, [])
            queues = self._members.setdefault(member.interface, {})
            queues[member.queue] = _Member(member.name, member.status, member.paused, member.reason)
            state = self._state(member.interface)
            # A ready agent's last call may have been none of the queue's: nobody knows since when.
            since = member.last_pause if state == "paused" else 0
            self._since[member.interface] = (state, float(since) or None)
        now_s = self._clock()
        for caller in sorted(answer.callers, key=lambda one: (one.queue, one.position)):
            waiting = _Caller(caller.uniqueid, caller.channel, caller.caller, now_s - caller.wait_s)
            self._callers.setdefault(caller.queue, []).append(waiting)

    def _apply(self, event: Event) -> None:
        queue = event.get("Queue")
        if event.name in CALLER:
            self._callers.setdefault(queue, [])
            if event.name == "QueueCallerJoin":
                self._join(queue, event)
            else:
                self._leave(queue, event.get("Uniqueid"))
            return
        if event.name == "QueueCallerAbandon":
            return  # the Leave that follows says the same
        device = event.get("Interface")
        if event.name == "QueueMemberRemoved":
            self._members.get(device, {}).pop(queue, None)
            if not self._members.get(device):
                self._members.pop(device, None)
        else:
            self._callers.setdefault(queue, [])
            self._members.setdefault(device, {})[queue] = _member(event)
        self._note_since(device)
        self.on_agent(device)

    def _join(self, queue: str, event: Event) -> None:
        callers, uniqueid = self._callers[queue], event.get("Uniqueid")
        if any(one.uniqueid == uniqueid for one in callers):
            return
        position = _int(event.get("Position"))
        number = known(event.get("CallerIDNum"))
        caller = _Caller(uniqueid, event.get("Channel"), number, self._clock())
        # Who comes back goes before those who came later: the position says where.
        callers.insert(position - 1 if position else len(callers), caller)
        self.on_queue(queue)

    def _leave(self, queue: str, uniqueid: str) -> None:
        self._callers[queue] = [one for one in self._callers[queue] if one.uniqueid != uniqueid]
        self.on_queue(queue)

    def _note_since(self, device: str) -> None:
        state = self._state(device)
        if self._since.get(device, (None, None))[0] != state:
            self._since[device] = (state, self._clock())
        if state == "signed-out" and device not in self._by_device:
            self._since.pop(device, None)

    # -- the picture's parts --------------------------------------------------------------------

    def _state(self, device: str) -> AgentState:
        members = self._members.get(device)
        if not members:
            return "signed-out"
        one = next(iter(members.values()))
        doing = _PHONE.get(one.status)
        if doing in ("talking", "ringing"):
            return doing
        if all(member.paused for member in members.values()):
            return "paused"
        return doing or "ready"

    def _agent(self, device: str) -> AgentNow:
        members = self._members.get(device, {})
        known_agent = self._by_device.get(device)
        first = next(iter(members.values()), None)
        paused = bool(members) and all(member.paused for member in members.values())
        return AgentNow(
            id=known_agent.id if known_agent else (first.name if first else device),
            name=known_agent.name if known_agent else "",
            department=known_agent.department if known_agent else "",
            interface=device,
            state=self._state(device),
            since=self._since.get(device, ("", None))[1],
            signed_in=bool(members),
            paused=paused,
            reason=next((one.reason for one in members.values() if one.paused), "")
            if paused
            else "",
            queues=tuple(sorted(members)),
        )


def _member(event: Event) -> _Member:
    return _Member(
        name=event.get("MemberName"),
        status=_int(event.get("Status")),
        paused=event.get("Paused") == "1",
        reason=event.get("PausedReason"),
    )


def _int(value: str) -> int:
    return int(value) if value.isdecimal() else 0
