"""The tables of the deadlines of cases, and of the mails that tell of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Text, text
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


def _moment(*, nullable: bool = True) -> Any:
    return Column(UtcDateTime(), nullable=nullable)


_RUNS = text("ended_at IS NULL")
_TO_DO = text("next_at IS NOT NULL")
_WAITS = text("state = 'waiting'")


class DeadlineRecord(Record, table=True):
    """By when somebody must act on a case, and what was done about it so far.

    ``key`` says what it is about (``acceptance:<hand-over>``, ``feedback:<entry>``,
    ``message:<leg>``, ``missed_call:<leg>``), so it is there once however often it is worked out.
    """

    __tablename__ = "deadlines"
    __table_args__ = (
        Index(
            "ix_deadlines_running",
            *("due_at", "case_id", "key"),
            sqlite_where=_RUNS,
            postgresql_where=_RUNS,
        ),
        Index(
            "ix_deadlines_next",
            *("pbx", "next_at"),
            sqlite_where=_TO_DO,
            postgresql_where=_TO_DO,
        ),
    )

    case_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    pbx: str
    kind: str  # acceptance | feedback | message | missed_call
    holder: str  # who must act: an agent, a desk, or the line while nobody has it
    department: str  # the holder's; empty where it has none
    since_at: datetime = Field(sa_column=_moment(nullable=False))
    remind_at: datetime = Field(sa_column=_moment(nullable=False))
    due_at: datetime = Field(sa_column=_moment(nullable=False))
    head_at: datetime = Field(sa_column=_moment(nullable=False))  # when the department's head hears
    seen_at: datetime = Field(sa_column=_moment(nullable=False))  # when it was first worked out
    ended_at: datetime | None = Field(default=None, sa_column=_moment())
    reminded_at: datetime | None = Field(default=None, sa_column=_moment())
    escalated_at: datetime | None = Field(default=None, sa_column=_moment())
    head_told_at: datetime | None = Field(default=None, sa_column=_moment())
    next_at: datetime | None = Field(default=None, sa_column=_moment())  # None: nothing more to do
    basis: str  # by which calendar and limits it was worked out


class MailRecord(Record, table=True):
    """A mail to one address: written with its reason, sent until the server has taken it."""

    __tablename__ = "mails"
    __table_args__ = (
        Index("ix_mails_due", "next_at", sqlite_where=_WAITS, postgresql_where=_WAITS),
    )

    key: str = Field(primary_key=True)  # what it tells of, so that it is sent once
    recipient: str = Field(primary_key=True)
    subject: str
    body: str = Field(sa_column=Column(Text, nullable=False))
    state: str  # waiting | sent | refused (for good) | given_up (after days without an answer)
    created_at: datetime = Field(sa_column=_moment(nullable=False))
    next_at: datetime = Field(sa_column=_moment(nullable=False))
    attempts: int = 0
    leased_until: datetime | None = Field(default=None, sa_column=_moment())
    done_at: datetime | None = Field(default=None, sa_column=_moment())
    last_error: str | None = None
