"""Settings of what happens to the record in bulk: large exports, and what is deleted when."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import Field

from telephony.setting_types import Section

Days = Annotated[int, Field(ge=1, le=36_500)]


class Exports(Section):
    """Large exports, which are jobs with a file."""

    folder: Path = Field(Path("exports"), description="where their files lie until they expire")
    keep_h: int = Field(24, ge=1, le=8760, description="so long a file can be fetched")
    keep_free_mb: int = Field(
        1000, ge=0, description="so much of the disk stays free: an export that needs it is refused"
    )


class Retention(Section):
    """What is deleted after how many days; what is not set is kept for ever."""

    cel_days: Days | None = Field(None, description="the PBX's raw rows")
    legs_days: Days | None = Field(None, description="legs, from their beginning")
    cases_days: Days | None = Field(
        None, description="closed cases, with details, hand-overs and ledger: from closing"
    )
    unclosed_cases_days: Days | None = Field(
        None, description="cases that nobody closed: from their last entry"
    )
    messages_days: Days | None = Field(None, description="messages and their sound")
    recordings_days: Days | None = Field(None, description="recordings of calls")
    audit_days: Days | None = Field(None, description="the audit log")
    order_messages_days: Annotated[int, Field(ge=30, le=36_500)] | None = Field(
        None, description="by what a work order's message is known that comes once more; 30 or more"
    )
    runs_at: time = Field(time(3, 0), description="every day at this time, Asia/Shanghai")
    batch: int = Field(500, ge=1, le=10_000, description="so many at once, in one transaction")
