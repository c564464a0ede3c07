"""Work orders and messages to other platforms, as they are listed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas.base import InTime, Moment, PageQuery, Reason, Schema, Word

OrderState = Literal["new", "accepted", "feedback", "refused", "closed", "withdrawn"]
MessageState = Literal["waiting", "delivered", "dead", "skipped"]


class OrdersQuery(InTime, PageQuery):
    """Which orders, and which part of the list."""

    platform: Word | None = None
    given_by: Literal["us", "them"] | None = None
    state: OrderState | None = None
    case: Word | None = None
    since: Moment | None = Field(None, alias="from", description="given at or after")
    until: Moment | None = Field(None, alias="to", description="given before")


class WorkOrder(Schema):
    """A work order between us and another platform."""

    platform: str
    given_by: Literal["us", "them"]
    number: str = Field(description="as whoever gave it numbered it")
    case: str
    their_case: str | None
    handover: str = Field(description="by which it stands in the case's ledger")
    desk: str | None
    state: OrderState
    opened_at: datetime
    changed_at: datetime


class OutboxQuery(PageQuery):
    """Which messages, and which part of the list."""

    state: MessageState | None = None
    destination: Word | None = Field(None, description="the platform's id")
    case: Word | None = None


class OutboxMessage(Schema):
    """A message to another platform; what it says is not shown."""

    id: int
    destination: str
    kind: str
    case: str | None
    sequence: int
    key: str
    state: MessageState
    created_at: datetime
    next_at: datetime
    attempts: int
    delivered_at: datetime | None
    last_error: str | None


class RetryRequest(Schema):
    """Which of those that were given up are sent once more: all, or those to one platform."""

    destination: Word | None = None


class Retried(Schema):
    """How many are sent once more."""

    messages: int


class SkipRequest(Schema):
    """Why it is never sent."""

    reason: Annotated[Reason, StringConstraints(min_length=1)]
