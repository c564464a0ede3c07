"""The audit log: who saw citizens' numbers whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas.audit import AuditEntry, AuditQuery
from api.schemas.base import Page
from api.security import AsAdmin
from telephony import audit
from telephony.errors import DatabaseUnavailable
from telephony.record.query_parts import InvalidCursor

router = APIRouter(tags=["audit"], dependencies=[Depends(each_once)])


@router.get(
    "/audit",
    response_model=Page[AuditEntry],
    responses=problems(InvalidCursor, DatabaseUnavailable),
)
async def list_audit(
    query: Annotated[AuditQuery, Query()], service: TheService, _who: AsAdmin
) -> Response:
    """Who saw which case, leg or export unmasked, the newest first; for admins."""
    return answers.page(
        await audit.entries(
            service.database,
            who=query.who,
            which=query.which,
            what=query.what,
            text=query.q,
            since=query.since,
            until=query.until,
            limit=query.limit,
            cursor=query.cursor,
        )
    )
