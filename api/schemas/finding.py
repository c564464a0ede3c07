"""What is asked and answered while somebody looks for something in the record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas.base import Schema
from api.schemas.record import Leg

Typed = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]


class FindQuery(Schema):
    """What was typed so far."""

    q: Typed = Field(description="the beginning of a caller's number or of a case's number")


class FoundItem(Schema):
    """A caller or a case that begins so."""

    what: Literal["caller", "case"]
    value: str
    calls: int = Field(description="cases of this caller")
    last_at: datetime | None = Field(description="when the newest of them was opened")


class FoundItems(Schema):
    """At most eight of each kind; more letters find the others."""

    items: list[FoundItem]


class CallLegs(Schema):
    """All legs of one call, oldest first."""

    linkedid: str
    items: list[Leg]


class LedgerProblem(Schema):
    """An entry that is not as it was written."""

    number: int
    reason: str


class LedgerCheck(Schema):
    """Whether a case's ledger is as it was written."""

    case: str
    ok: bool
    entries: int
    problems: list[LedgerProblem]
