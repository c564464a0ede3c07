"""What is sent and answered about deleting by rule and legal holds."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.schemas.base import Moment, PageQuery, Schema, Sentence, Word
from telephony.retention.rules import Subject


class RetentionRule(Schema):
    """A rule that is set."""

    what: Subject
    days: int
    before: datetime = Field(description="what is older is deleted by the next run")


class RetentionRules(Schema):
    """What is deleted when; what is not named is kept for ever."""

    runs_at: str = Field(description="every day, Asia/Shanghai", examples=["03:00"])
    rules: list[RetentionRule]


class CaseHold(Schema):
    """Keep everything of a case."""

    case: Word
    reason: Sentence
    until: Moment | None = Field(None, description="when it ends by itself; null: when released")


class NumberHold(Schema):
    """Keep everything of a caller's calls."""

    number: Word = Field(description="the citizen's number, in any form")
    reason: Sentence
    until: Moment | None = Field(None, description="when it ends by itself; null: when released")


class ReleaseRequest(Schema):
    """Why a hold ends."""

    reason: Sentence


class Hold(Schema):
    """A legal hold: nothing of this case, or of this caller's calls, is deleted while it lasts."""

    id: str
    case: str | None
    number: str | None = Field(description="in E.164 where it has such a form")
    reason: str
    placed_at: datetime
    placed_by: str
    until: datetime | None
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None


class HoldPageQuery(PageQuery):
    """Which holds, and which part of the list."""

    active: bool | None = Field(None, description="those that last, or those that have ended")


class Deletion(Schema):
    """An entry of the ledger of deletions; `hash` covers it and the hash of the entry before."""

    number: int
    at: datetime
    what: str = Field(examples=["legs"])
    rule: str = Field(examples=["legs_days=730"])
    oldest: datetime
    newest: datetime
    count: int
    digest: str = Field(description="SHA-256 over what was deleted")
    previous: str
    hash: str


class DeletionPageQuery(PageQuery):
    """Which part of the ledger of deletions."""
