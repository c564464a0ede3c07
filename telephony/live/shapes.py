"""What the live picture looks like to those who watch it: plain values, ready for JSON.

The shapes are described, field by field, by the schemas of the HTTP interface; a test holds both
against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telephony.live.agents import AgentNow, QueueState
    from telephony.live.model import Call, Channel, RunningHandover

Shape = dict[str, Any]

HANDOVER_NEWS = {
    "HOTLINE_OFFERED": ("begun", ("desk", "by", "kind", "reason")),
    "HOTLINE_ANSWERED": ("answered", ("desk",)),
    "HOTLINE_ACCEPTED": ("ended", ("desk",)),
    # Another side's to us, and our answer to it.
    "HOTLINE_HANDED": ("begun", ("desk", "by", "kind", "reason")),
    "HOTLINE_TAKEN": ("ended", ("desk",)),
    "HOTLINE_ENDED": ("ended", ("desk", "outcome")),
    "HOTLINE_RETURNED": ("returned", ("to", "by")),
}
"""What is told of a hand-over as it happens: the word for it, and which facts go with it."""


def call_shape(call: Call, pbx: str, nuisance: Shape | None = None) -> Shape:
    """A call on a PBX as ``GET /calls/{id}`` shows it; ``nuisance``: the mark of its caller."""
    citizen, running = call.citizen, call.handover
    return {
        "id": call.id,
        "pbx": pbx,
        "case": call.case or None,
        "state": call.state,
        "started_at": moment(call.started),
        "caller": (citizen.caller or None) if citizen else None,
        "handed_over_by": (citizen.handed_over_by or None) if citizen else None,
        "their_case": (citizen.their_case or None) if citizen else None,
        "nuisance": nuisance,
        "parties": [_party(channel, citizen) for channel in call.parties],
        "handover": running and _handover(running),
    }


def _party(channel: Channel, citizen: Channel | None) -> Shape:
    together = citizen is not None and bool(citizen.bridge) and channel.bridge == citizen.bridge
    return {
        "uniqueid": channel.uniqueid,
        "channel": channel.name,
        "role": channel.role,
        "party": channel.party or None,
        "state": channel.state,
        "with_citizen": together and channel is not citizen,
        "held": channel.held,
    }


def _handover(running: RunningHandover) -> Shape:
    return {
        "id": running.id,
        "desk": running.desk,
        "by": running.by,
        "kind": running.kind,
        "reason": running.reason,
        "state": running.state,
    }


def handover_news(
    kind: str, fact: Mapping[str, str], call: str | None, account: str
) -> Shape | None:
    """What a fact of the dialplan says about a hand-over; None when it says nothing of one.

    ``call`` is the citizen's channel as the picture knows it, ``account`` that of the channel which
    told the fact.
    """
    if kind not in HANDOVER_NEWS or (kind == "HOTLINE_TAKEN" and not fact.get("id")):
        return None
    event, names = HANDOVER_NEWS[kind]
    more = {"outcome": "accepted"} if kind in ("HOTLINE_ACCEPTED", "HOTLINE_TAKEN") else {}
    return {
        "event": event,
        "id": fact.get("id") or None,
        "call": fact.get("caller") or call,
        "case": fact.get("case") or account or None,
        **{name: fact.get(name) or None for name in names},
        **more,
    }


def agent_shape(agent: AgentNow) -> Shape:
    """An agent's state."""
    return {
        "id": agent.id,
        "name": agent.name or None,
        "department": agent.department or None,
        "interface": agent.interface,
        "state": agent.state,
        "since": moment(agent.since),
        "signed_in": agent.signed_in,
        "paused": agent.paused,
        "reason": agent.reason or None,
        "queues": list(agent.queues),
    }


def queue_shape(queue: QueueState) -> Shape:
    """A queue with its waiting callers, the next one first."""
    return {
        "queue": queue.name,
        "callers": [
            {
                "call": one.uniqueid,
                "caller": one.caller or None,
                "position": one.position,
                "since": moment(one.since),
            }
            for one in queue.callers
        ],
    }


def moment(seconds: float | None) -> datetime | None:
    """A time in seconds since 1970 with its zone; None where it is not known."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
