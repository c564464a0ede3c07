"""The tables of the directory of matters: every import is a version, and none is ever changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, ForeignKeyConstraint, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


def _json() -> Any:
    return Column(JSON().with_variant(JSONB(), "postgresql"), nullable=False)


def _moment() -> Any:
    return Column(UtcDateTime(), nullable=False)


class MatterVersion(Record, table=True):
    """One import of the directory, or an earlier one that was taken up again."""

    __tablename__ = "matter_versions"

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    imported_at: datetime = Field(sa_column=_moment())
    imported_by: str
    source: str  # the file's name
    matters: int  # how many there are
    restored_from: int | None = None


class MatterRecord(Record, table=True):
    """A matter as one version of the directory has it."""

    __tablename__ = "matters"

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    code: str = Field(primary_key=True)
    position: int  # in the file
    name: str
    category: str
    direction: str  # to_110 | to_12345 | both
    desk: str
    urgency: str  # emergency | urgent | normal
    feedback_h: int | None = None  # working hours
    keywords: list[str] = Field(sa_column=_json())
    stability: bool
    danger: bool
    sounds: list[str] = Field(sa_column=_json())  # name and keywords in pinyin: "jiao tong shi gu"

    __table_args__ = (ForeignKeyConstraint(["version"], ["matter_versions.version"]),)


class CaseMatter(Record, table=True):
    """The matter of a case, in the version of the directory that it was chosen from."""

    __tablename__ = "case_matters"

    case_id: str = Field(primary_key=True)
    version: int
    code: str
    set_at: datetime = Field(sa_column=_moment())
    set_by: str

    __table_args__ = (
        ForeignKeyConstraint(["version", "code"], ["matters.version", "matters.code"]),
        Index("ix_case_matters_code", "code"),
    )
