"""Putting a citizen aside: hold and resume, park and fetch.

A phone's own hold needs none of this. What is done here is done to the citizen's channel, in the
dialplan (``hotline-aside``): the citizen hears music, and whatever becomes of the agent's leg or of
this service, goes on to the agent's phone, the queue, and voicemail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from telephony.errors import (
    AgentNotFound,
    NotAllowed,
    PbxRefused,
    PbxTimeout,
    WrongState,
)
from telephony.pbx import Ask, ask_originate, ask_redirect, ask_set_var

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.handover import Offers
    from telephony.live.model import Call
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx
    from telephony.settings import Agent, Settings

EVENTS = frozenset({"UserEvent"})
"""All events that this needs: what the AMI link must let through."""
TOLD_LIMIT_S = 2.0
"""How long the dialplan may take to say what it did; it takes a few milliseconds."""
NOBODY = "-"
ASIDE = "SHARED(ASIDE)"


class NoPlaceFree(WrongState):
    """Every parking place is taken; citizen and agent are together again."""

    code = "no-place-free"
    title = "No parking place is free"


@dataclass(frozen=True, slots=True)
class Aside:
    """A citizen put aside or taken back; ``slot`` is the place where one is parked."""

    call: str
    case: str
    by: str
    state: str
    slot: str | None = None


class Asides:
    """Hold, resume, park and fetch, asked for over HTTP."""

    def __init__(
        self,
        offers: Offers,
        calls: LiveCalls,
        settings: Settings,
        device_of: Callable[[Agent], str] = lambda agent: agent.dial,
    ) -> None:
        """``device_of`` says which of their devices an agent works with now."""
        self._device_of = device_of
        self._offers = offers
        self._pbx: Pbx = offers.pbx
        self._calls = calls
        self._settings = settings
        self._told: dict[str, asyncio.Future[tuple[str, dict[str, str]]]] = {}
        self._stop_listening = self._pbx.client.add_event_listener(self._on_event, EVENTS)

    def close(self) -> None:
        """Stop listening."""
        self._stop_listening()

    async def hold(self, call_id: str, *, agent: str | None = None) -> Aside:
        """The citizen hears music; the agent's leg waits (with music) to be together again.

        ``agent`` limits it to calls of this agent. If the agent's leg ends, the agent's phone
        rings, then the queue has the citizen. Raises :class:`CallNotFound`, :class:`WrongState`,
        :class:`HandoverRunning`, :class:`NotAllowed`, :class:`PbxUnavailable`; the citizen has not
        been touched then.
        """
        return await self._put("hold", "held", call_id, agent)

    async def park(self, call_id: str, *, agent: str | None = None) -> Aside:
        """The citizen waits on a numbered place; the agent is told it and is free.

        Raises :class:`NoPlaceFree` and what :meth:`hold` raises.
        """
        return await self._put("park", "parked", call_id, agent)

    async def resume(self, call_id: str, *, agent: str | None = None) -> Aside:
        """Agent and citizen talk again after :meth:`hold`; raises what :meth:`hold` raises."""
        call = self._in_state(call_id, "held")
        assert call.citizen is not None
        _, party, _ = (await self._pbx.get_var(call.citizen.name, ASIDE) + "||").split("|", 2)
        if not party:  # whom they would talk with again is not known any more
            raise WrongState(f"call {call.id} is not held any more")
        if agent is not None and party != agent:
            raise NotAllowed(f"call {call.id} is held by {party}")
        with self._telling(call.case) as told, self._offers.offer(call.id):
            await self._send(call, ask_redirect(call.citizen.name, "hotline-resume", "s"))
            await self._said(told)
        return Aside(call.id, call.case, party, "talking")

    async def fetch(self, call_id: str, who: str) -> Aside:
        """Ring the phone of an agent or desk; when it answers, it has the parked citizen.

        Returns when the phone is being called. Not answered, the citizen stays parked. Raises
        :class:`AgentNotFound` for somebody who is not in the settings, and what :meth:`hold`
        raises.
        """
        dial, ring_s = self._phone_of(who)
        call = self._in_state(call_id, "parked")
        assert call.citizen is not None
        slot = await self._pbx.get_var(call.citizen.name, "SHARED(SLOT)")
        if not slot:
            raise WrongState(f"call {call.id} is not parked any more")
        await self._there("hotline-fetch")
        called = await self._pbx.get_var(call.citizen.name, "LINE")
        name = self._settings.line_called(called).name
        await self._pbx.ask(
            ask_originate(
                dial,
                "hotline-fetch",
                "s",
                caller_id=f'"{name}" <{call.citizen.caller}>',
                variables={"PARTY": who, "SLOT": slot, "FETCHED": call.citizen.name},
                ring_s=ring_s,
            )
        )
        return Aside(call.id, call.case, who, "parked", slot)

    # -- how ------------------------------------------------------------------------------------

    async def _put(self, kind: str, state: str, call_id: str, agent: str | None) -> Aside:
        pressed = self._offers.press(call_id, NOBODY, agent)
        call, party = pressed.call, pressed.agent.party
        mark = ask_set_var(pressed.citizen.name, ASIDE, f"{kind}|{party}|{pressed.agent.name}")
        move = ask_redirect(pressed.citizen.name, "hotline-aside", "s")
        with self._telling(call.case) as told, self._offers.offer(call.id):
            await self._there("hotline-aside")
            await self._send(call, mark, move)
            said, fact = await self._said(told)
        if said == "HOTLINE_NOT_PARKED":
            raise NoPlaceFree("every parking place is taken; citizen and agent talk on")
        return Aside(call.id, call.case, party, state, fact.get("slot"))

    async def _send(self, call: Call, *asks: Ask) -> None:
        assert call.citizen is not None
        try:
            await self._pbx.together(*asks)
        except PbxRefused as error:
            if await self._pbx.get_var(None, f"CHANNEL_EXISTS({call.citizen.name})") != "1":
                raise WrongState(f"the citizen of call {call.id} has hung up") from error
            # Nothing of this may be left: it would be in the way of the next time.
            await self._pbx.set_var(call.citizen.name, ASIDE, "")
            raise WrongState(f"call {call.id} changed just now: {error.detail}") from error

    def _in_state(self, call_id: str, state: str) -> Call:
        call = self._calls.call(call_id)
        if call.citizen is None or call.state != state:
            raise WrongState(f"call {call.id} is not {state} but {call.state}")
        return call

    def _phone_of(self, who: str) -> tuple[str, int]:
        agent = self._settings.agent(who)
        if agent is not None:
            return self._device_of(agent), self._settings.line.agent_ring_s
        for desk in self._settings.desks:
            if desk.id == who:
                return desk.dial, desk.ring_s
        raise AgentNotFound(f"no agent and no desk {who!r} in the settings")

    async def _there(self, context: str) -> None:
        # Asterisk answers Success to a Redirect into nothing, and the caller is lost then.
        if not await self._pbx.extension_exists(context, "s"):
            raise WrongState(f"the PBX has no {context}; load our dialplan there again")

    @contextmanager
    def _telling(self, case: str) -> Iterator[asyncio.Future[tuple[str, dict[str, str]]]]:
        if case in self._told:
            raise WrongState("this call is being put aside or taken back in this moment")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[str, dict[str, str]]] = loop.create_future()
        self._told[case] = future
        try:
            yield future
        finally:
            del self._told[case]
            future.cancel()

    async def _said(
        self, future: asyncio.Future[tuple[str, dict[str, str]]]
    ) -> tuple[str, dict[str, str]]:
        try:
            async with asyncio.timeout(TOLD_LIMIT_S):
                return await future
        except TimeoutError:
            raise PbxTimeout("the PBX did not say what it did; look at the call") from None

    def _on_event(self, event: Event) -> None:
        kind = event.get("Kind")
        if event.get("UserEvent") != "Hotline" or kind not in _SAID:
            return
        fact = dict(parse_qsl(str(event.get("Facts") or "")))
        future = self._told.get(fact.get("case", ""))
        if future is not None and not future.done():
            future.set_result((kind, fact))


_SAID = frozenset(
    {"HOTLINE_HOLD", "HOTLINE_UNHOLD", "HOTLINE_PARKED", "HOTLINE_NOT_PARKED", "HOTLINE_FETCHED"}
)
