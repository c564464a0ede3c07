"""Marking callers who are a nuisance."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.base import Moment, Phone, Schema, Sentence, Word


class _NuisanceRequest(Schema):
    kind: Literal["骚扰", "谎报"]
    reason: Sentence
    until: Moment = Field(description="when the mark ends by itself")


class NuisanceNumber(_NuisanceRequest):
    """Mark a number."""

    number: Phone


class NuisanceCase(_NuisanceRequest):
    """Mark the number that called in a case."""

    case: Word


class NuisanceMark(Schema):
    """A marked number; its calls are put through like all others."""

    id: str
    number: str
    kind: str
    reason: str
    marked_at: datetime
    marked_by: str
    until: datetime
