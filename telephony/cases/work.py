"""What people do with a case outside its calls: who may, when, and what it does (pure).

| action   | while the case is                       | who may                        | entry            | who answers then     |
| -------- | --------------------------------------- | ------------------------------ | ---------------- | -------------------- |
| accept   | offered by dispatch                     | the desk it is offered to      | accepted         | that desk            |
| accept   | open: nobody took it                    | any agent                      | taken            | who accepts          |
| decline  | offered by dispatch                     | the desk it is offered to      | declined         | as before            |
| return   | handed over                             | the owner's side               | returned         | who did before that  |
| edit     | open, taken, handed over                | the owner's side, first contact's side, any agent while nobody has it | edited | as before |
| dispatch | open, taken, handed over                | likewise                       | offered          | as before            |
| attach   | open, taken, handed over (the call's own case and the other one) | likewise, of the call's own case | merged; attached | as before |
| feedback | taken, handed over                      | the owner's side               | feedback         | as before            |
| close    | open, taken, handed over; not offered   | the owner's side               | closed           | as before            |
| reopen   | closed                                  | the owner's side, first contact's side | reopened | as before            |

A supervisor may do all of it, for any side. Whoever may not is told so (403) before it is said that
the case is in the wrong state (409). A side is a party and those of the same department.
"""  # noqa: E501 - a table is read by its rows

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from telephony.errors import NotAllowed, WrongState

if TYPE_CHECKING:
    from telephony.cel.rows import Fact
    from telephony.responsibility import Entry

WORK = "WORK"
"""The kind of the facts that tell of it. Values: case, event, key, by, to, id, detail; ``id`` is
the hand-over that a return undoes."""

WorkEvent = Literal[
    "edited",
    "returned",
    "feedback",
    "closed",
    "reopened",
    "merged",
    "attached",
    "reminded",
    "escalated",
    "message",
]
EVENTS = frozenset({"taken", *get_args(WorkEvent)})

CaseState = Literal["open", "taken", "handed_over", "closed", "merged"]
CASE_STATES: tuple[str, ...] = get_args(CaseState)
CaseKind = Literal["咨询", "建议", "求助", "表扬", "投诉"]
CASE_KINDS: tuple[str, ...] = get_args(CaseKind)

Action = Literal["accept", "return", "edit", "dispatch", "attach", "feedback", "close", "reopen"]
Who = Literal["owner", "first", "anyone"]
"""``anyone``: any agent while nobody answers for the case."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: in which states, and who; a supervisor always may."""

    event: str
    states: frozenset[str]
    who: frozenset[Who]


def _rule(event: str, states: str, *who: Who) -> Rule:
    return Rule(event, frozenset(states.split()), frozenset(who))


RULES: dict[Action, Rule] = {
    "accept": _rule("taken", "open", "anyone"),
    "return": _rule("returned", "handed_over", "owner"),
    "edit": _rule("edited", "open taken handed_over", "owner", "first", "anyone"),
    "dispatch": _rule("offered", "open taken handed_over", "owner", "first", "anyone"),
    "attach": _rule("merged", "open taken handed_over", "owner", "first", "anyone"),
    "feedback": _rule("feedback", "taken handed_over", "owner"),
    "close": _rule("closed", "open taken handed_over", "owner"),
    "reopen": _rule("reopened", "closed", "owner", "first"),
}
WORKABLE = frozenset({"open", "taken", "handed_over"})
"""States in which a case goes on."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it: the name that the ledger shows, and whether they may act for any side."""

    name: str
    is_senior: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a case stands, as far as the rules ask."""

    case: str
    state: str
    owner: str | None
    first_contact: str | None


def check(
    action: Action, case: Standing, actor: Actor, same_side: Callable[[str, str], bool]
) -> None:
    """Raise :class:`NotAllowed` or :class:`WrongState` unless the table allows it."""
    rule = RULES[action]
    if not actor.is_senior and not _is_one_of(rule.who, case, actor, same_side):
        who = case.owner or "nobody yet"
        raise NotAllowed(f"{action}: {who} answers for case {case.case}, not {actor.name}")
    if case.state not in rule.states:
        states = ", ".join(sorted(rule.states))
        raise WrongState(f"case {case.case} is {case.state}; {action} is for one that is {states}")


def _is_one_of(
    who: Iterable[Who], case: Standing, actor: Actor, same_side: Callable[[str, str], bool]
) -> bool:
    parties: dict[Who, str | None] = {"owner": case.owner, "first": case.first_contact}
    if "anyone" in who and case.owner is None:
        return True
    named = [party for one in who if (party := parties.get(one)) is not None]
    return any(same_side(party, actor.name) for party in named)


def work_fact(
    case: str,
    event: str,
    key: str,
    by: str,
    *,
    to: str | None = None,
    handover: str | None = None,
    detail: str | None = None,
) -> dict[str, str]:
    """The values of a fact of kind :data:`WORK`."""
    values = {"case": case, "event": event, "key": f"{event}:{key}", "by": by}
    more = {"to": to, "id": handover, "detail": detail}
    return values | {name: value for name, value in more.items() if value}


def responsible_after(fact: Fact, before: str | None) -> str | None:
    """Who answers for the case after such a fact."""
    match fact.values.get("event"):
        case "taken":
            return before or fact.values.get("by")
        case "returned":
            return fact.values.get("to")
        case _:
            return before


_DISPATCH = re.compile(r".+-d\d+")


def open_dispatches(entries: Sequence[Entry]) -> dict[str, str]:
    """The dispatches of a case that wait for their desk: hand-over -> desk."""
    decided = {one.handover for one in entries if one.event != "offered"}
    return {
        one.handover: one.to or ""
        for one in entries
        if one.event == "offered" and one.handover not in decided and one.handover
        if _DISPATCH.fullmatch(one.handover)
    }


def given_by(entries: Sequence[Entry]) -> tuple[str | None, str | None]:
    """By which acceptance the present owner has the case, and who answered for it before that."""
    undone = {one.handover for one in entries if one.event == "returned"}
    for place in range(len(entries) - 1, -1, -1):
        one = entries[place]
        if one.event == "accepted" and one.handover not in undone:
            return one.handover, entries[place - 1].responsible if place else None
    return None, None


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """What a case's ledger says in figures; moments in microseconds since 1970.

    ``handovers``: how often it was offered to another side. ``accepted``: when another side took
    it first. ``time_to_answer_s``: from its opening until we answered its call.
    ``time_to_acceptance_s``: from its first offer until the first acceptance.
    ``first_contact_resolution``: closed, never taken by another side and never reopened; None
    while it is not closed, or when nobody took it.
    """

    handovers: int
    accepted: int | None
    closed: int | None
    merged_into: str | None
    time_to_answer_s: float | None
    time_to_acceptance_s: float | None
    first_contact_resolution: bool | None


def case_figures(entries: Sequence[Entry], opened: int) -> CaseFigures:
    """The figures of a case that was opened then (microseconds since 1970)."""
    of = {event: [one for one in entries if one.event == event] for event in EVENTS}
    offered = [one.at for one in entries if one.event == "offered"]
    accepted = next((one.at for one in entries if one.event == "accepted"), None)
    answered = next(
        (one.at for one in entries if one.event in ("taken", "accepted") and one.leg), None
    )
    closed = of["closed"][-1] if of["closed"] else None
    if closed is not None and any(one.number > closed.number for one in of["reopened"]):
        closed = None
    resolved = accepted is None and not of["reopened"]
    return CaseFigures(
        handovers=len(offered),
        accepted=accepted,
        closed=closed.at if closed is not None else None,
        merged_into=of["merged"][-1].to if of["merged"] else None,
        time_to_answer_s=_seconds(opened, answered),
        time_to_acceptance_s=_seconds(min(offered), accepted) if offered else None,
        first_contact_resolution=resolved if closed is not None and of["taken"] else None,
    )


def _seconds(since: int, until: int | None) -> float | None:
    return None if until is None else max(0, until - since) / 1_000_000
