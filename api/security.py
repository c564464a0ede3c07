"""Bearer tokens and roles. Without a token only ``/healthz`` and ``/readyz`` answer.

The token is looked at before anything else of a request, its body included, so that who has none
learns nothing: not which addresses exist, nor what a body would have to look like.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from api.errors import problem_of
from telephony.errors import NotAllowed, NotSignedIn

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from telephony.settings import Role, Token

RANKS: dict[Role, int] = {"agent": 1, "supervisor": 2, "admin": 3}
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
SIGNED = frozenset({("POST", "/api/v1/orders")})
"""What other platforms sign instead of sending a token; the route itself checks that."""
TOKEN_PROTOCOL = "bearer."
"""A browser cannot send a header with a WebSocket: it offers ``hotline, bearer.<token>``."""
NOT_SIGNED_IN = 4401
DOCS_PATHS = frozenset({"/openapi.json", "/docs"})

# Only describes in OpenAPI how to sign in; the gate does it.
_scheme = HTTPBearer(auto_error=False, description="A token of the settings' `tokens`")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token belongs to; ``agent`` is the agent whose calls it may move, if bound to one."""

    name: str
    role: Role
    agent: str | None
    may_monitor: bool = False
    sees_numbers: bool | None = None


class Tokens:
    """The tokens of the settings, kept as hashes only."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._known = [
            (
                _digest(token.token.get_secret_value()),
                Identity(
                    token.name, token.role, token.agent, token.may_monitor, token.sees_numbers
                ),
            )
            for token in tokens
        ]

    def find(self, token: str) -> Identity | None:
        """Whose token this is. Takes the same time whichever token is given, known or not."""
        given, found = _digest(token), None
        for digest, identity in self._known:
            if secrets.compare_digest(digest, given):
                found = identity
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Gate:
    """Lets a request in only with a known token, except to the open addresses."""

    def __init__(self, app: ASGIApp, tokens: Tokens, open_paths: frozenset[str]) -> None:
        self._app = app
        self._tokens = tokens
        self._open = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._open_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] not in self._open and (scope["method"], scope["path"]) not in SIGNED:
            identity = self._identity(Headers(scope=scope).get("authorization"))
            if identity is None:
                error = NotSignedIn("send a known token: Authorization: Bearer …")
                await problem_of(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["identity"] = identity

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_CAREFUL]
            await send(message)

        await self._app(scope, receive, careful)

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Before it is accepted: a browser sees a refusal as HTTP 403, a server may tell 4401."""
        identity = self._identity(Headers(scope=scope).get("authorization"))
        if identity is None:
            for offered in scope.get("subprotocols", ()):
                if offered.startswith(TOKEN_PROTOCOL):
                    identity = self._tokens.find(offered.removeprefix(TOKEN_PROTOCOL))
        if identity is None:
            await receive()  # the client's wish to connect, which is answered with this
            reason = "send a known token"
            await send({"type": "websocket.close", "code": NOT_SIGNED_IN, "reason": reason})
            return
        scope.setdefault("state", {})["identity"] = identity
        await self._app(scope, receive, send)

    def _identity(self, header: str | None) -> Identity | None:
        scheme, _, token = (header or "").partition(" ")
        return self._tokens.find(token.strip()) if scheme.lower() == "bearer" else None


# What the interface tells is about people: nobody on the way keeps a copy.
_CAREFUL = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


def needs(role: Role) -> Callable[..., Awaitable[Identity]]:
    """A dependency that lets only this role and those above it through."""

    # Not a plain function: FastAPI would run it in a thread, and a key press would wait for it.
    async def check(
        request: Request,
        _described: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)],
    ) -> Identity:
        identity: Identity | None = getattr(request.state, "identity", None)
        if identity is None:
            raise NotSignedIn("send a known token: Authorization: Bearer …")
        if RANKS[identity.role] < RANKS[role]:
            raise NotAllowed(f"this needs the role {role}; the token has the role {identity.role}")
        return identity

    return check


AsAgent = Annotated[Identity, Depends(needs("agent"))]
AsSupervisor = Annotated[Identity, Depends(needs("supervisor"))]
AsAdmin = Annotated[Identity, Depends(needs("admin"))]
