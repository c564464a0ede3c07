"""The tables of work orders: how each stands, and which messages about them were taken."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


class WorkOrderRecord(Record, table=True):
    """A work order between us and another platform, as far as we know of it."""

    __tablename__ = "work_orders"
    __table_args__ = (
        Index("ix_work_orders_case_id", "case_id"),
        Index("ix_work_orders_opened_at", "opened_at", "platform", "given_by", "number"),
    )

    platform: str = Field(primary_key=True)
    given_by: str = Field(primary_key=True)  # us | them
    number: str = Field(primary_key=True)  # as whoever gave it numbered it
    case_id: str  # ours
    their_case: str | None = None
    handover: str  # by which the case is offered, or was accepted, in our ledger
    desk: str | None = None
    state: str  # new | accepted | feedback | refused | closed | withdrawn
    opened_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    changed_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class OrderMessageRecord(Record, table=True):
    """A message of another platform that was taken: it is taken once. Its contents are not kept."""

    __tablename__ = "order_messages"
    __table_args__ = (
        Index("ux_order_messages_signature", "platform", "signature", unique=True),
        Index("ix_order_messages_at", "received_at"),
    )

    platform: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    digest: str  # of its body
    signature: str
    kind: str
    number: str  # of the order
    received_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    answer: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSON().with_variant(JSONB(), "postgresql"))
    )
