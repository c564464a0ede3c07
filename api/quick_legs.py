"""The list of legs, without what a web framework does for any address.

Finding the route, resolving dependencies and validating one parameter after the other takes longer
than the database needs for a page. A query that is well-formed, of a token that sees numbers whole,
is therefore answered here, right behind the gate. Any other goes on to its route in
:mod:`api.routes.legs`, which does the same and says what is wrong with it; so does a search by a
citizen's number, which is in the audit log first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from pydantic import ValidationError

from api import sight
from api.errors import problem_of
from api.schemas.record_queries import LegPageQuery, LegQuery
from telephony.errors import HotlineError
from telephony.record.queries import LegFilter

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from telephony.service import Service

_NAMES = {field.alias or name for name, field in LegPageQuery.model_fields.items()}
_HEADERS = [(b"content-type", b"application/json")]


def filter_of(query: LegQuery) -> LegFilter:
    """The legs that a query asks for."""
    return LegFilter(
        caller=query.caller,
        agent=query.agent,
        department=query.department,
        case=query.case,
        role=query.role,
        since=query.since,
        until=query.until,
    )


class QuickLegs:
    """Answers well-formed queries itself and hands everything else to the app.

    It must stand behind the gate, which says who asks; who may not read legs goes on to the app.
    """

    def __init__(self, app: ASGIApp, service: Service, prefix: str) -> None:
        self._app = app
        self._service = service
        self._path = f"{prefix}/legs"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        query = _well_formed(scope["query_string"])
        who = scope["state"]["identity"]
        if query is None or query.caller is not None:
            await self._app(scope, receive, send)
            return
        if not who.may("agent") or not sight.sees_all(who):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._service.leg_pages.page(
                filter_of(query), limit=query.limit, cursor=query.cursor
            )
        except HotlineError as error:
            await problem_of(error)(scope, receive, send)
            return
        length = (b"content-length", str(len(body)).encode())
        start = {"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]}
        await send(start)
        await send({"type": "http.response.body", "body": body})


def _well_formed(text: bytes) -> LegPageQuery | None:
    pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
    told = dict(pairs)
    if len(told) < len(pairs) or not _NAMES.issuperset(told) or not all(told.values()):
        return None
    try:
        return LegPageQuery.model_validate(told)
    except ValidationError:
        return None
