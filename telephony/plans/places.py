"""Where a place that a step names is in the dialplan: includes, patterns, labels; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from telephony.plans.calls import Target, is_computed, targets
from telephony.plans.dialplan_lines import HINT, Context, Plan, Step
from telephony.plans.findings import Finding

LATE = ("switch", "lswitch", "eswitch")
"""A context with one of these has extensions that nobody can know beforehand."""


@cache
def _pattern(exten: str) -> re.Pattern[str]:
    """A pattern of Asterisk's as a regular expression; ``-`` and spaces in it say nothing."""
    signs = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*"}
    made, at = "", 1
    while at < len(exten):
        sign = exten[at]
        if sign == "[" and "]" in exten[at:]:
            end = exten.index("]", at)
            made += "[" + re.sub(r"([\\\]^\[])", r"\\\1", exten[at + 1 : end]) + "]"
            at = end
        elif sign not in "- ":
            made += signs.get(sign.upper(), re.escape(sign))
        at += 1
    try:
        return re.compile(made, re.DOTALL)
    except re.error:
        return re.compile(re.escape(exten))


def matches(exten: str, dialled: str) -> bool:
    """Whether an extension (a pattern, if it begins with ``_``) is meant by what is dialled."""
    exten = exten.split("/", 1)[0]
    if exten == dialled:
        return True
    if exten.startswith("_"):
        return _pattern(exten).fullmatch(dialled) is not None
    return exten.replace("-", "") == dialled.replace("-", "") and "-" in exten + dialled


def include_name(value: str) -> str:
    """The context of ``include => context,times…``."""
    return re.split(r"[,|]", value, maxsplit=1)[0].strip()


class Places:
    """Looks places up in a plan. ``elsewhere`` are contexts that Asterisk makes by itself."""

    def __init__(self, plan: Plan, elsewhere: Iterable[str] = ()) -> None:
        self.plan = plan
        self.elsewhere = set(elsewhere)
        self._included_by: dict[str, set[str]] = {}
        for context in plan.contexts.values():
            for line in context.includes:
                self._included_by.setdefault(include_name(line.value), set()).add(context.name)
        self._reach: dict[str, list[Context]] = {}

    def with_includes(self, name: str) -> list[Context]:
        """A context and all that it includes, each once."""
        if name not in self._reach:
            found: dict[str, Context] = {}
            wanted = [name]
            while wanted:
                one = wanted.pop(0)
                context = self.plan.contexts.get(one)
                if context is None or one in found:
                    continue
                found[one] = context
                wanted += [include_name(line.value) for line in context.includes]
            self._reach[name] = list(found.values())
        return self._reach[name]

    def including(self, name: str) -> list[Context]:
        """All contexts in which a call may be while it runs a step of this one, and theirs."""
        names, wanted = [name], [name]
        while wanted:
            more = self._included_by.get(wanted.pop(), set()) - set(names)
            names += sorted(more)
            wanted += sorted(more)
        found = {one.name: one for each in names for one in self.with_includes(each)}
        return list(found.values())

    def look_up(self, step: Step, target: Target) -> tuple[list[Step], str]:
        """The steps that a target may mean, and the code of what is wrong with it ("": nothing)."""
        if target.context is None:
            return [], ""
        own = not target.context
        name = target.context or step.context
        if not own and name not in self.plan.contexts:
            return [], "" if name in self.elsewhere else "target-context"
        contexts = self.including(name) if own else self.with_includes(name)
        open_ = any(line.key in LATE for one in contexts for line in one.others)
        extens = list(self._extens(step, target, contexts))
        if not extens:
            return [], "" if open_ or target.exten is None else "target-extension"
        found = self._priority(step, target, extens)
        if found or target.priority is None or open_:
            return found, ""
        return [], "target-priority"

    def _extens(
        self, step: Step, target: Target, contexts: list[Context]
    ) -> Iterator[dict[int, Step]]:
        exten = target.exten
        own = step.exten.split("/", 1)[0]
        for context in contexts:
            for name, steps in context.extens.items():
                plain = name.split("/", 1)[0]
                if exten is None or matches(name, exten) or (exten == "" and plain == own):
                    yield steps

    def _priority(self, step: Step, target: Target, extens: list[dict[int, Step]]) -> list[Step]:
        if target.priority is None:
            return [one for steps in extens for one in steps.values() if one.priority != HINT]
        wanted = target.priority
        if not wanted:
            return []
        if relative := re.fullmatch(r"([+-])(\d+)", wanted):
            wanted = str(step.priority + int(wanted if relative[1] == "-" else relative[2]))
        number = re.fullmatch(r"-?\d+", wanted)
        return [
            one
            for steps in extens
            for one in steps.values()
            if one.priority != HINT
            and (one.priority == int(wanted) if number else one.label == wanted)
        ]


def check_targets(places: Places) -> list[Finding]:
    """Places that do not exist; computed ones are listed as notes."""
    found = []
    for step in places.plan.steps():
        for target in targets(step):
            if target.how == "digits":
                if target.context and not is_computed(target.context):
                    _, code = places.look_up(step, target)
                    if code == "target-context":
                        found.append(_finding(code, step, target))
                continue
            _, code = places.look_up(step, target)
            if code:
                found.append(_finding(code, step, target))
            elif None in (target.context, target.exten, target.priority):
                found.append(_finding("target-computed", step, target))
    for context in places.plan.contexts.values():
        for line in context.includes:
            name = include_name(line.value)
            if name not in places.plan.contexts and name not in places.elsewhere:
                found.append(Finding("include-context", line.file, line.number, {"name": name}))
    return found


def _finding(code: str, step: Step, target: Target) -> Finding:
    written = target.written
    return Finding(code, step.file, step.line, {"app": step.app, "target": written[:120]})
