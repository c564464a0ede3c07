"""Looking for something in the record: as one types, a whole call, a ledger that was checked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas import finding as shapes
from api.schemas.base import Word
from api.security import AsAgent, AsSupervisor
from telephony import audit
from telephony.errors import CaseNotFound, DatabaseUnavailable, LegNotFound
from telephony.masking import mask_leg
from telephony.record import finding, queries
from telephony.record.ledger_check import verify_case

router = APIRouter(dependencies=[Depends(each_once)])


@router.get(
    "/find",
    tags=["legs"],
    response_model=shapes.FoundItems,
    responses=problems(DatabaseUnavailable),
)
async def find(
    query: Annotated[shapes.FindQuery, Query()], service: TheService, who: AsSupervisor
) -> Response:
    """Callers and cases whose numbers begin so, for a search box; callers only for who sees them.

    At any size of the record this takes milliseconds.
    """
    callers = sight.sees_all(who)
    found = await finding.beginning_with(service.database, query.q, callers=callers)
    return answers.row({"items": [one._asdict() for one in found]})


@router.get(
    "/legs/{pbx}/{uniqueid}/call",
    tags=["legs"],
    response_model=shapes.CallLegs,
    responses=problems(LegNotFound, DatabaseUnavailable),
)
async def get_call_of_leg(
    pbx: Annotated[Word, Path()],
    uniqueid: Annotated[Word, Path()],
    service: TheService,
    who: AsAgent,
) -> Response:
    """All legs of the call that a leg belongs to, oldest first."""
    linkedid, legs = await finding.legs_of_call(service.database, pbx, uniqueid)
    shown = (await sight.page(service.database, who, queries.Page(legs, None), mask_leg)).items
    if any(one is leg for one, leg in zip(shown, legs, strict=True)):
        which = f"{pbx}/{uniqueid}"
        await audit.note(service.database, who=who.name, role=who.role, what="leg", which=which)
    return answers.row({"linkedid": linkedid, "items": shown})


@router.get(
    "/cases/{case}/ledger/check",
    tags=["cases"],
    response_model=shapes.LedgerCheck,
    responses=problems(CaseNotFound, DatabaseUnavailable),
)
async def check_ledger(
    case: Annotated[Word, Path()], service: TheService, _who: AsAgent
) -> Response:
    """Whether every entry of a case's ledger is as it was written, by its hashes."""
    found = await verify_case(service.database, case)
    listed = [{"number": one.number, "reason": one.reason} for one in found.problems]
    return answers.row(
        {"case": case, "ok": not listed, "entries": found.entries, "problems": listed}
    )
