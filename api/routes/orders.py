"""Work orders with other platforms: theirs come in signed, ours and theirs are listed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.dependencies import TheService, each_once
from api.errors import bad_request, problems
from api.routes import answers
from api.schemas import orders as shapes
from api.schemas.base import Page
from api.security import AsAnybody, AsExporter
from telephony.errors import DatabaseUnavailable, HotlineError, WrongState
from telephony.orders.book import OrderKeyReused, OrderNotFound, OrderReplayed
from telephony.orders.format import Answer, json_schema
from telephony.orders.intake import LetterInvalid
from telephony.orders.signing import (
    HEADER,
    KEY_HEADER,
    PLATFORM_HEADER,
    SignatureExpired,
    SignatureWrong,
)

router = APIRouter(tags=["orders"], dependencies=[Depends(each_once)])

LONGEST_BODY = 256 * 1024
BODY_LIMIT_S = 30.0
"""Who sends more slowly is let go: they need not have signed anything."""


class TooLarge(HotlineError):
    """A message that is longer than any can be."""

    code = "too-large"
    status = 413
    title = "The message is too long"


@router.post(
    "/orders",
    response_model=Answer,
    responses=problems(
        SignatureWrong,
        SignatureExpired,
        OrderNotFound,
        OrderReplayed,
        WrongState,
        OrderKeyReused,
        TooLarge,
        DatabaseUnavailable,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "a message about a work order: `GET /api/v1/orders/schema`",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        "security": [],
    },
)
async def take_order_message(
    request: Request,
    service: TheService,
    platform: Annotated[str | None, Header(alias=PLATFORM_HEADER, max_length=32)] = None,
    signature: Annotated[str | None, Header(alias=HEADER, max_length=1024)] = None,
    key: Annotated[str | None, Header(alias=KEY_HEADER, max_length=128)] = None,
) -> Response:
    """A platform's message: a new order, or what became of one. Signed, no token is needed.

    Sent again with the same `id` it is done once and answered as before, with the header
    `Idempotency-Replayed`; the same signature a second time is a replay (409).
    """
    body = b""
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            async for part in request.stream():
                body += part
                if len(body) > LONGEST_BODY:
                    raise TooLarge(f"a message is no longer than {LONGEST_BODY} bytes")
    except (ClientDisconnect, TimeoutError):  # anybody may do that: no error of ours
        return bad_request([{"field": "body", "message": "did not come whole"}])
    try:
        taken = await service.intake.take(name=platform, signature=signature, key=key, body=body)
    except LetterInvalid as error:
        return bad_request(error.fields)
    if taken.with_matter:
        case = taken.answer["case"]
        await service.sites.call(case).proposals.changed(case)
    headers = {"Idempotency-Replayed": "true"} if taken.again else None
    return Response(orjson.dumps(taken.answer), headers=headers, media_type="application/json")


@router.get("/orders/schema", responses=problems(reads_input=False))
async def order_schema(_who: AsAnybody) -> dict[str, Any]:
    """The JSON Schema of the messages."""
    return json_schema()


@router.get(
    "/orders",
    response_model=Page[shapes.WorkOrder],
    responses=problems(DatabaseUnavailable),
)
async def list_orders(
    query: Annotated[shapes.OrdersQuery, Query()], service: TheService, _who: AsExporter
) -> Response:
    """Work orders, ours and theirs, newest first."""
    found = await service.orders.orders(
        platform=query.platform,
        given_by=query.given_by,
        state=query.state,
        case=query.case,
        since=query.since,
        until=query.until,
        limit=query.limit,
        cursor=query.cursor,
    )
    return answers.page(found)
