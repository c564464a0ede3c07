"""Lines of configuration as a dialplan: contexts, extensions, priorities (pbx_config.c); pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from telephony.plans.config_lines import Config, Line, Section
from telephony.plans.findings import Finding

HINT = -1
"""The priority of a hint, which is no step of a call."""
OTHERS = ("ignorepat", "switch", "lswitch", "eswitch", "autohints")


@dataclass(frozen=True, slots=True)
class Step:
    """One priority of an extension: what is done there. ``exten`` may end in ``/caller``."""

    context: str
    exten: str
    priority: int
    label: str
    app: str
    data: str
    file: str
    line: int

    @property
    def written(self) -> str:
        """As ``dialplan show`` writes it."""
        return f"{self.app}({self.data})"


NOTES = ("noop", "verbose")


def is_note(step: Step) -> bool:
    """A step that changes nothing: what it says calls no function."""
    return step.app.lower() in NOTES and not re.search(r"\$\{[^}]*\(|\$\[", step.data)


@dataclass(slots=True)
class Context:
    """A context: its extensions by name, each by priority."""

    name: str
    file: str
    line: int
    extens: dict[str, dict[int, Step]] = field(default_factory=dict)
    includes: list[Line] = field(default_factory=list)
    others: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """All contexts, as Asterisk would have them after reading the files."""

    contexts: dict[str, Context] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def steps(self) -> Iterable[Step]:
        """Every step, hints too."""
        for context in self.contexts.values():
            for steps in context.extens.values():
                yield from steps.values()


def read_plan(config: Config) -> Plan:
    """The dialplan of a configuration."""
    plan = Plan(findings=list(config.findings))
    for section in config.sections:
        if section.template or section.name.lower() == "general":
            continue
        if section.name.lower() == "globals":
            plan.variables |= {line.key: line.value for line in section.lines}
            continue
        _Context(plan, section).read()
    return plan


def merged(plans: Iterable[Plan]) -> Plan:
    """Several files that are loaded together. The first who has a priority keeps it."""
    whole = Plan()
    for plan in plans:
        whole.findings += plan.findings
        whole.variables |= plan.variables
        for context in plan.contexts.values():
            there = whole.contexts.get(context.name)
            if there is None:
                extens = {name: dict(steps) for name, steps in context.extens.items()}
                whole.contexts[context.name] = Context(
                    context.name,
                    context.file,
                    context.line,
                    extens,
                    [*context.includes],
                    [*context.others],
                )
                continue
            there.includes += context.includes
            there.others += context.others
            for steps in context.extens.values():
                for step in steps.values():
                    _add(whole, there, step)
    return whole


def _add(plan: Plan, context: Context, step: Step) -> None:
    steps = context.extens.setdefault(step.exten, {})
    where = f"{step.context},{step.exten}"
    if step.priority in steps:
        values = {"where": f"{where},{step.priority}", "line": str(steps[step.priority].line)}
        plan.findings.append(Finding("priority-twice", step.file, step.line, values))
        return
    if step.label and any(one.label == step.label for one in steps.values()):
        values = {"where": where, "label": step.label}
        plan.findings.append(Finding("label-twice", step.file, step.line, values))
        step = Step(
            step.context, step.exten, step.priority, "", step.app, step.data, step.file, step.line
        )
    steps[step.priority] = step


class _Context:
    """Reads one section. Asterisk forgets the last extension at each section's beginning."""

    def __init__(self, plan: Plan, section: Section) -> None:
        self.plan = plan
        self.section = section
        self.context = plan.contexts.setdefault(
            section.name, Context(section.name, section.file, section.number)
        )
        self.exten = ""
        self.last: int | None = None

    def read(self) -> None:
        for line in self.section.lines:
            key = line.key.lower()
            if key == "exten":
                exten, rest = _first(line.value)
                self.exten = self._variables(exten.strip())
                self._step(line, rest)
            elif key == "same":
                if self.exten:
                    self._step(line, line.value)
                else:
                    self._found("same-first", line, name=self.section.name)
            elif key == "include":
                self._include(line)
            elif key in OTHERS:
                self.context.others.append(line)
            else:
                self._found("unknown-directive", line, name=line.key)

    def _found(self, code: str, line: Line, **values: str) -> None:
        self.plan.findings.append(Finding(code, line.file, line.number, values))

    def _variables(self, text: str) -> str:
        """Global variables in the name of an extension are filled in when it is read."""
        return re.sub(
            r"\$\{(\w+)\}", lambda one: self.plan.variables.get(one.group(1), one.group(0)), text
        )

    def _include(self, line: Line) -> None:
        if any(one.value == line.value for one in self.context.includes):
            self._found("include-twice", line, name=line.value)
        else:
            self.context.includes.append(line)

    def _step(self, line: Line, rest: str) -> None:
        exten, slash, caller = self.exten.partition("/")
        name = f"{exten}/{re.sub('[^0-9A-Za-z+*#_.!X-]', '', caller)}" if slash else exten
        if not exten:
            self._found("no-extension", line)
            return
        number, comma, call = rest.partition(",")
        priority, label = self._priority(line, name, number.strip())
        if priority is None:
            return
        if not comma or not call.strip():
            self._found("no-application", line, name=name)
        app, data = self._call(line, call.lstrip())
        if priority == HINT:
            self.context.extens.setdefault(name, {}).setdefault(
                HINT,
                Step(self.context.name, name, HINT, "", call.strip(), "", line.file, line.number),
            )
            return
        self.last = priority
        if name == "_.":
            self._found("every-extension", line)
        step = Step(self.context.name, name, priority, label, app, data, line.file, line.number)
        _add(self.plan, self.context, step)

    def _priority(self, line: Line, exten: str, written: str) -> tuple[int | None, str]:
        number, bracket, label = written.partition("(")
        label, closed, after = label.partition(")")
        if bracket and not closed:
            self._found("bad-label", line, text=written)
            return None, ""
        number, _, more = number.strip().partition("+")
        priority = self._number(line, exten, number.strip())
        if priority is None:
            return None, ""
        if bracket and (after.strip() or not label.strip()):
            self._found("bad-label", line, text=written)
        if more:
            found = re.match(r"\s*(\d+)", more)
            priority += int(found.group(1)) if found else 0
        return priority, label

    def _number(self, line: Line, exten: str, number: str) -> int | None:
        if number == "hint":
            return HINT
        if number in ("n", "next", "s", "same"):
            if self.last is None:
                self._found("next-first", line, text=number)
                return None
            return self.last + (1 if number.startswith("n") else 0)
        if found := re.match(r"[+-]?\d+", number):
            if found.group() != number or int(number) < 1:
                self._found("bad-priority", line, text=number)
            return int(found.group()) if int(found.group()) > 0 else None
        steps = self.context.extens.get(exten, {})
        at = next(
            (step.priority for step in steps.values() if number and step.label == number), None
        )
        if at is None:
            self._found("bad-priority", line, text=number)
        return at

    def _call(self, line: Line, call: str) -> tuple[str, str]:
        app, bracket, rest = call.partition("(")
        if not bracket:
            if ")" in call:
                self._found("parenthesis", line, text=call[:80])
            return call.strip(), ""
        if "${" in app or "$[" in app:
            return call.strip(), ""
        data, closed, after = rest.rpartition(")")
        if not closed:
            self._found("parenthesis", line, text=call[:80])
            return app, rest
        if after.strip():
            self._found("text-after-step", line, text=after.strip()[:80])
        problem = unbalanced(data, prose=app.strip().lower() in PROSE)
        if problem:
            self._found("unbalanced", line, text=problem)
        return app, data


def _first(value: str) -> tuple[str, str]:
    """The extension and what follows; a comma within ``[…]`` of a pattern does not end it."""
    depth = 0
    for place, sign in enumerate(value):
        if sign == "[":
            depth += 1
        elif sign == "]":
            depth -= 1
        elif sign == "," and depth <= 0:
            return value[:place], value[place + 1 :]
    return value, ""


PAIRS = {")": "(", "]": "[", "}": "{"}
PROSE = ("noop", "verbose", "log")
"""What these say is words for people: a bracket in them calls nothing."""


@lru_cache(maxsize=1 << 16)
def unbalanced(data: str, *, prose: bool = False) -> str:
    """A bracket without its other half; "" when all have one. Quoted ones are words.

    ``prose``: so are all but those of variables and expressions.
    """
    # Each level: what opened it, and whether a quote is open in it.
    levels = [["", ""]]
    place = 0
    while place < len(data):
        sign = data[place]
        opens = data[place + 1 : place + 2]
        if sign == "\\":
            place += 1
        elif sign == "$" and opens in ("{", "["):
            levels.append([opens, ""])
            place += 1
        elif sign == '"':
            levels[-1][1] = "" if levels[-1][1] else sign
        elif levels[-1][1] or (prose and len(levels) == 1):
            pass
        elif sign in "([{":
            levels.append([sign, ""])
        elif sign in PAIRS:
            if levels[-1][0] != PAIRS[sign]:
                return sign
            levels.pop()
        place += 1
    return levels[-1][0]
