"""Large exports: ask for one, see how far it is, fetch its file in parts, take it back."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.files import RANGE, SentFile
from api.routes.answers import attached_as
from api.schemas.base import Page, Word
from api.schemas.exports import Export, ExportPageQuery, ExportRequest
from api.security import AsExporter, Identity
from telephony import audit
from telephony.audit import in_words
from telephony.bulk.cells import CHINA
from telephony.bulk.export import DiskFull
from telephony.bulk.jobs import ExportGone, ExportNotFound, ExportNotReady
from telephony.bulk.parquet import ParquetMissing
from telephony.bulk.tables import TABLES, Spec, spec_of
from telephony.errors import DatabaseUnavailable, NotAllowed, TooManySearches
from telephony.masking import mask_typed
from telephony.record.query_parts import InvalidCursor, Row

router = APIRouter(tags=["exports"], dependencies=[Depends(each_once)])

ExportId = Annotated[Word, Path(description="the export's id")]
PREFIX = "/api/v1"
_MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


@router.post(
    "/exports",
    status_code=202,
    responses=problems(TooManySearches, ParquetMissing, DiskFull, DatabaseUnavailable),
)
async def begin_export(
    body: Annotated[ExportRequest, Body()],
    service: TheService,
    who: AsExporter,
    response: Response,
) -> Export:
    """Ask for legs, cases, ledger or hand-overs as CSV, XLSX or Parquet.

    Numbers are as the token sees them; unmasked, it is in the audit log.
    """
    kind = TABLES[body.what].filters
    names = {field.name for field in fields(kind)}
    told = {name: value for name, value in body.filters.model_dump().items() if name in names}
    whole = sight.sees_all(who)
    look = (body.headings, body.format, body.bom, whole)
    spec = Spec(body.what, kind(**told), tuple(body.columns), *look)
    if whole:
        asked = body.filters.model_dump(mode="json", by_alias=True, exclude_none=True)
        what: audit.What = f"{body.what}-export"  # type: ignore[assignment]
        await audit.note(
            service.database, who=who.name, role=who.role, what=what, which=in_words(asked)
        )
    else:
        await sight.searched(service.database, who, told.get("caller"))
    job = await service.exports.ask(spec, who=who.name, role=who.role)
    response.headers["Location"] = f"{PREFIX}/exports/{job['id']}"
    return _shape(job)


@router.get("/exports", responses=problems(InvalidCursor, DatabaseUnavailable))
async def list_exports(
    query: Annotated[ExportPageQuery, Query()], service: TheService, _who: AsExporter
) -> Page[Export]:
    """Exports, the newest first."""
    found = await service.exports.page(limit=query.limit, cursor=query.cursor)
    return Page(items=[_shape(job) for job in found.items], next=found.next)


@router.get("/exports/{export}", responses=problems(ExportNotFound, DatabaseUnavailable))
async def get_export(export: ExportId, service: TheService, _who: AsExporter) -> Export:
    """How far an export is."""
    return _shape(await service.exports.get(export))


@router.get(
    "/exports/{export}/file",
    response_class=SentFile,
    responses={
        **problems(ExportNotFound, NotAllowed, ExportNotReady, ExportGone, DatabaseUnavailable),
        200: {"content": {"application/octet-stream": {}}, "description": "the file"},
        206: {
            "content": {"application/octet-stream": {}},
            "description": "the part that `Range` asked for",
        },
        **RANGE,
    },
)
async def get_export_file(
    export: ExportId, request: Request, service: TheService, who: AsExporter
) -> SentFile:
    """The file of an export; `Range` is honoured, `ETag` and `If-Range` hold its parts together.

    For who asked for it, and for admins; with unmasked numbers only for who sees them, and then it
    is in the audit log.
    """
    job = await service.exports.get(export)
    file = service.exports.file_of(job)
    if who.role != "admin" and who.name != job["asked_by"]:
        raise NotAllowed("the file is for who asked for the export, and for admins")
    if job["whole"]:
        await _must_see(service, who, job, request.headers)
    name = _name(job)
    headers = {"ETag": f'"{job["digest"]}"', "Content-Disposition": attached_as(name)}
    return SentFile(file, media_type=_MEDIA[job["format"]], headers=headers)


@router.delete(
    "/exports/{export}",
    status_code=204,
    responses=problems(ExportNotFound, NotAllowed, DatabaseUnavailable),
)
async def cancel_export(export: ExportId, service: TheService, who: AsExporter) -> None:
    """Take an export back, or its file away; for who asked for it, and for admins."""
    job = await service.exports.get(export)
    if who.role != "admin" and who.name != job["asked_by"]:
        raise NotAllowed("an export is taken back by who asked for it, or by an admin")
    await service.exports.cancel(export)


async def _must_see(service: Any, who: Identity, job: Row, headers: Headers) -> None:
    """Only who sees numbers gets a file with them; every fetch is a look."""
    if not sight.sees_all(who):
        raise NotAllowed("this file holds numbers that the token does not show; export it anew")
    part = headers.get("range", "")
    which = f"{job['what']} {job['id']} {part}".strip()
    await audit.note(service.database, who=who.name, role=who.role, what="export-file", which=which)


def _shape(job: Row) -> Export:
    filters = dict(job["filters"])
    if "caller" in filters:
        filters["caller"] = mask_typed(filters["caller"])
    there = job["state"] == "done"
    names = set(Export.model_fields) - {"filters", "file", "name"}
    return Export(
        **{name: job[name] for name in names},
        filters=filters,
        file=f"{PREFIX}/exports/{job['id']}/file" if there else None,
        name=_name(job),
    )


def _name(job: Row) -> str:
    return spec_of(job).file_name(job["asked_at"].astimezone(CHINA))
