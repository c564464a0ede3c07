"""What the shapes of all subjects share: kinds of text and time, parts of lists, problems."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from telephony.settings import TIME_ZONE

Item = TypeVar("Item")

MAX_PAGE = 500
# One line of printable text: no control character, above all no line break and no NUL.
Word = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]
Reason = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,200}$")]
Sentence = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,1000}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 -]{2,30}$")]


def _moment(moment: datetime) -> datetime:
    """A time without a zone is Shanghai time; one outside of telephony's centuries moves in."""
    if moment.year < 1900:
        return datetime(1900, 1, 1, tzinfo=UTC)
    if moment.year > 2900:
        return datetime(2900, 1, 1, tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(TIME_ZONE))


def _not_a_number(value: object) -> object:
    # pydantic would read 20261124 as seconds since 1970: a day in August of that year.
    try:
        float(str(value))
    except ValueError:
        return value
    raise ValueError("must be a date or a time such as 2026-11-24T08:30:00")


Moment = Annotated[datetime, BeforeValidator(_not_a_number), AfterValidator(_moment)]


class Schema(BaseModel):
    """Base: what is not described is not accepted."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class FieldError(Schema):
    """One field of a request that is wrong."""

    field: str = Field(examples=["body.desk"])
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). ``code`` is stable: programs may depend on it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:hotline:problem:call-not-found"])
    title: str
    status: int
    detail: str = Field(description="what is wrong and what to do about it")
    code: str = Field(examples=["call-not-found"])
    errors: list[FieldError] | None = Field(None, description="the fields, for request-invalid")


class Page(Schema, Generic[Item]):
    """A part of a list; ``next`` is the ``cursor`` of the following part, null at the end."""

    items: list[Item]
    next: str | None


class PageQuery(Schema):
    """Which part of a list."""

    cursor: Word | None = Field(None, description="`next` of the part before")
    limit: int = Field(50, ge=1, le=MAX_PAGE)


class InTime(Schema):
    """What has a time from when on and one until when: that one is later, or nothing is found."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        since, until = getattr(self, "since", None), getattr(self, "until", None)
        if since is not None and until is not None and since >= until:
            raise ValueError("from is not before to: nothing lies between")
        return self
