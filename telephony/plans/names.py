"""Applications and functions that a dialplan calls, against those that its Asterisk has; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from telephony.plans.calls import calls, is_computed, split
from telephony.plans.dialplan_lines import HINT, Plan, Step
from telephony.plans.findings import Finding

FUNCTION = re.compile(r"\$\{\s*([A-Za-z_][A-Za-z0-9_]*)\(")


@dataclass(frozen=True, slots=True)
class Names:
    """What an Asterisk of one version can do: each name with the module that brings it
    ("": core; several that do are joined by ``|``).

    ``loaded`` are the modules of the PBX in use, where they are known.
    """

    version: str
    apps: Mapping[str, str]
    functions: Mapping[str, str]
    loaded: frozenset[str] | None = None
    _lower: dict[str, str] = field(default_factory=dict, compare=False)

    def app(self, name: str) -> str | None:
        """The module of an application, whose case does not matter; None: there is none."""
        if not self._lower:
            self._lower.update({one.lower(): module for one, module in self.apps.items()})
        return self._lower.get(name.lower())


def check_names(plan: Plan, names: Names) -> list[Finding]:
    """Unknown applications and functions, and known ones whose module the PBX does not load."""
    found = []
    for step in plan.steps():
        if step.priority == HINT:
            continue
        for app, _, _ in calls(step):
            if app and not is_computed(app):
                found += _one(step, "application", app, names.app(app), names)
        for function in functions(step):
            found += _one(step, "function", function, names.functions.get(function), names)
    return found


def functions(step: Step) -> list[str]:
    """Functions that a step reads or sets."""
    found = FUNCTION.findall(step.data)
    for app, data, _ in calls(step):
        if app.lower() in ("set", "mset"):
            pairs = split(data) if app.lower() == "mset" else [data]
            for pair in pairs:
                name = re.match(r"\s*_{0,2}([A-Za-z][A-Za-z0-9_]*)\(", pair)
                if name and "=" in pair:
                    found.append(name.group(1))
    return list(dict.fromkeys(found))


def _one(step: Step, kind: str, name: str, module: str | None, names: Names) -> list[Finding]:
    if module is None:
        code = f"unknown-{kind}"
        values = {"name": name[:60], "version": names.version}
    elif module and names.loaded is not None and names.loaded.isdisjoint(module.split("|")):
        code, values = "module-not-loaded", {"name": name, "module": module.replace("|", ", ")}
    else:
        return []
    return [Finding(code, step.file, step.line, values)]
