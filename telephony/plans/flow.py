"""How a call goes from step to step: gaps, dead ends, loops, what nobody reaches; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from itertools import pairwise

from telephony.plans.calls import call_of, calls, targets
from telephony.plans.dialplan_lines import HINT, Step, is_note
from telephony.plans.findings import Finding
from telephony.plans.places import Places, include_name

ENDS = {"hangup", "return", "busy", "congestion", "disa", "stackpop_", "exitwhile", "continuewhile"}
"""Nothing of the extension follows these."""
TALKS = {"dial", "retrydial", "queue", "bridge", "confbridge", "voicemail", "voicemailmain", "park"}
TALKS |= {"agi", "eagi", "deadagi", "fastagi", "followme", "page", "directory", "meetme", "stasis"}
TALKS |= {"transfer", "chanspy", "externalivr", "minivmrecord", "pickup", "parkedcall", "echo"}
"""A call may be over with these, or go on elsewhere."""
LISTENS = {"waitexten", "background", "speechbackground"}
"""A caller may dial another extension of the context meanwhile."""
AFTERWARDS = "h"
"""The extension in which nobody is on the line any more."""


def ends(step: Step) -> bool:
    """Whether what follows a step in its extension is never done after it."""
    name = step.app.lower()
    if name in ENDS:
        return True
    if name in ("exec", "tryexec"):
        return call_of(step.data)[0].lower() in ENDS | {"goto"}
    return any(one.certain for one in targets(step))


def check_flow(places: Places, asked: Collection[str] = ()) -> list[Finding]:
    """What is wrong with extensions as such: their beginning, their gaps, their end.

    ``asked`` are contexts that a room runs for a key: what ends there leads back to the room.
    """
    named = _named(places)
    after = _afterwards(places)
    found = []
    for context in places.plan.contexts.values():
        for exten, steps in context.extens.items():
            ordered = [steps[number] for number in sorted(steps) if number != HINT]
            if ordered:
                quiet = context.name in asked or (context.name, exten) in after
                # Whoever dials nothing is led to t.
                waits = ordered[-1].app.lower() == "waitexten"
                quiet = quiet or (waits and _has(places, context.name, "t"))
                found += _of_extension(exten, ordered, named, set(context.extens), quiet=quiet)
    return found + _loops(places)


def _named(places: Places) -> set[tuple[str, int]]:
    """File and line of all steps that some step names by number or label."""
    named = set()
    for step in places.plan.steps():
        for target in targets(step):
            for one in places.look_up(step, target)[0]:
                if target.priority is not None or one.label:
                    named.add((one.file, one.line))
    return named


def _has(places: Places, context: str, exten: str) -> bool:
    return any(exten in one.extens for one in places.including(context))


def _afterwards(places: Places) -> set[tuple[str, str]]:
    """Extensions in which a call is over: ``h``, and where it leads to."""
    found: set[tuple[str, str]] = set()
    wanted = [
        (name, AFTERWARDS)
        for name, context in places.plan.contexts.items()
        if AFTERWARDS in context.extens
    ]
    while wanted:
        here = wanted.pop()
        if here in found:
            continue
        found.add(here)
        for step in places.plan.contexts[here[0]].extens[here[1]].values():
            for target in targets(step):
                if target.how == "goto":
                    wanted += [(one.context, one.exten) for one in places.look_up(step, target)[0]]
    return found


def _of_extension(
    exten: str,
    steps: list[Step],
    named: set[tuple[str, int]],
    siblings: set[str],
    *,
    quiet: bool,
) -> list[Finding]:
    found = []
    first = steps[0]
    where = f"{first.context},{exten}"

    def add(code: str, step: Step, **values: str) -> None:
        found.append(Finding(code, step.file, step.line, values))

    come = (first.file, first.line) in named
    if first.priority != 1 and not come and exten.split("/", 1)[0] not in siblings - {exten}:
        add("no-priority-1", first, where=where, priority=str(first.priority))
    last, dead, told = first, False, False
    for before, step in pairwise(steps):
        if step.label or (step.file, step.line) in named:
            dead = told = False
        elif step.priority != before.priority + 1 and not dead and not ends(before):
            values = {"before": str(before.priority), "priority": str(step.priority)}
            add("priority-gap", step, where=where, **values)
        elif dead or ends(before):
            dead = True
            if not told and not is_note(step):
                told = True
                add("unreachable-step", step, where=f"{where},{step.priority}", before=last.app)
        if not dead:
            last = step
    if last.app and not ends(last) and not quiet:
        add("no-way-out", last, where=where, app=last.app)
    return found


def _loops(places: Places) -> list[Finding]:
    """Steps from which no way leads out of a loop, but the caller's own hanging up."""
    steps = [one for one in places.plan.steps() if one.priority != HINT]
    onward: dict[tuple[str, str, int], list[Step]] = {}
    routines: dict[tuple[str, str, int], list[Step]] = {}
    out: set[tuple[str, str, int]] = set()
    hard: set[tuple[str, str, int]] = set()
    for step in steps:
        here = _key(step)
        names = {app.lower() for app, _, _ in calls(step)}
        following, called = _following(places, step)
        onward[here], routines[here] = following, called
        leaves = bool(names & (TALKS | (ENDS - {"return"}))) or _is_open(places, step)
        if leaves or (not following and "return" not in names):
            hard.add(here)
        if leaves or "return" in names or not following:
            out.add(here)
    free = _reaches(onward, out)
    both = {here: [*onward[here], *routines[here]] for here in onward}
    free |= _reaches(both, hard)
    return _first_of_each_loop([one for one in steps if _key(one) not in free], onward)


def _key(step: Step) -> tuple[str, str, int]:
    return step.context, step.exten, step.priority


def _following(places: Places, step: Step) -> tuple[list[Step], list[Step]]:
    """Where the call itself may go on, and the routines that it runs in between."""
    following, called = [], []
    extens = places.plan.contexts[step.context].extens
    after = extens[step.exten].get(step.priority + 1)
    if after and not ends(step):
        following.append(after)
    for target in targets(step):
        found = places.look_up(step, target)[0]
        if target.how == "goto":
            following += found
        elif target.how == "gosub":
            called += found
    if any(app.lower() in LISTENS for app, _, _ in calls(step)):
        for context in places.including(step.context):
            following += [
                one[1] for name, one in context.extens.items() if 1 in one and name != "h"
            ]
    return following, called


def _is_open(places: Places, step: Step) -> bool:
    """Whether a step may lead where nobody can say now."""
    return any(
        target.how in ("goto", "gosub")
        and (target.context is None or target.exten is None or target.priority is None)
        for target in targets(step)
    )


def _reaches(
    onward: dict[tuple[str, str, int], list[Step]], goal: set[tuple[str, str, int]]
) -> set[tuple[str, str, int]]:
    back: dict[tuple[str, str, int], list[tuple[str, str, int]]] = defaultdict(list)
    for here, following in onward.items():
        for one in following:
            back[_key(one)].append(here)
    seen, wanted = set(goal), list(goal)
    while wanted:
        for here in back[wanted.pop()]:
            if here not in seen:
                seen.add(here)
                wanted.append(here)
    return seen


def _first_of_each_loop(
    stuck: list[Step], onward: dict[tuple[str, str, int], list[Step]]
) -> list[Finding]:
    """Each loop is told once, at its first line."""
    rest = {_key(step): step for step in stuck}
    found = []
    while rest:
        group, wanted = [], [next(iter(rest))]
        links: dict[tuple[str, str, int], set[tuple[str, str, int]]] = defaultdict(set)
        for here in rest:
            for one in onward[here]:
                links[here].add(_key(one))
                links[_key(one)].add(here)
        while wanted:
            here = wanted.pop()
            step = rest.pop(here, None)
            if step:
                group.append(step)
                wanted += links[here]
        first = min(group, key=lambda step: (step.file, step.line))
        where = f"{first.context},{first.exten},{first.priority}"
        found.append(Finding("loop-without-exit", first.file, first.line, {"where": where}))
    return found


def check_contexts(places: Places, entered: Collection[str], own: Collection[str]) -> list[Finding]:
    """Contexts that no call gets into. ``entered`` from outside; ``own`` are not looked at."""
    used = set(entered)
    for step in places.plan.steps():
        used |= {one.context for one in targets(step) if one.context}
    for context in places.plan.contexts.values():
        used |= {include_name(line.value) for line in context.includes}
    return [
        Finding("unreachable-context", context.file, context.line, {"name": context.name})
        for context in places.plan.contexts.values()
        if context.name not in used and context.name not in own
    ]
