"""The table of gaps: stretches of which the record lacks rows of the PBX."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Column, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


class GapRecord(Record, table=True):
    """Rows that the PBX should have written, or did write, and that are not on record.

    The key says what is missing (a channel, a file, serials), so that a gap found again is there
    once. A gap that late rows fill is taken out again.
    """

    __tablename__ = "record_gaps"
    __table_args__ = (Index("ix_record_gaps_since", "since", "pbx", "why", "key"),)

    pbx: str = Field(primary_key=True)
    why: str = Field(primary_key=True)  # see telephony.legs.gaps.WHY
    key: str = Field(primary_key=True)
    since: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    until: datetime | None = Field(
        default=None, sa_column=Column(UtcDateTime(), nullable=True)
    )  # None: nothing came after it yet
    calls: list[str] = Field(
        sa_column=Column(JSON().with_variant(JSONB(), "postgresql"), nullable=False)
    )  # linkedids of the calls it touches, as far as known
    detail: str
    found_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
