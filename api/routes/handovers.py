"""Hand-overs that run, and what they can be told; one on record by its id."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas.base import Page, Word
from api.schemas.calls import Handover, TransferRequest
from api.schemas.record import HandoverWithDetails, RecordedHandover
from api.schemas.record_queries import HandoverPageQuery
from api.security import AsAgent, Identity
from telephony.cases.dispatch import DISPATCH_ID, Decision, Dispatch
from telephony.cases.work import Actor
from telephony.errors import (
    CaseNotFound,
    DatabaseUnavailable,
    DeskNotFound,
    HandoverNotFound,
    NotAllowed,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)
from telephony.live.model import Call, RunningHandover
from telephony.masking import mask_handover
from telephony.record import queries
from telephony.service import Service

router = APIRouter(tags=["hand-overs"], dependencies=[Depends(each_once)])

HandoverId = Annotated[Word, Path(description="the hand-over's id")]

_told = problems(HandoverNotFound, NotAllowed, WrongState, PbxUnavailable, PbxTimeout)


@router.get("/handovers/running", responses=problems(PbxUnavailable))
async def running_handovers(service: TheService, _who: AsAgent) -> Page[Handover]:
    """The hand-overs that run now."""
    items = [
        _handover(call, running)
        for site in service.sites.seen()
        for call, running in site.handovers.running()
    ]
    return Page(items=items, next=None)


@router.get(
    "/handovers",
    response_model=Page[RecordedHandover],
    responses=problems(queries.InvalidCursor, DatabaseUnavailable),
)
async def list_handovers(
    query: Annotated[HandoverPageQuery, Query()], service: TheService, who: AsAgent
) -> Response:
    """Hand-overs on record, newest first."""
    filters = queries.HandoverFilter(
        case=query.case,
        desk=query.desk,
        by=query.by,
        state=query.state,
        since=query.since,
        until=query.until,
    )
    found = await queries.list_handovers(
        service.database, filters, limit=query.limit, cursor=query.cursor
    )
    return answers.page(await sight.page(service.database, who, found, mask_handover))


@router.get(
    "/handovers/{handover}",
    response_model=HandoverWithDetails,
    responses=problems(HandoverNotFound, DatabaseUnavailable),
)
async def get_handover(handover: HandoverId, service: TheService, who: AsAgent) -> Response:
    """One hand-over on record, what came of it, and what was written about its case."""
    row = await queries.get_handover(service.database, handover)
    return answers.row(
        await sight.one(service.database, who, row, mask_handover, "handover", handover)
    )


@router.post("/handovers/{handover}/complete", status_code=202, responses=_told)
async def complete(handover: HandoverId, service: TheService, who: AsAgent) -> Handover:
    """After asking a desk: the agent leaves, citizen and desk talk."""
    return await _tell(service, "complete", handover, who)


@router.post("/handovers/{handover}/cancel", status_code=202, responses=_told)
async def cancel(handover: HandoverId, service: TheService, who: AsAgent) -> Handover:
    """While asking a desk: the agent takes the citizen back."""
    return await _tell_either(service, "cancel", handover, who)


@router.post("/handovers/{handover}/join", status_code=202, responses=_told)
async def join(handover: HandoverId, service: TheService, who: AsAgent) -> Handover:
    """After asking a desk: all three talk (三方通话)."""
    return await _tell(service, "join", handover, who)


@router.post("/handovers/{handover}/confirm", status_code=202, responses=_told)
async def confirm(handover: HandoverId, service: TheService, who: AsAgent) -> Handover:
    """The desk takes the call, as by pressing 1 on its phone."""
    return await _tell_either(service, "confirm", handover, who)


@router.post("/handovers/{handover}/decline", status_code=202, responses=_told)
async def decline(handover: HandoverId, service: TheService, who: AsAgent) -> Handover:
    """The desk refuses; the citizen is back with the agent at once."""
    return await _tell_either(service, "decline", handover, who)


@router.post(
    "/cases/{case}/dispatch",
    status_code=201,
    responses=problems(CaseNotFound, DeskNotFound, NotAllowed, WrongState, DatabaseUnavailable),
)
async def dispatch(
    case: Annotated[Word, Path()],
    body: TransferRequest,
    service: TheService,
    who: AsAgent,
) -> Handover:
    """Hand a case to a desk without a call (派单); it moves when the desk confirms.

    For the side that answers for it or had first contact, for anybody while nobody has it.
    """
    actor = _actor(who)
    await service.case_book.may_dispatch(case, actor=actor)
    return _dispatch(
        await service.dispatches.offer(case, body.desk, by=actor.name, reason=body.reason)
    )


def _actor(who: Identity) -> Actor:
    return Actor(who.agent or who.name, is_senior=who.role != "agent")


async def _tell(
    service: Service,
    told: Literal["complete", "join", "confirm", "decline", "cancel"],
    handover: str,
    who: Identity,
) -> Handover:
    commands = service.sites.handover(handover).handovers
    call, _ = commands.find(handover)
    command = {
        "complete": commands.complete,
        "join": commands.join,
        "confirm": commands.confirm,
        "decline": commands.decline,
        "cancel": commands.cancel,
    }[told]
    return _handover(call, await command(handover, who=who.agent))


async def _tell_either(
    service: Service, decision: Decision, handover: str, who: Identity
) -> Handover:
    """A hand-over of a call, or a dispatch: their ids tell them apart."""
    if DISPATCH_ID.fullmatch(handover):
        return _dispatch(await service.case_book.decide(handover, decision, actor=_actor(who)))
    return await _tell(service, decision, handover, who)


def _dispatch(one: Dispatch) -> Handover:
    return Handover(
        id=one.id,
        call="",
        case=one.case,
        desk=one.desk,
        by=one.by,
        kind="dispatch",
        state=one.state,
    )


def _handover(call: Call, running: RunningHandover) -> Handover:
    return Handover(
        id=running.id,
        call=call.id,
        case=call.case,
        desk=running.desk,
        by=running.by,
        kind=running.kind,
        state=running.state,
    )
