"""Cases on record, with their legs, hand-overs and ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas.base import Page, Word
from api.schemas.record import Case, Story, WholeCase
from api.schemas.record_queries import CasePageQuery
from api.security import AsAgent
from telephony.cases import queries as case_queries
from telephony.deadlines import queries as deadline_queries
from telephony.errors import CaseNotFound, DatabaseUnavailable, TooManySearches
from telephony.masking import mask_case, mask_story
from telephony.record import queries

router = APIRouter(tags=["cases"], dependencies=[Depends(each_once)])


@router.get(
    "/cases",
    response_model=Page[Case],
    responses=problems(queries.InvalidCursor, TooManySearches, DatabaseUnavailable),
)
async def list_cases(
    query: Annotated[CasePageQuery, Query()], service: TheService, who: AsAgent
) -> Response:
    """Cases, newest first; with `sort=due` those with a deadline, the earliest first.

    By a citizen's `caller`, it is in the audit log.
    """
    await sight.searched(service.database, who, query.caller)
    filters = queries.CaseFilter(
        caller=query.caller,
        line=service.settings.number_of_line(query.line),
        owner=query.owner,
        state=query.state,
        handed_over_by=query.handed_over_by,
        their_case=query.their_case,
        kind=query.kind,
        matter=query.matter,
        late=query.late,
        since=query.since,
        until=query.until,
    )
    found = await queries.list_cases(
        service.database,
        filters,
        limit=query.limit,
        cursor=query.cursor,
        by_due=query.sort == "due",
    )
    return answers.page(await sight.page(service.database, who, found, mask_case))


@router.get(
    "/cases/{case}",
    response_model=WholeCase,
    responses=problems(CaseNotFound, DatabaseUnavailable),
)
async def get_case(case: Annotated[Word, Path()], service: TheService, who: AsAgent) -> Response:
    """One case with its details, its legs, its hand-overs and its ledger.

    The `ETag` is the version of its details, for a change by PATCH.
    """
    found = await queries.get_case(service.database, case)
    found["deadlines"] = await deadline_queries.of_case(
        service.database, case, now=datetime.now(UTC)
    )
    shown = await sight.one(service.database, who, found, mask_case, "case", case)
    return _tagged(answers.row(shown), found["details"]["version"])


@router.get(
    "/cases/{case}/story",
    response_model=Story,
    responses=problems(CaseNotFound, DatabaseUnavailable),
)
async def get_story(case: Annotated[Word, Path()], service: TheService, who: AsAgent) -> Response:
    """One case and everything that happened in it, in the order of time."""
    found = await case_queries.story(service.database, case)
    shown = await sight.one(service.database, who, found, mask_story, "story", case)
    return _tagged(answers.row(shown), found["details"]["version"])


def _tagged(response: Response, version: int) -> Response:
    response.headers["ETag"] = f'"{version}"'
    return response
