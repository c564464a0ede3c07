"""Is the dialplan that the PBX has loaded the one that the settings make?

Asterisk answers ``dialplan reload`` with success when lines were dropped, so the only proof is to
read back what it has (``ShowDialPlan``) and to compare it with ours, step by step.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from telephony.checkup.model import Config, Patient, Verdict, ok, warning, wrong
from telephony.dialplan import render
from telephony.errors import PbxRefused

if TYPE_CHECKING:
    from telephony.settings import Key, Settings

SHOWN = 3
"""How many differences a line of the report names."""

RELOAD = "hotline dialplan render --out <its configuration folder>, then `dialplan reload` there"

Place = tuple[str, str, int]
"""Context, extension, priority."""
Steps = dict[Place, str]
"""What is done at each place: ``Application(data)``, or ``label: Application(data)``."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where the PBX does something else than we would; "" where one side has nothing."""

    place: Place
    ours: str
    theirs: str

    def __str__(self) -> str:
        where = "{},{},{}".format(*self.place)
        if not self.theirs:
            return f"{where}: missing, ours is {self.ours}"
        if not self.ours:
            return f"{where}: {self.theirs} is not ours"
        return f"{where}: {self.theirs} instead of {self.ours}"


def our_steps(settings: Settings) -> Steps:
    """The dialplan that the settings make, step by step.

    Raises :class:`~telephony.dialplan.DialplanError` when they make none.
    """
    # The dialplan holds no secret, so one that could not be rendered must not hide it.
    pbx = settings.pbx.model_copy(update={"ami_secret": SecretStr("not-needed")})
    files = render(settings.model_copy(update={"pbx": pbx}))
    steps: Steps = {}
    for name, text in sorted(files.items()):
        if name.startswith("hotline/extensions/"):
            steps |= read_steps(text)
    return steps


def read_steps(text: str) -> Steps:
    """The steps of an extensions file, as Asterisk's ``pbx_config`` would load them."""
    steps: Steps = {}
    context, exten, priority = "", "", 0
    for raw in text.splitlines():
        line = _without_comment(raw)
        if header := re.fullmatch(r"\[([^\]]+)\].*", line):
            context = header[1]
            continue
        key, arrow, value = line.partition("=>")
        if not arrow:
            continue
        if key.strip() == "exten":
            exten, _, value = value.strip().partition(",")
        elif key.strip() != "same":
            continue
        number, _, step = value.strip().partition(",")
        number, _, label = number.strip().partition("(")
        priority = priority + 1 if number == "n" else int(number)
        application, bracket, data = step.partition("(")
        data = data.rpartition(")")[0] if bracket else ""
        steps[context, exten, priority] = _written(application, data, label.rstrip(")"))
    return steps


def _without_comment(line: str) -> str:
    return re.split(r"(?<!\\);", line, maxsplit=1)[0].replace("\\;", ";").strip()


def _written(application: str, data: str, label: str) -> str:
    # A label is part of the step: a Goto that names it goes nowhere without it.
    return f"{label + ': ' if label else ''}{application.strip()}({data.strip()})"


def compare(ours: Steps, theirs: Steps, shared: str) -> list[Difference]:
    """Where the two differ, ours in order first.

    ``shared`` is the context that an admin may have filled with numbers of their own (the trunk's):
    what stands there besides ours is none of our business.
    """
    found = [
        Difference(place, step, theirs.get(place, ""))
        for place, step in ours.items()
        if theirs.get(place) != step
    ]
    extra = sorted(place for place in theirs.keys() - ours.keys() if place[0] != shared)
    return found + [Difference(place, "", theirs[place]) for place in extra]


async def check_dialplan(patient: Patient) -> Verdict:
    """Compare every context of ours with what the PBX has loaded."""
    patient.must_be_allowed("ShowDialPlan", "reporting")
    ours = our_steps(patient.settings)
    contexts = list(dict.fromkeys(context for context, _, _ in ours))
    asked = await asyncio.gather(*(_loaded(patient, context) for context in contexts))
    theirs: Steps = {place: step for steps in asked if steps for place, step in steps.items()}
    absent = [name for name, steps in zip(contexts, asked, strict=True) if steps is None]
    if len(absent) == len(contexts):
        return wrong(
            "none of our contexts is loaded", f'include "hotline/extensions/*.conf"; {RELOAD}'
        )
    if absent:
        named = ", ".join(absent[:SHOWN]) + (" ..." if len(absent) > SHOWN else "")
        return wrong(f"not loaded at all: {named}", RELOAD)
    differences = compare(ours, theirs, patient.settings.trunk_context)
    if differences:
        named = "; ".join(str(one) for one in differences[:SHOWN])
        more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        return wrong(f"differs from ours at {named}{more}", RELOAD)
    return ok(f"{len(contexts)} contexts, {len(ours)} steps, as the settings make them")


async def _loaded(patient: Patient, context: str) -> Steps | None:
    """The steps of a context on the PBX; None when it has no such context."""
    try:
        events = await patient.link.list_action("ShowDialPlan", {"Context": context})
    except PbxRefused as error:
        if "Did not find" in error.detail:
            return None
        raise
    return {
        (event["Context"], event["Extension"], int(event["Priority"])): _written(
            event.get("Application"), event.get("AppData"), event.get("ExtensionLabel")
        )
        for event in events
        if event.name == "ListDialplan" and event.get("Priority").isdecimal()
    }


async def check_keys(patient: Patient) -> Verdict:
    """Compare the keys of the settings with the PBX's features.conf."""
    config = await patient.config("features.conf")
    todo = "hotline dialplan render, include hotline/features.conf, then `module reload features`"
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
            "give them or our keys another code",
            "An agent who presses the key may start the other feature.",
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
