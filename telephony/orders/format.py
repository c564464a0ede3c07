"""The messages of work orders as they travel, both ways: checked when they come, and published.

Fields that are not described are let through and not looked at, so that either side may be newer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
)

from telephony.cases.work import CaseKind

VERSION = 1
YEARS = range(1900, 2900)
# One line, or several, of printable text.
Word = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,1000}$")]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]{1,4000}$")]
NUMBER = r"^\+?[0-9*][0-9* -]{2,30}$"
Number = Annotated[str, StringConstraints(pattern=NUMBER)]
Position = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,2}(\.[0-9]{1,8})?,-?[0-9]{1,3}(\.[0-9]{1,8})?$"),
]


def _written(value: object) -> object:
    if isinstance(value, str | datetime):
        return value
    raise ValueError("must be a time with its zone such as 2026-11-24T08:30:00+08:00")


def _of_our_time(value: datetime) -> datetime:
    if value.year not in YEARS:
        raise ValueError(f"must lie in the years {YEARS.start} to {YEARS.stop - 1}")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_of_our_time)]


class Part(BaseModel):
    """Base: what is not described is let through."""

    model_config = ConfigDict(extra="ignore")


class Citizen(Part):
    """Whose concern it is; numbers are masked (138****5678) for who may not see them."""

    number: Number | None = Field(None, description="from which they called")
    name: Word | None = None
    phone: Number | None = Field(None, description="where to reach them")
    address: Line | None = None


class NewOrder(Part):
    """A case is given to the other side."""

    order: Word = Field(description="the number of the order, given by who sends this")
    given_by: Literal["sender"] = "sender"
    desk: Word | None = Field(None, description="for which desk of the receiver")
    by: Word | None = Field(None, description="who hands it over")
    how: Word | None = Field(None, description="dispatch, one-key, three-way …")
    accepted: bool = Field(False, description="the desk has taken it already, by phone")
    reason: Line | None = None
    opened_at: Moment | None = None
    kind: CaseKind | None = None
    matter: Word | None = None
    summary: Text | None = None
    happened_at: Moment | None = None
    place: Line | None = None
    what: Text | None = None
    phone: Number | None = Field(None, description="of who is on the spot")
    position: Position | None = Field(None, description="latitude,longitude")
    citizen: Citizen = Citizen()


class About(Part):
    """Something about an order that was given."""

    order: Word = Field(description="its number, given by whoever gave it")
    given_by: Literal["sender", "receiver"] = Field(description="who of the two gave it")
    by: Word | None = Field(None, description="who says so")


class Accepted(About):
    """It is accepted (受理)."""

    text: Line | None = None


class Refused(About):
    """It is refused, or given back after it was accepted (退回)."""

    reason: Line


class Feedback(About):
    """What has come of it so far (反馈), or more about it from who gave it."""

    text: Line


class Closed(About):
    """It is settled (办结)."""

    text: Line | None = None


class Reopened(About):
    """It was not settled after all."""

    reason: Line | None = None


class Withdrawn(About):
    """Who gave it takes it back."""

    reason: Line | None = None


class Letter(Part):
    """What every message has."""

    version: Literal[1]
    id: Word = Field(description="the idempotency key: what makes this message itself")
    case: Word | None = Field(None, description="the sender's case")
    sequence: int = Field(0, ge=0, lt=2**31, description="within this case; from 1 on, no gap")
    at: Moment = Field(description="when it was written")


class NewLetter(Letter):
    """A new order."""

    kind: Literal["order.new"]
    data: NewOrder


class AcceptedLetter(Letter):
    """An order is accepted."""

    kind: Literal["order.accepted"]
    data: Accepted


class RefusedLetter(Letter):
    """An order is refused."""

    kind: Literal["order.refused"]
    data: Refused


class FeedbackLetter(Letter):
    """There is news of an order."""

    kind: Literal["order.feedback"]
    data: Feedback


class ClosedLetter(Letter):
    """An order is settled."""

    kind: Literal["order.closed"]
    data: Closed


class ReopenedLetter(Letter):
    """An order is opened again."""

    kind: Literal["order.reopened"]
    data: Reopened


class WithdrawnLetter(Letter):
    """An order is taken back."""

    kind: Literal["order.withdrawn"]
    data: Withdrawn


AnyLetter = Annotated[
    NewLetter
    | AcceptedLetter
    | RefusedLetter
    | FeedbackLetter
    | ClosedLetter
    | ReopenedLetter
    | WithdrawnLetter,
    Field(discriminator="kind"),
]
LETTERS: TypeAdapter[AnyLetter] = TypeAdapter(AnyLetter)


class Answer(BaseModel):
    """What the sender of a message is answered."""

    order: str
    given_by: Literal["sender", "receiver"] = Field(description="who of the two gave it")
    case: str = Field(description="the receiver's case")
    state: Literal["new", "accepted", "refused", "feedback", "closed", "withdrawn"]
    applied: bool = Field(description="false: it crossed with one of ours and changes nothing")


class LateCase(Part):
    """A case of which something is due, or late."""

    case: Word
    step: Literal["remind", "escalate", "escalate_head"]
    deadline: Literal["acceptance", "feedback", "message", "missed_call"]
    holder: Word = Field(description="who is to act")
    department: Word | None = None
    since: Moment
    due_at: Moment
    late: bool
    kind: CaseKind | None = None
    matter: Text | None = None
    caller: str | None = Field(None, description="masked (138****5678) for who may not see it")


class ReminderLetter(Letter):
    """Something is due soon; to a platform that asked for it, and no answer is expected."""

    kind: Literal["deadline.reminder"]
    data: LateCase


class EscalatedLetter(Letter):
    """Something is late; to a platform that asked for it, and no answer is expected."""

    kind: Literal["deadline.escalated"]
    data: LateCase


PUBLISHED: TypeAdapter[Any] = TypeAdapter(
    Annotated[AnyLetter | ReminderLetter | EscalatedLetter, Field(discriminator="kind")]
)
"""What we send. Of deadlines we take no letter: those of another platform are its own affair."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a message."""
    schema = PUBLISHED.json_schema(ref_template="#/$defs/{model}")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    head |= {"$id": "urn:hotline:work-order:1", "title": "A message about a work order"}
    return head | schema
