"""What people do with cases: write down what is known, accept, return, close, attach a call."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Path
from starlette.responses import Response

from api import sight
from api.dependencies import TheService
from api.errors import problems
from api.idempotency import KEY
from api.routes import answers
from api.schemas import case_work as bodies
from api.schemas.base import Word
from api.schemas.record import Case, CaseDetails
from api.security import AsAgent, Identity
from telephony.cases.book import FIELDS, VersionConflict, VersionNeeded
from telephony.cases.work import Action, Actor
from telephony.errors import (
    CallNotFound,
    CaseNotFound,
    DatabaseUnavailable,
    NotAllowed,
    WrongState,
)
from telephony.masking import mask_case, mask_details
from telephony.matters.book import MatterUnknown
from telephony.record import queries
from telephony.service import Service

router = APIRouter(tags=["cases"])

CaseNumber = Annotated[Word, Path(description="the case's number")]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="`details.version` as it was read (the ETag of the case): RFC 9110, 13.1.1",
    ),
]

_worked = problems(CaseNotFound, NotAllowed, WrongState, DatabaseUnavailable)


def _actor(who: Identity) -> Actor:
    return Actor(who.agent or who.name, is_senior=who.role != "agent")


@router.patch(
    "/cases/{case}",
    response_model=CaseDetails,
    responses=problems(
        CaseNotFound,
        NotAllowed,
        WrongState,
        VersionConflict,
        VersionNeeded,
        MatterUnknown,
        DatabaseUnavailable,
    ),
)
async def edit_case(
    case: CaseNumber,
    body: bodies.CaseChanges,
    service: TheService,
    who: AsAgent,
    if_match: IfMatch = None,
) -> Response:
    """Write down kind, matter, summary, the citizen's details, and what the alarm desk asks.

    The ledger names the fields that changed and by whom, not what stood in them. A version that is
    not the present one is refused (412), none at all as well (428). The matter is one of the
    directory, by code or name, where one is loaded; it decides whom the case is to be handed to.
    """
    version = body.version if if_match is None else _version(if_match)
    if version is None:
        await queries.get_case_row(service.database, case)  # a case that is not there is a 404
        raise VersionNeeded("send `version`, or If-Match with it, as it was read")
    changes = {name: getattr(body, name) for name in body.model_fields_set if name in FIELDS}
    await service.case_book.edit(case, changes, version=version, actor=_actor(who))
    if "matter" in changes:
        await service.sites.call(case).proposals.changed(case)
    details = await queries.get_details(service.database, case)
    row = {**details, "case": case}
    shown = await sight.one(service.database, who, row, mask_details, "case", case)
    response = answers.row({name: value for name, value in shown.items() if name != "case"})
    response.headers["ETag"] = f'"{details["version"]}"'
    return response


def _version(tag: str) -> int:
    """The version in an ETag; one that is none of ours is no version there ever was."""
    digits = tag.removeprefix("W/").strip('"')
    return int(digits) if re.fullmatch(r"[0-9]{1,9}", digits) else -1


@router.post(
    "/cases/{case}/calls",
    response_model=Case,
    responses=problems(CallNotFound, CaseNotFound, NotAllowed, WrongState, DatabaseUnavailable),
)
async def attach_call(
    case: CaseNumber, body: bodies.AttachRequest, service: TheService, who: AsAgent
) -> Response:
    """A call that has ended belongs to this case: its own case is merged into it, for good."""
    await service.case_book.attach(case, body.call, actor=_actor(who))
    return await _shown(service, case, who)


@router.post("/cases/{case}/accept", response_model=Case, responses=_worked)
async def accept_case(
    case: CaseNumber, body: bodies.AcceptRequest, service: TheService, who: AsAgent
) -> Response:
    """Take a case that was offered to one's side by dispatch, or that nobody has."""
    await service.case_book.accept(case, actor=_actor(who), desk=body.desk)
    return await _shown(service, case, who)


@router.post("/cases/{case}/decline", response_model=Case, responses=_worked)
async def decline_case(
    case: CaseNumber, body: bodies.DeclineRequest, service: TheService, who: AsAgent
) -> Response:
    """Refuse a case that was offered to one's side by dispatch; it stays where it is."""
    book = service.case_book
    await book.decline(case, actor=_actor(who), words=body.reason, desk=body.desk)
    return await _shown(service, case, who)


@router.post("/cases/{case}/return", response_model=Case, responses=_worked)
async def return_case(
    case: CaseNumber,
    body: bodies.ReasonRequest,
    service: TheService,
    who: AsAgent,
    idempotency_key: KEY = None,
) -> Response:
    """Give back what was accepted (退回): who had it before answers for it again."""
    return await _act(service, case, "return", who, body.reason, idempotency_key)


@router.post("/cases/{case}/feedback", response_model=Case, responses=_worked)
async def give_feedback(
    case: CaseNumber,
    body: bodies.FeedbackRequest,
    service: TheService,
    who: AsAgent,
    idempotency_key: KEY = None,
) -> Response:
    """Say what has come of it so far (反馈)."""
    return await _act(service, case, "feedback", who, body.text, idempotency_key)


@router.post("/cases/{case}/close", response_model=Case, responses=_worked)
async def close_case(
    case: CaseNumber,
    body: bodies.CloseRequest,
    service: TheService,
    who: AsAgent,
    idempotency_key: KEY = None,
) -> Response:
    """It is settled (办结)."""
    return await _act(service, case, "close", who, body.result or "", idempotency_key)


@router.post("/cases/{case}/reopen", response_model=Case, responses=_worked)
async def reopen_case(
    case: CaseNumber,
    body: bodies.ReasonRequest,
    service: TheService,
    who: AsAgent,
    idempotency_key: KEY = None,
) -> Response:
    """It was not settled after all; who answered for it does so again."""
    return await _act(service, case, "reopen", who, body.reason, idempotency_key)


async def _act(
    service: Service, case: str, action: Action, who: Identity, words: str, once: str | None
) -> Response:
    await service.case_book.act(case, action, actor=_actor(who), words=words, once=once)
    return await _shown(service, case, who)


async def _shown(service: Service, case: str, who: Identity) -> Response:
    """The case as its list shows it."""
    row = await queries.get_case_row(service.database, case)
    found = await sight.page(service.database, who, queries.Page([row], None), mask_case)
    return answers.row(found.items[0])
