"""Are our own contexts what the settings make? Compared as calls go, not as text; pure.

Comments, blank lines, the order of contexts and extensions, ``same`` or ``exten``, a step that only
notes something (NoOp, Verbose) and the name of a label that nobody else uses make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from telephony.plans.calls import is_computed, split, targets
from telephony.plans.dialplan_lines import HINT, Context, Plan, Step, is_note
from telephony.plans.findings import Finding

GOES = ("goto", "gosub", "gotoif", "gosubif", "gotoiftime")


@dataclass(frozen=True, slots=True)
class Normal:
    """A step as it is compared: with what it does, and where it stands."""

    does: str
    step: Step


class Normaliser:
    """Writes extensions of one plan so that only what matters to a call is left."""

    def __init__(self, plan: Plan, private: Collection[tuple[str, str, str]] = ()) -> None:
        """``private``: labels (with context and extension) that are private whoever names them."""
        self._plan = plan
        self.private = {*self._private_labels(), *private}

    def extension(self, context: str, exten: str) -> list[Normal]:
        """The steps of an extension in order, a gap as a step of its own."""
        steps = self._plan.contexts[context].extens[exten]
        made: list[Normal] = []
        before: int | None = None
        for number in sorted(steps):
            step = steps[number]
            if number == HINT:
                made.append(Normal(f"hint {step.app}", step))
                continue
            if number != (1 if before is None else before + 1):
                made.append(Normal("(nothing)", step))
            before = number
            if is_note(step):
                # A label on it is a name for what follows.
                if step.label and not self._is_private(step):
                    made.append(Normal(f"label {step.label}", step))
                continue
            if step.label and not self._is_private(step):
                made.append(Normal(f"label {step.label}", step))
            made.append(Normal(f"{step.app.lower()}({self._data(step)})", step))
        return made

    def _is_private(self, step: Step) -> bool:
        return (step.context, step.exten, step.label) in self.private

    def _private_labels(self) -> set[tuple[str, str, str]]:
        """Labels that steps of their own extension name, and nothing else may."""
        named: set[tuple[str, str, str]] = set()
        elsewhere: set[tuple[str, str, str]] = set()
        computed: set[tuple[str, str]] = set()
        for step in self._plan.steps():
            for target in targets(step):
                where = target.context or step.context, target.exten or step.exten
                if target.priority is None:
                    computed.add(where)
                elif target.context or target.exten:
                    elsewhere.add((*where, target.priority))
                else:
                    named.add((*where, target.priority))
        return {one for one in named - elsewhere if one[:2] not in computed}

    def _data(self, step: Step) -> str:
        """Arguments with private labels and own numbers as the count of steps that matter."""
        if step.app.lower() not in (*GOES, "execif", "exec", "tryexec"):
            return step.data
        data = step.data
        for target in sorted(targets(step), key=lambda one: -len(one.written)):
            number = self._number(step, target.priority) if _is_own(target.written) else None
            if number is not None:
                data = _replaced(data, target.written, number)
        return data

    def _number(self, step: Step, priority: str | None) -> str | None:
        steps = self._plan.contexts[step.context].extens[step.exten]
        if priority is None or not priority:
            return None
        at = next(
            (
                one
                for one in steps.values()
                if (
                    one.priority == int(priority) if priority.isdecimal() else one.label == priority
                )
            ),
            None,
        )
        if at is None or (at.label == priority and not self._is_private(at)):
            return None
        before = [one for one in steps.values() if HINT < one.priority < at.priority]
        return f"@{sum(not is_note(one) for one in before) + 1}"


def _is_own(written: str) -> bool:
    return len(split(written)) == 1 and not is_computed(written.split("(")[0])


def _replaced(data: str, written: str, number: str) -> str:
    """A label of a branch is put as its number, where it stands as a place."""
    name = re.escape(written.split("(")[0].strip())
    return re.sub(rf"(^|[?:(,]|\s){name}(?=$|[:)(,]|\s*$)", rf"\g<1>{number}", data)


def compare(
    expected: Plan, found: Plan, at: Mapping[str, tuple[str, int]], shared: str
) -> list[Finding]:
    """Differences of the contexts in ``at``, which says where what is missing would stand.

    ``shared`` is the context that an admin may have filled with numbers of their own (the trunk's).
    """
    ours = Normaliser(expected)
    # Else a label that a changed line no longer names would be what is told.
    theirs = Normaliser(found, ours.private)
    made: list[Finding] = []
    for name in at:
        want, have = expected.contexts[name], found.contexts.get(name)
        if have is None:
            file, line = at[name]
            made.append(Finding("ours-missing", file, line, {"what": f"[{name}]"}))
            continue
        if name != shared:
            made += _context(want, have)
        before = (have.file, have.line)
        for exten in [*want.extens, *(one for one in have.extens if one not in want.extens)]:
            if exten not in have.extens:
                made.append(Finding("ours-missing", *before, {"what": f"{name},{exten}"}))
                continue
            before = _end(have.extens[exten])
            if exten not in want.extens:
                if name == shared:
                    continue
                first = next(iter(have.extens[exten].values()))
                values = {"what": f"{name},{exten}"}
                made.append(Finding("ours-added", first.file, first.line, values))
            else:
                made += _extension(
                    f"{name},{exten}", ours.extension(name, exten), theirs.extension(name, exten)
                )
    return made


def _end(steps: dict[int, Step]) -> tuple[str, int]:
    last = max(steps.values(), key=lambda step: step.line)
    return last.file, last.line


def _gone(have: Context, what: str) -> Finding:
    return Finding("ours-missing", have.file, have.line, {"what": what})


def _context(want: Context, have: Context) -> list[Finding]:
    wanted = [(one.key.lower(), one.value) for one in [*want.includes, *want.others]]
    there = [(one.key.lower(), one.value) for one in [*have.includes, *have.others]]
    if wanted == there:
        return []
    made = [
        _gone(have, f"[{have.name}] {key} => {value}")
        for key, value in wanted
        if (key, value) not in there
    ]
    lines = [*have.includes, *have.others]
    made += [
        Finding(
            "ours-added", one.file, one.number, {"what": f"[{have.name}] {one.key} => {one.value}"}
        )
        for one in lines
        if (one.key.lower(), one.value) not in wanted
    ]
    if not made:
        values = {"where": have.name, "ours": wanted[0][1], "found": there[0][1]}
        made.append(Finding("ours-changed", lines[0].file, lines[0].number, values))
    return made


def _extension(where: str, want: list[Normal], have: list[Normal]) -> list[Finding]:
    """The first place where the two part; what follows is told again by no finding."""
    if [one.does for one in want] == [one.does for one in have]:
        return []
    # Where a step is lost or added, all numbers before it may differ too: it is found without them.
    parts = SequenceMatcher(None, _plain(want), _plain(have), autojunk=False).get_opcodes()
    kind, at, _, to, end = next((one for one in parts if one[0] != "equal"), ("", 0, 0, 0, 0))
    if not kind:
        at = to = next(
            number
            for number, (one, other) in enumerate(zip(want, have, strict=True))
            if one.does != other.does
        )
    if kind == "insert":
        values = {"what": f"{where}: {_short(have[to])}"}
        return [Finding("ours-added", have[to].step.file, have[to].step.line, values)]
    if kind == "delete" or (to == end and kind):
        near = have[max(to - 1, 0)].step
        return [
            Finding("ours-missing", near.file, near.line, {"what": f"{where}: {_short(want[at])}"})
        ]
    values = {"where": f"{where} ({to + 1})", "ours": _short(want[at]), "found": _short(have[to])}
    return [Finding("ours-changed", have[to].step.file, have[to].step.line, values)]


def _plain(steps: Sequence[Normal]) -> list[str]:
    return [re.sub(r"@\d+", "@", one.does) for one in steps]


def _short(one: Normal) -> str:
    return one.step.written[:100] if one.does[:1] not in "(" else one.does
