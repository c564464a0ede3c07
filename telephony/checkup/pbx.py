"""Checks of the PBX itself: version, rights, modules, clock, tones, music, mailbox."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from telephony.asterisk_program import OLDEST
from telephony.checkup.model import NotChecked, Patient, Verdict, ok, setting, warning, wrong
from telephony.dialplan import write_rights
from telephony.settings import TIME_ZONE

RIGHTS = {
    "call": (
        ("Redirect", "Setvar", "Getvar", "Hangup", "Status"),
        "hand-overs from desk and command line fail; keys on phones still work",
    ),
    "originate": (("Originate",), "a third party cannot be called in from the desk"),
    "agent": (
        ("QueueAdd", "QueueRemove", "QueuePause"),
        "agents can sign in and out only by the code on the phone",
    ),
    "reporting": (
        ("CoreShowChannels", "ShowDialPlan", "ConfbridgeList"),
        "the live picture of calls stays empty",
    ),
    "system": (
        ("DBPut", "DBDel", "ModuleCheck", "GetConfig", "Reload"),
        "holidays cannot be set and dialplans not loaded from here, and this doctor sees less",
    ),
    "config": (
        ("UpdateConfig", "CreateConfig"),
        "dialplans cannot be loaded over AMI, as pbx.load_over_ami says",
    ),
}
"""The write rights that our actions need: right -> actions, and what fails without it."""

TOO_MUCH = {
    "command": "Command",
    "config": "UpdateConfig",
    "user": "UserEvent",
    "aoc": "AOCMessage",
    "test": "LocalOptimizeTest",
}
"""Rights that we do not use, by an action that shows them."""

READ_RIGHTS = ("call", "user", "agent", "system")

MODULES = {
    "pbx_config": "there is no dialplan",
    "app_dial": "nobody is called",
    "app_stack": "the dialplan stops at its first Gosub",
    "app_exec": "the dialplan stops at its first ExecIf",
    "app_bridgewait": "agents are cut off when they press a key",
    "bridge_holding": "agents are cut off when they press a key",
    "app_queue": "callers reach no agent, only the message",
    "app_record": "no message can be left",
    "func_env": "messages count as none: their length is not known",
    "app_playback": "callers hear no announcement",
    "app_read": "desks that must confirm a call cannot",
    "app_channelredirect": "the keys on phones do nothing",
    "app_originate": "the key for a three-way call does nothing",
    "app_confbridge": "three-way calls fail",
    "app_softhangup": "the agent who waits is not let go when the desk answers",
    "app_userevent": "the desk does not see hand-overs live",
    "app_celgenuserevent": "the record does not know who took a call",
    "bridge_builtin_features": "keys during a call do nothing",
    "bridge_simple": "nobody hears anybody",
    "bridge_softmix": "three-way calls fail",
    "cel_custom": "no call is recorded",
    "func_callerid": "the desk does not see who calls",
    "func_channel": "cases have no number",
    "func_cut": "hand-overs do not know who pressed the key",
    "func_db": "holidays do not count",
    "func_dialplan": "callers who were not taken do not come back to their agent",
    "func_global": "the keys on phones and the way back fail",
    "func_lock": "two agents may pick up the same call",
    "func_logic": "the agent who waits is not let go when the desk answers",
    "func_strings": "hours do not work, and no call is recorded",
    "func_uri": "the facts of hand-overs cannot be read",
    "res_musiconhold": "hold is silent, which sounds like a lost call",
    "chan_pjsip": "there is no SIP",
    "res_pjsip_session": "there is no SIP call",
    "res_pjsip_sdp_rtp": "calls have no sound",
    "res_pjsip_refer": "a phone's own transfer is refused",
    "res_pjsip_header_funcs": "the dialplan stops when it calls a desk",
    "res_rtp_asterisk": "calls have no sound",
}
"""The modules that the dialplan needs, and what fails without each."""

CLOCK_WARNING_S, CLOCK_WRONG_S = 2.0, 30.0
RESOLVE_LIMIT_S = 1.0


async def check_version(patient: Patient) -> Verdict:
    """Asterisk is new enough for what the dialplan uses."""
    patient.must_be_allowed("CoreSettings", "reporting")
    version = (await patient.link.action("CoreSettings")).get("AsteriskVersion")
    found = re.search(r"(\d+)\.\d+", version)
    if found is None:
        return warning(f"unknown version {version!r}", f"use Asterisk {OLDEST} or newer")
    if int(found[1]) < OLDEST:
        return wrong(f"Asterisk {version}", f"upgrade to Asterisk {OLDEST} or newer")
    return ok(f"Asterisk {version}")


async def check_rights(patient: Patient) -> Verdict:
    """Our AMI user may do what we ask, and no more."""
    granted = write_rights(patient.settings)
    lacking = {
        right: [action for action in RIGHTS[right][0] if action not in patient.actions]
        for right in granted
    }
    lacking = {right: actions for right, actions in lacking.items() if actions}
    user = patient.settings.pbx.ami_user
    where = (
        f"the section [{user}] of the PBX's manager.conf, then `manager reload` and sign in anew"
    )
    if lacking:
        named = "; ".join(
            f"write right {right} is missing (or its module is): {', '.join(actions)}"
            for right, actions in lacking.items()
        )
        losses = "; ".join(RIGHTS[right][1] for right in lacking)
        return wrong(named, f"add `{','.join(lacking)}` to write = in {where}", losses)
    reading = await _reading(patient)
    unheard = [one for one in READ_RIGHTS if reading is not None and not {one, "all"} & reading]
    if unheard:
        return wrong(
            f"read right {', '.join(unheard)} is missing",
            f"add `{','.join(unheard)}` to read = in {where}",
            "The live picture of calls stays as it was at the start.",
        )
    excess = [
        right
        for right, action in TOO_MUCH.items()
        if right not in granted and action in patient.actions
    ]
    if excess:
        return warning(
            f"more write rights than needed: {', '.join(excess)}",
            f"take `{','.join(excess)}` out of write = in {where}",
            "Who gets hold of the AMI secret could change the PBX, not only its calls.",
        )
    unread = sorted(reading - set(READ_RIGHTS)) if reading is not None else []
    if unread:
        return warning(
            f"more read rights than needed: {', '.join(unread)}",
            f"let read = be `{','.join(READ_RIGHTS)}` in {where}",
            "The PBX writes events that nobody reads: a plain call makes 124 of them, 15 are ours.",
        )
    told = "" if reading is not None else " (which read rights it has, the PBX does not tell)"
    return ok(f"user {user} has the rights that are needed and no more{told}")


async def _reading(patient: Patient) -> set[str] | None:
    """Our user's read rights as manager.conf says; None where it does not tell."""
    user = patient.settings.pbx.ami_user
    try:
        config = await patient.config("manager.conf", user)
    except NotChecked:
        return None
    value = setting(config or {}, user, "read")
    return {part.strip() for part in value.split(",")} if value else None


async def check_modules(patient: Patient) -> Verdict:
    """Every module that the dialplan needs is loaded."""
    loaded = await patient.loaded(MODULES)
    missing = [name for name, there in loaded.items() if not there]
    if missing:
        lines = "; ".join(f"without {name} {MODULES[name]}" for name in missing)
        return wrong(
            f"not loaded: {', '.join(missing)}",
            "load them in the PBX's modules.conf (`module load NAME` tells why one does not load)",
            lines[0].upper() + lines[1:] + ".",
        )
    return ok(f"all {len(MODULES)} that the dialplan needs are loaded")


async def check_clock(patient: Patient) -> Verdict:
    """The PBX's clock is right, and it knows the zone in which hours are meant."""
    asked = time.time()
    epoch = await patient.value("EPOCH")
    ours = (asked + time.time()) / 2
    local = await patient.value(f"STRFTIME(${{EPOCH}},{TIME_ZONE},%Y%m%d%H%M%S)")
    try:
        theirs = int(epoch) + 0.5
        shanghai = datetime.strptime(local, "%Y%m%d%H%M%S").replace(tzinfo=ZoneInfo(TIME_ZONE))
    except ValueError:
        raise NotChecked(f"the PBX tells no time (EPOCH {epoch!r}, STRFTIME {local!r})") from None
    off = theirs - ours
    zone_off = shanghai.astimezone(UTC) - datetime.fromtimestamp(int(epoch), UTC)
    if abs(zone_off) > timedelta(seconds=10):
        return wrong(
            f"in {TIME_ZONE} the PBX is {zone_off.total_seconds() / 3600:+.1f} h off",
            "install the time zones on the PBX's host (Debian: tzdata)",
            "Callers are told that the office is closed while it is open, or the reverse.",
        )
    found = f"the PBX's clock is {off:+.0f} s off ours"
    if abs(off) < CLOCK_WARNING_S:
        return ok(f"within {CLOCK_WARNING_S:.0f} s of ours, and it knows {TIME_ZONE}")
    judge = wrong if abs(off) > CLOCK_WRONG_S else warning
    return judge(found, "run NTP (such as chrony) on both hosts")


async def check_host_name(patient: Patient) -> Verdict:
    """The PBX's host knows its own name; each look-up that fails holds a call up."""
    name = socket.gethostname()
    if not patient.is_here:
        return warning(
            "not checked: the PBX is on another machine",
            'there, `getent hosts "$(hostname)"` must answer at once',
        )
    started = time.monotonic()
    answer = await _resolve(name)
    took = time.monotonic() - started
    if isinstance(answer, str):
        return wrong(
            f"{name} does not resolve ({answer}, after {took:.1f} s)",
            f"add the line `127.0.1.1 {name}` to /etc/hosts of the PBX's host",
            "Every call waits up to 5 s before it rings; at 50 calls/s 355 of 400 failed.",
        )
    return ok(f"{name} resolves in {took * 1000:.0f} ms")


async def _resolve(name: str) -> str | None:
    """None when the name resolves in time, else why not."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()

    def look_up() -> None:
        try:
            socket.getaddrinfo(name, None)
            answer = None
        except OSError as error:
            answer = error.strerror or str(error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, done, answer)

    # A look-up cannot be called off, and an executor would make us wait for it at the end.
    threading.Thread(target=look_up, daemon=True).start()
    try:
        async with asyncio.timeout(RESOLVE_LIMIT_S):
            return await done
    except TimeoutError:
        return "no answer"


def _settle(done: asyncio.Future[str | None], answer: str | None) -> None:
    if not done.done():
        done.set_result(answer)


async def check_indications(patient: Patient) -> Verdict:
    """The PBX knows what ringing sounds like."""
    config = await patient.config("indications.conf")
    todo = "include hotline/indications.conf, then `module reload indications`"
    if config is None:
        return wrong("the PBX has no indications.conf", todo)
    country = setting(config, "general", "country")
    if not country:
        return wrong("indications.conf names no country", todo)
    if not setting(config, country, "ring"):
        return wrong(f"indications.conf has no ring tone for {country!r}", todo)
    return ok(f"country {country} has a ring tone")


async def check_music(patient: Patient) -> Verdict:
    """The class of music that holders hear has something to play."""
    config = await patient.config("musiconhold.conf")
    todo = "include hotline/musiconhold.conf, then `moh reload`"
    if config is None or "hotline" not in config:
        return wrong("musiconhold.conf has no class [hotline]", todo)
    folder = setting(config, "hotline", "directory")
    if setting(config, "hotline", "mode") != "files" or not folder:
        return ok("the class hotline plays what an admin has set")
    if not patient.is_here:
        return ok(f"the class hotline plays the files in {folder} there")
    if not _has_files(Path(folder)):
        return wrong(f"no file in {folder}", "put music there (dialplans/sounds/moh has some)")
    return ok(f"the class hotline plays the files in {folder}")


def _has_files(folder: Path) -> bool:
    # A relative one is below the PBX's data folder, which we do not know.
    return not folder.is_absolute() or (folder.is_dir() and any(folder.iterdir()))


async def check_messages(patient: Patient) -> Verdict:
    """The sound of messages can be heard from here."""
    folder = patient.settings.messages.folder
    todo = "set messages.folder to hotline/messages below the spool of the PBX"
    means = "Messages are taken, but cannot be heard from here."
    if folder is None:
        return warning("messages.folder is not set", todo, means)
    # The PBX makes the folder itself with the first message.
    spool = next(one for one in (folder, *folder.parents) if one.is_dir())
    if spool not in (folder, folder.parent, folder.parent.parent):
        return warning(f"{folder.parent.parent} (messages.folder) is no folder", todo, means)
    if not os.access(spool, os.R_OK | os.X_OK):
        return wrong(f"{spool} may not be read by this user", "let this user read it", means)
    return ok(f"messages are in {folder}")
