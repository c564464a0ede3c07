"""The HTTP interface of a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from api import errors, idempotency, keys, pages, quick_legs, security
from api.routes import (
    agents,
    asides,
    audit,
    calendar,
    calls,
    case_work,
    cases,
    conferences,
    desk,
    dialplan,
    events,
    exports,
    figures,
    finding,
    gaps,
    handovers,
    health,
    legs,
    matters,
    messages,
    metrics,
    nuisance,
    orders,
    outbox,
    overdue,
    pbxs,
    people,
    recordings,
    retention,
    session,
    setup,
    shipping,
    supervision,
)

if TYPE_CHECKING:
    from telephony.service import Service

PREFIX = "/api/v1"
ROUTERS = (
    (calls.router, PREFIX),
    (conferences.router, PREFIX),
    (asides.router, PREFIX),
    (supervision.router, PREFIX),
    (recordings.router, PREFIX),
    (agents.router, PREFIX),
    (desk.router, PREFIX),
    (messages.router, PREFIX),
    (events.router, PREFIX),
    (legs.router, PREFIX),
    (exports.router, PREFIX),
    (retention.router, PREFIX),
    (gaps.router, PREFIX),
    (cases.router, PREFIX),
    (case_work.router, PREFIX),
    (overdue.router, PREFIX),
    (matters.router, PREFIX),
    (nuisance.router, PREFIX),
    (figures.router, PREFIX),
    (finding.router, PREFIX),
    (audit.router, PREFIX),
    (handovers.router, PREFIX),
    (orders.router, PREFIX),
    (outbox.router, PREFIX),
    (calendar.router, PREFIX),
    (session.router, PREFIX),
    (people.router, PREFIX),
    (setup.router, PREFIX),
    (pbxs.router, PREFIX),
    (shipping.router, PREFIX),
    (dialplan.router, PREFIX),
    (health.router, ""),
    (metrics.router, ""),
    (pages.router, ""),
)
"""Every address there is; a test walks them all."""
DESCRIPTION = """One-key transfer, three-way calls and the record of every call leg.

Every error is a problem (RFC 9457) with a stable `code`. Lists come in parts: `next` of one part
is the `cursor` of the following. Times are ISO 8601 with their zone.
"""


def create_app(service: Service) -> FastAPI:
    """The app for a service; starting and stopping the service is the caller's business."""
    app = FastAPI(
        title="Hotline telephony",
        version="1",
        description=DESCRIPTION,
        openapi_url="/openapi.json",
        # The page at /docs is ours (api/web/docs): theirs loads its scripts from another host.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = service
    for router, prefix in ROUTERS:
        app.include_router(router, prefix=prefix)
    _describe_problems(app)
    settings = service.settings
    open_paths = security.OPEN_PATHS
    if settings.http.public_docs:
        open_paths |= {"/openapi.json"}
    app.state.once = idempotency.Once()
    app.add_middleware(quick_legs.QuickLegs, service=service, prefix=PREFIX)
    app.add_middleware(keys.Keys, service=service, once=app.state.once, prefix=PREFIX)
    # The last added is the outermost: errors of the gate itself end as problems too.
    app.add_middleware(
        security.Gate,
        tokens=security.Tokens(settings.tokens),
        sessions=service.sessions,
        open_paths=open_paths,
        origins=settings.sign_in.origins,
    )
    errors.install(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            errors.describe(plain())
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]
