"""What travels over HTTP about messages and missed calls."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.base import InTime, Moment, PageQuery, Schema, Sentence, Word

Kind = Literal["message", "missed"]
State = Literal["open", "answered", "served", "given_up"]


class Message(Schema):
    """A citizen whom nobody could answer: a message that was left, or a missed call (漏接)."""

    id: str
    kind: Kind
    case: str
    caller: str | None = Field(description="the number that was shown")
    number: str | None = Field(description="where to call back")
    at: datetime = Field(description="when it was left, or the call given up")
    why: str = Field(
        description="shut, day, hours: closed by hand, all day, at this hour; busy; queue: given "
        "up while waiting; not-taken: the message could not be written",
        examples=["hours"],
    )
    waited_s: float | None = Field(description="of a missed call: how long the citizen waited")
    length_s: float | None = Field(description="of what can be heard")
    sound: Literal["unchecked", "ok", "missing", "damaged"] | None
    heard_by: str | None = Field(description="who listened to it first")
    heard_at: datetime | None
    holder: str | None = Field(description="the agent who answers it; null: nobody yet")
    held_at: datetime | None
    state: State = Field(
        description="served: called again and was answered; given_up: not reached after all tries"
    )
    due_at: datetime | None = Field(description="until when to call back, in working time")
    tries: int = Field(description="in vain")
    last_try_at: datetime | None
    last_outcome: str | None = Field(examples=["unanswered"])
    next_try_at: datetime | None = Field(description="when to try again, in working time")
    calls: int = Field(description="of a missed call: how often this number called in vain")
    closed_at: datetime | None
    closed_by: str | None
    result: str | None = Field(description="what came of it")


class MessageTry(Schema):
    """One try to call back."""

    at: datetime
    agent: str | None
    outcome: str = Field(examples=["reached", "unanswered", "busy", "wrong-number"])


class MessageWithTries(Message):
    """One message, and how it was called back."""

    called: list[MessageTry]


class WaitingQuery(PageQuery):
    """Which part of the list."""


class MessageQuery(WaitingQuery, InTime):
    """Which messages and missed calls, and which part of the list."""

    kind: Kind | None = None
    state: State | None = None
    case: Word | None = None
    holder: Word | None = Field(None, description="the agent who has it")
    since: Moment | None = Field(None, alias="from", description="left at or after")
    until: Moment | None = Field(None, alias="to", description="left before")


class TakeRequest(Schema):
    """Who is to answer it."""

    agent: Word | None = Field(None, description="null: the token's agent")


class GiveRequest(Schema):
    """To which colleague."""

    agent: Word = Field(examples=["8002"])


class AnsweredRequest(Schema):
    """What came of it."""

    result: Sentence = Field(examples=["已告知年检所需材料"])
    outcome: Literal["wrong-number"] | None = Field(
        None, description="what the PBX cannot know: somebody else answered"
    )
