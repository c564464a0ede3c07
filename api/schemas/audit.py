"""Reading the audit: who saw or changed what."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.schemas.base import InTime, Moment, PageQuery, Schema, Word
from telephony.audit import What as AuditWhat


class AuditQuery(InTime, PageQuery):
    """Which entries, and which part of the list."""

    who: Word | None = Field(None, description="the token's name")
    which: Word | None = Field(None, description="the case's number, or `pbx/uniqueid` of a leg")
    what: AuditWhat | None = None
    q: Word | None = Field(None, description="stands anywhere in `who` or `which`")
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")


class AuditEntry(Schema):
    """Somebody saw numbers whole, or decided about what other platforms are told."""

    id: str
    at: datetime
    who: str
    role: str
    what: AuditWhat
    which: str
