"""What travels over the WebSocket ``/api/v1/events``: one JSON object a text message.

The frames are made without these models (:mod:`telephony.live.shapes`); a test holds both against
each other, and OpenAPI shows them as the answer of ``GET /api/v1/events``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, RootModel

from api.schemas.base import Schema
from api.schemas.calls import Call
from telephony.deadlines.rules import Kind as DeadlineKind
from telephony.live.agents import AgentState
from telephony.matters.rules import Why

LiveState = Literal["up", "pbx-down"]
Sequence = Annotated[int, Field(ge=0, description="one more than that of the frame before")]
After = Annotated[
    int,
    Field(
        ge=0,
        description="the frame before this one that had something for the same topics; larger than "
        "the last `seq` you hold: you have missed something, connect again with `since`",
    ),
]


class LiveAgent(Schema):
    """An agent and what they are doing."""

    id: str
    name: str | None
    department: str | None
    interface: str = Field(examples=["PJSIP/8001"])
    state: AgentState = Field(description="away: signed in, but the phone is not there")
    since: datetime | None = Field(description="since when in this state; null: not known")
    signed_in: bool
    paused: bool = Field(description="rests; may be telephoning meanwhile")
    reason: str | None = Field(description="why they rest", examples=["午餐"])
    queues: list[str]


class WaitingCaller(Schema):
    """A caller who waits."""

    call: str = Field(description="the call's id")
    caller: str | None
    position: int = Field(ge=1, description="1 is next")
    since: datetime


class LiveQueue(Schema):
    """A queue with all who wait in it, the next one first."""

    queue: str
    callers: list[WaitingCaller]


class HandoverNews(Schema):
    """Something that happened in a hand-over; which fields are there depends on `event`."""

    event: Literal["begun", "answered", "ended", "returned"]
    id: str | None
    call: str | None = Field(description="null when the citizen has gone")
    case: str | None
    desk: str | None = None
    by: str | None = None
    kind: str | None = None
    reason: str | None = None
    outcome: str | None = Field(
        None,
        description="accepted, busy, declined, unreachable, unanswered, failed, caller_gone",
    )
    to: str | None = Field(None, description="returned: agent (who waited), phone or queue")


class DeadlineNews(Schema):
    """Somebody was reminded of a deadline, or it was told on."""

    step: Literal["remind", "escalate", "escalate_head"]
    case: str
    key: str
    kind: DeadlineKind
    holder: str = Field(description="who must act")
    department: str | None
    due_at: datetime
    late: bool


class ProposalNews(Schema):
    """The matter of a case was set, or taken away; urgent: hand it to the desk at once."""

    case: str
    call: str | None = Field(description="null: no call of it goes on")
    matter: str | None
    desk: str | None = Field(description="null: nothing is proposed")
    why: Why
    urgent: bool = Field(description="it touches social stability or danger")


class _Frame(Schema):
    """What every frame carries."""

    pbx: str
    at: datetime
    seq: Sequence


class PbxState(Schema):
    """Whether a PBX can be seen."""

    name: str
    state: LiveState


class SnapshotFrame(_Frame):
    """Everything as it stands, of the topics asked for; forget what you had."""

    type: Literal["snapshot"]
    pbxs: list[PbxState] | None = Field(
        None, description="where there are several; what is at one that is down is not shown"
    )
    after: After
    epoch: str = Field(description="names this feed; changes when the service restarts")
    state: Literal["up"]
    calls: list[Call] | None = None
    queues: list[LiveQueue] | None = None
    agents: list[LiveAgent] | None = None


class StateFrame(_Frame):
    """The PBX cannot be seen: what you show may be stale. A snapshot follows when it can."""

    type: Literal["state"]
    pbxs: list[PbxState] | None = None
    after: After
    epoch: str | None = None
    state: LiveState


class ChangesFrame(_Frame):
    """What has changed, each thing whole; a list that is not there is empty."""

    type: Literal["changes"]
    after: After
    calls: list[Call] = Field([])
    calls_gone: list[str] = Field([], description="ids of calls that have ended")
    handovers: list[HandoverNews] = Field([], description="in the order they happened")
    queues: list[LiveQueue] = Field([])
    agents: list[LiveAgent] = Field([])
    agents_gone: list[str] = Field([], description="ids of members that are no agents of ours")
    proposals: list[ProposalNews] = Field([], description="whom cases are to be handed to")
    deadlines: list[DeadlineNews] = Field([], description="what was done about deadlines")


class ResumedFrame(_Frame):
    """You named the last frame you saw; what you missed follows, up to `seq`."""

    type: Literal["resumed"]
    after: Annotated[int, Field(ge=0, description="the frame you named")]


class HeartbeatFrame(_Frame):
    """Nothing happened for a while; `seq` is that of the last frame, whatever its topics."""

    type: Literal["heartbeat"]


class LiveFrame(
    RootModel[
        Annotated[
            SnapshotFrame | StateFrame | ChangesFrame | ResumedFrame | HeartbeatFrame,
            Field(discriminator="type"),
        ]
    ]
):
    """A message of the WebSocket."""
