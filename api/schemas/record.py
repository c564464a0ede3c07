"""What is on record: legs, cases, their hand-overs and their ledger.

Lists of legs and cases are sent without passing through these models (`facts` of the storage
measurements: half the requests per second); a test holds both against each other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Schema
from telephony.deadlines.rules import Kind as DeadlineKind


class Leg(Schema):
    """One party's part in a call. Times in seconds are null where they are not known."""

    pbx: str
    uniqueid: str
    channels: list[str] = Field(description="uniqueids of the leg's channels")
    channel_names: list[str]
    linkedid: str
    case: str | None
    role: str | None
    party: str | None
    party_e164: str | None
    caller: str | None
    caller_e164: str | None
    agent: str | None
    department: str | None
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_s: float | None
    talk_s: float | None
    hold_s: float | None
    cause: int | None = Field(description="Q.850 hangup cause")
    cause_text: str | None
    hung_up_by: str | None
    state: str = Field(examples=["complete", "open", "cut_off"])
    handover: str | None
    segments: list[dict[str, Any]] = Field(description="with (uniqueids), from, to")


class Case(Schema):
    """One citizen's concern, and who answers for it."""

    case: str
    pbx: str
    opened_at: datetime
    caller: str | None
    caller_e164: str | None
    line: str | None
    state: str = Field(examples=["open", "taken", "handed_over", "closed", "merged"])
    first_contact: str | None
    first_leg: str | None
    taken_at: datetime | None
    owner: str | None
    handed_over_by: str | None = Field(description="the side that was first contact and handed it")
    their_case: str | None = Field(description="its number with that side")
    handover_count: int = Field(description="how often it was offered to another side")
    accepted_at: datetime | None = Field(description="when another side took it first")
    closed_at: datetime | None
    merged_into: str | None = Field(description="the case under which its call is found")
    time_to_answer_s: float | None = Field(description="from opening until we answered the call")
    time_to_acceptance_s: float | None = Field(description="from first offer to first acceptance")
    first_contact_resolution: bool | None = Field(
        description="closed by the first contact, no other side took it, never reopened; null: open"
    )
    entries: int = Field(description="how many entries its ledger has")
    due_at: datetime | None = Field(description="the earliest of its deadlines that run")
    late: bool = Field(description="whether that has passed")
    kind: str | None = Field(examples=["咨询", "建议", "求助", "表扬", "投诉"])
    matter: str | None


class CaseDetails(Schema):
    """What people wrote about a case; it goes with every hand-over."""

    version: int = Field(description="to be sent as If-Match with a change; 0: nobody wrote yet")
    changed_at: datetime | None
    changed_by: str | None
    kind: str | None
    matter: str | None
    summary: str | None
    citizen_name: str | None
    citizen_phone: str | None
    citizen_address: str | None
    happened_at: datetime | None = Field(description="when")
    place: str | None = Field(description="where")
    what: str | None
    phone: str | None = Field(description="of who is on the spot")
    position: str | None = Field(examples=["41.5703,120.4508"])


class RecordedHandover(Schema):
    """A hand-over on record, and what came of it."""

    id: str
    case: str
    pbx: str
    desk: str | None
    by: str | None
    kind: str | None
    reason: str | None
    caller: str | None
    state: str
    offered_at: datetime
    decided_at: datetime | None
    leg: str | None
    route: int
    cause: int | None
    returned_to: str | None
    returned_at: datetime | None


class HandoverWithDetails(RecordedHandover):
    """A hand-over with what was written about its case."""

    details: CaseDetails


class LedgerEntry(Schema):
    """An entry of a case's ledger; ``hash`` covers it and the hash of the entry before."""

    case: str
    number: int
    key: str
    at: datetime
    event: str
    by: str | None
    to: str | None
    responsible: str | None
    handover: str | None
    leg: str | None
    detail: str | None
    previous: str
    hash: str


class CaseDeadline(Schema):
    """By when somebody must act on a case, in working time, and what was done about it."""

    key: str = Field(description="what it is about", examples=["feedback:1"])
    kind: DeadlineKind
    holder: str = Field(description="who must act; the line while nobody has it")
    department: str | None
    since_at: datetime
    due_at: datetime
    ended_at: datetime | None
    late: bool = Field(description="past due now, or when it ended")
    reminded_at: datetime | None
    escalated_at: datetime | None = Field(description="when the supervisors were told")
    head_told_at: datetime | None = Field(description="when the department's head was told")


class WholeCase(Case):
    """A case with everything on record about it."""

    attached: list[str] = Field(description="own cases of the calls that were attached to it")
    deadlines: list[CaseDeadline]
    details: CaseDetails
    legs: list[Leg]
    handovers: list[RecordedHandover]
    ledger: list[LedgerEntry]


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
