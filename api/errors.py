"""Every error of the interface as RFC 9457 problem details, with a stable ``code``.

What went wrong inside is logged, never sent: type and place of an unexpected error, without its
message, because a message may hold a caller's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.schemas.base import Problem
from telephony import logs
from telephony.errors import HotlineError
from telephony.plain_words import in_plain_words

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2


class NotReady(HotlineError):
    """A part of the service does not work; ``extra['parts']`` names it."""

    code = "not-ready"
    status = 503
    title = "The service is not ready"


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> Response:
    """A response that says what is wrong."""
    body = {
        "type": f"urn:hotline:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **extra,
    }
    return Response(orjson.dumps(body), status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(error: HotlineError) -> Response:
    """The response for one of our own errors."""
    headers = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = error.extra["wait_s"]
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if error.code == HotlineError.code:  # nothing a caller of the interface could do about
        return unexpected(error)
    return problem(
        error.status, error.code, error.title, error.detail, headers=headers, **error.extra
    )


def unexpected(error: BaseException) -> Response:
    """Log an error nobody foresaw, and answer without a word about our insides."""
    logs.unexpected(log, "unexpected error", error)
    return problem(
        500, "internal", "The service failed", "an error was logged; calls on the PBX go on"
    )


def install(app: FastAPI) -> None:
    """Answer every kind of error of this app as a problem."""

    @app.exception_handler(HotlineError)
    async def _ours(_request: Request, error: HotlineError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> Response:
        fields = [
            {"field": _field(item), "message": in_plain_words(item, unknown="is not known here")}
            for item in error.errors()
        ]
        return bad_request(fields)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI could not decode the body
            unreadable = [{"field": "body", "message": "must be JSON in UTF-8"}]
            return bad_request(unreadable)
        status = HTTPStatus(error.status_code)
        code = status.phrase.lower().replace(" ", "-")
        detail = _HTTP_DETAILS.get(error.status_code, error.detail)
        return problem(status, code, status.phrase, detail, headers=error.headers)

    app.add_middleware(LastResort)


def _field(mistake: Mapping[str, Any]) -> str:
    # Of a body that is no JSON the place is a number of characters, which is no field.
    loc = mistake["loc"][:1] if mistake.get("type") == "json_invalid" else mistake["loc"]
    return ".".join(str(part) for part in loc)


def bad_request(fields: list[dict[str, str]]) -> Response:
    """A 422 that names the fields which are wrong."""
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in fields)
    return problem(422, "request-invalid", "The request is not valid", detail, errors=fields)


_HTTP_DETAILS = {
    404: "there is nothing at this address; the interface is described at /openapi.json",
    405: "this address does not take this method; the Allow header names those it takes",
}


class LastResort:
    """Outermost but for the server: no error leaves the app with its message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001 - logged and answered
            response = problem_of(error) if isinstance(error, HotlineError) else unexpected(error)
            if started:  # the client must see that the answer broke off
                raise ConnectionError("an answer was cut off by an error") from None
            await response(scope, receive, send)


def problems(*errors: type[HotlineError], reads_input: bool = True) -> dict[int | str, Any]:
    """What a route may answer besides success, for its description in OpenAPI."""
    by_status: dict[int, list[str]] = {401: ["not-signed-in"], 403: ["not-allowed"]}
    by_status[500] = ["internal"]
    if reads_input:
        by_status[422] = ["request-invalid"]
    for error in errors:
        by_status.setdefault(error.status, []).append(error.code)
    return {status: _documented(status, codes) for status, codes in sorted(by_status.items())}


def _documented(status: int, codes: Iterable[str]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": f"{HTTPStatus(status).phrase}; code: {', '.join(codes)}",
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def describe(openapi: dict[str, Any]) -> None:
    """Add the problem's schema to an OpenAPI description."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = openapi.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
