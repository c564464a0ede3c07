"""A dialplan as steps: what is done at each place; pure.

Asterisk answers ``dialplan reload`` with success when lines were dropped, so the only proof is to
read back what it has (``ShowDialPlan``) and to compare it with what was sent, step by step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telephony.plans.config_lines import read_config
from telephony.plans.dialplan_lines import HINT, read_plan
from telephony.plans.hiding import hidden

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.plans.config_lines import Config
    from telephony.plans.dialplan_lines import Context
    from telephony.plans.findings import Finding

Place = tuple[str, str, int]
"""Context, extension, priority; 0 is a hint. Of what is no extension the second is ""."""
Steps = dict[Place, str]
"""What is done at each place: ``Application(data)``, or ``label: Application(data)``."""

LOST = {
    *("no-equals", "before-section", "bad-section", "template-missing", "include-missing", "exec"),
    *("unknown-directive", "same-first", "no-extension", "next-first", "bad-priority", "bad-label"),
    *("priority-twice", "label-twice"),
}
"""Findings about lines that Asterisk leaves out."""
LATE = ("switch", "lswitch", "eswitch")
SETTINGS = ("general", "globals")
"""Sections of an extensions file that are no contexts."""
UNREADABLE = "a line that Asterisk would leave out"
"""Stands for such a line at minus its number: no PBX ever has that, so it always differs."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where the PBX does something else than we would; "" where one side has nothing."""

    place: Place
    ours: str
    theirs: str

    def __str__(self) -> str:
        context, exten, priority = self.place
        where = f"{context},{exten}" if exten else context
        if exten and priority >= 0:
            where += f",{priority}"
        ours, theirs = hidden(self.ours), hidden(self.theirs)
        if not theirs:
            return f"{where}: missing, ours is {ours}"
        if not ours:
            return f"{where}: {theirs} is not ours"
        return f"{where}: {theirs} instead of {ours}"


def read_steps(text: str, *, strict: bool = True) -> Steps:
    """The steps of an extensions file, as Asterisk's ``pbx_config`` would load them.

    ``strict``: a line that it would leave out is a step that no PBX has; else it is nothing.
    """
    config = read_config("", text)
    plan = read_plan(config)
    steps: Steps = {}
    for context in plan.contexts.values():
        for one in (one for extension in context.extens.values() for one in extension.values()):
            # Whom the caller is (``exten => 110/138…``) is not told by ShowDialPlan.
            exten = one.exten.partition("/")[0]
            if one.priority == HINT:
                _put(steps, (context.name, exten, 0), f"hint: {one.app}")
            else:
                step = written(one.app, one.data, one.label)
                _put(steps, (context.name, exten, one.priority), step)
        for number, line in enumerate(_others(context), 1):
            steps[context.name, "", number] = line
    if strict:
        steps |= {_place_of(one, config): UNREADABLE for one in plan.findings if one.code in LOST}
    return steps


def _others(context: Context) -> list[str]:
    """What is no extension, in the order in which ShowDialPlan tells it."""
    told = [f"include => {one.value}" for one in context.includes]
    lines = [(one.key.lower(), one.value) for one in context.others]
    told += [f"ignorepat => {value}" for key, value in lines if key == "ignorepat"]
    # Which kind of switch it is, and that it has no data, is not told.
    return told + [
        f"switch => {value if '/' in value else value + '/'}" for key, value in lines if key in LATE
    ]


def _place_of(finding: Finding, config: Config) -> Place:
    """A place where no step can be, in the extension that a finding is about, as far as known."""
    context, comma, rest = finding.values.get("where", "").partition(",")
    if comma:
        return context, rest, -finding.line
    before = (one for one in config.sections if one.number <= finding.line)
    section = max(before, key=lambda one: one.number, default=None)
    return section.name if section else "", "", -finding.line


def _put(steps: Steps, place: Place, step: str) -> None:
    there = steps.get(place)
    steps[place] = " / ".join(sorted([*there.split(" / "), step])) if there else step


def written(application: str, data: str, label: str) -> str:
    """A step in one line. A label is part of it: a Goto that names it goes nowhere without it."""
    return f"{label + ': ' if label else ''}{application.strip()}({data.strip()})"


def steps_of(files: Mapping[str, str], *, strict: bool = True) -> Steps:
    """The steps of several extensions files, in the order in which Asterisk includes them."""
    return read_steps("\n".join(text for _, text in sorted(files.items())), strict=strict)


def steps_told(events: Iterable[Event]) -> Steps:
    """What the answer to ``ShowDialPlan`` says."""
    steps: Steps = {}
    others: defaultdict[str, int] = defaultdict(int)
    for event in events:
        if event.name != "ListDialplan":
            continue
        context = event.get("Context")
        other = _other(event)
        if other:
            others[context] += 1
            steps[context, "", others[context]] = other
            continue
        priority, application = event.get("Priority"), event.get("Application")
        if priority == "hint":
            _put(steps, (context, event.get("Extension"), 0), f"hint: {application}")
        elif priority.isdecimal():
            step = written(application, event.get("AppData"), event.get("ExtensionLabel"))
            _put(steps, (context, event.get("Extension"), int(priority)), step)
    return steps


def _other(event: Event) -> str:
    for header, key in (("IncludeContext", "include"), ("IgnorePattern", "ignorepat")):
        if event.get(header):
            return f"{key} => {event.get(header)}"
    return f"switch => {event.get('Switch')}" if event.get("Switch") else ""


def contexts_of(steps: Iterable[Place]) -> list[str]:
    """The contexts in which something stands, each once, in order."""
    return list(dict.fromkeys(place[0] for place in steps))


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
