"""Files as a scratch Asterisk reads them, and what it says of them put back to their own lines.

Every file gets a name of its own there and every include one that is sure to be found; otherwise
the lines stay what and where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from telephony.plans.config_lines import Config
from telephony.plans.dialplan_lines import HINT, Plan, Step
from telephony.plans.findings import Finding
from telephony.plans.scratch import Shown, Verdict

SHOWN_BYTES = 1000
"""``dialplan show`` cuts a step that is longer (a buffer of 1024 bytes)."""
NO_MATTER = ("tries to include nonexistent context",)
"""What is said of a context that stands in a file beside."""


class Mirror:
    """The files of some configurations under other names."""

    def __init__(self, configs: Iterable[Config]) -> None:
        self._names: dict[str, str] = {}
        self.files: dict[str, str] = {}
        configs = list(configs)
        for config in configs:
            for name in config.texts:
                self._names.setdefault(name, f"f{len(self._names)}.conf")
        for config in configs:
            for name, text in config.texts.items():
                self.files[self._names[name]] = self._text(config, name, text)
        roots = [self._names[next(iter(config.texts))] for config in configs]
        self.files["extensions.conf"] = _includes(roots) + "\n"

    def _text(self, config: Config, name: str, text: str) -> str:
        lines = ["" if re.match(r"\s*#", line) else line for line in text.split("\n")]
        for where, number, brought in config.includes:
            if where != name:
                continue
            # It may stand after the end of a comment; nothing but what we have read is read there.
            comment = lines[number - 1][: lines[number - 1].rfind("--;") + 3]
            lines[number - 1] = comment if comment.endswith("--;") else ""
            if not brought:
                continue
            names = [self._names[one] for one in brought if one in self._names]
            if len(names) > 1:
                # One line may bring several files, and must stay one line.
                group = f"g{number}-{self._names[name]}"
                self.files[group] = _includes(names)
                names = [group]
            lines[number - 1] += _includes(names)
        return "\n".join(lines)

    def own_name(self, name: str) -> str:
        """The name that a file of the mirror has outside; "" when it is none of theirs."""
        return next((own for own, there in self._names.items() if there == name), "")


def _includes(names: list[str]) -> str:
    return "\n".join(f'#include "{name}"' for name in names)


def compare_with(
    verdict: Verdict, mirror: Mirror, plan: Plan, found: Iterable[Finding]
) -> list[Finding]:
    """What Asterisk says, where our rules have found nothing in that line already."""
    told = {(one.file, one.line) for one in found}
    errors = any(one.severity == "error" for one in found)
    made = []
    for complaint in verdict.complaints:
        file, line = mirror.own_name(complaint.file), complaint.line
        if not file and (quoted := re.search(r"'(.+?)'", complaint.text)):
            file, line = _including(plan, quoted[1])
        if any(one in complaint.text for one in NO_MATTER):
            continue
        if file and line and (file, line) not in told:
            made.append(Finding("asterisk-says", file, line, {"text": complaint.text}))
    if not verdict.loaded:
        if not errors and not made:
            text = "; ".join(one.text for one in verdict.complaints) or "nothing was loaded"
            made.append(Finding("asterisk-says", _some_file(plan), 0, {"text": text[:200]}))
        return made
    return made + [
        one for one in _differences(verdict.steps, mirror, plan) if (one.file, one.line) not in told
    ]


def _including(plan: Plan, text: str) -> tuple[str, int]:
    """The include that a complaint without a line is about: it quotes a time of it."""
    for context in plan.contexts.values():
        for line in context.includes:
            if text in line.value.partition(",")[2]:
                return line.file, line.number
    return "", 0


def _some_file(plan: Plan) -> str:
    return next((context.file for context in plan.contexts.values()), "")


def _differences(shown: list[Shown], mirror: Mirror, plan: Plan) -> list[Finding]:
    theirs = {(one.context, one.exten, one.priority): one for one in shown}
    made = []
    for step in plan.steps():
        if step.priority == HINT:
            continue
        there = theirs.pop((step.context, step.exten, step.priority), None)
        written = f"{step.label}: {step.written}" if step.label else step.written
        if there is None:
            made.append(_differs(step.file, step.line, "nothing", written))
        elif not _same(step, there):
            found = f"{there.label}: {there.written}" if there.label else there.written
            made.append(_differs(step.file, step.line, found, written))
    for other in theirs.values():
        made.append(_differs(mirror.own_name(other.file), other.line, other.written, "nothing"))
    return made


def _same(step: Step, there: Shown) -> bool:
    written, shown = (one.encode("utf-8", "replace") for one in (step.written, there.written))
    if len(written) > SHOWN_BYTES:
        written, shown = written[:900], shown[:900]
    return there.label in (None, step.label) and written == shown


def _differs(file: str, line: int, found: str, written: str) -> Finding:
    values = {"found": found[:120], "written": written[:120]}
    return Finding("asterisk-differs", file, line, values)
