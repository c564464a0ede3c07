"""What is sent and answered when people work on cases, mark nuisance callers or read the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas import (
    MAX_PAGE,
    Case,
    CaseDetails,
    InTime,
    LedgerEntry,
    Leg,
    Moment,
    RecordedHandover,
    Schema,
    Word,
)
from telephony.audit import What as AuditWhat
from telephony.cases.work import CaseKind

Sentence = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,1000}$")]
# Several lines, but no other control character.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]{1,4000}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 -]{2,30}$")]
Position = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,2}(\.[0-9]{1,8})?,-?[0-9]{1,3}(\.[0-9]{1,8})?$"),
]


class CaseChanges(Schema):
    """What is to be changed; what is not named stays, null takes away."""

    version: int | None = Field(
        None, ge=0, lt=2**31, description="`details.version` as it was read, or send If-Match"
    )
    kind: CaseKind | None = None
    matter: Word | None = None
    summary: Text | None = None
    citizen_name: Word | None = None
    citizen_phone: Phone | None = None
    citizen_address: Sentence | None = None
    happened_at: Moment | None = Field(None, description="when")
    place: Sentence | None = Field(None, description="where")
    what: Text | None = None
    phone: Phone | None = Field(None, description="of who is on the spot")
    position: Position | None = Field(None, description="latitude,longitude")


class AttachRequest(Schema):
    """A call that belongs to this case."""

    call: Word = Field(description="the call's id or its own case")


class AcceptRequest(Schema):
    """Take the case."""

    desk: Word | None = Field(None, description="for which desk, where it was offered to several")


class DeclineRequest(Schema):
    """Refuse the case."""

    reason: Sentence
    desk: Word | None = Field(None, description="for which desk, where it was offered to several")


class ReasonRequest(Schema):
    """Why."""

    reason: Sentence


class FeedbackRequest(Schema):
    """What has come of it so far."""

    text: Sentence


class CloseRequest(Schema):
    """What came of it."""

    result: Sentence | None = None


class StoryEvent(Schema):
    """Something that happened in a case; of leg, handover and ledger one is there."""

    at: datetime | None
    what: Literal["leg", "message", "handover", "ledger"] = Field(
        description="a message is the mailbox's leg"
    )
    case: str = Field(description="under which it was noted: another one for an attached call")
    leg: Leg | None
    handover: RecordedHandover | None
    ledger: LedgerEntry | None


class Story(Case):
    """A case and everything that happened, in the order of time."""

    attached: list[str]
    details: CaseDetails
    events: list[StoryEvent]


class FiguresQuery(InTime):
    """Of which time."""

    since: Moment | None = Field(None, alias="from", description="cases opened at or after")
    until: Moment | None = Field(None, alias="to", description="cases opened before")


class CaseFigures(Schema):
    """Figures of cases; calls that were attached to another case count as `merged` only."""

    cases: int
    open: int
    taken: int
    handed_over: int
    closed: int
    merged: int
    answered: int = Field(description="whose call was answered")
    accepted: int = Field(description="which another side accepted")
    handovers: int = Field(description="how often they were offered, all together")
    first_contact_resolved: int
    first_contact_resolution_share: float | None = Field(description="of those that are closed")
    mean_time_to_answer_s: float | None
    mean_time_to_acceptance_s: float | None


class _NuisanceRequest(Schema):
    kind: Literal["骚扰", "谎报"]
    reason: Sentence
    until: Moment = Field(description="when the mark ends by itself")


class NuisanceNumber(_NuisanceRequest):
    """Mark a number."""

    number: Phone


class NuisanceCase(_NuisanceRequest):
    """Mark the number that called in a case."""

    case: Word


class NuisanceMark(Schema):
    """A marked number; its calls are put through like all others."""

    id: str
    number: str
    kind: str
    reason: str
    marked_at: datetime
    marked_by: str
    until: datetime


class AuditQuery(InTime):
    """Which entries, and which part of the list."""

    who: Word | None = Field(None, description="the token's name")
    which: Word | None = Field(None, description="the case's number, or `pbx/uniqueid` of a leg")
    what: AuditWhat | None = None
    q: Word | None = Field(None, description="stands anywhere in `who` or `which`")
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
    cursor: Word | None = Field(None, description="`next` of the part before")
    limit: int = Field(50, ge=1, le=MAX_PAGE)


class AuditEntry(Schema):
    """Somebody saw numbers whole, or decided about what other platforms are told."""

    id: str
    at: datetime
    who: str
    role: str
    what: AuditWhat
    which: str
