"""Checks of the record: CEL switched on, its file there and growing, disk, database."""

from __future__ import annotations

import asyncio
import csv
import os
import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import select, text
from sqlmodel import col

from telephony.cel.disk import room_in
from telephony.cel.rows import Clock
from telephony.cel.tail import identity
from telephony.checkup.model import (
    SEE_AMI,
    SEE_DATABASE,
    SEE_DIALPLAN,
    NotChecked,
    Patient,
    Verdict,
    Words,
    is_true,
    ok,
    setting,
    warning,
    wrong,
)
from telephony.database import MIGRATIONS, Database
from telephony.dialplan import CEL_FIELDS
from telephony.models import CelPosition
from telephony.pbx import Pbx

CEL_EVENTS = frozenset(
    (
        *("CHAN_START", "CHAN_END", "ANSWER", "HANGUP", "APP_START", "BRIDGE_ENTER"),
        *("BRIDGE_EXIT", "BLINDTRANSFER", "ATTENDEDTRANSFER", "USER_DEFINED", "LINKEDID_END"),
        *("PICKUP", "FORWARD", "LOCAL_OPTIMIZE"),
    )
)
"""What legs are made of."""
SLOW_BACK_ENDS = ("cel_sqlite3_custom",)

TEST_CONTEXT = "hotline-third-idle"
"""A context of ours that hangs up at once: a channel to it rings nowhere and meets nobody."""
TEST_LIMIT_S = 2.0
LOOK_EVERY_S = 0.05
TAIL_BYTES = 65536

LAG_WARNING_BYTES, LAG_WARNING_S = 1_000_000, 60.0
DATABASE_LIMIT_S = 3.0

RENDER_CEL = Words(
    "include hotline/cel.conf and hotline/cel_custom.conf, then restart the PBX",
    "在 cel.conf 和 cel_custom.conf 里分别引入（#include）hotline/cel.conf 和 "
    "hotline/cel_custom.conf，然后重启交换机",
)
WHERE_ROWS_GO = Words(
    "look for a full disk, a folder of another user, or another path in cel_custom.conf",
    "看磁盘是否已满、目录是否属于别的用户、cel_custom.conf 里是否是另一个路径",
)


async def check_cel(patient: Patient) -> Verdict:
    """CEL is on for all events, and written in our columns to the file of the settings."""
    main = await patient.config("cel.conf")
    if main is None or not is_true(setting(main, "general", "enable")):
        return wrong("cel.conf does not say enable = yes", RENDER_CEL)
    events = {part.strip().upper() for part in setting(main, "general", "events").split(",")}
    missing = sorted(CEL_EVENTS - events)
    if "ALL" not in events and missing:
        return wrong(
            f"cel.conf leaves out {', '.join(missing)}",
            RENDER_CEL,
            Words(
                "Legs without these events show wrong times, or nobody to talk with.",
                "缺少这些事件，话段的时间会不对，或看不出与谁通话。",
            ),
        )
    if setting(main, "general", "apps").lower() != "all":
        found = "cel.conf does not say apps = all, so a message left is not told from a talk"
        return warning(found, RENDER_CEL)
    return await _columns(patient)


async def _columns(patient: Patient) -> Verdict:
    file = patient.settings.pbx.cel_file
    custom = await patient.config("cel_custom.conf")
    mappings = dict((custom or {}).get("mappings", []))
    if file is None or file.name not in mappings:
        named = ", ".join(mappings) or "nothing"
        return wrong(
            f"cel_custom.conf writes {named}, not {file.name if file else '?'}", RENDER_CEL
        )
    ours = ",".join(f"${{CSV_QUOTE({value})}}" for value in CEL_FIELDS.values())
    if re.sub(r"\s", "", mappings[file.name]) != ours:
        return wrong(
            f"cel_custom.conf gives {file.name} other columns than ours",
            RENDER_CEL,
            Words(
                "Rows are read as if they said something else, or not at all.",
                "记录行会被读错，或根本读不出。",
            ),
        )
    return ok(f"on for all events, written to {file.name} in our columns")


async def check_cel_back_end(patient: Patient) -> Verdict:
    """No back end that holds calls up while it stores a row."""
    loaded = await patient.loaded(SLOW_BACK_ENDS)
    # One whose file names no database is loaded as well, but runs not (a stock Debian).
    slow = [
        name for name, there in loaded.items() if there and await patient.config(f"{name}.conf")
    ]
    if slow:
        return wrong(
            f"{', '.join(slow)} runs: every channel waits for its insert",
            Words(
                f"`noload = {slow[0]}.so` in section [modules] of modules.conf, then restart; "
                "the CSV file is what we read",
                f"在 modules.conf 的 [modules] 段里写 `noload = {slow[0]}.so`，然后重启；"
                "我们读的是 CSV 文件",
            ),
            Words(
                "Set-up of a call takes 16 ms at 10 calls/s, but 4.8 s at 50/s (4 ms without it).",
                "每秒 10 个来电时接通要 16 毫秒，每秒 50 个时要 4.8 秒（没有它只要 4 毫秒）。",
            ),
        )
    return ok("CSV only; the sqlite back end, which holds calls up, does not run")


async def check_cel_file(patient: Patient) -> Verdict:
    """The CEL file is there, can be read, and grows with the calls."""
    file = patient.settings.pbx.cel_file
    if file is None:
        return wrong(
            "pbx.cel_file is not set",
            Words(
                "set HOTLINE_PBX__CEL_FILE to the PBX's CEL file",
                "把 HOTLINE_PBX__CEL_FILE 设为交换机的 CEL 文件",
            ),
        )
    if not file.parent.is_dir():
        return wrong(
            f"the folder {file.parent} does not exist",
            Words(
                "make it, owned by the user that Asterisk runs as: rows vanish silently without it",
                "建立这个目录，属主为运行 Asterisk 的用户：没有它，记录行会无声丢失",
            ),
        )
    if file.exists() and not os.access(file, os.R_OK):
        return wrong(
            f"{file} cannot be read by {_user()}",
            Words(
                "put the service's user into the PBX's group, or give the file's folder an ACL",
                "把运行服务的用户加入交换机的用户组，或给文件所在目录设置 ACL",
            ),
        )
    if patient.client is None:
        if not file.exists():
            todo = Words(
                "set pbx.cel_file to where the PBX writes CEL",
                "把设置项 pbx.cel_file 设为交换机写 CEL 的地方",
            )
            return wrong(f"{file} does not exist", todo)
        return warning(f"{_last(file)}; not checked whether it grows: no link", SEE_AMI)
    if patient.test_call:
        return await _prove(patient, file)
    return await _compare(patient, file)


def _user() -> str:
    return f"user {os.geteuid()}"


async def _compare(patient: Patient, file: Path) -> Verdict:
    """Rows as new as the PBX's newest call prove that it writes."""
    patient.must_be_allowed("CoreStatus", "reporting")
    status = await patient.link.action("CoreStatus")
    zone = await patient.value("STRFTIME(${EPOCH},,%z)")
    began = datetime.strptime(
        f"{status['CoreStartupDate']} {status['CoreStartupTime']} {zone}", "%Y-%m-%d %H:%M:%S %z"
    ).timestamp()
    channels = await patient.link.list_action("CoreShowChannels")
    born = [
        int(found[1])
        for one in channels
        if (found := re.search(r"(\d+)\.\d+$", one.get("Uniqueid")))
    ]
    calls = int(status.get("CoreProcessedCalls", "0"))
    newest = max(born, default=began if calls else 0.0)
    last = await asyncio.to_thread(last_row_at, file)
    if newest and (last is None or last < newest - 1):
        return wrong(
            f"{_last(file)}, but the PBX has had calls since",
            WHERE_ROWS_GO,
        )
    if last is None:
        return warning(
            f"no row in {file} yet, and no call since the PBX started",
            Words(
                "`hotline doctor --test-call` proves that rows arrive, with a call that no phone "
                "hears",
                "`hotline doctor --test-call` 用一次不响铃的呼叫证明记录行能写入",
            ),
        )
    if not newest:
        return ok(
            f"{_last(file)}; no call since the PBX started (--test-call proves that it grows)"
        )
    return ok(f"{_last(file)}, as new as the calls on the PBX")


async def _prove(patient: Patient, file: Path) -> Verdict:
    """Make a call of a channel with itself, and wait for its row."""
    patient.must_be_allowed("Originate", "originate")
    if not await Pbx(patient.link, patient.settings).extension_exists(TEST_CONTEXT, "s"):
        raise NotChecked(f"{TEST_CONTEXT} is not loaded", SEE_DIALPLAN)
    mark = f"hotline-doctor-{secrets.token_hex(4)}"
    size = _size(file)
    await patient.link.action(
        "Originate",
        {
            "Channel": f"Local/s@{TEST_CONTEXT}/n",
            "Application": "NoOp",
            "Account": mark,
            "Timeout": round(TEST_LIMIT_S * 1000),
            "Async": "true",
        },
    )
    deadline = time.monotonic() + TEST_LIMIT_S
    while time.monotonic() < deadline:
        # The file tells nobody that it grew.
        if mark in _text_from(file, size):
            return ok(f"{file} grew with a test call ({mark})")
        await asyncio.sleep(LOOK_EVERY_S)
    return wrong(
        f"{file} did not grow within {TEST_LIMIT_S:g} s of a test call ({mark})",
        WHERE_ROWS_GO,
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _text_from(file: Path, offset: int) -> str:
    if not file.exists():
        return ""
    with file.open("rb") as rows:
        rows.seek(offset)
        return rows.read().decode(errors="replace")


def last_row_at(file: Path) -> float | None:
    """When the last whole row was written (seconds since 1970); None when there is none."""
    if not file.exists():
        return None
    tail = _text_from(file, max(_size(file) - TAIL_BYTES, 0))
    lines = tail[: tail.rfind("\n") + 1].splitlines()
    if not lines:
        return None
    fields = next(csv.reader(lines[-1:]))
    try:
        return Clock()(fields[1]) / 1e6
    except (IndexError, ValueError):
        raise NotChecked(f"the last row of {file} cannot be read: {lines[-1][:80]!r}") from None


def _last(file: Path) -> str:
    if not file.exists():
        return f"{file} does not exist"
    last = last_row_at(file)
    if last is None:
        return f"{file} has no row"
    return f"last row of {file} {_ago(time.time() - last)}"


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


async def check_disk(patient: Patient) -> Verdict:
    """There is room where CEL, messages and the database grow."""
    rooms = [room_in(folder, patient.settings.record) for folder in _folders(patient)]
    if not rooms:
        todo = Words("set pbx.cel_file", "设置 pbx.cel_file")
        return warning("no folder of this machine is in the settings", todo)
    tightest = min(rooms, key=lambda room: room.free)
    found = f"{tightest.free / 2**30:.1f} GB free in {tightest.folder}"
    todo = Words(
        "make room, and keep fewer old CEL files (logrotate); limits: record.disk_warning_mb",
        "腾出空间，少留旧的 CEL 文件（logrotate）；界限见设置项 record.disk_warning_mb",
    )
    if tightest.state == "alarm":
        return wrong(found, todo)
    return warning(found, todo) if tightest.state == "warning" else ok(found)


def _folders(patient: Patient) -> Iterable[Path]:
    pbx = patient.settings.pbx
    database = Database.from_settings(patient.settings)
    messages = patient.settings.messages.folder
    named = [pbx.cel_file.parent if pbx.cel_file else None, messages]
    if database.is_sqlite and database.url.database:
        named.append(Path(database.url.database).expanduser().absolute().parent)
    return [folder for folder in named if folder is not None and folder.is_dir()]


async def check_database(patient: Patient) -> Verdict:
    """The database answers and has the newest tables."""
    database = Database.from_settings(patient.settings)
    if not is_there(database):
        file = database.url.database
        return warning(
            f"{file} does not exist yet",
            Words("start the service once: it makes the tables", "启动一次服务，它会建好数据表"),
        )
    try:
        async with asyncio.timeout(DATABASE_LIMIT_S):
            await database.check()
            async with database.reading() as connection:
                versions = await connection.scalars(text("SELECT version_num FROM alembic_version"))
                there = set(versions.all())
    finally:
        await database.close()
    newest = set(_scripts().get_heads())
    if there != newest:
        return wrong(
            f"its tables are of version {', '.join(sorted(there)) or 'none'}, "
            f"this program's of {', '.join(sorted(newest))}",
            Words(
                "start the service of this version once: it migrates",
                "启动一次这个版本的服务，它会升级数据表",
            ),
        )
    kind = "SQLite" if database.is_sqlite else "PostgreSQL"
    return ok(f"{kind} answers, tables of version {', '.join(sorted(there))}")


def is_there(database: Database) -> bool:
    """Whether there is a database to ask; connecting to a file that is missing would make it."""
    file = database.url.database
    return not database.is_sqlite or bool(file and Path(file).expanduser().exists())


def _scripts() -> ScriptDirectory:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


async def check_recorder(patient: Patient) -> Verdict:
    """What the PBX wrote is in the database."""
    file = patient.settings.pbx.cel_file
    name = await asyncio.to_thread(identity, file) if file else None
    if file is None or name is None:
        raise NotChecked(
            "there is no CEL file with a row",
            Words("see the line cel-file", "见“CEL 文件”（cel-file）一项"),
        )
    database = Database.from_settings(patient.settings)
    stored = select(CelPosition).where(
        col(CelPosition.pbx) == patient.settings.pbx.name, col(CelPosition.file) == name
    )
    if not is_there(database):
        raise NotChecked("there is no database yet", SEE_DATABASE)
    try:
        async with asyncio.timeout(DATABASE_LIMIT_S), database.reading() as connection:
            position = (await connection.execute(stored)).first()
    finally:
        await database.close()
    size = _size(file)
    if position is None:
        return warning(
            f"{file} was never read",
            Words("start the service: `hotline up`", "启动服务：`hotline up`"),
        )
    behind = size - position.offset
    age = (datetime.now(UTC) - position.seen_at).total_seconds()
    if behind <= 0:
        return ok(f"all of {file} is in the database")
    found = f"{behind} bytes of {file} are not in the database; read last {_ago(age)}"
    if behind > LAG_WARNING_BYTES or age > LAG_WARNING_S:
        return warning(
            found,
            Words(
                "start the service, or look at its log and at the database",
                "启动服务，或查看它的日志和数据库",
            ),
        )
    return ok(found)
