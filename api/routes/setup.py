"""For admins: what the settings hold, and whether phones answer to the PBX."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends

from api import setup_schemas as shapes
from api.dependencies import TheService, each_once
from api.errors import problems
from api.security import AsAdmin
from telephony.checkup.people import devices
from telephony.errors import PbxRefused, PbxTimeout, PbxUnavailable
from telephony.settings import settings_file

if TYPE_CHECKING:
    from telephony.service import Service
    from telephony.settings import Settings

router = APIRouter(tags=["setup"], dependencies=[Depends(each_once)])

REACH: dict[str, shapes.Reach] = {
    "NOT_INUSE": "ready",
    "INUSE": "busy",
    "BUSY": "busy",
    "ONHOLD": "busy",
    "RINGING": "ringing",
    "RINGINUSE": "ringing",
    "UNAVAILABLE": "away",
}
AT_ONCE = 20
"""Questions to the PBX that are under way at the same time."""


@router.get("/setup", responses=problems(reads_input=False))
async def show_setup(service: TheService, _who: AsAdmin) -> shapes.Setup:
    """Lines, phones, desks, keys, platforms and tokens of the settings, and which phones answer."""
    settings = service.settings
    phones, desks = _phones(settings), _desks(settings)
    states = await _states(service, {*(one.dial for one in phones), *(one.dial for one in desks)})
    for phone in phones:
        phone.reach = states.get(phone.dial, "unknown")
    for desk in desks:
        desk.reach = states.get(desk.dial, "unknown")
    file = settings_file()
    there = await asyncio.to_thread(file.is_file)
    return shapes.Setup(
        file=file.name if there else None,
        pbx_seen=service.client.up,
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


async def _states(service: Service, dials: set[str]) -> dict[str, shapes.Reach]:
    """What each way to dial reaches now; nothing while the PBX is away."""
    if not service.client.up:
        return {}
    at_once = asyncio.Semaphore(AT_ONCE)

    async def ask(dial: str) -> shapes.Reach:
        found: list[shapes.Reach] = []
        for technology, device in devices(dial):
            async with at_once:
                said = await service.pbx.get_var(None, f"DEVICE_STATE({technology}/{device})")
            found.append(REACH.get(said, "unknown"))
        order: tuple[shapes.Reach, ...] = ("busy", "ringing", "ready", "away")
        return next((one for one in order if one in found), "unknown")

    # A group's members and an outside number's form are no devices.
    real = sorted(one for one in dials if "/" in one and "{" not in one)
    try:
        return dict(zip(real, await asyncio.gather(*map(ask, real)), strict=True))
    except (PbxUnavailable, PbxTimeout, PbxRefused):
        return {}
