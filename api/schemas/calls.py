"""Calls in progress, the keys pressed on them and the hand-overs these begin."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.base import Reason, Schema, Word
from telephony.live.model import Role, State


class Party(Schema):
    """A channel in a call."""

    uniqueid: str
    channel: str = Field(examples=["PJSIP/8001-0000000a"])
    role: Role
    party: str | None = Field(description="the agent, the desk or the citizen's number")
    state: str = Field(description="Asterisk's word for the channel", examples=["Up", "Ringing"])
    with_citizen: bool = Field(description="in the citizen's bridge: they hear each other")
    held: bool


class RunningHandover(Schema):
    """A hand-over that waits for the target."""

    id: str
    desk: str
    by: str
    kind: str = Field(examples=["one-key", "refer", "three-way", "attended"])
    reason: str
    state: str = Field(
        description="offered while the desk rings, answered while it is asked or has yet to confirm"
    )


class CallersMark(Schema):
    """The caller is marked as a nuisance; the call is put through like any other."""

    kind: str = Field(examples=["骚扰", "谎报"])
    reason: str
    until: datetime


class Call(Schema):
    """A call in progress."""

    id: str = Field(description="the citizen's channel; a case id is accepted in its place")
    pbx: str = Field(description="the PBX on which it lives")
    case: str | None
    state: State
    started_at: datetime | None
    caller: str | None = Field(description="the citizen's number")
    handed_over_by: str | None = Field(description="the side that handed it over to us")
    their_case: str | None = Field(description="its case number with that side")
    nuisance: CallersMark | None = Field(description="a mark of this number, for who answers")
    parties: list[Party]
    handover: RunningHandover | None


class TransferRequest(Schema):
    """Hand the citizen over to a desk, or call the desk in."""

    desk: Word = Field(examples=["110"])
    reason: Reason = Field("", description="shown to the desk and kept with the hand-over")


class PressRequest(Schema):
    """Press a key on a call."""

    desk: Word | None = Field(
        None, examples=["110"], description="null: whom the matter of the call's case proposes"
    )
    reason: Reason = Field(
        "", description="shown to the desk and kept with the hand-over; default: the matter"
    )


class Handover(Schema):
    """A hand-over that has begun."""

    id: str
    call: str
    case: str
    desk: str
    by: str
    kind: str
    state: str = Field(
        description="offered, accepted, or its outcome: busy, declined, unreachable, unanswered, "
        "failed, caller_gone"
    )


class Desk(Schema):
    """A desk that calls can be handed to, a group, or the form of outside numbers."""

    id: str = Field(description="what to name; in an outside number X stands for any digit")
    kind: Literal["desk", "group", "outside"]
    name: str
    department: str
    ring_s: int = Field(description="how long it rings, in seconds")
    acceptance: Literal["answer", "confirm"]
