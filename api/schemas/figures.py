"""Figures as they are asked for and answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from api.schemas.base import InTime, Moment, Schema
from telephony.figures.counting import Dimension
from telephony.figures.periods import Grain

Month = Annotated[str, StringConstraints(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$")]
LONGEST_DAYS = 3_700


class DaysQuery(Schema):
    """From one day to another, both counted, in Asia/Shanghai."""

    since: dt.date = Field(alias="from", description="the first day")
    until: dt.date = Field(alias="to", description="the last day")

    @model_validator(mode="after")
    def _in_order(self) -> DaysQuery:
        if not 0 <= (self.until - self.since).days <= LONGEST_DAYS:
            raise ValueError("`to` lies before `from`, or more than ten years after it")
        return self


class PeriodsQuery(DaysQuery):
    """Figures of which time, and by what."""

    by: Grain = Field("day", description="a period that begins before `from` counts whole")
    group: Dimension = Field(
        "all", description="`desk` has hand-overs only; `department` has no messages"
    )
    member: str | None = Field(None, max_length=100, description="only this one of the group")


class Figures(Schema):
    """Figures of one period and one member. A share or mean of nothing is null."""

    calls: int = Field(description="calls of citizens that came in")
    answered: int
    answered_in_time: int = Field(description="within 15 s (GB/T 33358)")
    abandoned: int = Field(description="given up in the queue without a message")
    after_hours: int = Field(description="met a closed line, and nobody answered")
    connect_rate: float | None = Field(description="answered, of the calls during hours")
    answered_in_time_share: float | None = Field(description="of the calls during hours")
    mean_time_to_answer_s: float | None
    talks: int = Field(description="agents' legs with talk")
    mean_talk_s: float | None
    handovers: dict[str, int] = Field(description="by their outcome")
    messages: int
    messages_replied: int
    mean_time_to_reply_s: float | None
    first_contact_resolved: int
    first_contact_resolution: float | None = Field(description="of the cases that are closed")


class PeriodFigures(Figures):
    """Figures of one period and one member of the group."""

    period: str = Field(description="2026-11-24, 2026-W48 or 2026-11")
    member: str = Field(description="empty: nobody, or all")


class FigurePage(Schema):
    """The figures that were asked for, the newest first."""

    by: Grain
    group: Dimension
    items: list[PeriodFigures]
    totals: dict[str, Figures] = Field(description="of each member, from `from` to `to`")
    as_of: dt.datetime | None = Field(description="what was written until then is counted")
    days_waiting: int = Field(description="days that have changed and are not counted anew yet")


class Now(Schema):
    """The last 24 hours, straight from the record, against the standard (GB/T 33358)."""

    last_24_hours: Figures
    connect_target: float
    connect_target_met: bool | None
    answer_within_s: int


class Rise(Schema):
    """A topic: how often in this time, how often in the mean of the four before it."""

    name: str
    now: int
    before: float
    factor: float


class RepeatedCaller(Schema):
    """Who called at least three times."""

    number: str
    calls: int


class HotTopics(Schema):
    """What rose against the four stretches of the same length before."""

    since: dt.date = Field(alias="from")
    until: dt.date = Field(alias="to")
    matters: list[Rise]
    words: list[Rise]
    callers: list[RepeatedCaller]


class FiguresQuery(InTime):
    """Of which time."""

    since: Moment | None = Field(None, alias="from", description="cases opened at or after")
    until: Moment | None = Field(None, alias="to", description="cases opened before")


class CaseFigures(Schema):
    """Figures of cases; calls that were attached to another case count as `merged` only."""

    cases: int
    open: int
    taken: int
    handed_over: int
    closed: int
    merged: int
    answered: int = Field(description="whose call was answered")
    accepted: int = Field(description="which another side accepted")
    handovers: int = Field(description="how often they were offered, all together")
    first_contact_resolved: int
    first_contact_resolution_share: float | None = Field(description="of those that are closed")
    mean_time_to_answer_s: float | None
    mean_time_to_acceptance_s: float | None
