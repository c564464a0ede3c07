"""The table of export jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


def _json() -> Any:
    return Column(JSON().with_variant(JSONB(), "postgresql"), nullable=False)


def _moment(*, nullable: bool = True) -> Any:
    return Column(UtcDateTime(), nullable=nullable)


class ExportRecord(Record, table=True):
    """A large export: what was asked for, how far it is, and the file that came of it."""

    __tablename__ = "exports"
    __table_args__ = (
        Index("ix_exports_asked_at", "asked_at", "id"),
        Index("ix_exports_state", "state", "asked_at"),
    )

    id: str = Field(primary_key=True)
    what: str  # legs | cases | ledger | handovers
    filters: dict[str, Any] = Field(sa_column=_json())
    columns: list[str] = Field(sa_column=_json())
    headings: str  # names | zh | en
    format: str  # csv | xlsx | parquet
    bom: bool
    whole: bool  # numbers unmasked
    asked_at: datetime = Field(sa_column=_moment(nullable=False))
    asked_by: str
    role: str
    state: str  # queued | running | done | failed | cancelled | expired
    attempts: int = 0
    beat_at: datetime | None = Field(default=None, sa_column=_moment())  # last sign of its worker
    done_at: datetime | None = Field(default=None, sa_column=_moment())
    expires_at: datetime | None = Field(default=None, sa_column=_moment())
    rows: int | None = Field(default=None, sa_column=Column(BigInteger))  # how many it will be
    rows_done: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    bytes: int | None = Field(default=None, sa_column=Column(BigInteger))
    digest: str | None = None  # SHA-256 of the file
    code: str | None = None  # of the error
    detail: str | None = None
