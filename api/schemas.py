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

from telephony.callbacks import State as CallbackState
from telephony.cases.work import CaseKind, CaseState
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


class LegQuery(InTime):
    """Which legs; a name that is not known is an error, or a typing mistake would show all."""

    caller: Word | None = Field(None, description="the citizen's number, in any form")
    agent: Word | None = None
    department: Word | None = None
    case: Word | None = None
    role: Literal["citizen", "agent", "target", "supervisor", "mailbox"] | None = None
    since: Moment | None = Field(
        None, alias="from", description="begun at or after; without a zone: Asia/Shanghai"
    )
    until: Moment | None = Field(None, alias="to", description="begun before")


class LegPageQuery(LegQuery):
    """Which legs, and which part of the list."""

    cursor: Word | None = Field(None, description="`next` of the part before")
    limit: int = Field(50, ge=1, le=MAX_PAGE)


class CaseQuery(InTime):
    """Which cases."""

    caller: Word | None = Field(None, description="the citizen's number, in any form")
    line: Word | None = Field(None, description="the line that was called: id, name or number")
    owner: Word | None = Field(None, description="who answers for it now")
    state: CaseState | None = None
    handed_over_by: Word | None = Field(None, description="the side that handed it over to us")
    their_case: Word | None = Field(None, description="its number with that side")
    kind: CaseKind | None = None
    matter: Word | None = None
    late: bool | None = Field(None, description="whether a deadline of it has passed")
    sort: Literal["opened", "due"] = Field(
        "opened", description="opened: newest first; due: those with a deadline, earliest first"
    )
    since: Moment | None = Field(None, alias="from", description="opened at or after")
    until: Moment | None = Field(None, alias="to", description="opened before")


class CasePageQuery(CaseQuery):
    """Which cases, and which part of the list."""

    cursor: Word | None = Field(None, description="`next` of the part before")
    limit: int = Field(50, ge=1, le=MAX_PAGE)


class HandoverQuery(InTime):
    """Which hand-overs."""

    case: Word | None = None
    desk: Word | None = None
    by: Word | None = Field(None, description="the agent who handed over")
    state: Word | None = Field(None, description="offered, accepted, or the outcome")
    since: Moment | None = Field(None, alias="from", description="offered at or after")
    until: Moment | None = Field(None, alias="to", description="offered before")


class HandoverPageQuery(HandoverQuery):
    """Which hand-overs, and which part of the list."""

    cursor: Word | None = Field(None, description="`next` of the part before")
    limit: int = Field(50, ge=1, le=MAX_PAGE)


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
