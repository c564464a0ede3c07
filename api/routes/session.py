"""Signing in with a name and a password, and out again."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.dependencies import TheService
from api.errors import problems
from api.schemas.people import PasswordRequest, SessionNow, SessionRequest
from api.security import COOKIE, AsAnybody, CsrfMissing, Identity, identity_of, same_host
from telephony.errors import DatabaseUnavailable, WrongState
from telephony.people.rules import (
    PAGES,
    PasswordWeak,
    SignInRefused,
    TooManyTries,
    WrongPassword,
    in_order,
)

router = APIRouter(tags=["sign-in"])


class NoSession(WrongState):
    """Whoever asks is known by a token, which nobody signs in or out with."""

    code = "no-session"
    title = "Not signed in with a password"


@router.post(
    "/session",
    responses=problems(SignInRefused, TooManyTries, CsrfMissing, DatabaseUnavailable),
)
async def begin_session(
    body: SessionRequest, request: Request, response: Response, service: TheService
) -> SessionNow:
    """Sign in. The session travels as the cookie `hotline_session`; open to everybody.

    Wrong passwords are counted for the name and the address, and cost a growing wait: 429 with
    `Retry-After`.
    """
    origin = request.headers.get("origin")
    ours = service.settings.sign_in.origins
    foreign = origin is not None and not same_host(origin, request.headers.get("host", ""))
    if foreign and origin not in ours:
        # Another site's page must not sign somebody in as somebody else.
        raise CsrfMissing("sign in on our own page")
    address = request.client.host if request.client else ""
    token, session = await service.sessions.sign_in(
        body.name, body.password.get_secret_value(), address
    )
    response.set_cookie(
        COOKIE,
        token,
        max_age=service.settings.sign_in.longest_h * 3600,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return _now(identity_of(session))


@router.get("/session", responses=problems(reads_input=False))
async def get_session(who: AsAnybody) -> SessionNow:
    """Who is signed in."""
    return _now(who)


@router.delete("/session", status_code=204, responses=problems(NoSession, DatabaseUnavailable))
async def end_session(response: Response, service: TheService, who: AsAnybody) -> None:
    """Sign out."""
    if who.session is None:
        raise NoSession("a token has no session that could end")
    await service.sessions.sign_out(who.session)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


@router.post(
    "/session/password",
    status_code=204,
    responses=problems(NoSession, WrongPassword, PasswordWeak, TooManyTries, DatabaseUnavailable),
)
async def change_password(body: PasswordRequest, service: TheService, who: AsAnybody) -> None:
    """Change one's own password; one's sessions at other places end."""
    if who.session is None:
        raise NoSession("a token has no password")
    await service.sessions.change_password(
        who.session, body.password.get_secret_value(), body.new_password.get_secret_value()
    )


def _now(who: Identity) -> SessionNow:
    session = who.session
    roles = in_order({who.role})
    if session is None:
        page = next(page for role, page in PAGES if role == who.role)
        return SessionNow(
            name=who.name,
            display_name=who.name,
            roles=list(roles),
            agent=who.agent,
            department="",
            may_monitor=who.may_monitor,
            page=page,
            csrf=None,
            expires_at=None,
        )
    person = session.person
    return SessionNow(
        name=person.name,
        display_name=person.display_name,
        roles=list(person.roles),
        agent=person.agent,
        department=person.department,
        may_monitor=person.may_monitor,
        page=person.page,
        csrf=session.csrf,
        expires_at=session.ends_at,
    )
