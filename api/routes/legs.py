"""Call legs on record: search, one, and all of them as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response, StreamingResponse

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.quick_legs import filter_of
from api.routes import answers
from api.routes.answers import attached_as
from api.schemas.base import Page, Word
from api.schemas.exports import LegExportQuery
from api.schemas.record import Leg
from api.schemas.record_queries import LegPageQuery
from api.security import AsAgent, AsExporter
from telephony import audit
from telephony.audit import in_words
from telephony.bulk import csv as bulk_csv
from telephony.bulk.patience import patiently
from telephony.bulk.tables import Spec
from telephony.errors import DatabaseUnavailable, LegNotFound, TooManySearches
from telephony.masking import mask_leg
from telephony.record import queries

router = APIRouter(tags=["legs"], dependencies=[Depends(each_once)])

_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV, UTF-8"}
}


@router.get(
    "/legs",
    response_model=Page[Leg],
    responses=problems(queries.InvalidCursor, TooManySearches, DatabaseUnavailable),
)
async def list_legs(
    query: Annotated[LegPageQuery, Query()], service: TheService, who: AsAgent
) -> Response:
    """Legs, newest first; by a citizen's `caller`, it is in the audit log."""
    await sight.searched(service.database, who, query.caller)
    filters, limit, cursor = filter_of(query), query.limit, query.cursor
    if sight.sees_all(who):
        body = await service.leg_pages.page(filters, limit=limit, cursor=cursor)
        return Response(body, media_type="application/json")
    found = await queries.list_legs(service.database, filters, limit=limit, cursor=cursor)
    return answers.page(await sight.page(service.database, who, found, mask_leg))


@router.get(
    "/legs/export",
    response_class=StreamingResponse,
    responses={**problems(TooManySearches, DatabaseUnavailable), **_CSV},
)
async def export_legs(
    query: Annotated[LegExportQuery, Query()], service: TheService, who: AsExporter
) -> Response:
    """Legs as CSV, oldest first, streamed; for supervisors and admins.

    Who takes nothing for a minute, or takes more than an hour, gets it cut off.
    Larger ones, other formats and other tables: `POST /exports`.
    """
    whole = sight.sees_all(who)
    asked = query.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    if whole:
        which = in_words(asked)
        await audit.note(
            service.database, who=who.name, role=who.role, what="legs-export", which=which
        )
    else:
        await sight.searched(service.database, who, query.caller)
    spec = Spec(
        "legs",
        filter_of(query),
        tuple(dict.fromkeys(query.columns.split(","))) if query.columns else (),
        query.headings,
        bom=query.bom,
        whole=whole,
    )
    chunks = patiently(bulk_csv.chunks(service.database, spec))
    # A database that is away must be a 503, so the answer begins only once there is something.
    first = await anext(chunks)
    name = "通话.csv" if query.headings == "zh" else "legs.csv"
    return StreamingResponse(
        _all(first, chunks),
        media_type="text/csv",
        headers={"Content-Disposition": attached_as(name)},
    )


@router.get(
    "/legs/{pbx}/{uniqueid}",
    response_model=Leg,
    responses=problems(LegNotFound, DatabaseUnavailable),
)
async def get_leg(
    pbx: Annotated[Word, Path()],
    uniqueid: Annotated[Word, Path()],
    service: TheService,
    who: AsAgent,
) -> Response:
    """One leg."""
    leg = await queries.get_leg(service.database, uniqueid, pbx=pbx)
    which = f"{pbx}/{uniqueid}"
    return answers.row(await sight.one(service.database, who, leg, mask_leg, "leg", which))


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
