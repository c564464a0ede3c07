"""What is asked and answered about deadlines that have passed."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.schemas.base import PageQuery, Schema, Word
from telephony.deadlines.rules import Kind


class OverdueQuery(PageQuery):
    """Which deadlines, and which part of the list."""

    department: Word | None = Field(None, description="of who must act")
    kind: Kind | None = None
    holder: Word | None = Field(None, description="who must act: an agent, a desk, or the line")


class Overdue(Schema):
    """A deadline that has passed, and the case it belongs to."""

    case: str
    key: str = Field(description="what it is about", examples=["feedback:1"])
    kind: Kind
    holder: str = Field(description="who must act; the line while nobody has it")
    department: str | None
    since_at: datetime
    due_at: datetime
    ended_at: None = Field(description="it runs")
    late_s: float = Field(description="seconds of the clock since it was due")
    reminded_at: datetime | None
    escalated_at: datetime | None = Field(description="when the supervisors were told")
    head_told_at: datetime | None = Field(description="when the department's head was told")
    opened_at: datetime
    state: str
    owner: str | None = Field(description="who answers for the case")
    first_contact: str | None
    caller: str | None
    caller_e164: str | None
    case_kind: str | None = Field(examples=["咨询", "建议", "求助", "表扬", "投诉"])
    matter: str | None
