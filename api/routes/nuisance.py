"""Nuisance callers (骚扰, 谎报): marked until a day, shown to who answers, never blocked."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path

from api import sight
from api.dependencies import TheService
from api.errors import problems
from api.schemas.base import Page, Word
from api.schemas.nuisance import NuisanceCase, NuisanceMark, NuisanceNumber
from api.security import AsSupervisor, Identity
from telephony.cases.nuisance import Mark, NuisanceNotFound
from telephony.errors import (
    CaseNotFound,
    DatabaseUnavailable,
    InvalidValue,
    TooManySearches,
    WrongState,
)
from telephony.masking import mask_number, mask_text

router = APIRouter(tags=["nuisance"])


@router.post(
    "/nuisance",
    status_code=201,
    responses=problems(
        CaseNotFound, InvalidValue, WrongState, TooManySearches, DatabaseUnavailable
    ),
)
async def mark_nuisance(
    body: NuisanceNumber | NuisanceCase, service: TheService, who: AsSupervisor
) -> NuisanceMark:
    """Mark a caller, until a day; the next agent sees it on the call."""
    # That a number is marked already tells which one stands behind a mask of the list.
    if isinstance(body, NuisanceNumber) and not sight.sees_all(who):
        await sight.searched(service.database, who, body.number)
    mark = await service.nuisance.mark(
        number=body.number if isinstance(body, NuisanceNumber) else None,
        case=body.case if isinstance(body, NuisanceCase) else None,
        kind=body.kind,
        reason=body.reason,
        until=body.until,
        by=who.name,
    )
    return _shown(mark, who)


@router.get("/nuisance", responses=problems(DatabaseUnavailable, reads_input=False))
async def list_nuisance(service: TheService, who: AsSupervisor) -> Page[NuisanceMark]:
    """The marks that count now, the newest first."""
    items = [_shown(mark, who) for mark in await service.nuisance.marks()]
    return Page(items=items, next=None)


@router.delete(
    "/nuisance/{mark}",
    status_code=204,
    responses=problems(NuisanceNotFound, DatabaseUnavailable),
)
async def unmark_nuisance(
    mark: Annotated[Word, Path()], service: TheService, who: AsSupervisor
) -> None:
    """Take a mark off before its end."""
    await service.nuisance.unmark(mark, by=who.name)


def _shown(mark: Mark, who: Identity) -> NuisanceMark:
    shown = NuisanceMark(**asdict(mark))
    if not sight.sees_all(who):
        shown.number, shown.reason = mask_number(shown.number), mask_text(shown.reason)
    return shown
