"""Agents and calling citizens back: the shapes of requests and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.base import Schema, Word
from telephony.callbacks import State as CallbackState


class Agent(Schema):
    """An agent and what they are doing."""

    id: str = Field(examples=["8001"])
    name: str | None
    department: str | None
    state: Literal["signed-out", "ready", "ringing", "talking", "paused", "wrap-up", "away"] = (
        Field(description="away: signed in, but the phone is not there")
    )
    since: datetime | None = Field(description="since when in this state; null: not known")
    until: datetime | None = Field(description="when the time after a call ends")
    signed_in: bool
    paused: bool = Field(description="rests; may be telephoning meanwhile")
    reason: str | None = Field(description="code of the pause's reason", examples=["1"])
    reason_zh: str | None = Field(examples=["小休"])
    reason_en: str | None = Field(examples=["break"])
    calls_taken: int = Field(description="today")
    phone: Literal["desk", "browser"] | None = Field(
        None, description="what rings for them; null: signed out"
    )


class SignInRequest(Schema):
    """With which phone calls are taken."""

    phone: Literal["desk", "browser"] = "desk"


class PauseReason(Schema):
    """A reason to rest; its code is also the digit after the pause code on the phone."""

    code: str
    zh: str
    en: str


class PauseRequest(Schema):
    """Rest for a reason."""

    reason: Word = Field(examples=["1"])


class CallbackRequest(Schema):
    """Call a citizen back."""

    number: Word = Field(examples=["13804210001"])
    case: Word | None = Field(None, description="the case it belongs to; null: a new one")
    agent: Word | None = Field(None, description="whose phone rings; null: the token's agent")


class Callback(Schema):
    """A callback that was begun by this service."""

    id: str
    case: str
    number: str = Field(description="as it is dialled")
    agent: str
    state: CallbackState = Field(description="unknown: the link was lost; the case tells")
    call: str | None = Field(description="the call's id, once the citizen's phone is called")
