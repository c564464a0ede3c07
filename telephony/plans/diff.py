"""What the running PBX has against what would be loaded, context by context; pure but for asking.

Contexts are compared as the PBX runs them (``ShowDialPlan``), other files as it reads them from its
disk (``GetConfig``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from telephony.plans.hiding import hidden
from telephony.plans.running import config_text, running_steps
from telephony.plans.steps import Steps, contexts_of
from telephony.plans.versions import Files
from telephony.plans.wanted import EXTENSIONS, extension_steps
from telephony.plans.ways import plain

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient

State = Literal["new", "gone", "changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """What changes at one place; "" where one side has nothing.

    ``exten`` "" are lines that are no extension (``include`` ...); ``priority`` 0 is a hint.
    """

    exten: str
    priority: int
    running: str
    wanted: str


@dataclass(frozen=True, slots=True)
class ContextDiff:
    """A context that is not the same on both sides; ``new``: the PBX does not have it yet."""

    context: str
    state: State
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class FileDiff:
    """A file of ours that says something else on the PBX: lines ``-`` go, lines ``+`` come."""

    file: str
    state: State
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """All that a load would change."""

    contexts: tuple[ContextDiff, ...]
    files: tuple[FileDiff, ...]

    @property
    def equal(self) -> bool:
        """Whether a load would change nothing."""
        return not self.contexts and not self.files


def diff_steps(wanted: Steps, running: Steps, before: Steps, shared: str) -> list[ContextDiff]:
    """Where the PBX and the dialplan that would be loaded differ, by context.

    Contexts that stand neither in ``wanted`` nor in ``before`` (what was loaded last) are somebody
    else's, and so is in ``shared`` (the trunk's context) whatever stands in neither.
    """
    ours = contexts_of([*wanted, *before])
    found = []
    for context in ours:
        here = _of(wanted, context)
        there = _of(running, context)
        if context == shared:
            there = {key: step for key, step in there.items() if (context, *key) in before}
            there |= {key: running[context, *key] for key in here if (context, *key) in running}
        changes = tuple(
            Change(*key, hidden(there.get(key, "")), hidden(here.get(key, "")))
            for key in sorted({*here, *there})
            if here.get(key) != there.get(key)
        )
        if changes:
            state: State = "changed" if here and there else "new" if here else "gone"
            found.append(ContextDiff(context, state, changes))
    return found


def _of(steps: Steps, context: str) -> dict[tuple[str, int], str]:
    return {(place[1], place[2]): step for place, step in steps.items() if place[0] == context}


def diff_files(wanted: Mapping[str, str], there: Mapping[str, str]) -> list[FileDiff]:
    """Where files other than dialplans say something else, comments left out."""
    found = []
    for name in sorted(name for name in wanted if not name.startswith(EXTENSIONS)):
        old, new = plain(there.get(name, "")).splitlines(), plain(wanted[name]).splitlines()
        if old != new:
            lines = tuple(
                difflib.unified_diff(old, new, "on the PBX", "would be loaded", lineterm="")
            )
            found.append(FileDiff(name, "changed" if old else "new", lines))
    return found


async def compare_with(client: AmiClient, wanted: Files, before: Files, shared: str) -> PlanDiff:
    """Ask the PBX what it has; needs the rights reporting and system.

    Raises :class:`~telephony.errors.PbxUnavailable` and :class:`~telephony.errors.PbxRefused`.
    """
    running = await running_steps(client)
    there = {}
    for name in wanted:
        if not name.startswith(EXTENSIONS):
            there[name] = await config_text(client, name)
    contexts = diff_steps(
        extension_steps(wanted, strict=True), running, extension_steps(before), shared
    )
    return PlanDiff(tuple(contexts), tuple(diff_files(wanted, there)))


def as_lines(found: PlanDiff) -> Iterator[str]:
    """The differences to read: ``-`` is on the PBX, ``+`` would be loaded."""
    for context in found.contexts:
        yield f"[{context.context}] {_WORDS[context.state]}"
        for change in context.changes:
            for sign, step in (("-", change.running), ("+", change.wanted)):
                if step:
                    yield f"{sign} {_place(change)}{step}"
    for file in found.files:
        yield f"{file.file} {_WORDS[file.state]}"
        yield from (line for line in file.lines if not line.startswith(("---", "+++")))


_WORDS = {"new": "is new", "gone": "goes", "changed": "changes"}


def _place(change: Change) -> str:
    if not change.exten:
        return ""
    return f"{change.exten},{change.priority or 'hint'}  "
