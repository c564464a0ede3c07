"""The keys that are pressed under pressure, transfer and three-way, without anything to wait for.

Between an agent's press and the desk's ringing, what a web framework does for any address (finding
the route, resolving dependencies, validating one parameter after the other) took as long as a
quarter of the whole. A press that is well-formed is therefore answered here, right behind the gate.
Any other goes on to its route in :mod:`api.routes.calls`, which does the same and says what is
wrong with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response

from api.errors import problem_of
from api.routes.calls import PRESSES, press
from api.schemas.calls import PressRequest
from telephony.errors import HotlineError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.idempotency import Once
    from telephony.service import Service

LONGEST_BODY = 8192
"""Bytes: no press is longer; what is goes to its route as it comes."""
_CALL = re.compile(r"[^/\x00-\x1f\x7f]{1,128}")


class Keys:
    """Answers well-formed presses itself and hands everything else to the app.

    It must stand behind the gate, which says who asks; who may not press goes on to the app, too.
    """

    def __init__(self, app: ASGIApp, service: Service, once: Once, prefix: str) -> None:
        self._app = app
        self._service = service
        self._once = once
        self._start = f"{prefix}/calls/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id, key = self._pressed(scope)
        if not key:
            await self._app(scope, receive, send)
            return
        messages = await _read(receive)
        body = _well_formed(messages)
        if body is None:
            await self._app(scope, _again(messages, receive), send)
            return
        try:
            begun = await press(
                key, self._service, call_id, body, scope["state"]["identity"], self._once, None
            )
        except HotlineError as error:
            response = problem_of(error)
        else:
            response = Response(begun.model_dump_json(), 202, media_type="application/json")
        await response(scope, receive, send)

    def _pressed(self, scope: Scope) -> tuple[str, str]:
        """The call and the key of a press, or two empty strings for any other request."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            return "", ""
        path: str = scope["path"]
        call_id, _, key = path.removeprefix(self._start).partition("/")
        if not path.startswith(self._start) or key not in PRESSES or not _CALL.fullmatch(call_id):
            return "", ""
        headers = Headers(scope=scope)
        if headers.get("content-type") != "application/json" or "idempotency-key" in headers:
            return "", ""
        if not scope["state"]["identity"].may("agent"):
            return "", ""
        return call_id, key


async def _read(receive: Receive) -> list[Message]:
    """The body's parts: all of them, or enough to know that this is no press."""
    messages: list[Message] = []
    size = 0
    while size <= LONGEST_BODY:
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
        if not messages[-1].get("more_body", False):
            break
    return messages


def _well_formed(messages: list[Message]) -> PressRequest | None:
    last = messages[-1]
    if last["type"] != "http.request" or last.get("more_body", False):
        return None
    try:
        return PressRequest.model_validate_json(
            b"".join(message.get("body", b"") for message in messages)
        )
    except ValidationError:
        return None


def _again(messages: list[Message], receive: Receive) -> Receive:
    """What was received already, and then the rest."""
    waiting = iter(messages)

    async def replay() -> Message:
        return next(waiting, None) or await receive()

    return replay
