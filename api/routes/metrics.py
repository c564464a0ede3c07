"""Figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.responses import Response

from api.dependencies import TheService
from api.errors import problems
from api.security import AsSupervisor

router = APIRouter(tags=["metrics"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **problems(reads_input=False),
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "figures"},
    },
)
async def metrics(service: TheService, _who: AsSupervisor) -> Response:
    """Figures of the service, for supervisors and admins."""
    # The process's own figures and the recorder's are in the library's common registry.
    figures = generate_latest(service.metrics.registry) + generate_latest(REGISTRY)
    return Response(figures, media_type=CONTENT_TYPE_LATEST)
