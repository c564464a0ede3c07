"""Checks of who can take a call: agents signed in, desks that can be reached."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from telephony.checkup.model import NotChecked, Patient, Verdict, Words, ok, warning, wrong
from telephony.errors import PbxRefused
from telephony.line_settings import WEEKDAYS
from telephony.office_hours import NoHours, parse_windows
from telephony.pbx import Pbx
from telephony.settings import TIME_ZONE

if TYPE_CHECKING:
    from telephony.settings import Line

QUEUE = "hotline"
HOURS_FAMILY = "hotline-hours"
UNAVAILABLE = {"4", "5"}
"""Device states of a queue member that cannot be rung: invalid, unavailable."""


def is_open(line: Line, special: str | None, now: datetime) -> bool:
    """Whether the line is open at this moment, as the dialplan decides it.

    ``special`` is what AstDB holds for the day, such as ``closed`` or ``0830-1200,1330-1700``.
    """
    if special is not None:
        try:
            windows = parse_windows(special)
        except NoHours:
            raise NotChecked(
                f"AstDB {HOURS_FAMILY}/{now:%Y%m%d} holds {special!r}, no hours"
            ) from None
    else:
        windows = line.windows_on(WEEKDAYS[now.weekday()])
    minute = now.hour * 60 + now.minute
    return any(one.opens <= minute < one.closes for one in windows)


async def check_agents(patient: Patient) -> Verdict:
    """Somebody is signed in while the line is open."""
    events = await patient.link.list_action("QueueStatus", {"Queue": QUEUE})
    if not any(event.name == "QueueParams" for event in events):
        return wrong(
            f"the PBX has no queue {QUEUE}",
            Words(
                "include hotline/queues.conf, then `queue reload all`",
                "在 queues.conf 里引入（#include）hotline/queues.conf，再执行 `queue reload all`",
            ),
            Words(
                "Every caller is asked for a message, at any hour.",
                "任何时候来电都只能留言。",
            ),
        )
    members = [event for event in events if event.name == "QueueMember"]
    away = [event for event in members if event.get("Status") in UNAVAILABLE]
    paused = [event for event in members if event.get("Paused") == "1"]
    ready = len([one for one in members if one not in away and one not in paused])
    found = f"{len(members)} signed in, {ready} can be rung"
    if members:
        found += f" ({len(paused)} on a break, {len(away)} with a phone that is away)"
    if ready:
        return ok(found)
    now = datetime.now(ZoneInfo(TIME_ZONE))
    patient.must_be_allowed("DBGet", "system")
    pbx = Pbx(patient.link, patient.settings)
    for line in patient.settings.every_line:
        special = await pbx.db_get(HOURS_FAMILY + line.suffix, f"{now:%Y%m%d}")
        if is_open(line, special, now):
            break
    else:
        return ok(f"{found}; the line is closed now")
    code = patient.settings.sign_in_code
    if len(paused) > len(away):
        return warning(
            f"{found}; the line is open",
            Words("an agent ends the break", "请一名坐席结束休息"),
        )
    return warning(
        f"{found}; the line is open",
        Words(
            f"an agent signs in with {code} on a phone that is registered",
            f"请一名坐席在已注册的话机上拨 {code} 签入",
        ),
        Words(
            "Callers are asked for a message although the line is open.",
            "热线在开放时间，来电却只能留言。",
        ),
    )


def devices(dial: str) -> list[tuple[str, str]]:
    """Technology and device of each part of a dial string; of PJSIP, the endpoint's name."""
    found = []
    for part in dial.split("&"):
        technology, _, rest = part.partition("/")
        if technology.upper() == "PJSIP":
            rest = rest.partition("/")[0].rpartition("@")[2]
        found.append((technology, rest))
    return found


async def check_desks(patient: Patient) -> Verdict:
    """Each desk has a route over which it can be called."""
    states = await _endpoints(patient)
    unknown, away, untold = [], [], []
    for desk in patient.settings.desks:
        routes = [desk.dial] + ([desk.dial_backup] if desk.dial_backup else [])
        told = [await _reach(patient, route, states) for route in routes]
        if "reachable" in told:
            continue
        if "untold" in told:
            untold.append(desk.id)
        elif "away" in told:
            away.append(desk.id)
        else:
            unknown.append(f"{desk.id} ({' and '.join(routes)})")
    if unknown:
        return wrong(
            f"the PBX knows no device for desk {', '.join(unknown)}",
            Words(
                "correct dial in the settings, or define the endpoint in the PBX's pjsip.conf",
                "改正设置里的 dial，或在交换机的 pjsip.conf 里定义这个端点",
            ),
        )
    if away:
        return warning(
            f"cannot be reached now: desk {', '.join(away)}",
            Words(
                "register the phone, or look at the trunk (`pjsip show contacts` on the PBX)",
                "让话机注册，或检查中继（在交换机上用 `pjsip show contacts` 查看）",
            ),
        )
    if untold:
        return warning(
            f"the PBX does not tell whether these can be reached: desk {', '.join(untold)}",
            Words(
                "load func_devstate on the PBX, or make a test call",
                "在交换机上加载 func_devstate，或打一个测试电话",
            ),
        )
    return ok(f"all {len(patient.settings.desks)} desks can be reached")


async def _endpoints(patient: Patient) -> dict[str, str]:
    """The SIP endpoints of the PBX and their states."""
    patient.must_be_allowed("PJSIPShowEndpoints", "system")
    try:
        events = await patient.link.list_action("PJSIPShowEndpoints")
    except PbxRefused as error:
        if "No endpoints" in error.detail:
            return {}
        raise
    return {
        event["ObjectName"]: event.get("DeviceState")
        for event in events
        if event.name == "EndpointList"
    }


async def _reach(patient: Patient, dial: str, endpoints: dict[str, str]) -> str:
    """The best of a route's devices: reachable, untold, away or unknown."""
    found = set()
    for technology, device in devices(dial):
        if technology.upper() == "PJSIP":
            state = endpoints.get(device)
            found.add(_told(state) if state is not None else "unknown")
        else:
            found.add(_told(await patient.value(f"DEVICE_STATE({technology}/{device})")))
    return next(told for told in ("reachable", "untold", "away", "unknown") if told in found)


def _told(state: str) -> str:
    match state.upper().replace("_", " "):
        case "UNAVAILABLE":
            return "away"
        case "INVALID":
            return "unknown"
        case "" | "UNKNOWN":
            return "untold"
    return "reachable"
