"""What lists of the record are asked for: the shapes of their queries."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import InTime, Moment, PageQuery, Word
from telephony.cases.work import CaseKind, CaseState

HandoverState = Literal[
    "offered",
    "accepted",
    "declined",
    "unanswered",
    "busy",
    "unreachable",
    "failed",
    "caller_gone",
    "cancelled",
    "closed",
]


class LegQuery(InTime):
    """Which legs; a name that is not known is an error, or a typing mistake would show all."""

    caller: Word | None = Field(None, description="the citizen's number, in any form")
    agent: Word | None = None
    department: Word | None = None
    case: Word | None = None
    role: Literal["citizen", "agent", "target", "supervisor", "mailbox"] | None = None
    since: Moment | None = Field(
        None, alias="from", description="begun at or after; without a zone: Asia/Shanghai"
    )
    until: Moment | None = Field(None, alias="to", description="begun before")


class LegPageQuery(LegQuery, PageQuery):
    """Which legs, and which part of the list."""


class CaseQuery(InTime):
    """Which cases."""

    caller: Word | None = Field(None, description="the citizen's number, in any form")
    line: Word | None = Field(None, description="the line that was called: id, name or number")
    owner: Word | None = Field(None, description="who answers for it now")
    state: CaseState | None = None
    handed_over_by: Word | None = Field(None, description="the side that handed it over to us")
    their_case: Word | None = Field(None, description="its number with that side")
    kind: CaseKind | None = None
    matter: Word | None = None
    late: bool | None = Field(None, description="whether a deadline of it has passed")
    sort: Literal["opened", "due"] = Field(
        "opened", description="opened: newest first; due: those with a deadline, earliest first"
    )
    since: Moment | None = Field(None, alias="from", description="opened at or after")
    until: Moment | None = Field(None, alias="to", description="opened before")


class CasePageQuery(CaseQuery, PageQuery):
    """Which cases, and which part of the list."""


class HandoverQuery(InTime):
    """Which hand-overs."""

    case: Word | None = None
    desk: Word | None = None
    by: Word | None = Field(None, description="the agent who handed over")
    state: HandoverState | None = Field(None, description="offered, accepted, or the outcome")
    since: Moment | None = Field(None, alias="from", description="offered at or after")
    until: Moment | None = Field(None, alias="to", description="offered before")


class HandoverPageQuery(HandoverQuery, PageQuery):
    """Which hand-overs, and which part of the list."""
