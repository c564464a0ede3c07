"""Tables of figures: counts by period, and the days whose counts are to be worked out anew."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer
from sqlmodel import Field

from telephony.models import Record


class FigureRecord(Record, table=True):
    """How often and how long something happened in a period, for one member of a dimension."""

    __tablename__ = "figures"

    grain: str = Field(primary_key=True)  # day | week | month
    period: str = Field(primary_key=True)  # 2026-11-24 | 2026-W48 | 2026-11
    dimension: str = Field(primary_key=True)  # all | department | agent | matter | desk
    member: str = Field(primary_key=True)  # "" for nobody, and for all
    measure: str = Field(primary_key=True)
    count: int = Field(sa_column=Column(BigInteger, nullable=False))
    total: float  # seconds


class TouchedDay(Record, table=True):
    """A day on which something was written that is counted; triggers of the database note it.

    On PostgreSQL a day may stand there many times: writers that waited for each other's row could
    wait in a ring.
    """

    __tablename__ = "figure_days_touched"
    __table_args__ = (Index("ix_figure_days_touched_day", "day"),)

    # SQLite numbers rows by itself only where the type is INTEGER.
    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    )
    day: str
