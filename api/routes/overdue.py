"""What is late, and who holds it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas.base import Page
from api.schemas.deadlines import Overdue, OverdueQuery
from api.security import AsAgent
from telephony.deadlines import queries as deadline_queries
from telephony.errors import DatabaseUnavailable
from telephony.masking import mask_case
from telephony.record.query_parts import InvalidCursor

router = APIRouter(tags=["cases"], dependencies=[Depends(each_once)])


@router.get(
    "/overdue",
    response_model=Page[Overdue],
    responses=problems(InvalidCursor, DatabaseUnavailable),
)
async def list_overdue(
    query: Annotated[OverdueQuery, Query()], service: TheService, who: AsAgent
) -> Response:
    """Deadlines that have passed, the longest ago first, each with who must act and its case."""
    filters = deadline_queries.OverdueFilter(
        department=query.department, kind=query.kind, holder=query.holder
    )
    found = await deadline_queries.overdue(
        service.database,
        filters,
        now=datetime.now(UTC),
        limit=query.limit,
        cursor=query.cursor,
    )
    return answers.page(await sight.page(service.database, who, found, mask_case))
