"""Agents: sign in and out, rest and go on, and what each of them is doing.

All of it can be done by a code on the phone as well, without this service
(``dialplans/extensions/agents.conf.j2``); both act on the PBX's queue, which remembers members,
pauses and reasons over a restart. Time after a call (整理时间) is a pause with the reason
:data:`WRAP_UP` that the dialplan begins and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from telephony.errors import (
    AgentNotFound,
    AgentNotPaused,
    AgentPaused,
    AgentSignedIn,
    AgentSignedOut,
    PauseReasonNotFound,
    PbxRefused,
    PbxTimeout,
    WrongState,
)
from telephony.live.agents import AgentNow
from telephony.settings import TIME_ZONE

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.live.agents import LiveAgents
    from telephony.pbx import Pbx
    from telephony.settings import Agent, Settings

QUEUE = "hotline"
WRAP_UP = "wrap-up"
"""The reason of the pause after a call, and the state it makes."""
WRAP_UPS, TAKEN = "hotline-wrap-up", "hotline-taken"
"""AstDB: the wrap-ups that run, and ``YYYYMMDD:number`` of calls taken, both by agent."""
TOLD_LIMIT_S = 2.0
"""How long the PBX may take to say that a member has changed; it takes a few milliseconds."""

State = Literal["signed-out", "ready", "ringing", "talking", "paused", "wrap-up", "away"]

Phone = Literal["desk", "browser"]
"""What rings for an agent: the telephone on the desk, or the page in the browser."""

_CHANGES = frozenset({"QueueMemberAdded", "QueueMemberRemoved", "QueueMemberPause"})


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An agent and what they are doing, for people.

    ``since`` and ``until`` (the end of a wrap-up) in seconds since 1970, None where not known;
    ``reason`` is a code of the settings, with its names; ``taken`` counts today's calls.
    """

    id: str
    name: str
    department: str
    state: State
    since: float | None
    until: float | None
    signed_in: bool
    paused: bool
    reason: str | None
    reason_zh: str | None
    reason_en: str | None
    taken: int
    phone: Phone | None = None
    """With which phone they are signed in."""


class Agents:
    """The agents of the settings on one PBX.

    Every method raises :class:`AgentNotFound` for an extension that is no agent's, and
    :class:`PbxUnavailable` without a link.
    """

    def __init__(self, pbx: Pbx, live: LiveAgents, settings: Settings) -> None:
        self._pbx = pbx
        self._live = live
        self._settings = settings
        self._reasons = {reason.code: reason for reason in settings.pause_reasons}

    async def states(self) -> list[AgentStatus]:
        """All agents of the settings, signed in or not."""
        taken = await self._taken()
        return [self._status(self._now(agent), taken) for agent in self._settings.agents]

    async def state(self, agent_id: str) -> AgentStatus:
        """One agent."""
        agent = self._agent(agent_id)
        return self._status(self._now(agent), await self._taken())

    async def sign_in(self, agent_id: str, phone: Phone = "desk") -> AgentStatus:
        """Let calls ring at this agent's desk phone or browser; raises :class:`AgentSignedIn`.

        Who is signed in with the other phone changes over to this one, a pause goes with them.
        Raises :class:`WrongState` for an agent who has no phone in the browser.
        """
        agent = self._agent(agent_id)
        device = agent.browser_dial if phone == "browser" else agent.dial
        if device is None:
            raise WrongState(f"agent {agent_id} has no phone in the browser (browser_password)")
        signed_in = AgentSignedIn(f"agent {agent_id} is signed in already")
        now = self._now(agent)
        if now.signed_in and now.interface == device:
            raise signed_in
        with self._told(agent) as told:
            try:
                await self._pbx.queue_add(QUEUE, device, agent.id)
                if now.signed_in:
                    await self._change_over(agent, now, device)
            except PbxRefused as error:
                if await self._is_member(agent):  # by the code on the phone, in this moment
                    raise signed_in from error
                raise
            await self._until(told)
        return await self.state(agent_id)

    async def sign_out(self, agent_id: str) -> AgentStatus:
        """No call rings at this agent any more; a call in progress goes on.

        Raises :class:`AgentSignedOut`.
        """
        agent = self._member(agent_id)
        with self._told(agent) as told:
            await self._pbx.db_del(WRAP_UPS, agent_id)
            try:
                await self._pbx.queue_remove(QUEUE, self._live.device_of(agent))
            except PbxRefused as error:
                if not await self._is_member(agent):
                    raise _signed_out(agent_id) from error
                raise
            await self._until(told)
        return await self.state(agent_id)

    async def pause(self, agent_id: str, reason: str) -> AgentStatus:
        """Let an agent rest for a reason of the settings (its code); another reason replaces it.

        A call in progress goes on; a wrap-up becomes the pause. Raises :class:`AgentSignedOut`,
        :class:`AgentPaused` and :class:`PauseReasonNotFound`.
        """
        agent = self._agent(agent_id)
        if reason not in self._reasons:
            known = ", ".join(f"{one.code} {one.zh} {one.en}" for one in self._reasons.values())
            raise PauseReasonNotFound(f"no pause reason {reason!r}; there are: {known}")
        self._member(agent_id)
        now = self._now(agent)
        if now.paused and now.reason == reason:
            raise AgentPaused(f"agent {agent_id} is paused for this reason already")
        await self._set_pause(agent, paused=True, reason=reason)
        return await self.state(agent_id)

    async def resume(self, agent_id: str) -> AgentStatus:
        """Calls ring again; ends a wrap-up early.

        Raises :class:`AgentSignedOut` and :class:`AgentNotPaused`.
        """
        agent = self._member(agent_id)
        if not self._now(agent).paused:
            raise AgentNotPaused(f"agent {agent_id} is not paused")
        await self._set_pause(agent, paused=False)
        return await self.state(agent_id)

    async def _change_over(self, agent: Agent, now: AgentNow, device: str) -> None:
        """From the phone they were signed in with; a wrap-up ends, a pause stays one."""
        if now.paused:
            await self._pbx.db_del(WRAP_UPS, agent.id)
            if now.reason in self._reasons:
                await self._pbx.queue_pause(QUEUE, device, paused=True, reason=now.reason)
        await self._pbx.queue_remove(QUEUE, now.interface)

    async def _set_pause(self, agent: Agent, *, paused: bool, reason: str = "") -> None:
        with self._told(agent) as told:
            # First the mark: the wrap-up's timer then changes nothing any more.
            await self._pbx.db_del(WRAP_UPS, agent.id)
            try:
                device = self._live.device_of(agent)
                await self._pbx.queue_pause(QUEUE, device, paused=paused, reason=reason)
            except PbxRefused as error:
                if not await self._is_member(agent):  # signed out in this moment
                    raise _signed_out(agent.id) from error
                raise
            await self._until(told)

    # -- what the PBX says ----------------------------------------------------------------------

    @contextmanager
    def _told(self, agent: Agent) -> Iterator[asyncio.Event]:
        """Set when the PBX has said that this member changed, so that what we answer is new."""
        told = asyncio.Event()

        def heard(event: Event) -> None:
            if event.get("Queue") == QUEUE and event.get("Interface") in agent.dials:
                told.set()

        stop = self._pbx.client.add_event_listener(heard, _CHANGES)
        try:
            yield told
        finally:
            stop()

    async def _until(self, told: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(TOLD_LIMIT_S):
                await told.wait()
        except TimeoutError:
            raise PbxTimeout(
                "the PBX took it but did not say that it is done; look at the agent's state"
            ) from None

    async def _is_member(self, agent: Agent) -> bool:
        members = (await self._pbx.queues(QUEUE)).members
        return any(member.interface in agent.dials for member in members)

    async def _taken(self) -> dict[str, int]:
        today = datetime.now(ZoneInfo(TIME_ZONE)).strftime("%Y%m%d")
        counted = {
            agent: value.partition(":")
            for agent, value in (await self._pbx.db_family(TAKEN)).items()
        }
        return {
            agent: int(number)
            for agent, (day, _, number) in counted.items()
            if day == today and number.isdecimal()
        }

    def _agent(self, agent_id: str) -> Agent:
        agent = self._settings.agent(agent_id)
        if agent is None:
            raise AgentNotFound(f"no agent {agent_id!r} in the settings")
        return agent

    def _member(self, agent_id: str) -> Agent:
        agent = self._agent(agent_id)
        if not self._now(agent).signed_in:
            raise _signed_out(agent_id)
        return agent

    def _now(self, agent: Agent) -> AgentNow:
        now = self._live.by_device(agent.dial)
        assert now is not None, "the live picture has every agent of the settings"
        return now

    def _status(self, now: AgentNow, taken: dict[str, int]) -> AgentStatus:
        wraps_up = now.paused and now.reason == WRAP_UP
        state: State = "wrap-up" if wraps_up and now.state == "paused" else now.state
        ends = state == "wrap-up" and now.since is not None
        reason = self._reasons.get(now.reason)
        return AgentStatus(
            id=now.id,
            name=now.name,
            department=now.department,
            state=state,
            since=now.since,
            until=(now.since or 0) + self._settings.line.wrapup_s if ends else None,
            signed_in=now.signed_in,
            paused=now.paused and not wraps_up,
            reason=(now.reason or None) if now.paused and not wraps_up else None,
            reason_zh=reason.zh if reason else None,
            reason_en=reason.en if reason else None,
            taken=taken.get(now.id, 0),
            phone=("browser" if now.interface.endswith("-web") else "desk")
            if now.signed_in
            else None,
        )


def _signed_out(agent_id: str) -> AgentSignedOut:
    return AgentSignedOut(f"agent {agent_id} is not signed in; sign in first")
