"""What a step asks for: the arguments of applications, and where each may send a call; pure.

A place is written ``[[context,]extension,]priority``. What is not written is the step's own. A part
with a variable in it is computed when a call gets there, so nobody can say now where it leads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from telephony.plans.dialplan_lines import PAIRS, Step

How = Literal["goto", "gosub", "other", "queue", "sound", "device", "digits"]
"""``goto``: the call itself may go on there; ``gosub``: it goes there and comes back; ``other``:
another leg goes there."""


@dataclass(frozen=True, slots=True)
class Target:
    """A place that a step names. Empty parts are the step's own; ``computed`` parts are None."""

    how: How
    context: str | None
    exten: str | None
    priority: str | None
    written: str
    certain: bool = False
    """The step always leads there: nothing of this extension follows."""


def is_computed(text: str) -> bool:
    """Whether a text is known only when a call gets there."""
    return "${" in text or "$[" in text


def split(text: str, sign: str = ",", limit: int = -1) -> list[str]:
    """Parts of a text between ``sign`` that stands in no bracket, quote or escape."""
    return list(_split(text, sign, limit)) if sign in text else [text]


@lru_cache(maxsize=1 << 16)
def _split(text: str, sign: str, limit: int) -> tuple[str, ...]:
    parts: list[str] = []
    levels: list[list[str]] = [["", ""]]
    start = place = 0
    while place < len(text):
        here = text[place]
        if here == "\\":
            place += 1
        elif here == "$" and text[place + 1 : place + 2] in ("{", "["):
            levels.append([text[place + 1], ""])
            place += 1
        elif here == '"':
            levels[-1][1] = "" if levels[-1][1] else here
        elif levels[-1][1]:
            pass
        elif here in "([{":
            levels.append([here, ""])
        elif here in PAIRS and levels[-1][0] == PAIRS[here]:
            levels.pop()
        elif here == sign and len(levels) == 1 and limit != 0:
            parts.append(text[start:place])
            start = place + 1
            limit -= 1
        place += 1
    return (*parts, text[start:])


def call_of(text: str) -> tuple[str, str]:
    """Application and arguments of ``Application(arguments)``."""
    app, bracket, data = text.strip().partition("(")
    return app.strip(), data.rpartition(")")[0] if bracket else ""


def calls(step: Step) -> Iterator[tuple[str, str, bool]]:
    """Every application that a step may run, with its arguments, and whether it surely does."""
    yield from _calls(step.app, step.data, certain=True)


def _calls(app: str, data: str, *, certain: bool) -> Iterator[tuple[str, str, bool]]:
    yield app, data, certain
    name = app.lower()
    if name in ("execif", "execiftime"):
        _, *rest = split(data, "?", 1)
        for branch in split(rest[0], ":", 1) if rest else ():
            if branch.strip():
                yield from _calls(*call_of(branch), certain=False)
    elif name in ("exec", "tryexec"):
        yield from _calls(*call_of(data), certain=False)


def targets(step: Step) -> tuple[Target, ...]:
    """Every place that a step names."""
    return _places(step.app, step.data)


@lru_cache(maxsize=1 << 16)
def _places(app: str, data: str) -> tuple[Target, ...]:
    found = [
        one
        for name, arguments, sure in _calls(app, data, certain=True)
        for one in _targets(name.lower(), arguments, sure)
    ]
    return (*found, *_in_values(data))


def _targets(app: str, data: str, certain: bool) -> Iterator[Target]:
    if app in ("goto", "gotoif", "gotoiftime", "gosub", "gosubif"):
        how: How = "gosub" if app.startswith("gosub") else "goto"
        if app in ("goto", "gosub"):
            yield place(data, how, certain=certain and how == "goto")
            return
        _, *rest = split(data, "?", 1)
        branches = split(rest[0], ":", 1) if rest else []
        both = certain and how == "goto" and len(branches) == 2 and all(map(str.strip, branches))
        for branch in branches:
            if branch.strip():
                yield place(branch, how, certain=both)
        return
    arguments = split(data)
    if app in OPTIONS:
        devices, options = OPTIONS[app]
        if devices is not None and len(arguments) > devices:
            yield from _devices(arguments[devices])
        if len(arguments) > options:
            yield from _options(app, arguments[options])
    elif app == "channelredirect":
        yield place(",".join(arguments[1:]), "other")
    elif app == "originate":
        yield from _devices(arguments[0])
        if len(arguments) > 2 and arguments[1].strip().lower() == "exten":
            yield place(",".join([*arguments[2:5], "s", "1"][:3]), "other")
    elif app in ("addqueuemember", "chanisavail") and arguments:
        yield from _devices(arguments[app == "addqueuemember"] if len(arguments) > 1 else "")
    elif app in ("background", "disa") and len(arguments) > 3 - 2 * (app == "disa"):
        yield from _context(arguments[3 if app == "background" else 1])


OPTIONS: dict[str, tuple[int | None, int]] = {
    "dial": (0, 2),
    "retrydial": (3, 5),
    "queue": (None, 1),
    "bridge": (None, 1),
    "page": (0, 1),
}
"""Which argument names devices, and which options that send a leg somewhere."""


def place(text: str, how: How, *, certain: bool = False, sign: str = ",") -> Target:
    """A place as written; what it passes on in brackets is no part of it."""
    parts = [one.strip() for one in split(text, sign)]
    if len(parts) > 3:
        # What follows a whole place is an argument.
        parts = parts[:3]
    # Arguments of a routine: 1(a,b)
    parts[-1] = parts[-1] if parts[-1].startswith("$") else parts[-1].split("(", 1)[0].strip()
    context, exten, priority = ["", "", *parts][-3:]
    known = [None if is_computed(one) else one for one in (context, exten, priority)]
    if len(parts) == 1 and known[2] is None:
        # ${X} alone may hold all three.
        known = [None, None, None]
    return Target(how, known[0], known[1], known[2], text.strip(), certain)


def _context(name: str) -> Iterator[Target]:
    if name.strip() and not is_computed(name):
        yield Target("digits", name.strip(), None, None, name.strip())


def _devices(text: str) -> Iterator[Target]:
    """Local channels are places of the dialplan."""
    for device in split(text, "&"):
        found = re.match(r"\s*Local/(.+)$", device, re.IGNORECASE)
        if not found:
            continue
        exten, _, context = split_last(found.group(1), "@")
        context = split(context, "/")[0]
        known = [None if is_computed(one) else one for one in (context, exten)]
        yield Target(
            "other",
            known[0] or (None if known[0] is None else "default"),
            known[1],
            "1",
            device.strip(),
        )


def split_last(text: str, sign: str) -> tuple[str, str, str]:
    """``text`` before and after the last ``sign`` outside of brackets."""
    *first, last = split(text, sign)
    return (sign.join(first), sign, last) if first else (last, "", "")


ROUTINES = {"U": "gosub", "b": "gosub", "B": "gosub", "G": "other", "F": "other"}


def options(text: str) -> list[tuple[str, str]]:
    """Letters of an options argument with what stands in their brackets."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        if text[at] == "$" and text[at + 1 : at + 2] in ("{", "["):
            at = _closing(text, at + 1) + 1
            continue
        letter, at = text[at], at + 1
        inside = ""
        if text[at : at + 1] == "(":
            end = _closing(text, at)
            inside, at = text[at + 1 : end], end + 1
        found.append((letter, inside))
    return found


def _closing(text: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(text)):
        if text[at] in "([{":
            depth += 1
        elif text[at] in ")]}":
            depth -= 1
            if not depth:
                return at
    return len(text)


def _options(app: str, text: str) -> Iterator[Target]:
    for letter, inside in options(text):
        how = ROUTINES.get(letter)
        if how is None or not inside or (app == "bridge" and letter != "F"):
            continue
        if letter == "U":
            # U(context^argument^…): its extension s, its first step.
            name = split(inside, "^")[0].split("(")[0].strip()
            yield Target("gosub", None if is_computed(name) else name, "s", "1", inside)
            continue
        one = place(inside, "other", sign="^")
        if letter in "bB" and len(split(inside, "^")) == 1:
            one = Target("other", one.priority, "s", "1", inside)
        priorities = [one.priority]
        if letter == "G" and one.priority and one.priority.isdecimal():
            # The other party goes to the step after.
            priorities.append(str(int(one.priority) + 1))
        kind: How = "gosub" if how == "gosub" else "other"
        for priority in priorities:
            yield Target(kind, one.context, one.exten, priority, inside)


VALUES = re.compile(r"CHANNEL\(hangup_handler_(?:push|wipe)\)=((?:\\,|[^,])+(?:,[^,=]+,[^,=]+)?)")
OPTION_VALUES = re.compile(r"[UGFbB]\([\w.-]+\^(?:[^()]|\([^()]*\))*\)")
CONTEXT_VALUES = re.compile(
    r"(?<![A-Z_])_{0,2}(?:TRANSFER_CONTEXT|FORWARD_CONTEXT|GOSUB_CONTEXT)=([\w.-]+)"
)


def _in_values(data: str) -> Iterator[Target]:
    """Places that are kept in variables and used later by Asterisk itself."""
    if "hangup_handler" in data:
        for found in VALUES.finditer(data):
            one = place(found.group(1).replace("\\,", ","), "gosub")
            yield Target("gosub", one.context, one.exten, one.priority, one.written)
    if "OPTIONS=" in data:
        # Options of a Dial that a later step makes.
        for found in OPTION_VALUES.finditer(data):
            yield from _options("dial", found.group())
    for found in CONTEXT_VALUES.finditer(data):
        yield Target("digits", found.group(1), None, None, found.group(1))
    for found in re.finditer(r"GOTO_ON_BLINDXFR=([^,)]+)", data):
        yield place(found.group(1), "other", sign="^")
    for found in re.finditer(r"\$\{PERIODIC_HOOK\(([^,)]+),([^,)]+)", data):
        yield place(f"{found.group(1)},{found.group(2)},1", "other")
