"""What travels over HTTP: the shapes of requests and answers, as OpenAPI describes them.

Lists of legs and cases are sent without passing through these models (`facts` of the storage
measurements: half the requests per second); a test holds both against each other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from telephony.deadlines.rules import Kind as DeadlineKind
from telephony.live.model import Role, State
from telephony.settings import TIME_ZONE

Item = TypeVar("Item")

MAX_PAGE = 500
# One line of printable text: no control character, above all no line break and no NUL.
Word = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]
Reason = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,200}$")]


def _moment(moment: datetime) -> datetime:
    """A time without a zone is Shanghai time; one outside of telephony's centuries moves in."""
    if moment.year < 1900:
        return datetime(1900, 1, 1, tzinfo=UTC)
    if moment.year > 2900:
        return datetime(2900, 1, 1, tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(TIME_ZONE))


def _not_a_number(value: object) -> object:
    # pydantic would read 20261124 as seconds since 1970: a day in August of that year.
    try:
        float(str(value))
    except ValueError:
        return value
    raise ValueError("must be a date or a time such as 2026-11-24T08:30:00")


Moment = Annotated[datetime, BeforeValidator(_not_a_number), AfterValidator(_moment)]


class Schema(BaseModel):
    """Base: what is not described is not accepted."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class FieldError(Schema):
    """One field of a request that is wrong."""

    field: str = Field(examples=["body.desk"])
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). ``code`` is stable: programs may depend on it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:hotline:problem:call-not-found"])
    title: str
    status: int
    detail: str = Field(description="what is wrong and what to do about it")
    code: str = Field(examples=["call-not-found"])
    errors: list[FieldError] | None = Field(None, description="the fields, for request-invalid")


class Page(Schema, Generic[Item]):
    """A part of a list; ``next`` is the ``cursor`` of the following part, null at the end."""

    items: list[Item]
    next: str | None


# -- calls now ----------------------------------------------------------------------------------


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


# -- the record ---------------------------------------------------------------------------------


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


# -- queries ------------------------------------------------------------------------------------


class InTime(Schema):
    """What has a time from when on and one until when: that one is later, or nothing is found."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        since, until = getattr(self, "since", None), getattr(self, "until", None)
        if since is not None and until is not None and since >= until:
            raise ValueError("from is not before to: nothing lies between")
        return self


# -- health -------------------------------------------------------------------------------------


class Health(Schema):
    """The process answers."""

    status: Literal["ok"]


class PbxReady(Schema):
    """Whether a PBX is seen, and whether this process keeps its record or another one does."""

    link: Literal["up", "down"]
    record: Literal["here", "elsewhere", "nobody", "off"]


class Ready(Schema):
    """All parts work."""

    status: Literal["ready"]
    pbxs: dict[str, PbxReady] = Field(description="each PBX by its name")
