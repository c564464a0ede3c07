"""The PBXs of the service: which are seen, and which process keeps the record of each."""

from __future__ import annotations

from fastapi import APIRouter

from api.dependencies import TheService
from api.errors import problems
from api.schemas.base import Page
from api.schemas.pbxs import PbxNow
from api.security import AsSupervisor
from telephony.errors import DatabaseUnavailable
from telephony.site import Site

router = APIRouter(tags=["pbxs"])


@router.get("/pbxs", responses=problems(reads_input=False))
async def pbxs(service: TheService, _who: AsSupervisor) -> Page[PbxNow]:
    """All PBXs of the settings; for supervisors."""
    return Page(items=[await _shape(site) for site in service.sites], next=None)


async def _shape(site: Site) -> PbxNow:
    try:
        owner = await site.owner.holder()
    except DatabaseUnavailable:
        owner = None
    lag = site.recorder.lag if site.recorder is not None and site.owner.is_owner else None
    return PbxNow(
        name=site.name,
        link="up" if site.link_up else "down",
        host=site.settings.pbx.host,
        calls=site.calls.calls_now() if site.link_up else None,
        channels=site.calls.channels_now() if site.link_up else None,
        record=site.record_kept(),
        owner=owner,
        lag_bytes=lag and lag.bytes,
        lag_s=lag and lag.seconds,
        system_name=site.system_name,
        shipped=site.spool is not None,
    )
