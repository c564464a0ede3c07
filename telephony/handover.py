"""A hand-over as the dialplan tells it: one call, one target, from the offer to the outcome.

The dialplan carries hand-overs out and writes what happens (``HOTLINE_OFFERED`` and what follows);
this module only listens, so that whoever pressed a key gets the hand-over's id as the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from telephony.errors import (
    DeskNotFound,
    HandoverRunning,
    InvalidValue,
    NotAllowed,
    PbxTimeout,
    WrongState,
)
from telephony.live.model import Call, Channel

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx
    from telephony.settings import Settings

OFFER_LIMIT_S = 2.0
"""How long the dialplan may take to say that it has begun; it takes a few milliseconds."""


OUTSIDE_CONTEXT = "hotline-transfer"
"""Where outside numbers of the list can be reached: they are handed calls, not called in."""

EVENTS = frozenset({"UserEvent", "Reload"})
"""All events that key presses need: what the AMI link must let through."""


LONGEST_REASON = 600
"""Bytes of an encoded reason: Asterisk cuts a CEL row's facts and an AMI line at about 1000."""


def encoded_reason(reason: str) -> str:
    """A reason as it travels through AMI and dialplan: what has a meaning there is %-encoded.

    Raises :class:`InvalidValue` when it is too long; the caller has not been touched then.
    """
    encoded = "".join(
        one if one.isalnum() or one in " -_." else quote(one, safe="") for one in reason
    )
    if len(encoded.encode()) > LONGEST_REASON:
        raise InvalidValue("the reason is too long: at most some 200 Chinese characters")
    return encoded


@dataclass(frozen=True, slots=True)
class Handover:
    """A hand-over that has begun: ``call`` (the citizen's uniqueid) is offered to ``desk``.

    ``by`` is the agent who hands over, ``kind`` is one-key, refer or three-way, ``state`` is
    ``offered``; what came of it is on record under ``id``.
    """

    id: str
    call: str
    case: str
    desk: str
    by: str
    kind: str
    state: str = "offered"


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key press that may go ahead: the call, its citizen, and who talks with them now."""

    call: Call
    citizen: Channel
    agent: Channel


class Offers:
    """Key presses of this process and the offers that answer them.

    One press at a time for a call: a second one is told which hand-over runs
    (:class:`HandoverRunning`) and changes nothing.
    """

    def __init__(self, pbx: Pbx, calls: LiveCalls, settings: Settings) -> None:
        self.pbx = pbx
        self.calls = calls
        self._settings = settings
        self._waiting: dict[str, asyncio.Future[Handover]] = {}
        # What the PBX was seen to have; forgotten when it reloads its dialplan or the link drops.
        self._there: set[tuple[str, str]] = set()
        self._stop_listening = pbx.client.add_event_listener(self._on_event, EVENTS)
        pbx.client.on_down(self._there.clear)

    def close(self) -> None:
        """Stop listening."""
        self._stop_listening()

    async def target(self, desk_id: str, context: str) -> None:
        """Check that a desk, agent, group or number can be called in this context of the PBX.

        Raises :class:`DeskNotFound`, :class:`NumberNotAllowed`. Asterisk answers Success to a
        Redirect into nothing, and the caller is lost then: so this comes before the caller is
        touched.
        """
        self._settings.check_target(desk_id, outside=context == OUTSIDE_CONTEXT)
        if (context, desk_id) in self._there:
            return
        if not await self.pbx.extension_exists(context, desk_id):
            raise DeskNotFound(
                f"the PBX has no extension {desk_id} in {context}; load our dialplan there again"
            )
        self._there.add((context, desk_id))

    def press(self, call_id: str, desk_id: str, agent: str | None) -> Pressed:
        """Check that this call can be handed over now.

        ``agent`` limits it to calls of this agent. Raises :class:`CallNotFound`,
        :class:`HandoverRunning`, :class:`WrongState`, :class:`NotAllowed`.
        """
        call = self.calls.call(call_id)
        if call.citizen is None:
            raise WrongState(f"call {call.id} has no citizen on it; only their calls are handed on")
        self.none_runs(call)
        if call.state == "three-way":
            raise WrongState(f"call {call.id} is a three-way call; it can be handed over after it")
        talking = self.calls.agent_channel(call)
        if talking is None:
            raise WrongState(f"nobody talks with the citizen of call {call.id} now ({call.state})")
        if agent is not None and talking.party != agent:
            raise NotAllowed(f"call {call.id} is with {talking.party or 'somebody else'} now")
        if talking.party == desk_id:
            raise WrongState(f"call {call.id} is with {desk_id} already")
        return Pressed(call, call.citizen, talking)

    def none_runs(self, call: Call) -> None:
        """Raise :class:`HandoverRunning` when a hand-over of this call runs, or is about to."""
        if call.handover is not None or call.id in self._waiting:
            running = call.handover.id if call.handover else ""
            desk = f" to {call.handover.desk}" if call.handover else ""
            raise HandoverRunning(
                f"call {call.id} is being handed over{desk} already; wait for the outcome",
                handover=running,
            )

    @contextmanager
    def offer(self, call_id: str) -> Iterator[asyncio.Future[Handover]]:
        """The offer that the dialplan will announce for this call.

        Whoever presses takes this place before waiting for anything, so that of two presses in one
        moment the second is told so: raises :class:`HandoverRunning`.
        """
        if call_id in self._waiting:
            raise HandoverRunning(f"call {call_id} is being moved in this moment", handover="")
        future: asyncio.Future[Handover] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = future
        try:
            yield future
        finally:
            del self._waiting[call_id]
            future.cancel()

    async def begun(self, call_id: str, future: asyncio.Future[Handover]) -> Handover:
        """Wait until the dialplan says that the hand-over of this call has begun.

        Raises :class:`CallNotFound` when the citizen has hung up instead, and PbxTimeout.
        """
        try:
            async with asyncio.timeout(OFFER_LIMIT_S):
                return await future
        except TimeoutError:
            self.calls.call(call_id)
            raise PbxTimeout(
                "the PBX took the key but did not say that the hand-over began; look at the call"
            ) from None

    def _on_event(self, event: Event) -> None:
        if event.name == "Reload":
            self._there.clear()
        if event.get("UserEvent") != "Hotline" or event.get("Kind") != "HOTLINE_OFFERED":
            return
        fact = dict(parse_qsl(str(event.get("Facts") or "")))
        future = self._waiting.get(fact.get("caller", ""))
        if future is not None and not future.done():
            future.set_result(
                Handover(
                    id=fact.get("id", ""),
                    call=fact["caller"],
                    case=fact.get("case", ""),
                    desk=fact.get("desk", ""),
                    by=fact.get("by", ""),
                    kind=fact.get("kind", ""),
                )
            )
