"""Calls in progress: see them, hand one over, call a desk in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from fastapi import APIRouter, Path

from api import sight
from api.dependencies import TheService
from api.errors import problems
from api.idempotency import KEY, KeyReused, Once, TheOnce
from api.schemas import calls as shapes
from api.schemas.base import Page, Word
from api.security import AsAgent, Identity
from telephony import handover
from telephony.dialplan import targets
from telephony.errors import (
    CallNotFound,
    DatabaseUnavailable,
    DeskNotFound,
    HandoverRunning,
    NumberNotAllowed,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)
from telephony.live import model as live_model
from telephony.live.shapes import call_shape
from telephony.masking import mask_call
from telephony.matters.proposals import NothingProposed

if TYPE_CHECKING:
    from telephony.dialplan import Target
    from telephony.partners import Group, Outside
    from telephony.service import Service
    from telephony.settings import Desk
    from telephony.site import Site

router = APIRouter(tags=["calls"])

CallId = Annotated[Word, Path(description="the call's id or its case")]

_moving = problems(
    CallNotFound,
    DeskNotFound,
    NumberNotAllowed,
    WrongState,
    HandoverRunning,
    PbxUnavailable,
    PbxTimeout,
    PbxRefused,
    KeyReused,
    NothingProposed,
    DatabaseUnavailable,
)


@router.get("/calls", responses=problems(PbxUnavailable, reads_input=False))
async def list_calls(service: TheService, who: AsAgent) -> Page[shapes.Call]:
    """All calls in progress, the oldest first; of several PBXs those that are seen."""
    found = [
        _call(service, site, call, who)
        for site in service.sites.seen()
        for call in site.calls.calls()
    ]
    return Page(
        items=sorted(found, key=lambda call: call.started_at or datetime.min.replace(tzinfo=UTC)),
        next=None,
    )


@router.get("/calls/{call_id}", responses=problems(CallNotFound, PbxUnavailable))
async def get_call(call_id: CallId, service: TheService, who: AsAgent) -> shapes.Call:
    """One call in progress."""
    site = service.sites.call(call_id)
    return _call(service, site, site.calls.call(call_id), who)


@router.post("/calls/{call_id}/transfer", status_code=202, responses=_moving)
async def transfer(
    call_id: CallId,
    body: shapes.PressRequest,
    service: TheService,
    who: AsAgent,
    once: TheOnce,
    idempotency_key: KEY = None,
) -> shapes.Handover:
    """One-key transfer (一键转接): the desk rings; unless it takes the call, caller and agent are
    back together at once.

    Without a desk: to whom the matter of the call's case proposes, as with all these keys. The
    answer comes when the hand-over has begun. Its outcome is in the call and in the case.
    """
    return await press("transfer", service, call_id, body, who, once, idempotency_key)


@router.post("/calls/{call_id}/conference", status_code=202, responses=_moving)
async def three_way(
    call_id: CallId,
    body: shapes.PressRequest,
    service: TheService,
    who: AsAgent,
    once: TheOnce,
    idempotency_key: KEY = None,
) -> shapes.Handover:
    """Three-way call (三方通话): the desk is called in while agent and citizen go on talking."""
    return await press("conference", service, call_id, body, who, once, idempotency_key)


@router.post("/calls/{call_id}/consult", status_code=202, responses=_moving)
async def consult(
    call_id: CallId,
    body: shapes.PressRequest,
    service: TheService,
    who: AsAgent,
    once: TheOnce,
    idempotency_key: KEY = None,
) -> shapes.Handover:
    """Ask a desk first (先问后转): the citizen hears music while the agent speaks to it; then
    complete, cancel or join the hand-over."""
    return await press("consult", service, call_id, body, who, once, idempotency_key)


class Press(Protocol):
    """What a key does to a call; see :meth:`telephony.transfer.Transfers.transfer`."""

    async def __call__(
        self, call_id: str, desk_id: str, *, agent: str | None = None, reason: str = ""
    ) -> handover.Handover: ...


PRESSES: dict[str, Callable[[Site], Press]] = {
    "transfer": lambda site: site.transfers.transfer,
    "consult": lambda site: site.transfers.consult,
    "conference": lambda site: site.three_ways.three_way,
}
"""The keys by the last part of their address."""


async def press(
    key: str,
    service: Service,
    call_id: str,
    body: shapes.PressRequest,
    who: Identity,
    once: Once,
    idempotency_key: str | None,
) -> shapes.Handover:
    """Press a key on a call, as this identity may; once, however often it is sent."""

    async def work() -> shapes.Handover:
        desk, reason = body.desk, body.reason
        site = service.sites.call(call_id)
        if desk is None:
            desk, matter = await site.proposals.press(call_id)
            reason = reason or matter
        pressed = PRESSES[key](site)
        return _handover(await pressed(call_id, desk, agent=who.agent, reason=reason))

    return await once.do(who, idempotency_key, (key, call_id, body.desk or "", body.reason), work)


@router.get("/desks", responses=problems(reads_input=False))
async def list_desks(service: TheService, _who: AsAgent) -> Page[shapes.Desk]:
    """The desks, groups and outside numbers that calls can be handed to."""
    settings = service.settings
    rings = {target.id: target for target in targets(settings)}
    items = [
        *(_desk("desk", one.id, one, rings[one.id], one.department) for one in settings.desks),
        *(_desk("group", one.id, one, rings[one.id]) for one in settings.groups),
        *(_desk("outside", one.number, one, one) for one in settings.outside),
    ]
    return Page(items=items, next=None)


def _desk(
    kind: Literal["desk", "group", "outside"],
    name: str,
    named: Desk | Group | Outside,
    rings: Target | Outside,
    department: str = "",
) -> shapes.Desk:
    return shapes.Desk(
        id=name,
        kind=kind,
        name=named.name,
        department=department,
        ring_s=rings.ring_s,
        acceptance=rings.acceptance,
    )


def _call(service: Service, site: Site, call: live_model.Call, who: Identity) -> shapes.Call:
    mark = service.nuisance.shape_of(call.citizen.caller) if call.citizen else None
    shape = call_shape(call, site.name, mark)
    return shapes.Call.model_validate(shape if sight.sees_live(who) else mask_call(shape))


def _handover(begun: handover.Handover) -> shapes.Handover:
    return shapes.Handover(
        id=begun.id,
        call=begun.call,
        case=begun.case,
        desk=begun.desk,
        by=begun.by,
        kind=begun.kind,
        state=begun.state,
    )
