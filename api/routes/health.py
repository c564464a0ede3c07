"""Whether the process answers, and whether all of its parts work. Needs no token."""

from __future__ import annotations

from fastapi import APIRouter

from api.dependencies import TheService
from api.errors import NotReady, problems
from api.schemas.health import Health, PbxReady, Ready

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers. Says nothing about its parts: do not restart it for those."""
    return Health(status="ok")


@router.get("/readyz", responses={503: problems(NotReady)[503]})
async def readyz(service: TheService) -> Ready:
    """All parts work: the link to the PBX, the picture of its calls, the database, the recorder."""
    parts = await service.not_ready()
    if parts:
        raise NotReady(f"not ready: {', '.join(parts)}", parts=", ".join(parts))
    pbxs = {
        site.name: PbxReady(link="up" if site.link_up else "down", record=site.record_kept())
        for site in service.sites
    }
    return Ready(status="ready", pbxs=pbxs)
