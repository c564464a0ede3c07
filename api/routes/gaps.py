"""Gaps of the record: where rows of the PBX are missing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas.base import Page
from api.schemas.gaps import GapQuery, RecordGap
from api.security import AsSupervisor
from telephony.errors import DatabaseUnavailable
from telephony.record.gap_store import list_gaps
from telephony.record.query_parts import InvalidCursor

router = APIRouter(tags=["legs"], dependencies=[Depends(each_once)])


@router.get(
    "/gaps",
    response_model=Page[RecordGap],
    responses=problems(InvalidCursor, DatabaseUnavailable),
)
async def gaps(
    query: Annotated[GapQuery, Query()], service: TheService, _who: AsSupervisor
) -> Response:
    """Stretches of which rows of the PBX are missing, the newest first; for supervisors."""
    return answers.page(
        await list_gaps(
            service.database,
            pbx=query.pbx,
            why=query.why,
            since=query.since,
            until=query.until,
            limit=query.limit,
            cursor=query.cursor,
        )
    )
