"""Tables of retention: legal holds, and the ledger of what was deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


def _moment(*, nullable: bool = True) -> Any:
    return Column(UtcDateTime(), nullable=nullable)


class HoldRecord(Record, table=True):
    """A legal hold: nothing of this case, or of this caller's calls, is deleted while it lasts."""

    __tablename__ = "legal_holds"
    __table_args__ = (Index("ix_legal_holds_placed_at", "placed_at", "id"),)

    id: str = Field(primary_key=True)
    case_id: str | None = None  # one of these two
    number: str | None = None  # in E.164, or as dialled where it has no such form
    reason: str
    placed_at: datetime = Field(sa_column=_moment(nullable=False))
    placed_by: str
    until: datetime | None = Field(default=None, sa_column=_moment())  # None: until released
    released_at: datetime | None = Field(default=None, sa_column=_moment())
    released_by: str | None = None
    release_reason: str | None = None


class DeletionRecord(Record, table=True):
    """An entry of the ledger of deletions: a batch, written in the transaction that deleted it."""

    __tablename__ = "deletions"
    __table_args__ = (Index("ix_deletions_what", "what", "newest"),)

    number: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False)
    )  # 1, 2, 3 … without a gap
    at: datetime = Field(sa_column=_moment(nullable=False))
    what: str  # cel | legs | cases | messages | recordings
    rule: str  # the setting as it stood: legs_days=730
    oldest: datetime = Field(sa_column=_moment(nullable=False))
    newest: datetime = Field(sa_column=_moment(nullable=False))
    count: int = Field(sa_column=Column(BigInteger, nullable=False))
    digest: str  # SHA-256 over what was deleted
    previous: str  # hash of the entry before
    hash: str


class DeletedCase(Record, table=True):
    """A case that was deleted by rule, and how its ledger ended: what was there can be proven."""

    __tablename__ = "deleted_cases"

    case_id: str = Field(primary_key=True)
    # Of a case that came back, with an old CEL file, and was deleted again there are several.
    deletion: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    entries: int
    head: str
