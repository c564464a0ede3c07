"""What other platforms are told: what waits, what was given up, and what an admin does about it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas import orders as shapes
from api.schemas.base import Page
from api.security import AsAdmin, AsExporter, AsPlatformAdmin
from telephony.errors import DatabaseUnavailable, WrongState
from telephony.orders.outbox import MessageNotFound

router = APIRouter(tags=["outbox"], dependencies=[Depends(each_once)])

Number = Annotated[int, Path(ge=1, lt=2**63, description="the message's number")]


@router.get(
    "/outbox",
    response_model=Page[shapes.OutboxMessage],
    responses=problems(DatabaseUnavailable),
)
async def list_messages(
    query: Annotated[shapes.OutboxQuery, Query()], service: TheService, _who: AsExporter
) -> Response:
    """Messages to other platforms, newest first; what they say is not shown."""
    found = await service.outbox.messages(
        state=query.state,
        destination=query.destination,
        case=query.case,
        limit=query.limit,
        cursor=query.cursor,
    )
    return answers.page(found)


@router.post("/outbox/retry", responses=problems(DatabaseUnavailable))
async def retry_messages(
    body: shapes.RetryRequest, service: TheService, who: AsPlatformAdmin
) -> shapes.Retried:
    """Send once more all that was given up, or all to one platform."""
    done = await service.outbox.retry_all(destination=body.destination, by=who.name, role=who.role)
    return shapes.Retried(messages=done)


@router.post(
    "/outbox/{message}/retry",
    status_code=204,
    responses=problems(MessageNotFound, WrongState, DatabaseUnavailable),
)
async def retry_message(message: Number, service: TheService, who: AsPlatformAdmin) -> None:
    """Send a message once more that was given up; one that waits is sent at once."""
    await service.outbox.retry(message, by=who.name, role=who.role)


@router.post(
    "/outbox/{message}/skip",
    status_code=204,
    responses=problems(MessageNotFound, WrongState, DatabaseUnavailable),
)
async def skip_message(
    message: Number, body: shapes.SkipRequest, service: TheService, who: AsAdmin
) -> None:
    """Never send a message; later ones of its case wait for it no more."""
    await service.outbox.skip(message, by=who.name, role=who.role, reason=body.reason)
