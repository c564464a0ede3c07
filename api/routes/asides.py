"""Around a call: hold and resume, park and fetch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from api.dependencies import TheService
from api.errors import problems
from api.schemas.base import Schema, Word
from api.security import AsAgent
from telephony.around import aside
from telephony.errors import (
    AgentNotFound,
    CallNotFound,
    HandoverRunning,
    NotAllowed,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)

router = APIRouter(tags=["around a call"])

CallId = Annotated[Word, Path(description="the call's id or its case")]

_MOVING = (CallNotFound, WrongState, HandoverRunning, PbxUnavailable, PbxTimeout, PbxRefused)


class Aside(Schema):
    """A citizen who was put aside, or taken back."""

    call: str
    case: str
    by: str = Field(description="the agent or desk who did it, or whose phone rings")
    state: str = Field(examples=["held", "talking", "parked"])
    slot: str | None = Field(
        None, description="the place of a parked citizen: any phone fetches by the code and this"
    )


class FetchRequest(Schema):
    """Who is to have the parked citizen; their phone rings."""

    agent: Word | None = Field(
        None, description="an agent or desk; not needed with an agent's own token"
    )


@router.post("/calls/{call_id}/hold", responses=problems(*_MOVING))
async def hold_call(call_id: CallId, service: TheService, who: AsAgent) -> Aside:
    """Put the citizen on hold: they hear music until `resume`.

    If the agent's leg ends meanwhile, the agent's phone rings, then the queue has the citizen.
    """
    return _aside(await service.sites.call(call_id).asides.hold(call_id, agent=who.agent))


@router.post("/calls/{call_id}/resume", responses=problems(*_MOVING))
async def resume_call(call_id: CallId, service: TheService, who: AsAgent) -> Aside:
    """Agent and citizen talk again."""
    return _aside(await service.sites.call(call_id).asides.resume(call_id, agent=who.agent))


@router.post("/calls/{call_id}/park", responses=problems(*_MOVING, aside.NoPlaceFree))
async def park_call(call_id: CallId, service: TheService, who: AsAgent) -> Aside:
    """Park the citizen on a numbered place, from which any agent or desk may fetch them.

    Nobody fetches: after a while they ring whoever parked them, then they are in the queue.
    """
    return _aside(await service.sites.call(call_id).asides.park(call_id, agent=who.agent))


@router.post("/calls/{call_id}/fetch", status_code=202, responses=problems(*_MOVING, AgentNotFound))
async def fetch_call(
    call_id: CallId, body: FetchRequest, service: TheService, who: AsAgent
) -> Aside:
    """Ring a phone which has the parked citizen when it answers. Unanswered, they stay parked."""
    wanted = body.agent or who.agent
    if wanted is None:
        raise AgentNotFound("say whose phone is to ring: `agent`")
    if who.agent is not None and wanted != who.agent:
        raise NotAllowed(f"this token fetches calls for {who.agent} only")
    return _aside(await service.sites.call(call_id).asides.fetch(call_id, wanted))


def _aside(done: aside.Aside) -> Aside:
    return Aside(call=done.call, case=done.case, by=done.by, state=done.state, slot=done.slot)
