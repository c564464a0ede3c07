"""What the PBX runs, rendered from the settings: the templates of ``dialplans/`` as files.

``hotline/`` is what any Asterisk includes; the files beside it make a PBX of its own
(``standalone``). Rendering is pure but for the reading of the templates; :func:`write` touches
the disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from telephony.asterisk_program import checkout
from telephony.errors import HotlineError
from telephony.live.model import devices
from telephony.plans.placing import put
from telephony.setting_types import PASSWORD, PASSWORD_RULE, TIME_ZONE
from telephony.settings import Settings

if TYPE_CHECKING:
    from telephony.partners import Group
    from telephony.settings import Agent

TEMPLATES = checkout() / "dialplans"
SOUNDS = TEMPLATES / "sounds"
HEADER = "Made by `hotline dialplan render` from the settings; changes here are lost."

STAMP = "; As it was made: "

CEL_NAME = "hotline.csv"
CEL_FIELDS = {
    "eventtype": "${eventtype}",
    "eventtime": "${eventtime}",
    "cid_name": "${CALLERID(name)}",
    "cid_num": "${CALLERID(num)}",
    "cid_ani": "${CALLERID(ANI)}",
    "cid_rdnis": "${CALLERID(RDNIS)}",
    "cid_dnid": "${CALLERID(DNID)}",
    "exten": "${CHANNEL(exten)}",
    "context": "${CHANNEL(context)}",
    "channame": "${CHANNEL(channame)}",
    "appname": "${CHANNEL(appname)}",
    "appdata": "${CHANNEL(appdata)}",
    "amaflags": "${CHANNEL(amaflags)}",
    "accountcode": "${CHANNEL(accountcode)}",
    "uniqueid": "${CHANNEL(uniqueid)}",
    "linkedid": "${CHANNEL(linkedid)}",
    "peer": "${BRIDGEPEER}",
    "userfield": "${CHANNEL(userfield)}",
    "userdeftype": "${userdeftype}",
    "eventextra": "${eventextra}",
}


class DialplanError(HotlineError):
    """The dialplan cannot be rendered or written as asked."""

    code = "dialplan"
    title = "The dialplan could not be made"


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone of a stand-alone PBX.

    Without a password it is known by its name alone; with a ``contact`` (a SIP URI) it is reached
    there and need not register. A call in which nothing is heard from it for ``silence_s`` seconds
    (``held_silence_s`` while it holds the call) is ended by the PBX: the phone has gone without a
    word. ``mailbox``: whose new messages its lamp shows. ``qualify_s``: how often a phone that
    registers is asked whether it is there, in seconds.
    """

    id: str
    password: str
    context: str
    callerid: str = ""
    contact: str = ""
    silence_s: int = 60
    held_silence_s: int = 300
    mailbox: str = ""
    qualify_s: int = 20
    browser: bool = False
    """Registers from a web page, over a WebSocket (RFC 7118), and speaks WebRTC."""


@dataclass(frozen=True, slots=True)
class Standalone:
    """Where a PBX of its own keeps its files and which ports it uses."""

    etc: Path
    modules: Path
    data: Path
    var: Path
    spool: Path
    run: Path
    log: Path
    sip_port: int = 5060
    sip_bind: str = "127.0.0.1"
    sip_address: str = "127.0.0.1"
    ami_bind: str = "127.0.0.1"
    rtp_first: int = 10000
    rtp_last: int = 10999
    ami_certificate: Path | None = None
    http_port: int = 0
    """Where browsers' phones register, on the SIP address; 0: nowhere."""
    ice_addresses: tuple[str, ...] = ()
    """Addresses of this host that stand for ``sip_address`` in what browsers are offered."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a call can be handed to: a desk or an agent."""

    id: str
    dial: str
    dial_backup: str | None
    ring_s: int
    acceptance: Literal["answer", "confirm"]
    members: tuple[Target, ...] = ()
    in_order: bool = False

    @property
    def longest_s(self) -> int:
        """How long it may ring by one route; of a group in order, all of them together."""
        return self.ring_s * (len(self.members) if self.in_order else 1)

    def takers(self) -> list[tuple[str, str]]:
        """The members of a group by the device that answers, where that tells them apart."""
        seen = [(device, one.id) for one in self.members for device in devices(one.dial)]
        devices_seen = [device for device, _ in seen]
        return [(device, who) for device, who in seen if devices_seen.count(device) == 1]


def targets(settings: Settings) -> list[Target]:
    """Desks first, then agents, then groups; all are extensions of the transfer context."""
    desks = [
        Target(desk.id, desk.dial, desk.dial_backup, desk.ring_s, desk.acceptance)
        for desk in settings.desks
    ]
    ring = settings.line.agent_ring_s
    single = desks + [_agent(a, ring) for a in settings.agents]
    return single + [_group(group, single) for group in settings.groups]


def _agent(agent: Agent, ring_s: int) -> Target:
    return Target(agent.id, "&".join(agent.dials), None, ring_s, "answer")


def _group(group: Group, single: list[Target]) -> Target:
    by_id = {one.id: one for one in single}
    members = tuple(by_id[member] for member in group.members)
    confirm = any(one.acceptance == "confirm" for one in members)
    return Target(
        id=group.id,
        dial="&".join(one.dial for one in members),
        dial_backup=None,
        ring_s=group.ring_s,
        acceptance="confirm" if confirm else "answer",
        members=members,
        in_order=group.ring == "in-order",
    )


def own_phones(settings: Settings) -> list[Phone]:
    """The phones that the settings define themselves, by having a password."""
    desks = [
        Phone(d.id, d.password.get_secret_value(), "hotline-agents", d.name)
        for d in settings.desks
        if d.password
    ]
    agents = [
        Phone(
            a.id,
            a.password.get_secret_value(),
            "hotline-agents",
            a.name,
            mailbox=f"{settings.line.number}@hotline-messages",
        )
        for a in settings.agents
        if a.password
    ]
    browsers = [
        Phone(
            f"{a.id}-web",
            a.browser_password.get_secret_value(),
            "hotline-agents",
            a.name,
            silence_s=8,
            qualify_s=15,
            browser=True,
        )
        for a in settings.agents
        if a.browser_password
    ]
    supervisors = [
        Phone(one.id, one.password.get_secret_value(), "hotline-agents", one.name)
        for one in settings.supervisors
        if one.password
    ]
    return [*desks, *agents, *browsers, *supervisors]


def render(
    settings: Settings,
    standalone: Standalone | None = None,
    *,
    extra_phones: Iterable[Phone] = (),
    moh_dir: Path | None = None,
    ami_permit: str = "127.0.0.1/255.255.255.255",
) -> dict[str, str]:
    """All files by their path below the PBX's configuration folder.

    Raises :class:`DialplanError` when a value of the settings cannot stand in a dialplan.
    """
    recording = settings.recording
    environment = _environment(recording.on and recording.after_transfer)
    everyone = targets(settings)
    rings = [one.longest_s for one in everyone] + [one.ring_s for one in settings.outside]
    longest = max(rings, default=20)
    values = {
        "header": HEADER,
        "time_zone": TIME_ZONE,
        "trunk_context": settings.trunk_context,
        "line": settings.line,
        "lines": settings.every_line,
        "agents": settings.agents,
        "targets": everyone,
        "outside": settings.outside,
        "partners": settings.partners,
        "desk_names": {desk.id: desk.name for desk in settings.desks},
        "keys": settings.keys,
        "features": "#".join(_features(settings)),
        "parking": settings.parking,
        "matters": settings.matters,
        "supervisors": settings.supervisors,
        "monitor_code": settings.monitor_code,
        "recording": settings.recording,
        "room": settings.room,
        "sign_in_code": settings.sign_in_code,
        "sign_out_code": settings.sign_out_code,
        "pause_code": settings.pause_code,
        "pause_reasons": settings.pause_reasons,
        "resume_code": settings.resume_code,
        "pickup_code": settings.pickup_code,
        "pickup_groups": _pickup_groups(settings),
        "callback": settings.callback,
        "messages": settings.messages,
        "survey": settings.survey,
        # Both routes of the slowest desk, its confirmation, and some air.
        "wait_max_s": 2 * longest + 30,
        "pbx": settings.pbx,
        "ami_secret": _secret(settings),
        "ami_write": ",".join(write_rights(settings)),
        "ami_permit": ami_permit,
        "cel_name": CEL_NAME,
        "cel_mapping": ",".join(f"${{CSV_QUOTE({value})}}" for value in CEL_FIELDS.values()),
        "standalone": standalone,
        "several": bool(settings.pbxs),
        "moh_dir": moh_dir or "/usr/share/asterisk/sounds/hotline-moh",
        "phones": [*own_phones(settings), *extra_phones],
    }
    files = {}
    for template in sorted(
        environment.list_templates(filter_func=lambda name: name.endswith(".conf.j2"))
    ):
        target = template.removesuffix(".j2")
        if template.startswith("standalone/"):
            if standalone is None:
                continue
            target = target.removeprefix("standalone/")
        else:
            target = f"hotline/{target}"
        files[target] = environment.get_template(template).render(values)
    if standalone is not None:
        files |= {name: _include(name) for name in _included(files)}
    return {name: stamped(text) for name, text in files.items()}


@cache
def _environment(records_targets: bool) -> Environment:
    """The templates, compiled once: that takes longer than all the rest of rendering."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.globals["records_targets"] = records_targets
    return environment


def stamped(text: str) -> str:
    """A text of ours with a sum of itself below its heading, by which an edit is known later."""
    before, heading, after = text.partition(f"; {HEADER}\n")
    return f"{before}{heading}{STAMP}{_sum(text)}\n{after}"


def is_edited(text: str) -> bool:
    """Whether somebody changed a text of ours; one that has no sum is taken as it is."""
    found = re.search(rf"^{re.escape(STAMP)}(\w+)\n", text, re.MULTILINE)
    return found is not None and found[1] != _sum(text.replace(found[0], "", 1))


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_rights(settings: Settings) -> list[str]:
    """What our AMI user may do, for what is switched on and no more."""
    rights = ["call", "originate", "agent", "reporting", "system"]
    return [*rights, "config"] if settings.pbx.load_over_ami else rights


def _features(settings: Settings) -> list[str]:
    """What keys do during a call, by their names in features.conf."""
    around = [
        "hotline-park",
        "hotline-proposed",
        *(["hotline-recording"] if settings.recording.on else []),
    ]
    return [*(f"hotline-{key.action}-{key.desk}" for key in settings.keys), *around]


def _pickup_groups(settings: Settings) -> dict[str, str]:
    """For each agent the devices whose ringing they may pick up, as a regular expression.

    Their group are those of the same department.
    """
    return {
        agent.id: "|".join(
            re.sub(r"([.+])", r"[\1]", device)
            for one in settings.agents
            if one.department == agent.department and one.id != agent.id
            for device in devices("&".join(one.dials))
        )
        for agent in settings.agents
    }


def _secret(settings: Settings) -> str:
    secret = settings.pbx.ami_secret.get_secret_value()
    if not secret:
        raise DialplanError("pbx.ami_secret is empty; set HOTLINE_PBX__AMI_SECRET")
    if not PASSWORD.fullmatch(secret):
        raise DialplanError(f"pbx.ami_secret: {PASSWORD_RULE}")
    return secret


def _included(files: dict[str, str]) -> list[str]:
    """Files of ours that a stand-alone PBX reads by including them under their usual name."""
    return [
        name.removeprefix("hotline/")
        for name in files
        if name.startswith("hotline/") and name.count("/") == 1
    ]


def _include(name: str) -> str:
    return f'; {HEADER}\n#include "hotline/{name}"\n'


def write(
    files: dict[str, str], out: Path, *, force: bool = False, serves: bool = False
) -> list[Path]:
    """Write the files below ``out``; only those that differ are touched.

    A file that we did not make, or that somebody changed since, is kept, and :class:`DialplanError`
    names it, unless ``force``; nothing is written then. It also says what cannot be written.
    ``serves``: see :func:`telephony.plans.placing.put`.
    """
    try:
        return _write(files, out, force=force, serves=serves)
    except OSError as error:
        raise DialplanError(f"{error.filename or out}: {error.strerror}") from None


def _write(files: dict[str, str], out: Path, *, force: bool, serves: bool) -> list[Path]:
    changed = {}
    for name, text in files.items():
        path = out / name
        if path.exists():
            there = path.read_text(encoding="utf-8", errors="replace")
            if there == text:
                continue
            if HEADER not in there and not force:
                raise DialplanError(
                    f"{path} was not made by hotline; move it away or render with --force"
                )
            if is_edited(there) and not force:
                raise DialplanError(
                    f"{path} was changed since hotline made it; put your lines into a dialplan of "
                    "your own (dialplans/custom) or the settings, or render with --force"
                )
        changed[path] = text
    put(changed, out, serves=serves)
    return list(changed)
