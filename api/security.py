"""Bearer tokens, sessions and roles. Without either only health, signing in and its page answer.

Who asks is looked at before anything else of a request, its body included, so that a stranger
learns nothing: not which addresses exist, nor what a body would have to look like.

| role       | may                                                                          |
| ---------- | ---------------------------------------------------------------------------- |
| agent      | answer, hand over, work on cases and messages                                |
| supervisor | what an agent may, and the floor, figures, exports                           |
| admin      | everything but listening, which ``may_monitor`` allows                       |
| auditor    | read everything an admin may read, numbers masked, no sound; change nothing  |
| integrator | work orders, messages to other platforms, exports; numbers masked by default |

A session's cookie is sent by the browser with every request to us, also from another site's page.
So what changes something needs the header ``X-CSRF-Token`` besides, which only our pages know, and
a WebSocket needs the ``Origin`` of our pages.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from api import pages
from api.errors import problem_of
from telephony.errors import DatabaseUnavailable, HotlineError, NotAllowed, NotSignedIn

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from telephony.people.sessions import Session, Sessions
    from telephony.settings import Role, Token

RANKS: dict[Role, int] = {"auditor": 0, "integrator": 0, "agent": 1, "supervisor": 2, "admin": 3}
"""Who may do what those below may; auditor and integrator stand beside."""
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
SIGNED = frozenset({("POST", "/api/v1/orders")})
"""What other platforms sign instead of sending a token; the route itself checks that."""
SIGN_IN = ("POST", "/api/v1/session")
COOKIE = "hotline_session"
CSRF_HEADER = "x-csrf-token"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_PROTOCOL = "bearer."
"""A browser cannot send a header with a WebSocket: it offers ``hotline, bearer.<token>``."""
NOT_SIGNED_IN = 4401
NOT_FOR_THIS_ROLE = 4403

# Only describes in OpenAPI how to sign in; the gate does it.
_scheme = HTTPBearer(auto_error=False, description="A token of the settings' `tokens`")


class CsrfMissing(NotAllowed):
    """A session's cookie came without the header that only our own pages can send."""

    code = "csrf"
    title = "The request did not come from our pages"


class NotForThisPbx(NotAllowed):
    """An integrator's token sends rows or sounds of a PBX that its `ships_for` does not name."""

    code = "pbx-not-allowed"
    title = "Not allowed for this PBX"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks; ``agent`` is the agent whose calls they may move, if bound to one.

    ``role`` is the one with the most rights. ``also`` are the roles of a person with several, which
    only a session has.
    """

    name: str
    role: Role
    agent: str | None
    may_monitor: bool = False
    sees_numbers: bool | None = None
    also: frozenset[Role] = frozenset()
    session: Session | None = None
    ships_for: frozenset[str] = frozenset()

    def may(self, *roles: Role) -> bool:
        """Whether one of these roles, or one above it, is theirs."""
        mine = self.also | {self.role}
        rank = RANKS[self.role]
        return any(role in mine or 0 < RANKS[role] <= rank for role in roles)


def identity_of(session: Session) -> Identity:
    """Who is signed in with a session."""
    person = session.person
    role = max(person.roles, key=RANKS.__getitem__)
    return Identity(
        person.name,
        role,
        person.agent,
        person.may_monitor,
        _sees(role, person.sees_numbers),
        frozenset(person.roles),
        session,
    )


def _sees(role: Role, sees_numbers: bool | None) -> bool | None:
    """Who only audits or integrates sees numbers masked, unless it is said otherwise."""
    return False if sees_numbers is None and RANKS[role] == 0 else sees_numbers


class Tokens:
    """The tokens of the settings, kept as hashes only."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._known = [
            (
                _digest(token.token.get_secret_value()),
                Identity(
                    token.name,
                    token.role,
                    token.agent,
                    token.may_monitor,
                    _sees(token.role, token.sees_numbers),
                    ships_for=frozenset(token.ships_for),
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
    """Lets a request in only with a known token or session, except to the open addresses."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        sessions: Sessions,
        open_paths: frozenset[str],
        origins: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._sessions = sessions
        self._open = open_paths
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._open_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        at = scope["method"], scope["path"]
        if pages.is_page(scope["path"]):
            # Pages say who may see them themselves: who is not signed in is led to where one does.
            await self._page(scope, receive, send)
            return
        if scope["path"] not in self._open and at not in SIGNED and at != SIGN_IN:
            try:
                identity = await self._identity(Headers(scope=scope), scope["method"])
            except HotlineError as error:
                await problem_of(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["identity"] = identity

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_CAREFUL]
            await send(message)

        await self._app(scope, receive, careful)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            session = await self._session(Headers(scope=scope))
        except HotlineError as error:  # the database is away
            await problem_of(error)(scope, receive, send)
            return
        identity = None if session is None else identity_of(session)
        scope.setdefault("state", {})["identity"] = identity
        await self._app(scope, receive, send)

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Before it is accepted: a browser sees a refusal as HTTP 403, a server may tell 4401."""
        headers = Headers(scope=scope)
        identity = self._bearer(headers.get("authorization"))
        if identity is None:
            for offered in scope.get("subprotocols", ()):
                if offered.startswith(TOKEN_PROTOCOL):
                    identity = self._tokens.find(offered.removeprefix(TOKEN_PROTOCOL))
        if identity is None and self._is_ours(headers):
            with suppress(DatabaseUnavailable):
                session = await self._session(headers)
                identity = None if session is None else identity_of(session)
        if identity is None or not identity.may("agent", "auditor"):
            await receive()  # the client's wish to connect, which is answered with this
            reason = "send a known token" if identity is None else "not for this role"
            code = NOT_SIGNED_IN if identity is None else NOT_FOR_THIS_ROLE
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return
        scope.setdefault("state", {})["identity"] = identity
        await self._app(scope, receive, send)

    async def _identity(self, headers: Headers, method: str) -> Identity:
        given = headers.get("authorization")
        if given is not None:
            identity = self._bearer(given)
        else:
            session = await self._session(headers)
            if session is not None and method not in READING:
                told = headers.get(CSRF_HEADER, "")
                if not hmac.compare_digest(told.encode(), session.csrf.encode()):
                    raise CsrfMissing("send the `csrf` of your session as X-CSRF-Token")
            identity = None if session is None else identity_of(session)
        if identity is None:
            raise NotSignedIn("sign in, or send a known token: Authorization: Bearer …")
        return identity

    async def _session(self, headers: Headers) -> Session | None:
        token = cookie_of(headers.get("cookie", ""))
        return await self._sessions.find(token) if token else None

    def _is_ours(self, headers: Headers) -> bool:
        origin = headers.get("origin", "")
        return origin in self._origins or same_host(origin, headers.get("host", ""))

    def _bearer(self, header: str | None) -> Identity | None:
        scheme, _, token = (header or "").partition(" ")
        return self._tokens.find(token.strip()) if scheme.lower() == "bearer" else None


def same_host(origin: str, host: str) -> bool:
    """Whether a page of this origin is one of ours."""
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def cookie_of(header: str) -> str | None:
    """The session's token in a Cookie header."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


# What the interface tells is about people: nobody on the way keeps a copy.
_CAREFUL = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


def needs(role: Role, *also: Role, audited: bool = True) -> Callable[..., Awaitable[Identity]]:
    """A dependency that lets only this role, those above it and those of ``also`` through.

    An auditor may read whatever somebody else may, unless ``audited`` is false.
    """

    # Not a plain function: FastAPI would run it in a thread, and a key press would wait for it.
    async def check(
        request: Request,
        _described: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)],
    ) -> Identity:
        identity: Identity | None = getattr(request.state, "identity", None)
        if identity is None:
            raise NotSignedIn("sign in, or send a known token: Authorization: Bearer …")
        reads = audited and request.method in READING and identity.may("auditor")
        if not reads and not identity.may(role, *also):
            raise NotAllowed(f"this needs the role {role}; yours is {identity.role}")
        return identity

    return check


AsAnybody = Annotated[Identity, Depends(needs("agent", "auditor", "integrator"))]
AsAgent = Annotated[Identity, Depends(needs("agent"))]
AsSupervisor = Annotated[Identity, Depends(needs("supervisor"))]
AsAdmin = Annotated[Identity, Depends(needs("admin"))]
AsExporter = Annotated[Identity, Depends(needs("supervisor", "integrator"))]
AsPlatformAdmin = Annotated[Identity, Depends(needs("admin", "integrator"))]


async def _ships(request: Request, who: AsPlatformAdmin) -> Identity:
    """Who may write a PBX's calls into the record."""
    name = request.path_params["name"]
    reads = request.method in READING and who.may("auditor")
    if not reads and not who.may("admin") and name not in who.ships_for:
        raise NotForThisPbx(f"this token sends nothing for PBX {name!r}: its ships_for names which")
    return who


AsShipper = Annotated[Identity, Depends(_ships)]
AsListener = Annotated[Identity, Depends(needs("agent", audited=False))]
"""Hearing a citizen: their voice cannot be masked."""
AsOneself = Annotated[Identity, Depends(needs("agent", audited=False))]
"""What is secret even from who may read everything: the password of one's own phone."""
