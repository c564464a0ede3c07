"""Call legs on record: search, one, and all of them as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response, StreamingResponse

from api import schemas
from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.security import AsAgent, AsSupervisor
from telephony import queries
from telephony.errors import DatabaseUnavailable, LegNotFound

router = APIRouter(tags=["legs"], dependencies=[Depends(each_once)])

_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV, UTF-8"}
}


@router.get(
    "/legs",
    response_model=schemas.Page[schemas.Leg],
    responses=problems(queries.InvalidCursor, DatabaseUnavailable),
)
async def list_legs(
    query: Annotated[schemas.LegPageQuery, Query()], service: TheService, _who: AsAgent
) -> Response:
    """Legs, newest first."""
    found = await queries.list_legs(
        service.database, _filter(query), limit=query.limit, cursor=query.cursor
    )
    return answers.page(found)


@router.get(
    "/legs/export",
    response_class=StreamingResponse,
    responses={**problems(DatabaseUnavailable), **_CSV},
)
async def export_legs(
    query: Annotated[schemas.LegQuery, Query()], service: TheService, _who: AsSupervisor
) -> Response:
    """Legs as CSV, oldest first, streamed; for supervisors and admins."""
    chunks = queries.export_legs_csv(service.database, _filter(query))
    # A database that is away must be a 503, so the answer begins only once there is something.
    first = await anext(chunks)
    return StreamingResponse(
        _all(first, chunks),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="legs.csv"'},
    )


@router.get(
    "/legs/{pbx}/{uniqueid}",
    response_model=schemas.Leg,
    responses=problems(LegNotFound, DatabaseUnavailable),
)
async def get_leg(
    pbx: Annotated[schemas.Word, Path()],
    uniqueid: Annotated[schemas.Word, Path()],
    service: TheService,
    _who: AsAgent,
) -> Response:
    """One leg."""
    return answers.row(await queries.get_leg(service.database, uniqueid, pbx=pbx))


def _filter(query: schemas.LegQuery) -> queries.LegFilter:
    return queries.LegFilter(
        caller=query.caller,
        agent=query.agent,
        department=query.department,
        case=query.case,
        role=query.role,
        since=query.since,
        until=query.until,
    )


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
