"""No open door: every address with every role, without a token, and with a wrong one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from api.app import ROUTERS, create_app
from telephony.service import Service
from telephony.settings import load_settings
from tests.unit.api_fixtures import AGENT_8001, TOKENS, Running, running

OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/api/v1/session")}
# For whoever signs: no token opens it.
SIGNED = ("POST", "/api/v1/orders")
OUTBOX = {
    ("POST", "/api/v1/outbox/retry"),
    ("POST", "/api/v1/outbox/{message}/retry"),
    ("POST", "/api/v1/outbox/{message}/skip"),
}
# For admins only.
CALENDAR = {
    ("POST", "/api/v1/calendar/days"),
    ("DELETE", "/api/v1/calendar/days/{day}"),
    ("POST", "/api/v1/calendar/push"),
    ("POST", "/api/v1/calendar/import"),
}
EXPORTS = {
    ("POST", "/api/v1/exports"),
    ("GET", "/api/v1/exports"),
    ("GET", "/api/v1/exports/{export}"),
    ("GET", "/api/v1/exports/{export}/file"),
    ("DELETE", "/api/v1/exports/{export}"),
}
RELEASE = ("POST", "/api/v1/holds/{hold}/release")
RETENTION = {
    RELEASE,
    ("GET", "/api/v1/retention"),
    ("GET", "/api/v1/deletions"),
    ("GET", "/api/v1/holds"),
    ("POST", "/api/v1/holds"),
}
_FOR_ONESELF = ("sign-in", "sign-out", "resume")
MATTERS = {
    ("POST", "/api/v1/matters/import"),
    ("POST", "/api/v1/matters/versions/{version}/restore"),
}
DIALPLAN = {
    ("GET", "/api/v1/doctor"),
    ("GET", "/api/v1/dialplan"),
    ("GET", "/api/v1/dialplan/diff"),
    *(("POST", f"/api/v1/dialplan/{what}") for what in ("check", "load", "rollback")),
}
PEOPLE = {
    ("GET", "/api/v1/setup"),
    ("POST", "/api/v1/doctor"),
    ("GET", "/api/v1/people"),
    ("POST", "/api/v1/people"),
    ("PATCH", "/api/v1/people/{person}"),
    ("POST", "/api/v1/people/{person}/password"),
    ("DELETE", "/api/v1/people/{person}/sessions"),
}
OWN_SESSION = {
    ("GET", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("POST", "/api/v1/session/password"),
}
RETRY = {("POST", "/api/v1/outbox/retry"), ("POST", "/api/v1/outbox/{message}/retry")}
SHIPPING = {
    ("GET", "/api/v1/pbxs/{name}/cel/{file}"),
    ("PUT", "/api/v1/pbxs/{name}/cel/{file}"),
    ("PUT", "/api/v1/pbxs/{name}/sounds/{kind}/{sound}"),
}
# What somebody may do who integrates systems, and nothing else. Of SHIPPING nothing: the token of
# the tests names no PBX in ships_for.
INTEGRATION = {
    *EXPORTS,
    *OWN_SESSION,
    *RETRY,
    ("GET", "/api/v1/legs/export"),
    ("GET", "/api/v1/orders"),
    ("GET", "/api/v1/orders/schema"),
    ("GET", "/api/v1/outbox"),
}
# For tokens with may_monitor, whatever their rank.
HEARING = ("GET", "/api/v1/recordings/{recording}/sound")
# What a role may not do, though it has a token.
FORBIDDEN: dict[str, set[tuple[str, str]]] = {
    "agent": {
        ("GET", "/api/v1/legs/export"),
        ("GET", "/api/v1/find"),
        *EXPORTS,
        *RETENTION,
        ("GET", "/api/v1/gaps"),
        ("GET", "/api/v1/pbxs"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/recordings"),
        HEARING,
        ("POST", "/api/v1/calls/{call_id}/monitor"),
        # Somebody else's: an agent signs in, out and on for oneself only.
        *(("POST", f"/api/v1/agents/{{agent_id}}/{what}") for what in _FOR_ONESELF),
        ("GET", "/api/v1/figures"),
        *(("GET", f"/api/v1/figures/{what}") for what in ("now", "topics", "cases")),
        ("GET", "/api/v1/figures/report/{month}"),
        ("GET", "/api/v1/nuisance"),
        ("POST", "/api/v1/nuisance"),
        ("DELETE", "/api/v1/nuisance/{mark}"),
        ("GET", "/api/v1/audit"),
        ("GET", "/api/v1/orders"),
        ("GET", "/api/v1/outbox"),
        *OUTBOX,
        *SHIPPING,
        ("GET", "/api/v1/matters/versions"),
        ("GET", "/api/v1/matters/export"),
        *MATTERS,
        ("POST", "/api/v1/calendar/closed"),
        ("DELETE", "/api/v1/calendar/closed"),
        *CALENDAR,
        *PEOPLE,
        *DIALPLAN,
    },
    "supervisor": {
        *PEOPLE,
        *DIALPLAN,
        HEARING,
        ("GET", "/api/v1/audit"),
        RELEASE,
        *MATTERS,
        *CALENDAR,
        *OUTBOX,
        *SHIPPING,
    },
    "admin": {HEARING},
}
# A citizen's voice cannot be masked.
MESSAGE_SOUND = ("GET", "/api/v1/messages/{message}/sound")
# The password of one's own phone.
OWN_PHONE = ("GET", "/api/v1/desk/phone")


def is_forbidden(role: str, method: str, path: str) -> bool:
    """Whether a role may not do it, though it has a token."""
    at = method, path
    if at in (("POST", "/api/v1/session"), SIGNED) or path in ("/healthz", "/readyz"):
        return False
    if role == "auditor":
        if method == "GET":
            return at in (HEARING, MESSAGE_SOUND, OWN_PHONE)
        return at not in OWN_SESSION
    if role == "integrator":
        return at not in INTEGRATION
    return at in FORBIDDEN[role]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


def routes() -> list[tuple[str, str]]:
    """Method and path of every route there is."""
    return sorted(
        (method, prefix + route.path)
        for router, prefix in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    )


async def test_every_route_with_every_role(run: Running) -> None:
    table = routes()
    assert ("POST", "/api/v1/calls/{call_id}/transfer") in table
    assert len(table) >= 12
    for method, path in table:
        async with run.client() as nobody, run.client("a-token-nobody-gave-out") as stranger:
            for client in (nobody, stranger):
                answer = await client.request(method, path)
                is_open = (method, path) in OPEN
                assert (answer.status_code == 401) != is_open, (method, path)
        for role in TOKENS:
            async with run.as_(role) as client:
                answer = await client.request(method, path)
                forbidden = is_forbidden(role, method, path)
                assert (answer.status_code == 403) == forbidden, (role, method, path)
                assert (answer.status_code == 401) == ((method, path) == SIGNED)
                assert answer.status_code < 500


def test_there_are_no_routes_but_those(tmp_path: Path) -> None:
    app = create_app(Service(load_settings(database_url=f"sqlite:///{tmp_path}/x.sqlite")))
    plain = {getattr(route, "path", None) for route in app.routes} - {None}
    assert plain == {"/openapi.json"}
    assert len(app.routes) == len(plain) + len(ROUTERS)


@pytest.mark.parametrize("path", ["/openapi.json", "/redoc", "/nothing/here", "/healthz/"])
async def test_what_else_there_is_needs_a_token(run: Running, path: str) -> None:
    async with run.client() as nobody:
        answer = await nobody.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "not-signed-in"


async def test_a_body_is_not_read_without_a_token(run: Running) -> None:
    async with run.client() as nobody:
        answer = await nobody.post("/api/v1/calls/1.1/transfer", content=b"{ no json")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKENS['admin']}",
        TOKENS["admin"],
        f"Bearer {TOKENS['admin']}x",
        f"Bearer {TOKENS['admin'][:-1]}",
        f"Bearer {TOKENS['admin'].upper()}",
    ],
)
async def test_only_a_whole_bearer_token_counts(run: Running, header: str) -> None:
    async with run.client() as nobody:
        answer = await nobody.get("/api/v1/calls", headers={"Authorization": header})
    assert answer.status_code == 401


async def test_the_docs_are_open_only_by_setting(tmp_path: Path) -> None:
    async with running(tmp_path, http={"public_docs": True}) as run, run.client() as nobody:
        for path in ("/openapi.json", "/docs", "/docs/docs.js"):
            assert (await nobody.get(path)).status_code == 200, path
        assert (await nobody.get("/api/v1/calls")).status_code == 401


async def test_without_tokens_in_the_settings_nobody_gets_in(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        empty = create_app(
            Service(run.service.settings.model_copy(update={"tokens": []})),
        )
        assert empty.state.service.settings.tokens == []
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=empty), base_url="http://api"
        ) as client:
            for header in ("Bearer ", f"Bearer {AGENT_8001}"):
                answer = await client.get("/api/v1/calls", headers={"Authorization": header})
                assert answer.status_code == 401


async def test_health_tells_no_details(run: Running) -> None:
    async with run.client() as nobody:
        assert (await nobody.get("/healthz")).json() == {"status": "ok"}
        assert (await nobody.get("/readyz")).json()["status"] == "ready"
