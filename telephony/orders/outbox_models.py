"""The tables of what is to be told to other platforms: messages, and each case's numbering."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from telephony.models import Record, UtcDateTime

WAITING = text("state = 'waiting'")


class OutboxRecord(Record, table=True):
    """A message to another platform, from the moment its reason was written until it arrived.

    ``state``: waiting | delivered | dead (given up, an admin decides) | skipped (by an admin).
    Messages of one case to one destination go out in the order of ``sequence``; a message without
    a case waits for no other.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ux_outbox_key", "destination", "key", unique=True),
        Index("ix_outbox_due", "next_at", postgresql_where=WAITING, sqlite_where=WAITING),
        Index("ix_outbox_case", "destination", "case_id", "sequence"),
        Index("ix_outbox_state", "state", "id"),
    )

    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    )
    destination: str
    kind: str
    case_id: str | None = None
    sequence: int  # within the case and destination, from 1 on without a gap; 0 without a case
    key: str  # the idempotency key, which the receiver sees
    body: dict[str, Any] = Field(
        sa_column=Column(JSON().with_variant(JSONB(), "postgresql"), nullable=False)
    )
    state: str
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    next_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    attempts: int = 0
    leased_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    leased_by: str | None = None  # who is sending it now; counts until leased_until
    delivered_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    last_error: str | None = None  # a status, a code or the kind of failure: never a number


class OutboxLane(Record, table=True):
    """How far the messages of a case to a destination are numbered; its row is their lock."""

    __tablename__ = "outbox_lanes"

    destination: str = Field(primary_key=True)
    case_id: str = Field(primary_key=True)
    last: int
