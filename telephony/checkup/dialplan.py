"""Is the dialplan that the PBX has loaded the one that the settings make?

Asterisk answers ``dialplan reload`` with success when lines were dropped, so the only proof is to
read back what it has (``ShowDialPlan``) and to compare it with ours, step by step.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from telephony.checkup.model import Config, Patient, Verdict, Words, ok, warning, wrong
from telephony.plans.running import running_steps
from telephony.plans.steps import Steps, compare, contexts_of
from telephony.plans.wanted import CUSTOM, CustomRefused, extension_steps, rendered, wanted

if TYPE_CHECKING:
    from telephony.settings import Key, Settings

SHOWN = 3
"""How many differences a line of the report names."""

RELOAD = Words(
    "`hotline dialplan load`; or hotline dialplan render --out <its configuration folder>, "
    "then `dialplan reload` there",
    "运行 `hotline dialplan load`；或 hotline dialplan render --out <交换机的配置目录>，"
    "再在交换机上执行 `dialplan reload`",
)


def our_steps(settings: Settings) -> Steps:
    """The dialplan that the settings make, step by step.

    Raises :class:`~telephony.dialplan.DialplanError` when they make none.
    """
    return extension_steps(rendered(settings))


def own_steps(settings: Settings) -> Steps:
    """The admin's own dialplans, step by step; raises :class:`CustomRefused`."""
    files = wanted(settings)
    return extension_steps({k: text for k, text in files.items() if k.startswith(CUSTOM)})


async def check_dialplan(patient: Patient) -> Verdict:
    """Compare every context of ours with what the PBX has loaded."""
    patient.must_be_allowed("ShowDialPlan", "reporting")
    ours = await asyncio.to_thread(our_steps, patient.settings)
    contexts = contexts_of(ours)
    running = await running_steps(patient.link)
    theirs = {place: step for place, step in running.items() if place[0] in set(contexts)}
    there = {place[0] for place in theirs}
    absent = [name for name in contexts if name not in there]
    if len(absent) == len(contexts):
        return wrong(
            "none of our contexts is loaded",
            Words(
                f'include "hotline/extensions/*.conf"; {RELOAD.en}',
                f'在 extensions.conf 里加上 #include "hotline/extensions/*.conf"；{RELOAD.zh}',
            ),
        )
    if absent:
        named = ", ".join(absent[:SHOWN]) + (" ..." if len(absent) > SHOWN else "")
        return wrong(f"not loaded at all: {named}", RELOAD)
    differences = compare(ours, theirs, patient.settings.trunk_context)
    if differences:
        named = "; ".join(str(one) for one in differences[:SHOWN])
        more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        return wrong(f"differs from ours at {named}{more}", RELOAD)
    try:
        own = await asyncio.to_thread(own_steps, patient.settings)
    except CustomRefused as error:
        return warning(
            error.detail,
            Words(
                "correct that file; it is loaded by `hotline dialplan load`",
                "改正这个文件，再用 `hotline dialplan load` 加载",
            ),
        )
    mine = set(contexts_of(own))
    theirs = {place: step for place, step in running.items() if place[0] in mine}
    if waiting := compare(own, theirs, patient.settings.trunk_context):
        return warning(
            f"a dialplan of your own is not loaded as it stands: {waiting[0]}",
            Words("hotline dialplan load", "运行 hotline dialplan load"),
            Words(
                "Calls into it go as before it was changed.",
                "进入其中的来电仍按修改前的方案走。",
            ),
        )
    return ok(f"{len(contexts)} contexts, {len(ours)} steps, as the settings make them")


async def check_keys(patient: Patient) -> Verdict:
    """Compare the keys of the settings with the PBX's features.conf."""
    config = await patient.config("features.conf")
    todo = Words(
        "hotline dialplan render, include hotline/features.conf, then `module reload features`",
        "运行 hotline dialplan render，在 features.conf 里引入（#include）hotline/features.conf，"
        "再执行 `module reload features`",
    )
    if config is None:
        return wrong("the PBX has no features.conf", todo)
    missing = [
        f"{key.code} ({key.action} {key.desk})"
        for key in patient.settings.keys
        if not _has_key(config, key)
    ]
    if missing:
        return wrong(f"not in its features.conf: {', '.join(missing)}", todo)
    foreign = _foreign_keys(config, {key.code for key in patient.settings.keys})
    if foreign:
        return warning(
            f"other features have the same codes: {', '.join(foreign)}",
            Words("give them or our keys another code", "给它们或我们的按键换一个代码"),
            Words(
                "An agent who presses the key may start the other feature.",
                "坐席按键时可能触发的是另一个功能。",
            ),
        )
    codes = ", ".join(key.code for key in patient.settings.keys)
    return ok(f"{codes} stand in its features.conf")


def _has_key(config: Config, key: Key) -> bool:
    name = f"hotline-{key.action}-{key.desk}"
    wanted = [key.code, "self", f"Gosub(hotline-key-{key.action},{key.desk},1)"]
    lines = [value for there, value in config.get("applicationmap", []) if there == name]
    return bool(lines) and [part.strip() for part in lines[-1].split(",", 2)] == wanted


def _foreign_keys(config: Config, codes: set[str]) -> list[str]:
    by_code: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in config.get("applicationmap", []):
        by_code[value.partition(",")[0].strip()].append(name)
    for name, value in config.get("featuremap", []):
        by_code[value].append(name)
    return [
        f"{code} {name}"
        for code in sorted(codes)
        for name in by_code[code]
        if not name.startswith("hotline-")
    ]
