"""What is counted, and what follows from the counts (pure).

| count             | of                                                                         |
| ----------------- | -------------------------------------------------------------------------- |
| `calls`           | calls of citizens that came in (one case each): no call back to one, no    |
|                   | case that another platform sent                                            |
| `answered`        | of them, those that somebody answered                                      |
| `answered_in_time`| within 15 s (GB/T 33358-2016)                                              |
| `abandoned`       | given up in the queue without a message                                    |
| `after_hours`     | met a closed line and nobody answered; they count for no connect rate      |
| `judged`          | cases closed, of which it is known how                                     |
| `resolved`        | of them, those closed by who took the call first (first-contact resolution)|
| `talks`           | agents' legs in which they talked; their seconds are the total             |
| `messages`        | messages left, and `replied`, of which somebody has called back            |
| `handover:STATE`  | hand-overs by their outcome                                                |

Each has how often (count) and, where seconds are summed, how long (total).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANSWER_WITHIN_S = 15
"""Seconds in which a call is to be answered (GB/T 33358-2016)."""
CONNECT_TARGET = 0.95
"""The share of calls that is to be answered, over any 24 hours (GB/T 33358-2016)."""
HANDOVER = "handover:"

Counts = Mapping[str, tuple[int, float]]
"""Count and total by measure."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one period and one member. A share or mean of nothing is None."""

    calls: int
    answered: int
    answered_in_time: int
    abandoned: int
    after_hours: int
    connect_rate: float | None
    answered_in_time_share: float | None
    mean_time_to_answer_s: float | None
    talks: int
    mean_talk_s: float | None
    handovers: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    messages_replied: int = 0
    mean_time_to_reply_s: float | None = None
    first_contact_resolved: int = 0
    first_contact_resolution: float | None = None


def figures_of(counts: Counts) -> Figures:
    """What follows from the counts of a period."""

    def count(name: str) -> int:
        return counts.get(name, (0, 0.0))[0]

    def mean(name: str) -> float | None:
        times, total = counts.get(name, (0, 0.0))
        return total / times if times else None

    during = count("calls") - count("after_hours")
    return Figures(
        calls=count("calls"),
        answered=count("answered"),
        answered_in_time=count("answered_in_time"),
        abandoned=count("abandoned"),
        after_hours=count("after_hours"),
        connect_rate=_share(count("answered"), during),
        answered_in_time_share=_share(count("answered_in_time"), during),
        mean_time_to_answer_s=mean("answered"),
        talks=count("talks"),
        mean_talk_s=mean("talks"),
        handovers={
            name.removeprefix(HANDOVER): times
            for name, (times, _) in sorted(counts.items())
            if name.startswith(HANDOVER) and times
        },
        messages=count("messages"),
        messages_replied=count("replied"),
        mean_time_to_reply_s=mean("replied"),
        first_contact_resolved=count("resolved"),
        first_contact_resolution=_share(count("resolved"), count("judged")),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
