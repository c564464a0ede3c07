"""Deleting by rule, the ledger of it, and legal holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.schemas.base import Page, Word
from api.schemas.retention import (
    CaseHold,
    Deletion,
    DeletionPageQuery,
    Hold,
    HoldPageQuery,
    NumberHold,
    ReleaseRequest,
    RetentionRule,
    RetentionRules,
)
from api.security import AsAdmin, AsSupervisor, Identity
from telephony.errors import (
    CaseNotFound,
    DatabaseUnavailable,
    InvalidValue,
    TooManySearches,
    WrongState,
)
from telephony.masking import mask_number, mask_text
from telephony.record.query_parts import InvalidCursor, Row
from telephony.retention.book import HoldNotFound

router = APIRouter(tags=["retention"], dependencies=[Depends(each_once)])

HoldId = Annotated[Word, Path(description="the hold's id")]


@router.get("/retention", responses=problems(reads_input=False))
async def show_retention(service: TheService, _who: AsSupervisor) -> RetentionRules:
    """What is deleted after how many days."""
    now = datetime.now(UTC)
    rules = [
        RetentionRule(what=rule.subject, days=rule.days, before=rule.before(now))
        for rule in service.retention.rules
    ]
    return RetentionRules(runs_at=f"{service.settings.retention.runs_at:%H:%M}", rules=rules)


@router.get("/deletions", responses=problems(InvalidCursor, DatabaseUnavailable))
async def list_deletions(
    query: Annotated[DeletionPageQuery, Query()], service: TheService, _who: AsSupervisor
) -> Page[Deletion]:
    """What was deleted by rule, the newest first."""
    found = await service.retention.deletions(limit=query.limit, cursor=query.cursor)
    return Page(items=[Deletion(**row) for row in found.items], next=found.next)


@router.get("/holds", responses=problems(InvalidCursor, DatabaseUnavailable))
async def list_holds(
    query: Annotated[HoldPageQuery, Query()], service: TheService, who: AsSupervisor
) -> Page[Hold]:
    """Legal holds, the newest first."""
    found = await service.retention.holds(
        active=query.active, limit=query.limit, cursor=query.cursor
    )
    return Page(items=[_shape(row, who) for row in found.items], next=found.next)


@router.post(
    "/holds",
    status_code=201,
    responses=problems(CaseNotFound, InvalidValue, TooManySearches, DatabaseUnavailable),
)
async def place_hold(body: CaseHold | NumberHold, service: TheService, who: AsSupervisor) -> Hold:
    """Keep everything of a case, or of a caller's calls, whatever the rules say."""
    # That there is the same hold already tells which number stands behind a mask of the list.
    if isinstance(body, NumberHold) and not sight.sees_all(who):
        await sight.searched(service.database, who, body.number)
    of = {"case": body.case} if isinstance(body, CaseHold) else {"number": body.number}
    row = await service.retention.hold(**of, reason=body.reason, until=body.until, who=who.name)
    return _shape(row, who)


@router.post(
    "/holds/{hold}/release", responses=problems(HoldNotFound, WrongState, DatabaseUnavailable)
)
async def release_hold(
    hold: HoldId, body: ReleaseRequest, service: TheService, who: AsAdmin
) -> Hold:
    """End a legal hold; what is older than the rules allow goes at their next run."""
    return _shape(await service.retention.release(hold, reason=body.reason, who=who.name), who)


def _shape(row: Row, who: Identity) -> Hold:
    shown = {"case" if name == "case_id" else name: value for name, value in row.items()}
    if not sight.sees_all(who):
        shown["number"] = shown["number"] and mask_number(shown["number"])
        for name in ("reason", "release_reason"):
            shown[name] = shown[name] and mask_text(shown[name])
    return Hold(**shown)
