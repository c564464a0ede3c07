"""What is answered about gaps of the record."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.base import InTime, Moment, PageQuery, Schema, Word

Why = Literal[
    "no-start",
    "no-end",
    "channels-missing",
    "pbx-stopped",
    "file-missing",
    "file-cut-short",
    "file-unreadable",
    "row-broken",
]


class GapQuery(InTime, PageQuery):
    """Which gaps, and which part of the list."""

    pbx: Word | None = None
    why: Why | None = None
    since: Moment | None = Field(
        None, alias="from", description="begun at or after; without a zone: Asia/Shanghai"
    )
    until: Moment | None = Field(None, alias="to", description="begun before")


class RecordGap(Schema):
    """A stretch of which rows of the PBX are not on record."""

    pbx: str
    why: Why
    key: str = Field(description="what is missing: a channel, a file, or what came after")
    since: datetime = Field(alias="from")
    until: datetime | None = Field(alias="to", description="null: nothing came after it yet")
    calls: list[str] = Field(description="linkedids of calls it touches, as far as known")
    detail: str
    found_at: datetime
