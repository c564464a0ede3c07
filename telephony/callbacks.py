"""Calling a citizen back (回拨): the agent's phone rings first, then the citizen's.

The dialplan (``hotline-callback``) calls the citizen, who sees the hotline's number, and joins the
two as a call like any other: keys, hand-overs and the record work in it. What came of it is a fact
on record, ``HOTLINE_CALLBACK_ENDED``; this module tells it to whoever asked for the call.

| fact           | values                                                     |
| -------------- | ---------------------------------------------------------- |
| CALLBACK       | id, case, line, number, agent, by (the agent's leg), citizen (the leg called) |
| CALLBACK_ENDED | id, case, number, agent, by, outcome, cause, citizen (when reached) |
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from telephony.errors import (
    AgentBusy,
    AgentNotFound,
    CallbackNotFound,
    CallbacksOff,
    InvalidValue,
    NumberNotAllowed,
)
from telephony.live.model import devices
from telephony.pbx import ask_originate
from telephony.settings import TIME_ZONE

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx
    from telephony.settings import Agent, Settings

EVENTS = frozenset({"UserEvent", "OriginateResponse", "Hangup"})
"""All events that callbacks need: what the AMI link must let through."""
CONTEXT = "hotline-callback"
REMEMBERED = 1000
"""How many callbacks this process can be asked about; all of them are on record."""

Outcome = Literal[
    "reached",
    "busy",
    "declined",
    "unanswered",
    "failed",
    "agent-unanswered",
    "agent-busy",
    "agent-declined",
    "agent-unreachable",
    "agent-gone",
    "unknown",
]
State = Literal["agent-ringing", "ringing"] | Outcome

OUTCOMES: dict[str, Outcome] = {
    "reached": "reached",
    "busy": "busy",
    "declined": "declined",
    "unanswered": "unanswered",
    "failed": "failed",
    "agent_gone": "agent-gone",
}
"""What the dialplan notes, and how we call it."""
_AGENT: dict[str, Outcome] = {
    "17": "agent-busy",
    "18": "agent-unanswered",
    "19": "agent-unanswered",
    "21": "agent-declined",
}
"""Q.850 cause of an agent's leg that nobody answered."""
_NOT_ANSWERED = "3"
"""Reason of OriginateResponse: it rang to the end (AST_CONTROL_RINGING). A refusal has 0."""

_CASE = re.compile(r"\d{8}-[A-Za-z0-9_.-]{0,60}\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that has begun: ``agent`` calls ``number`` in ``case``.

    ``state`` is ``agent-ringing``, then ``ringing`` (at the citizen), then how it came out;
    ``unknown`` when the link to the PBX was lost meanwhile (the record knows). ``call`` is the
    citizen's channel, the call's id, once it exists.
    """

    id: str
    case: str
    number: str
    agent: str
    state: State = "agent-ringing"
    call: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is known how it came out."""
        return self.state not in ("agent-ringing", "ringing")


def as_dialled(number: str, country_code: str = "86") -> str:
    """A number as a trunk in its own country takes it.

    >>> as_dialled("+86 421-2800122"), as_dialled("138 0421 0001")
    ('04212800122', '13804210001')
    """
    plain = re.sub(r"[\s()-]", "", number)
    international = re.fullmatch(rf"(?:\+|00){country_code}([0-9]+)", plain)
    if international is None:
        return plain
    national = international[1]
    is_mobile = len(national) == 11 and national.startswith("1")
    return national if is_mobile else "0" + national


class Callbacks:
    """The callbacks of this process. ``clock`` gives seconds since 1970."""

    def __init__(
        self,
        pbx: Pbx,
        calls: LiveCalls,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        device_of: Callable[[Agent], str] = lambda agent: agent.dial,
    ) -> None:
        """``device_of`` says which of their devices an agent works with now."""
        self._device_of = device_of
        self._pbx = pbx
        self._calls = calls
        self._settings = settings
        self._clock = clock
        self._known: dict[str, Callback] = {}
        self._over: dict[str, asyncio.Future[Callback]] = {}
        self._stop_listening = pbx.client.add_event_listener(self._on_event, EVENTS)
        pbx.client.on_down(self._on_down)

    def close(self) -> None:
        """Stop listening; who waits for an outcome is told that it is not known."""
        self._stop_listening()
        self._on_down()

    def get(self, callback_id: str) -> Callback:
        """A callback as it stands; raises :class:`CallbackNotFound`."""
        found = self._known.get(callback_id)
        if found is None:
            raise CallbackNotFound(f"no callback {callback_id!r} is known here; see its case")
        return found

    def is_calling(self, number: str) -> bool:
        """Whether a callback to this number is under way, up to its outcome."""
        dialled = as_dialled(number, self._settings.line.country_code)
        return any(one.number == dialled for one in self._known.values() if not one.is_over)

    async def outcome(self, callback_id: str) -> Callback:
        """Wait until it is known how a callback came out; the two may still be talking then."""
        found = self.get(callback_id)
        return found if found.is_over else await asyncio.shield(self._over[callback_id])

    async def call_back(
        self, number: str, agent_id: str, *, case: str | None = None, line: str | None = None
    ) -> Callback:
        """Ring this agent, then this citizen; returns when the PBX has taken the order.

        ``case``: the case it belongs to; without one a new case begins. ``line``: the line that
        the citizen called, whose number they see; else the first line's. Before anybody's phone
        rings it raises :class:`CallbacksOff`, :class:`NumberNotAllowed`, :class:`AgentNotFound`,
        :class:`AgentBusy`, :class:`InvalidValue` (no case number) and :class:`PbxUnavailable`.
        """
        agent, dialled = self._agent(agent_id), self._number(number)
        if case is not None and not _CASE.fullmatch(case):
            raise InvalidValue(f"{case!r} is not a case number")
        self._need_free(agent)
        begun = self._begin(dialled, agent, case)
        try:
            await self._send(begun, agent, line)
        except BaseException:
            self._forget(begun.id)
            raise
        return self.get(begun.id)

    def _agent(self, agent_id: str) -> Agent:
        agent = self._settings.agent(agent_id)
        if agent is None:
            raise AgentNotFound(f"no agent {agent_id!r} in the settings")
        return agent

    def _number(self, number: str) -> str:
        if self._settings.callback.dial is None:
            raise CallbacksOff("callback.dial is not set: there is no trunk to call citizens by")
        dialled = as_dialled(number, self._settings.line.country_code)
        if not self._settings.callback.allows(dialled):
            raise NumberNotAllowed("the number is none of callback.numbers in the settings")
        return dialled

    def _need_free(self, agent: Agent) -> None:
        mine = devices("&".join(agent.dials))
        in_call = any(
            party.endpoint in mine for call in self._calls.calls() for party in call.parties
        )
        rings = any(one.agent == agent.id for one in self._known.values() if not one.is_over)
        if in_call or rings:
            raise AgentBusy(f"agent {agent.id} is in a call; call back after it")

    def _begin(self, number: str, agent: Agent, case: str | None) -> Callback:
        now = self._clock()
        # Not a uniqueid that a channel could have: the citizen's channel does not exist yet.
        own = f"{int(now)}.9{secrets.randbelow(10**9):09}"
        today = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(TIME_ZONE))
        begun = Callback(own.replace(".", ""), case or f"{today:%Y%m%d}-{own}", number, agent.id)
        self._known[begun.id] = begun
        self._over[begun.id] = asyncio.get_running_loop().create_future()
        for old in [one.id for one in self._known.values() if one.is_over][:-REMEMBERED]:
            self._forget(old)
        return begun

    async def _send(self, begun: Callback, agent: Agent, line: str | None) -> None:
        if not await self._pbx.extension_exists(f"{CONTEXT}-number", begun.number):
            raise NumberNotAllowed("the PBX does not allow this number; load our dialplan again")
        variables = {"NUMBER": begun.number, "CASE_ID": begun.case}
        for one in self._settings.every_line:
            if line and one.is_named(line):  # of a line that is no more, the first one's is shown
                variables["LINE"] = one.number
        order = ask_originate(
            self._device_of(agent),
            CONTEXT,
            begun.id,
            caller_id=f'"回拨" <{begun.number}>',
            account=begun.case,
            variables=variables,
            ring_s=self._settings.line.agent_ring_s,
        )
        await self._pbx.ask(order)

    def _forget(self, callback_id: str) -> None:
        del self._known[callback_id]
        self._over.pop(callback_id).cancel()

    def _on_down(self) -> None:
        for one in list(self._known.values()):
            if not one.is_over:
                self._change(replace(one, state="unknown"))

    def _on_event(self, event: Event) -> None:
        if event.name == "OriginateResponse":
            self._agent_not_reached(event)
            return
        if event.name == "Hangup":
            self._agent_gone(event)
            return
        kind = event.get("Kind")
        if event.get("UserEvent") != "Hotline" or not kind.startswith("HOTLINE_CALLBACK"):
            return
        fact = dict(parse_qsl(event.get("Facts")))
        begun = self._known.get(fact.get("id", ""))
        if begun is None:
            return
        call = fact.get("citizen") or begun.call
        if kind == "HOTLINE_CALLBACK":
            self._change(replace(begun, state="ringing", call=call))
        else:
            state = OUTCOMES.get(fact.get("outcome", ""), "failed")
            self._change(replace(begun, state=state, call=call))

    def _agent_not_reached(self, event: Event) -> None:
        begun = self._known.get(event.get("Exten"))
        if begun is None or event.get("Response") != "Failure":
            return
        if event.get("Reason") == _NOT_ANSWERED:
            self._change(replace(begun, state="agent-unanswered"))
        elif not any(
            party.account == begun.case and self._is_agents(begun, party.endpoint)
            for call in self._calls.calls()
            for party in call.parties
        ):
            self._change(replace(begun, state="agent-unreachable"))
        # Else the phone has refused, and the end of its channel, which says how, is on its way.

    def _agent_gone(self, event: Event) -> None:
        """An agent's leg that ended before the citizen was called.

        Unanswered, or answered and left before the dialplan had anything to note: nothing follows
        then, and an agent whose callback never ends could not call back any more.
        """
        answered = event.get("ChannelStateDesc") == "Up"
        case, device = event.get("AccountCode"), event.get("Channel").rpartition("-")[0]
        for begun in self._known.values():
            if begun.state == "agent-ringing" and begun.case == case:
                if self._is_agents(begun, device):
                    state = _AGENT.get(event.get("Cause"), "agent-unreachable")
                    state = "agent-gone" if answered else state
                    self._change(replace(begun, state=state))
                return

    def _is_agents(self, begun: Callback, device: str) -> bool:
        agent = self._settings.agent(begun.agent)
        return agent is not None and device in devices("&".join(agent.dials))

    def _change(self, changed: Callback) -> None:
        if self._known[changed.id].is_over:
            return
        self._known[changed.id] = changed
        if changed.is_over and not self._over[changed.id].done():
            self._over[changed.id].set_result(changed)
