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
from telephony.checkup.model import (
    NotChecked,
    Patient,
    Verdict,
    Words,
    ok,
    setting,
    warning,
    wrong,
)
from telephony.checkup.needs import MODULES, READ_RIGHTS, RIGHTS, TOO_MUCH
from telephony.dialplan import write_rights
from telephony.settings import TIME_ZONE

CLOCK_WARNING_S, CLOCK_WRONG_S = 2.0, 30.0
RESOLVE_LIMIT_S = 1.0


async def check_version(patient: Patient) -> Verdict:
    """Asterisk is new enough for what the dialplan uses."""
    patient.must_be_allowed("CoreSettings", "reporting")
    version = (await patient.link.action("CoreSettings")).get("AsteriskVersion")
    found = re.search(r"(\d+)\.\d+", version)
    if found is None:
        todo = Words(f"use Asterisk {OLDEST} or newer", f"使用 Asterisk {OLDEST} 或更新的版本")
        return warning(f"unknown version {version!r}", todo)
    if int(found[1]) < OLDEST:
        todo = Words(
            f"upgrade to Asterisk {OLDEST} or newer", f"升级到 Asterisk {OLDEST} 或更新的版本"
        )
        return wrong(f"Asterisk {version}", todo)
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
    where = Words(
        f"the section [{user}] of the PBX's manager.conf, then `manager reload` and sign in anew",
        f"在交换机 manager.conf 的 [{user}] 一节，然后执行 `manager reload` 并重新登录",
    )
    if lacking:
        named = "; ".join(
            f"write right {right} is missing (or its module is): {', '.join(actions)}"
            for right, actions in lacking.items()
        )
        losses = [RIGHTS[right][1] for right in lacking]
        return wrong(
            named,
            Words(
                f"add `{','.join(lacking)}` to write = in {where.en}",
                f"给 write = 加上 `{','.join(lacking)}`，{where.zh}",
            ),
            Words("; ".join(one.en for one in losses), "；".join(one.zh for one in losses)),
        )
    reading = await _reading(patient)
    unheard = [one for one in READ_RIGHTS if reading is not None and not {one, "all"} & reading]
    if unheard:
        return wrong(
            f"read right {', '.join(unheard)} is missing",
            Words(
                f"add `{','.join(unheard)}` to read = in {where.en}",
                f"给 read = 加上 `{','.join(unheard)}`，{where.zh}",
            ),
            Words(
                "The live picture of calls stays as it was at the start.",
                "实时通话画面停留在启动时的样子。",
            ),
        )
    excess = [
        right
        for right, action in TOO_MUCH.items()
        if right not in granted and action in patient.actions
    ]
    if excess:
        return warning(
            f"more write rights than needed: {', '.join(excess)}",
            Words(
                f"take `{','.join(excess)}` out of write = in {where.en}",
                f"从 write = 里去掉 `{','.join(excess)}`，{where.zh}",
            ),
            Words(
                "Who gets hold of the AMI secret could change the PBX, not only its calls.",
                "谁拿到 AMI 口令，就不只能动通话，还能改动交换机。",
            ),
        )
    unread = sorted(reading - set(READ_RIGHTS)) if reading is not None else []
    if unread:
        return warning(
            f"more read rights than needed: {', '.join(unread)}",
            Words(
                f"let read = be `{','.join(READ_RIGHTS)}` in {where.en}",
                f"把 read = 改成 `{','.join(READ_RIGHTS)}`，{where.zh}",
            ),
            Words(
                "The PBX writes events that nobody reads: a plain call makes 124 of them, 15 are "
                "ours.",
                "交换机会发出没人读的事件：一次普通通话有 124 个，我们只用 15 个。",
            ),
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
        lines = "; ".join(f"without {name} {MODULES[name].en}" for name in missing)
        return wrong(
            f"not loaded: {', '.join(missing)}",
            Words(
                "load them in the PBX's modules.conf (`module load NAME` tells why one does not "
                "load)",
                "在交换机的 modules.conf 里加载它们（`module load NAME` 会说明为何加载不了）",
            ),
            Words(
                lines[0].upper() + lines[1:] + ".",
                "；".join(f"没有 {name}，{MODULES[name].zh}" for name in missing) + "。",
            ),
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
            Words(
                "install the time zones on the PBX's host (Debian: tzdata)",
                "在交换机所在的主机上安装时区数据（Debian：tzdata）",
            ),
            Words(
                "Callers are told that the office is closed while it is open, or the reverse.",
                "开放时间里来电会听到已下班，或者相反。",
            ),
        )
    found = f"the PBX's clock is {off:+.0f} s off ours"
    if abs(off) < CLOCK_WARNING_S:
        return ok(f"within {CLOCK_WARNING_S:.0f} s of ours, and it knows {TIME_ZONE}")
    judge = wrong if abs(off) > CLOCK_WRONG_S else warning
    return judge(
        found,
        Words("run NTP (such as chrony) on both hosts", "在两台主机上都运行 NTP（如 chrony）校时"),
    )


async def check_host_name(patient: Patient) -> Verdict:
    """The PBX's host knows its own name; each look-up that fails holds a call up."""
    name = socket.gethostname()
    if not patient.is_here:
        return warning(
            "not checked: the PBX is on another machine",
            Words(
                'there, `getent hosts "$(hostname)"` must answer at once',
                '在那台机器上，`getent hosts "$(hostname)"` 应立刻有结果',
            ),
        )
    started = time.monotonic()
    answer = await _resolve(name)
    took = time.monotonic() - started
    if isinstance(answer, str):
        return wrong(
            f"{name} does not resolve ({answer}, after {took:.1f} s)",
            Words(
                f"add the line `127.0.1.1 {name}` to /etc/hosts of the PBX's host",
                f"在交换机所在主机的 /etc/hosts 里加一行 `127.0.1.1 {name}`",
            ),
            Words(
                "Every call waits up to 5 s before it rings; at 50 calls/s 355 of 400 failed.",
                "每个来电振铃前最多等 5 秒；每秒 50 个来电时，400 个里有 355 个失败。",
            ),
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
    todo = Words(
        "include hotline/indications.conf, then `module reload indications`",
        "在 indications.conf 里引入（#include）hotline/indications.conf，"
        "再执行 `module reload indications`",
    )
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
    todo = Words(
        "include hotline/musiconhold.conf, then `moh reload`",
        "在 musiconhold.conf 里引入（#include）hotline/musiconhold.conf，再执行 `moh reload`",
    )
    if config is None or "hotline" not in config:
        return wrong("musiconhold.conf has no class [hotline]", todo)
    folder = setting(config, "hotline", "directory")
    if setting(config, "hotline", "mode") != "files" or not folder:
        return ok("the class hotline plays what an admin has set")
    if not patient.is_here:
        return ok(f"the class hotline plays the files in {folder} there")
    if not _has_files(Path(folder)):
        return wrong(
            f"no file in {folder}",
            Words(
                "put music there (dialplans/sounds/moh has some)",
                "把音乐放到那里（dialplans/sounds/moh 里有）",
            ),
        )
    return ok(f"the class hotline plays the files in {folder}")


def _has_files(folder: Path) -> bool:
    # A relative one is below the PBX's data folder, which we do not know.
    return not folder.is_absolute() or (folder.is_dir() and any(folder.iterdir()))


async def check_messages(patient: Patient) -> Verdict:
    """The sound of messages can be heard from here."""
    folder = patient.settings.messages.folder
    todo = Words(
        "set messages.folder to hotline/messages below the spool of the PBX",
        "把设置项 messages.folder 设为交换机 spool 目录下的 hotline/messages",
    )
    means = Words(
        "Messages are taken, but cannot be heard from here.", "留言照常录下，但在这里听不到。"
    )
    if folder is None:
        return warning("messages.folder is not set", todo, means)
    # The PBX makes the folder itself with the first message.
    spool = next(one for one in (folder, *folder.parents) if one.is_dir())
    if spool not in (folder, folder.parent, folder.parent.parent):
        return warning(f"{folder.parent.parent} (messages.folder) is no folder", todo, means)
    if not os.access(spool, os.R_OK | os.X_OK):
        return wrong(
            f"{spool} may not be read by this user",
            Words("let this user read it", "让本用户可以读取它"),
            means,
        )
    return ok(f"messages are in {folder}")
