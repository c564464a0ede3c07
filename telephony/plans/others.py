"""The configuration beside a dialplan: what it names of the dialplan, and what the dialplan of it.

Keys (features.conf), rooms (confbridge.conf) and queues (queues.conf) run routines; steps name
queues, rooms' profiles and menus. Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from telephony.plans.calls import calls, is_computed, place, split
from telephony.plans.config_lines import Config, read_config
from telephony.plans.dialplan_lines import Plan, Step
from telephony.plans.findings import Finding
from telephony.plans.places import Places

RUNS = re.compile(r"\b(dialplan_exec|Gosub|Goto)\(((?:[^()]|\([^()]*\))*)\)")
NAMED = {
    "queue": ("queues.conf", (0,)),
    "addqueuemember": ("queues.conf", (0,)),
    "removequeuemember": ("queues.conf", (0,)),
    "confbridge": ("confbridge.conf", (1, 2, 3)),
}
"""Applications whose arguments are sections of a file."""
FORKS = re.compile(r"^\s*#(include|tryinclude|exec)", re.MULTILINE)


def check_others(
    files: Mapping[str, str], ours: Mapping[str, str], places: Places
) -> list[Finding]:
    """What is wrong in files beside the dialplan. ``ours``: what the settings make, by path."""
    found: list[Finding] = []
    for name, text in files.items():
        base = posixpath.basename(name)
        if base not in ("features.conf", "confbridge.conf", "queues.conf"):
            continue
        config = read_config(name, text)
        found += _routines(config, places)
        path = f"hotline/{base}"
        if path in ours and (name == path or name.endswith(f"/{path}")):
            found += _compared(read_config(path, ours[path]), config, name)
    return found


def _routines(config: Config, places: Places) -> Iterator[Finding]:
    """Places of the dialplan that keys, rooms and queues lead to."""
    for section in config.sections:
        for line in section.lines:
            for app, text in RUNS.findall(line.value):
                here = Step("", "s", 1, "", app, text, line.file, line.number)
                target = place(text, "other")
                _, code = places.look_up(here, target) if target.context else ([], "")
                if code:
                    values = {"app": app, "target": text[:120]}
                    yield Finding(code, line.file, line.number, values)
            if line.key.lower() == "membergosub" and line.value not in places.plan.contexts:
                values = {"app": line.key, "target": line.value}
                yield Finding("target-context", line.file, line.number, values)


def _compared(want: Config, have: Config, name: str) -> Iterator[Finding]:
    """Lines of a file of ours that the settings do not make, or that are missing."""
    wanted = {(one.name, line.key, line.value): 1 for one in want.sections for line in one.lines}
    there = {
        (one.name, line.key, line.value): line.number for one in have.sections for line in one.lines
    }
    ends = {
        one.name: max([one.number, *(line.number for line in one.lines)]) for one in have.sections
    }
    for what, number in there.items():
        if what not in wanted:
            yield Finding("ours-added", name, number, {"what": "[{}] {} = {}".format(*what)})
    for what in wanted:
        if what not in there:
            values = {"what": "[{}] {} = {}".format(*what)}
            yield Finding("ours-missing", name, ends.get(what[0], 1), values)


def check_sections(plan: Plan, files: Mapping[str, str]) -> list[Finding]:
    """Queues, profiles and menus that a step names and no file has, where that can be known."""
    known = {base: _sections(files, base) for base, _ in NAMED.values()}
    found = []
    for step in plan.steps():
        for app, data, _ in calls(step):
            base, places = NAMED.get(app.lower(), ("", ()))
            sections = known.get(base)
            if sections is None:
                continue
            arguments = split(data)
            for name in (arguments[at].strip() for at in places if at < len(arguments)):
                if name and not is_computed(name) and name not in sections:
                    values = {"name": name, "file": base}
                    found.append(Finding("section-missing", step.file, step.line, values))
    return found


def _sections(files: Mapping[str, str], base: str) -> set[str] | None:
    """Sections of all files of a name; None unless the PBX has one that includes none but ours."""
    there = {name: text for name, text in files.items() if posixpath.basename(name) == base}
    own = [text for name, text in there.items() if f"hotline/{base}" not in name]
    includes = [line for text in own for line in text.splitlines() if FORKS.match(line)]
    if not own or any(f"hotline/{base}" not in line for line in includes):
        return None
    # These two Asterisk has by itself (confbridge).
    names = {"default_bridge", "default_user", "default_menu"}
    return names.union(
        *({one.name for one in read_config(name, text).sections} for name, text in there.items())
    )
