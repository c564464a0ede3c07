"""The dialplan of a PBX in service: see, compare, check, load, roll back; for admins."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.dependencies import TheService, each_once
from api.errors import problems
from api.schemas import dialplan as shapes
from api.security import AsAdmin
from telephony import audit
from telephony.dialplan import DialplanError
from telephony.errors import (
    DatabaseUnavailable,
    PbxNotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    SetupError,
)
from telephony.plans import desk
from telephony.plans.load import ContextNotOurs, Loaded, Loader, NotLoaded, StateUnknown
from telephony.plans.versions import LoadRunning, VersionNotFound, VersionsUnusable
from telephony.plans.wanted import CustomRefused
from telephony.plans.ways import NotReachable
from telephony.service import Service
from telephony.site import Site

router = APIRouter(tags=["dialplan"], dependencies=[Depends(each_once)])

_PBX = (PbxUnavailable, PbxTimeout, PbxRefused)
_LOAD = (
    *(*_PBX, DatabaseUnavailable, SetupError, DialplanError, NotReachable, VersionsUnusable),
    *(LoadRunning, ContextNotOurs, NotLoaded, StateUnknown, PbxNotFound),
)
_Which = Annotated[shapes.WhichPbx, Query()]


@router.get("/dialplan", responses=problems(PbxNotFound, VersionsUnusable, *_PBX))
async def dialplan_state(query: _Which, service: TheService, _who: AsAdmin) -> shapes.DialplanState:
    """How the dialplan stands: how it is loaded, what runs, what was kept."""
    site = _site(service, query.pbx)
    actions = await desk.allowed(site.client)
    state = await desk.state_now(site.here, site.client, actions)
    told = asdict(state)
    unfinished = told["unfinished"]
    if unfinished is not None:
        unfinished = {**unfinished, "busy": state.busy}
        del unfinished["way"], unfinished["pid"]
    return shapes.DialplanState(
        pbx=site.name,
        way=told["way"] or None,
        no_way=state.no_way,
        running=state.running,
        unfinished=unfinished,
        versions=told["versions"],
    )


@router.get(
    "/dialplan/diff",
    responses=problems(PbxNotFound, CustomRefused, VersionsUnusable, *_PBX),
)
async def dialplan_diff(query: _Which, service: TheService, _who: AsAdmin) -> shapes.DialplanDiff:
    """What the running PBX has against what would be loaded."""
    site = _site(service, query.pbx)
    found = await desk.differences_now(site.here, site.client)
    return shapes.DialplanDiff(equal=found.equal, **asdict(found))


@router.post("/dialplan/check", responses=problems(PbxNotFound, CustomRefused, SetupError))
async def check_dialplan(
    body: shapes.CheckRequest, service: TheService, _who: AsAdmin
) -> shapes.CheckResult:
    """Everything that is known to go wrong with it, found before a call does; loads nothing."""
    settings = _site(service, body.pbx).here
    found = await desk.examined(settings, body.files)
    return shapes.CheckResult(**found.as_json())


@router.post("/dialplan/load", responses=problems(*_LOAD))
async def load_dialplan(
    body: shapes.LoadRequest, service: TheService, who: AsAdmin
) -> shapes.LoadedDialplan:
    """Check, load, and prove by reading back; what fails is taken back by itself. Calls go on."""
    site = _site(service, body.pbx)
    which = f"{site.name} from the settings"
    await audit.note(
        service.database, who=who.name, role=who.role, what="dialplan-load", which=which
    )
    return _loaded(await (await _loader(site)).load(by=who.name))


@router.post("/dialplan/rollback", responses=problems(*_LOAD, VersionNotFound))
async def rollback_dialplan(
    body: shapes.RollbackRequest, service: TheService, who: AsAdmin
) -> shapes.LoadedDialplan:
    """Put an older dialplan back, proven like a load; a load that was cut off is undone."""
    site = _site(service, body.pbx)
    which = f"{site.name} to version {body.version or 'before'}"
    await audit.note(
        service.database, who=who.name, role=who.role, what="dialplan-rollback", which=which
    )
    return _loaded(await (await _loader(site)).rollback(body.version, by=who.name))


@router.get("/doctor", responses=problems(PbxNotFound))
async def doctor(query: _Which, service: TheService, _who: AsAdmin) -> shapes.DoctorReport:
    """Every known reason why calls or the record fail, as looked for last by the service."""
    site = _site(service, query.pbx)
    found = service.doctor.last(site.name)
    checks = [shapes.DoctorFinding(**asdict(one)) for one in found.findings] if found else []
    well = all(one.state != "wrong" for one in checks) if found else None
    return shapes.DoctorReport(pbx=site.name, at=found and found.at, ok=well, checks=checks)


def _site(service: Service, name: str | None) -> Site:
    return service.sites.named(name) if name else service.sites.all[0]


async def _loader(site: Site) -> Loader:
    return desk.loader_of(site.here, site.client, await desk.allowed(site.client))


def _loaded(done: Loaded) -> shapes.LoadedDialplan:
    return shapes.LoadedDialplan(**asdict(done))
