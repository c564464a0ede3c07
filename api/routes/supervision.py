"""Supervisors: listen to a call."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from api.dependencies import TheService
from api.errors import problems
from api.schemas.base import Schema, Word
from api.security import AsSupervisor
from telephony.around.supervision import Mode
from telephony.errors import (
    AgentNotFound,
    CallNotFound,
    NotAllowed,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)

router = APIRouter(tags=["around a call"])


class MonitorRequest(Schema):
    """Listen to a call with this phone."""

    mode: Mode = Field(
        description="listen: nobody hears you; whisper: the agent does; barge: both do"
    )
    phone: Word = Field(description="the extension of one of `supervisors`")


class Monitor(Schema):
    """The supervisor's phone rings; it listens when it is answered, until it hangs up."""

    call: str
    case: str
    supervisor: str
    mode: Mode
    agent: str | None = Field(description="who talks with the citizen now")


@router.post(
    "/calls/{call_id}/monitor",
    status_code=202,
    responses=problems(
        CallNotFound, AgentNotFound, WrongState, PbxUnavailable, PbxTimeout, PbxRefused
    ),
)
async def monitor_call(
    call_id: Annotated[Word, Path(description="the call's id or its case")],
    body: MonitorRequest,
    service: TheService,
    who: AsSupervisor,
) -> Monitor:
    """Listen to a call; for tokens with `may_monitor`. Start and end stand in the case's ledger."""
    if not who.may_monitor:
        raise NotAllowed("listening to calls needs a token with may_monitor")
    begun = await service.sites.call(call_id).monitors.start(
        call_id, body.mode, body.phone, token=who.name
    )
    return Monitor(
        call=begun.call,
        case=begun.case,
        supervisor=begun.supervisor,
        mode=begun.mode,
        agent=begun.agent or None,
    )
