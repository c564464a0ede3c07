"""The table of hand-overs: what must come of each way of pressing, whatever happens.

A cell reads ``outcomes > end``: the outcome on record of each hand-over in its order (``none``:
nothing was offered), and who is with the citizen when it is decided:

- ``agent``: the agent, at once, nothing has rung; ``phone``: the agent, whose phone was rung;
- ``target``: the target, and the agent is free; ``room``: both, all three hear each other;
- ``next``: the next agent of the queue; ``nobody``: the call is over.

``/`` stands between what may come of a race. ``-X`` is a cell that makes no sense, for reason X.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.handovers import drive
from tests.handovers.ways import WAYS, Way

if TYPE_CHECKING:
    from tests.handovers.cell import Cell

TABLE = """
                       | one-key                   | phone-key                 | refer                    | three-way | consult | attended
answered               | accepted > target         | =                         | accepted > target        | accepted > room | accepted > target | =
busy                   | busy > agent              | =                         | busy > phone             | busy > agent | busy > agent | =
declined-486           | busy > agent              | =                         | busy > phone             | busy > agent | busy > agent | =
declined-603           | declined > agent          | =                         | declined > phone         | declined > agent | declined > agent | =
unreachable            | unreachable > agent       | =                         | unreachable > phone      | unreachable > agent | unreachable > agent | =
not-found              | none > agent              | =                         | =                        | = | none > agent | =
no-answer              | unanswered > agent        | =                         | unanswered > phone       | unanswered > agent | unanswered > agent | =
limit-minus-20-ms      | accepted > target / unanswered > agent | =            | accepted > target / unanswered > phone | accepted > room / unanswered > agent | accepted > target / unanswered > agent | =
limit                  | accepted > target / unanswered > agent | =            | accepted > target / unanswered > phone | accepted > room / unanswered > agent | accepted > target / unanswered > agent | =
limit-plus-20-ms       | accepted > target / unanswered > agent | =            | accepted > target / unanswered > phone | accepted > room / unanswered > agent | accepted > target / unanswered > agent | =
caller-before          | none > nobody / caller_gone > nobody | =              | =                        | = | none > nobody / caller_gone > nobody | =
caller-ringing         | caller_gone > nobody      | =                         | =                        | = | caller_gone > nobody | =
caller-after           | accepted > nobody / caller_gone > nobody | =          | =                        | = | caller_gone > nobody | =
agent-before           | accepted > target / none > phone / none > nobody | =  | =                        | = | cancelled > phone / failed > phone / none > phone / none > nobody | cancelled > phone / none > nobody
agent-ringing          | accepted > target         | =                         | -A                       | accepted > target | cancelled > phone | accepted > target
agent-ringing-refused  | busy > phone              | =                         | -A                       | busy > phone | -C | busy > phone
agent-after            | accepted > target         | =                         | -A                       | accepted > target | accepted > target / cancelled > phone | accepted > target
target-at-once         | accepted > nobody / declined > agent | =              | accepted > nobody / declined > phone | accepted > agent / declined > agent | declined > agent | =
again                  | busy busy busy accepted > target | =                  | =                        | busy busy busy accepted > room | busy busy busy accepted > target | =
caller-after-failure   | busy > nobody             | =                         | =                        | = | busy > nobody | =
caller-at-failure      | busy > nobody / caller_gone > nobody | =              | =                        | = | busy > nobody / caller_gone > nobody | =
agent-gone             | busy > next               | =                         | =                        | = | busy > next | =
twice                  | accepted > target         | =                         | =                        | accepted > room | accepted > target | =
two-agents             | accepted > target         | =                         | =                        | accepted > room | accepted > target | =
ring-all               | accepted > target         | =                         | =                        | accepted > room | accepted > target | =
chain                  | accepted accepted accepted > target | =               | =                        | accepted accepted accepted > room | accepted accepted accepted > target | =
out-of-three-way       | accepted accepted > target | =                        | =                        | -B | accepted accepted > target | =
supervisor             | accepted > target         | =                         | =                        | accepted > room | accepted > target | =
"""

REASONS = {
    "A": "a phone that has sent its REFER has let go: the agent's leg ended before the ringing",
    "C": "a desk that is asked first and still rings is let go when the agent hangs up",
    "B": "the row is the three-way call itself; the other rows go out of it",
}

DRIVERS: dict[str, Callable[[Cell], None]] = {
    "answered": drive.answered,
    "busy": drive.busy,
    "declined-486": partial(drive.declined, 486),
    "declined-603": partial(drive.declined, 603),
    "unreachable": drive.unreachable,
    "not-found": drive.not_found,
    "no-answer": drive.no_answer,
    "limit-minus-20-ms": partial(drive.at_the_limit, -0.02),
    "limit": partial(drive.at_the_limit, 0.0),
    "limit-plus-20-ms": partial(drive.at_the_limit, 0.02),
    "caller-before": drive.caller_before,
    "caller-ringing": drive.caller_ringing,
    "caller-after": drive.caller_after,
    "agent-before": drive.agent_before,
    "agent-ringing": drive.agent_ringing,
    "agent-ringing-refused": drive.agent_ringing_then_refused,
    "agent-after": drive.agent_after,
    "target-at-once": drive.target_at_once,
    "again": drive.again,
    "caller-after-failure": drive.caller_after_failure,
    "caller-at-failure": drive.caller_at_failure,
    "agent-gone": drive.agent_gone,
    "twice": drive.twice,
    "two-agents": drive.two_agents,
    "ring-all": drive.ring_all,
    "chain": drive.chain,
    "out-of-three-way": drive.out_of_three_way,
    "supervisor": drive.supervisor,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One right end of a cell."""

    outcomes: tuple[str, ...]
    end: str

    def __str__(self) -> str:
        return f"{' '.join(self.outcomes) or 'none'} > {self.end}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of the table: a way of pressing and what happens, and how it must come out.

    ``reason``: why there is nothing to play; there is no expectation then.
    """

    way: Way
    column: str
    expected: tuple[Outcome, ...]
    reason: str = ""

    @property
    def name(self) -> str:
        return f"{self.way.name}-{self.column}"


def _outcome(text: str) -> Outcome:
    outcomes, _, end = text.partition(">")
    names = tuple(name for name in outcomes.split() if name != "none")
    return Outcome(names, end.strip())


def entries() -> Iterator[Entry]:
    """Every cell of the table. ``=`` is the same as in the cell to the left."""
    head, *lines = [line for line in TABLE.splitlines() if line.strip()]
    ways = [WAYS[name.strip()] for name in head.split("|")[1:]]
    for line in lines:
        column, *cells = (part.strip() for part in line.split("|"))
        before = ""
        for way, text in zip(ways, cells, strict=True):
            text = before if text == "=" else text
            before = text
            if text.startswith("-"):
                yield Entry(way, column, (), REASONS[text[1:]])
            else:
                yield Entry(way, column, tuple(map(_outcome, text.split("/"))))


ENTRIES = list(entries())
