"""For admins: what the settings hold, whether phones answer to the PBX, and the doctor, now."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query

from api.dependencies import TheService, each_once
from api.errors import problems
from api.schemas import setup as shapes
from api.schemas.dialplan import DoctorFinding, DoctorReport, WhichPbx
from api.security import AsAdmin
from telephony.checkup.people import devices
from telephony.errors import PbxNotFound, PbxRefused, PbxTimeout, PbxUnavailable
from telephony.settings import settings_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telephony.settings import Settings
    from telephony.site import Site

router = APIRouter(tags=["setup"], dependencies=[Depends(each_once)])

REACH: dict[str, shapes.Reach] = {
    "NOT IN USE": "ready",
    "NOT INUSE": "ready",
    "IN USE": "busy",
    "INUSE": "busy",
    "BUSY": "busy",
    "ON HOLD": "busy",
    "ONHOLD": "busy",
    "RINGING": "ringing",
    "RING+INUSE": "ringing",
    "RINGINUSE": "ringing",
    "UNAVAILABLE": "away",
}
"""States of devices, as endpoints are listed and as ``DEVICE_STATE()`` says them."""
BEST: tuple[shapes.Reach, ...] = ("busy", "ringing", "ready", "away", "unknown")
NO_ENDPOINTS = "No endpoints"


@router.get("/setup", responses=problems(reads_input=False))
async def show_setup(service: TheService, _who: AsAdmin) -> shapes.Setup:
    """Lines, phones, desks, keys, platforms and tokens of the settings, and which phones answer."""
    settings = service.settings
    phones, desks = _phones(settings), _desks(settings)
    reached: list[shapes.PhoneSetting | shapes.DeskSetting] = [*phones, *desks]
    # A PBX that is away keeps none of the others from being asked.
    for site, states in zip(
        service.sites, await asyncio.gather(*map(_states, service.sites)), strict=True
    ):
        for one in reached:
            dial = _dials(site).get((one.kind, one.id))
            if dial is not None:
                reach = states.get(dial, "unknown")
                one.at.append(shapes.ReachedFrom(pbx=site.name, dial=dial, reach=reach))
    for one in reached:
        one.reach = _best(there.reach for there in one.at)
    file = settings_file()
    there = await asyncio.to_thread(file.is_file)
    return shapes.Setup(
        file=file.name if there else None,
        pbx_seen=all(site.client.up for site in service.sites),
        pbxs=[shapes.PbxSeen(name=site.name, seen=site.client.up) for site in service.sites],
        lines=[
            shapes.LineSetting(
                id=line.id,
                name=line.name,
                number=line.full_number,
                numbers=line.numbers,
                hours=line.hours,
            )
            for line in settings.every_line
        ],
        phones=phones,
        desks=desks,
        keys=_keys(settings),
        platforms=[
            shapes.PlatformSetting(
                **one.model_dump(include=set(shapes.PlatformSetting.model_fields))
            )
            for one in settings.platforms
        ],
        tokens=[
            shapes.TokenSetting(**one.model_dump(include=set(shapes.TokenSetting.model_fields)))
            for one in settings.tokens
        ],
    )


@router.post("/doctor", responses=problems(PbxNotFound))
async def look_now(
    query: Annotated[WhichPbx, Query()], service: TheService, _who: AsAdmin
) -> DoctorReport:
    """Let the doctor look now: every known reason why calls or the record fail. Changes nothing.

    It takes up to 10 s when much is wrong.
    """
    site = service.sites.named(query.pbx) if query.pbx else service.sites.all[0]
    found = await service.doctor.examine(site.here)
    checks = [DoctorFinding(**asdict(one)) for one in found.findings]
    well = all(one.state != "wrong" for one in checks)
    return DoctorReport(pbx=site.name, at=found.at, ok=well, checks=checks)


def _phones(settings: Settings) -> list[shapes.PhoneSetting]:
    agents = [
        shapes.PhoneSetting(
            kind="agent",
            id=one.id,
            name=one.name,
            department=one.department,
            dial=one.dial,
            browser=one.browser_password is not None,
            reach="unknown",
        )
        for one in settings.agents
    ]
    supervisors = [
        shapes.PhoneSetting(
            kind="supervisor",
            id=one.id,
            name=one.name,
            department="",
            dial=one.dial,
            browser=False,
            reach="unknown",
        )
        for one in settings.supervisors
    ]
    return [*agents, *supervisors]


def _desks(settings: Settings) -> list[shapes.DeskSetting]:
    desks = [
        shapes.DeskSetting(
            kind="desk",
            id=one.id,
            name=one.name,
            department=one.department,
            dial=one.dial,
            dial_backup=one.dial_backup,
            ring_s=one.ring_s,
            acceptance=one.acceptance,
            platform=next(
                (
                    each.name or each.id
                    for each in settings.platforms
                    if one.id in each.desks or one.department in each.departments
                ),
                None,
            ),
            reach="unknown",
        )
        for one in settings.desks
    ]
    groups = [
        shapes.DeskSetting(
            kind="group",
            id=one.id,
            name=one.name,
            department="",
            dial=", ".join(one.members),
            dial_backup=None,
            ring_s=one.ring_s,
            acceptance=None,
            platform=None,
            reach="unknown",
        )
        for one in settings.groups
    ]
    outside = [
        shapes.DeskSetting(
            kind="outside",
            id=one.number,
            name=one.name,
            department="",
            dial=one.dial,
            dial_backup=None,
            ring_s=one.ring_s,
            acceptance=one.acceptance,
            platform=None,
            reach="unknown",
        )
        for one in settings.outside
    ]
    return [*desks, *groups, *outside]


def _keys(settings: Settings) -> list[shapes.KeySetting]:
    pressed = [
        *(shapes.KeySetting(code=k.code, action=k.action, desk=k.desk) for k in settings.keys),
        shapes.KeySetting(code=settings.matters.key, action="proposed"),
        shapes.KeySetting(code=settings.parking.key, action="park"),
    ]
    dialled = {
        "sign-in": settings.sign_in_code,
        "sign-out": settings.sign_out_code,
        "resume": settings.resume_code,
        "pickup": settings.pickup_code,
        "monitor": settings.monitor_code,
        "fetch": settings.parking.fetch_code,
        "call-back": settings.callback.code,
    }
    codes = [shapes.KeySetting(code=code, action=name) for name, code in dialled.items()]
    pauses = [
        shapes.KeySetting(code=settings.pause_code + one.code, action="pause", name=one.zh)
        for one in settings.pause_reasons
    ]
    return [*pressed, *codes, *pauses]


def _dials(site: Site) -> dict[tuple[str, str], str]:
    """What this PBX dials for its agents, for supervisors, and for the desks it may call."""
    here = site.here
    return {
        **{("agent", one.id): one.dial for one in here.agents},
        **{("supervisor", one.id): one.dial for one in here.supervisors},
        **{("desk", one.id): one.dial for one in here.desks},
    }


async def _states(site: Site) -> dict[str, shapes.Reach]:
    """What each way to dial reaches now; nothing while the PBX is away."""
    try:
        endpoints = await _endpoints(site)
        real = sorted(set(_dials(site).values()))
        return {dial: await _reach(site, dial, endpoints) for dial in real}
    except (PbxUnavailable, PbxTimeout, PbxRefused):
        return {}


async def _endpoints(site: Site) -> dict[str, str]:
    try:
        events = await site.client.list_action("PJSIPShowEndpoints")
    except PbxRefused as error:
        if NO_ENDPOINTS in error.detail:
            return {}
        raise
    told = (event for event in events if event.name == "EndpointList")
    return {event["ObjectName"]: event.get("DeviceState") for event in told}


async def _reach(site: Site, dial: str, endpoints: dict[str, str]) -> shapes.Reach:
    found: list[shapes.Reach] = []
    for technology, device in devices(dial):
        if technology.upper() == "PJSIP":
            said = endpoints.get(device, "")
        else:
            said = await site.pbx.get_var(None, f"DEVICE_STATE({technology}/{device})")
        found.append(REACH.get(said.upper().replace("_", " "), "unknown"))
    return _best(found)


def _best(found: Iterable[shapes.Reach]) -> shapes.Reach:
    return min(found, key=BEST.index, default="unknown")
