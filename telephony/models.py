"""The tables of the record: raw CEL rows, legs, cases, hand-overs and the ledger.

Every key is natural, so every write can be repeated. ``epoch`` in the keys is the second in which
the channel was made, as it stands inside Asterisk's uniqueid: it never changes, so a table can be
cut into monthly RANGE partitions by it without touching a key.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Index, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: stored in UTC, read back with its zone; one that names no zone is taken for UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _json() -> Any:
    return JSON().with_variant(JSONB(), "postgresql")


def _moment(*, nullable: bool = True) -> Any:
    return Column(UtcDateTime(), nullable=nullable)


class Record(SQLModel):
    """Base of our tables; a metadata of its own keeps other SQLModel tables out."""

    metadata = MetaData()


class CelRecord(Record, table=True):
    """A CEL row as the PBX wrote it: the truth from which everything else can be made again.

    The key is the row itself (time and digest), so the same row read twice is stored once.
    """

    __tablename__ = "cel_rows"
    __table_args__ = (
        Index("ix_cel_rows_uniqueid", "pbx", "uniqueid"),
        Index("ix_cel_rows_linkedid", "pbx", "linkedid"),
        Index("ix_cel_rows_case_id", "case_id"),
    )

    at: datetime = Field(sa_column=Column(UtcDateTime(), primary_key=True))
    digest: str = Field(primary_key=True, max_length=32)  # of the line's bytes
    pbx: str = Field(primary_key=True)
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))  # its place in the file
    uniqueid: str
    linkedid: str
    case_id: str | None = None
    line: str = Field(sa_column=Column(Text, nullable=False))


class CelPosition(Record, table=True):
    """How far a CEL file has been read; moves in the same transaction as what was read."""

    __tablename__ = "cel_positions"

    pbx: str = Field(primary_key=True)
    file: str = Field(primary_key=True)  # digest of the first line: survives renaming and copying
    name: str
    offset: int = Field(sa_column=Column(BigInteger, nullable=False))
    rows: int = Field(sa_column=Column(BigInteger, nullable=False))
    seen_at: datetime = Field(sa_column=_moment(nullable=False))


class BrokenRow(Record, table=True):
    """A line of the CEL file that could not be read, kept as it was."""

    __tablename__ = "cel_broken_rows"

    pbx: str = Field(primary_key=True)
    file: str = Field(primary_key=True)
    offset: int = Field(sa_column=Column(BigInteger, primary_key=True))
    reason: str
    line: str = Field(sa_column=Column(Text, nullable=False))


class LegRecord(Record, table=True):
    """One party's part in a call."""

    __tablename__ = "legs"
    __table_args__ = (
        Index("ix_legs_at", "at", "pbx", "uniqueid"),
        Index("ix_legs_caller", "caller", "at", "uniqueid"),
        Index("ix_legs_caller_e164", "caller_e164", "at", "uniqueid"),
        Index("ix_legs_agent", "agent", "at", "uniqueid"),
        Index("ix_legs_role", "role", "at", "uniqueid"),
        Index("ix_legs_department", "department", "at"),
        Index("ix_legs_linkedid", "linkedid"),
        Index("ix_legs_case_id", "case_id"),
        Index(
            "ix_legs_open",
            "pbx",
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )

    epoch: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    uniqueid: str = Field(primary_key=True)
    pbx: str = Field(primary_key=True)
    at: datetime = Field(sa_column=_moment(nullable=False))  # started, or first seen: for sorting
    linkedid: str
    case_id: str | None = None
    role: str | None = None
    party: str | None = None
    party_e164: str | None = None
    caller: str | None = None  # the citizen's number, on every leg of the call
    caller_e164: str | None = None
    agent: str | None = None  # the agent whose leg this is
    department: str | None = None
    started_at: datetime | None = Field(default=None, sa_column=_moment())
    answered_at: datetime | None = Field(default=None, sa_column=_moment())
    ended_at: datetime | None = Field(default=None, sa_column=_moment())
    ring_s: float | None = None
    talk_s: float | None = None
    hold_s: float | None = None
    cause: int | None = None
    cause_text: str | None = None
    hung_up_by: str | None = None
    state: str
    handover: str | None = None
    channels: list[str] = Field(sa_column=Column(_json(), nullable=False))
    channel_names: list[str] = Field(sa_column=Column(_json(), nullable=False))
    segments: list[dict[str, Any]] = Field(sa_column=Column(_json(), nullable=False))


class CaseRecord(Record, table=True):
    """One citizen's concern, and who answers for it now."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_opened_at", "opened_at", "case_id"),
        Index("ix_cases_caller", "caller", "opened_at"),
        Index("ix_cases_caller_e164", "caller_e164", "opened_at"),
        Index("ix_cases_owner", "owner", "opened_at"),
        Index("ix_cases_their_case", "their_case", "opened_at"),
        Index("ix_cases_merged_into", "merged_into"),
        Index("ix_cases_due_at", "due_at", "case_id"),
        Index(
            "ix_cases_due_pending",
            *("pbx", "case_id"),
            sqlite_where=text("due_pending IS NOT NULL"),
            postgresql_where=text("due_pending IS NOT NULL"),
        ),
    )

    case_id: str = Field(primary_key=True)
    pbx: str
    opened_at: datetime = Field(sa_column=_moment(nullable=False))
    caller: str | None = None
    caller_e164: str | None = None
    line: str | None = None
    state: str  # open (nobody took it yet) | taken | handed_over | closed | merged
    first_contact: str | None = None
    first_leg: str | None = None
    taken_at: datetime | None = Field(default=None, sa_column=_moment())
    owner: str | None = None
    handed_over_by: str | None = None  # the side that was first contact, when it came from there
    their_case: str | None = None  # and its number there
    handover_count: int = 0  # how often it was offered to another side
    accepted_at: datetime | None = Field(default=None, sa_column=_moment())  # by another, first
    closed_at: datetime | None = Field(default=None, sa_column=_moment())
    merged_into: str | None = None  # the case under which this one's call is found
    time_to_answer_s: float | None = None  # from its opening to our first answer of the call
    time_to_acceptance_s: float | None = None  # from the first offer to the first acceptance
    first_contact_resolution: bool | None = None  # None while it is not closed
    entries: int = 0  # of its ledger, and the hash of the last: shows what is missing at the end
    head: str = ""
    due_at: datetime | None = Field(default=None, sa_column=_moment())  # of all deadlines the first
    due_pending: bool | None = None  # set: its deadlines are to be worked out anew


class CaseDetails(Record, table=True):
    """What people wrote about a case, and what the alarm desk asks; changed by people alone."""

    __tablename__ = "case_details"
    __table_args__ = (Index("ix_case_details_kind", "kind"),)

    case_id: str = Field(primary_key=True)
    version: int  # one more with every change, so that nobody overwrites another's
    changed_at: datetime = Field(sa_column=_moment(nullable=False))
    changed_by: str
    kind: str | None = None  # 咨询 | 建议 | 求助 | 表扬 | 投诉
    matter: str | None = None
    summary: str | None = Field(default=None, sa_column=Column(Text))
    citizen_name: str | None = None
    citizen_phone: str | None = None
    citizen_address: str | None = None
    happened_at: datetime | None = Field(default=None, sa_column=_moment())  # when
    place: str | None = None  # where
    what: str | None = Field(default=None, sa_column=Column(Text))
    phone: str | None = None  # where to reach who is on the spot
    position: str | None = None  # as a map gives it: 41.5703,120.4508


class NuisanceMark(Record, table=True):
    """A number whose calls are a nuisance (骚扰) or false (谎报): shown, never blocked."""

    __tablename__ = "nuisance_marks"
    __table_args__ = (Index("ix_nuisance_marks_number", "number"),)

    id: str = Field(primary_key=True)
    number: str  # in E.164, or as dialled where it has no such form
    kind: str  # 骚扰 | 谎报
    reason: str
    marked_at: datetime = Field(sa_column=_moment(nullable=False))
    marked_by: str
    until: datetime = Field(sa_column=_moment(nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=_moment())  # taken off before its end
    ended_by: str | None = None


class AuditRecord(Record, table=True):
    """Who saw what unmasked; written once, never changed."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_at", "at", "id"),)

    id: str = Field(primary_key=True)
    at: datetime = Field(sa_column=_moment(nullable=False))
    who: str  # the token's name
    role: str
    what: str  # one of telephony.audit.What
    which: str  # the case's number, the leg's key, or the export's filters


class HandoverRecord(Record, table=True):
    """A case offered to another side, and what came of it."""

    __tablename__ = "handovers"
    __table_args__ = (
        Index("ix_handovers_case_id", "case_id"),
        Index("ix_handovers_offered_at", "offered_at", "id"),
        Index("ix_handovers_desk", "desk", "offered_at"),
    )

    id: str = Field(primary_key=True)
    case_id: str
    pbx: str
    desk: str | None = None
    by: str | None = None
    kind: str | None = (
        None  # incoming | one-key | refer | consult | attended | three-way | dispatch
    )
    reason: str | None = None
    caller: str | None = None  # the citizen's uniqueid
    state: str  # offered | accepted | busy | declined | unreachable | unanswered | failed | ...
    offered_at: datetime = Field(sa_column=_moment(nullable=False))  # or the first thing known
    decided_at: datetime | None = Field(default=None, sa_column=_moment())
    leg: str | None = None
    route: int = 1
    cause: int | None = None
    returned_to: str | None = None
    returned_at: datetime | None = Field(default=None, sa_column=_moment())


class LedgerRecord(Record, table=True):
    """An entry of the ledger of a case; written once, never changed."""

    __tablename__ = "ledger"

    case_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str  # what makes the entry itself, so that it is written once
    at: datetime = Field(sa_column=_moment(nullable=False))
    event: str
    by: str | None = None
    to: str | None = None
    responsible: str | None = None  # who answers for the case after this entry
    leg: str | None = None
    handover: str | None = None
    detail: str | None = None
    previous: str
    hash: str

    __table_args__ = (
        Index("ux_ledger_key", "case_id", "key", unique=True),
        Index(
            "ix_ledger_escalated",
            "at",
            sqlite_where=text("event = 'escalated'"),
            postgresql_where=text("event = 'escalated'"),
        ),
    )


class CalendarDay(Record, table=True):
    """A special day of a line: closed, or with other hours than the calendar says."""

    __tablename__ = "calendar_days"

    line: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    hours: str  # closed | work | 0830-1200,1330-1700
    reason: str
    entered_by: str
    entered_at: datetime = Field(sa_column=_moment(nullable=False))


class CalendarYear(Record, table=True):
    """A year whose published schedule was imported: its special days are all there is."""

    __tablename__ = "calendar_years"

    line: str = Field(primary_key=True)
    year: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    entered_by: str
    entered_at: datetime = Field(sa_column=_moment(nullable=False))
