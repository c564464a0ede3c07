"""Cases on record, with their legs, hand-overs and ledger."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api import schemas
from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.security import AsAgent
from telephony import queries
from telephony.errors import CaseNotFound, DatabaseUnavailable

router = APIRouter(tags=["cases"], dependencies=[Depends(each_once)])


@router.get(
    "/cases",
    response_model=schemas.Page[schemas.Case],
    responses=problems(queries.InvalidCursor, DatabaseUnavailable),
)
async def list_cases(
    query: Annotated[schemas.CasePageQuery, Query()], service: TheService, _who: AsAgent
) -> Response:
    """Cases, newest first."""
    filters = queries.CaseFilter(
        caller=query.caller,
        owner=query.owner,
        state=query.state,
        handed_over_by=query.handed_over_by,
        their_case=query.their_case,
        since=query.since,
        until=query.until,
    )
    return answers.page(
        await queries.list_cases(service.database, filters, limit=query.limit, cursor=query.cursor)
    )


@router.get(
    "/cases/{case}",
    response_model=schemas.WholeCase,
    responses=problems(CaseNotFound, DatabaseUnavailable),
)
async def get_case(
    case: Annotated[schemas.Word, Path()], service: TheService, _who: AsAgent
) -> Response:
    """One case with its legs, its hand-overs and its ledger."""
    return answers.row(await queries.get_case(service.database, case))
