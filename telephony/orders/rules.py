"""Work orders between platforms (工单警单双向流转): their states and what each message does (pure).

| message   | sent by        | while the order is         | it is then | entry of the receiver's ledger |
| --------- | -------------- | -------------------------- | ---------- | ------------------------------ |
| new       | who gives it   | not there                  | new        | taken, offered                 |
| accepted  | who has it     | new                        | accepted   | accepted                       |
| accepted  | who gave it    | new                        | accepted   | feedback: it is not theirs to accept |
| refused   | who has it     | new                        | refused    | declined                       |
| refused   | who has it     | accepted, feedback         | refused    | returned (退回)                |
| feedback  | either         | new                        | new        | feedback                       |
| feedback  | either         | accepted, feedback         | feedback   | feedback                       |
| closed    | either         | accepted, feedback         | closed     | closed                         |
| reopened  | either         | closed                     | accepted   | reopened                       |
| withdrawn | who gave it    | new                        | withdrawn  | withdrawn                      |
| withdrawn | who gave it    | accepted, feedback         | withdrawn  | returned                       |
| feedback  | either         | refused, withdrawn, closed | as it was  | feedback                       |
| accepted  | either         | any but new                | as it was  | none                           |
| refused   | who has it     | refused, withdrawn, closed | as it was  | none                           |
| closed    | either         | refused, withdrawn, closed | as it was  | none                           |
| reopened  | either         | accepted, feedback         | as it was  | none                           |
| withdrawn | who gave it    | refused, withdrawn, closed | as it was  | none                           |

In the last rows messages crossed: each side said something before it heard the other. What is not
in the table is a mistake and refused (409). A platform is told of every change of its orders but
those that its own side made, and of feedback. An order is known by who gave it and the number that
they gave it; ours have the number of the hand-over.
"""  # noqa: E501 - a table is read by its rows

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from telephony.responsibility import Entry

Word = Literal["accepted", "refused", "feedback", "closed", "reopened", "withdrawn"]
State = Literal["new", "accepted", "refused", "feedback", "closed", "withdrawn"]
Effect = Literal[
    "accepted", "declined", "returned", "feedback", "closed", "reopened", "withdrawn", ""
]
Giver = Literal["us", "them"]
DISPATCH = "dispatch"
"""What stands in the ledger of a case that is offered without a call."""


Sender = Literal["giver", "holder"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a message does: the order's state after it, and the entry it is in the ledger."""

    to: State
    effect: Effect


# message, sent by, states, state then ("" as it was), entry
_BOTH = "giver holder"
_ENDED = "refused withdrawn closed"
_ROWS: tuple[tuple[Word, str, str, str, Effect], ...] = (
    ("accepted", "holder", "new", "accepted", "accepted"),
    ("accepted", "giver", "new", "accepted", "feedback"),
    ("refused", "holder", "new", "refused", "declined"),
    ("refused", "holder", "accepted feedback", "refused", "returned"),
    ("feedback", _BOTH, "new", "new", "feedback"),
    ("feedback", _BOTH, "accepted feedback", "feedback", "feedback"),
    ("closed", _BOTH, "accepted feedback", "closed", "closed"),
    ("reopened", _BOTH, "closed", "accepted", "reopened"),
    ("withdrawn", "giver", "new", "withdrawn", "withdrawn"),
    ("withdrawn", "giver", "accepted feedback", "withdrawn", "returned"),
    ("feedback", _BOTH, _ENDED, "", "feedback"),
    ("accepted", _BOTH, f"accepted feedback {_ENDED}", "", ""),
    ("refused", "holder", _ENDED, "", ""),
    ("closed", _BOTH, _ENDED, "", ""),
    ("reopened", _BOTH, "accepted feedback", "", ""),
    ("withdrawn", "giver", _ENDED, "", ""),
)
TABLE: Mapping[tuple[Word, Sender, State], Step] = {
    (word, sender, state): Step(cast("State", to or state), effect)
    for word, senders, states, to, effect in _ROWS
    for sender in cast("list[Sender]", senders.split())
    for state in cast("list[State]", states.split())
}
"""(message, sent by, state) -> what it does. What is not in it is refused."""


@dataclass(frozen=True, slots=True)
class Order:
    """A work order as it stands; ``handover`` is by which the case is offered in our ledger."""

    platform: str
    given_by: Giver
    number: str
    case: str
    handover: str
    state: State
    desk: str | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """An order as it is after an entry, and the message about it that its platform gets."""

    order: Order
    word: Word | Literal["new"]
    text: str
    by: str | None
    number: int
    """The entry's, in the ledger of its case."""


PlatformOf = Callable[[str], str | None]
"""The platform that stands behind a desk, by its id; None where there is none."""
SideOf = Callable[[str, str], bool]
"""Whether a party belongs to this platform's own side."""

_BY_OUTCOME: Mapping[str, Word] = {
    "declined": "refused",
    "unanswered": "refused",
    "failed": "refused",
    "withdrawn": "withdrawn",
    "returned": "refused",
    "undecided": "withdrawn",
}
"""An entry about one hand-over -> what its platform is told."""
_OF_CASE: Mapping[str, tuple[Word, frozenset[str]]] = {
    "feedback": ("feedback", frozenset({"new", "accepted", "feedback"})),
    "closed": ("closed", frozenset({"accepted", "feedback"})),
    "reopened": ("reopened", frozenset({"closed"})),
}
"""An entry about the whole case -> what is told of each of its orders in these states."""


def tellings(
    added: Iterable[Entry], orders: Sequence[Order], platform_of: PlatformOf, is_of: SideOf
) -> list[Telling]:
    """What platforms are to be told of new entries of a case with these orders, in order."""
    now = {(one.platform, one.given_by, one.number): one for one in orders}
    told: list[Telling] = []
    for entry in added:
        for one in _of_entry(entry, list(now.values()), platform_of, is_of):
            now[one.order.platform, one.order.given_by, one.order.number] = one.order
            told.append(one)
    return told


def _of_entry(
    entry: Entry, orders: Sequence[Order], platform_of: PlatformOf, is_of: SideOf
) -> list[Telling]:
    mine = [one for one in orders if one.handover == entry.handover]
    match entry.event:
        case "offered" if entry.detail == DISPATCH:
            return _given(entry, mine, "new", platform_of)
        case "accepted":
            # In a three-way call the last word counts: who said before that they take it do not.
            others = [one for one in mine if not _is_for(one, entry.to, platform_of)]
            return [
                *_changed(entry, others, "withdrawn"),
                *_changed(entry, [one for one in mine if one not in others], "accepted"),
                *_given(entry, mine, "accepted", platform_of),
            ]
        case event if event in _BY_OUTCOME:
            return _changed(entry, mine, _BY_OUTCOME[event])
        case event if event in _OF_CASE:
            word, states = _OF_CASE[event]
            asked = [one for one in orders if one.state in states]
            asked = [one for one in asked if not (entry.by and is_of(one.platform, entry.by))]
            return _changed(entry, asked, word, same_too=word == "feedback")
        case _:
            return []


def _given(
    entry: Entry, known: Sequence[Order], state: State, platform_of: PlatformOf
) -> list[Telling]:
    """A new order, where a platform stands behind the desk and has none for this hand-over."""
    if entry.to is None or entry.handover is None:
        return []
    platform = platform_of(entry.to)
    if platform is None or any(one.given_by == "them" or one.platform == platform for one in known):
        return []
    order = Order(platform, "us", entry.handover, entry.case, entry.handover, state, entry.to)
    return [Telling(order, "new", "", entry.by, entry.number)]


def _is_for(order: Order, desk: str | None, platform_of: PlatformOf) -> bool:
    return order.given_by == "them" or desk is None or platform_of(desk) == order.platform


def _changed(
    entry: Entry, orders: Iterable[Order], word: Word, *, same_too: bool = False
) -> list[Telling]:
    told = []
    for order in orders:
        # Who gave an order takes it back, who has it gives it back.
        ends = word in ("refused", "withdrawn")
        sender: Sender = "giver" if order.given_by == "us" else "holder"
        said: Word = word if not ends else "withdrawn" if sender == "giver" else "refused"
        step = TABLE.get((said, sender, order.state))
        if step is not None and (same_too or step.to != order.state):
            after = replace(order, state=step.to)
            told.append(Telling(after, said, words_of(entry), entry.by, entry.number))
    return told


def words_of(entry: Entry) -> str:
    """What was said, without what the ledger puts before it."""
    detail = entry.detail or ""
    head, found, said = detail.partition(": ")
    return said if found and head.split(",")[0] in _OUTCOMES else detail


_OUTCOMES = frozenset({"declined", "cancelled", "unanswered", "busy", "unreachable", "failed"})
