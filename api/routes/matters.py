"""The directory of matters: searched by agents, imported by admins; and what it proposes."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api.dependencies import TheService, each_once
from api.errors import problem, problems
from api.schemas import matters as bodies
from api.schemas.base import Page, Word
from api.security import AsAdmin, AsAgent, AsSupervisor, Identity
from telephony import audit
from telephony.errors import CaseNotFound, DatabaseUnavailable, HotlineError
from telephony.matters.book import MatterNotFound, MatterVersionNotFound
from telephony.matters.files import (
    MAX_BYTES,
    Broken,
    MatterFileRefused,
    Read,
    csv_of_matters,
    read_matters,
)
from telephony.record.query_parts import InvalidCursor

if TYPE_CHECKING:
    from telephony.matters.book import Taken, Version
    from telephony.matters.rules import Matter
    from telephony.service import Service

router = APIRouter(tags=["matters"], dependencies=[Depends(each_once)])

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
KINDS = ("text/csv", XLSX)
SHOWN = 500
"""How many mistakes of a file an answer names."""
VersionNumber = Annotated[int, Path(ge=1, lt=2**31)]


class KindNotSupported(HotlineError):
    """A body that is said to be neither CSV nor XLSX."""

    code = "kind-not-supported"
    status = 415
    title = "Send CSV or XLSX"


@router.get(
    "/matters",
    response_model=bodies.MatterPage,
    responses=problems(InvalidCursor),
)
async def search_matters(
    query: Annotated[bodies.MatterQuery, Query()], service: TheService, _who: AsAgent
) -> Response:
    """The matters that hold these words, the best first; all in their order without words.

    Answered from memory: it works while the database is away.
    """
    directory = service.matters.directory

    def allow(one: Matter) -> bool:
        return query.category in (None, one.category) and query.desk in (None, one.desk)

    start = _place(query.cursor, directory.version)
    narrow = query.category is not None or query.desk is not None
    found = directory.search(query.q, allow if narrow else None)
    part = found.matters[start : start + query.limit]
    more = start + query.limit < len(found.matters)
    body = {
        "items": [_shape(one) for one in part],
        "next": f"{directory.version}-{start + query.limit}" if more else None,
        "version": directory.version,
        "sample": directory.is_sample,
        "total": len(found.matters),
        "exact": found.exact,
    }
    return Response(orjson.dumps(body), media_type="application/json")


def _place(cursor: str | None, version: int) -> int:
    """Where a part of the list begins; raises :class:`InvalidCursor`."""
    if cursor is None:
        return 0
    found = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", cursor, re.ASCII)
    if found is None:
        raise InvalidCursor("the cursor is not one of ours; start from the first page")
    if int(found[1]) != version:
        raise InvalidCursor("the directory has changed meanwhile; start from the first page")
    return int(found[2])


@lru_cache(maxsize=8192)
def _shape(one: Matter) -> dict[str, Any]:
    names = ("code", "name", "category", "direction", "desk", "urgency", "feedback_h")
    values: dict[str, Any] = {name: getattr(one, name) for name in names}
    values |= {"keywords": list(one.keywords), "stability": one.stability, "danger": one.danger}
    return values | {"sample": one.is_sample}


@router.get("/matters/versions", responses=problems(DatabaseUnavailable, reads_input=False))
async def list_versions(service: TheService, _who: AsSupervisor) -> Page[bodies.MatterVersion]:
    """All imports of the directory, the newest first."""
    found = await service.matters.versions()
    return Page(items=[_version(one) for one in found], next=None)


@router.post(
    "/matters/versions/{version}/restore",
    responses=problems(MatterVersionNotFound, DatabaseUnavailable),
)
async def restore_version(
    version: VersionNumber, service: TheService, who: AsAdmin
) -> bodies.MatterImport:
    """Take an earlier version up again, as a new one; nothing changes if it counts already."""
    taken = await service.matters.restore(version, by=who.name)
    await _note(service, who, "matters-restore", f"{version} as {taken.version}")
    return _told(Read(), taken)


@router.get(
    "/matters/export",
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"},
        **problems(MatterVersionNotFound, DatabaseUnavailable),
    },
)
async def export_matters(
    query: Annotated[bodies.ExportQuery, Query()], service: TheService, _who: AsSupervisor
) -> Response:
    """The directory as CSV with a byte order mark, which an import reads back as it is."""
    book = service.matters
    if query.version is None:
        matters = list((await book.refresh()).matters)
    else:
        matters = await book.matters_of(query.version)
    named = {"Content-Disposition": 'attachment; filename="matters.csv"'}
    text = await asyncio.to_thread(csv_of_matters, matters, query.headings)
    return Response(text.encode(), media_type="text/csv; charset=utf-8", headers=named)


@router.post(
    "/matters/import",
    response_model=bodies.MatterImport,
    responses=problems(MatterFileRefused, KindNotSupported, DatabaseUnavailable),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                XLSX: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def import_matters(
    query: Annotated[bodies.ImportQuery, Query()],
    request: Request,
    service: TheService,
    who: AsAdmin,
) -> Response:
    """Make a file the directory, as a new version: all of it, or with one mistake in it nothing.

    The problem's `broken` names every mistake by row, column and reason.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise KindNotSupported(f"the body is {kind or 'not named'}; send {' or '.join(KINDS)}")
    book = service.matters
    try:
        data = await _body(request)
        read = await asyncio.to_thread(read_matters, data, book.desks)
        options = {"skip_broken": query.skip_broken, "dry_run": query.dry_run}
        taken = await book.take(read, source=query.source, by=who.name, **options)
        if not query.dry_run:
            await _note(service, who, "matters-import", f"{query.source} as {taken.version}")
    except MatterFileRefused as error:
        broken = [_cell(one) for one in error.broken[:SHOWN]]
        return problem(error.status, error.code, error.title, error.detail, broken=broken)
    return Response(_told(read, taken).model_dump_json(), media_type="application/json")


async def _note(service: Service, who: Identity, what: audit.What, which: str) -> None:
    await audit.note(service.database, who=who.name, role=who.role, what=what, which=which)


async def _body(request: Request) -> bytes:
    """The body, as far as a file may be long; the rest is not read."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            break
    return b"".join(parts)


@router.get("/matters/{code}", response_model=bodies.Matter, responses=problems(MatterNotFound))
async def get_matter(
    code: Annotated[bodies.MatterCode, Path()], service: TheService, _who: AsAgent
) -> Response:
    """One matter of the newest version."""
    found = service.matters.directory.get(code)
    if found is None or found.code.casefold() != code.casefold():
        raise MatterNotFound(f"the directory has no matter with the code {code!r}")
    return Response(orjson.dumps(_shape(found)), media_type="application/json")


@router.get(
    "/cases/{case}/proposal",
    responses=problems(CaseNotFound, DatabaseUnavailable),
)
async def get_proposal(
    case: Annotated[Word, Path()], service: TheService, _who: AsAgent
) -> bodies.Proposal:
    """Whom to hand a case to by its matter, and why; a transfer without a desk goes there."""
    found = await service.proposals.of_case(case)
    return bodies.Proposal(
        case=found.case,
        matter=bodies.Matter(**_shape(found.matter)) if found.matter is not None else None,
        version=found.version,
        desk=found.proposal.desk,
        why=found.proposal.why,
        urgent=found.proposal.urgent,
    )


def _version(one: Version) -> bodies.MatterVersion:
    return bodies.MatterVersion(
        version=one.version,
        imported_at=one.imported_at,
        imported_by=one.imported_by,
        source=one.source,
        matters=one.matters,
        restored_from=one.restored_from,
    )


def _told(read: Read, taken: Taken) -> bodies.MatterImport:
    found = taken.difference
    return bodies.MatterImport(
        version=taken.version,
        new=list(found.new),
        changed=list(found.changed),
        removed=list(found.removed),
        unchanged=found.unchanged,
        kept=list(taken.kept),
        broken=[bodies.BrokenCell(**_cell(one)) for one in read.broken[:SHOWN]],
    )


def _cell(one: Broken) -> dict[str, Any]:
    return {"row": one.row, "column": one.column, "reason": one.reason}
