"""Hot topics: what is asked more than in the weeks before (pure).

Something has risen when it came at least :data:`LEAST` times and half as often again as in the mean
of the periods before. Words are found in the summaries without a dictionary: a run of two to eight
Chinese characters counts once for each summary in which it stands, and one that stands only inside
a longer run of the same count is left out. So 南山路口 is a topic, and not 山路 as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LEAST = 3
RISE = 1.5
LONGEST = 8
_CHINESE = re.compile(r"[一-鿿]+")
_LATIN = re.compile(r"[A-Za-z]{3,}")
# What stands between topics and is none: no run begins or ends with it.
_EMPTY = set(
    "的了是在有和与及或把被对从向到为于以其这那此个们不没也都就还又很已将并请要想能可会说称问反映来电市民群众什么要怎哪吗呢吧啊"
)


@dataclass(frozen=True, slots=True)
class Rise:
    """A topic: how often now, how often in the mean of the periods before, and the factor."""

    name: str
    now: int
    before: float
    factor: float


def risen(
    now: Mapping[str, int], before: Sequence[Mapping[str, int]], limit: int = 20
) -> list[Rise]:
    """What rose, the strongest first. ``before`` are counts of periods of the same length."""
    found: list[Rise] = []
    for name, count in now.items():
        mean = sum(one.get(name, 0) for one in before) / len(before) if before else 0.0
        # One is added to both, else what never came before would have risen without end.
        factor = (count + 1) / (mean + 1)
        if name and count >= LEAST and factor >= RISE:
            found.append(Rise(name, count, round(mean, 2), round(factor, 2)))
    found.sort(key=lambda one: (-one.factor * one.now, one.name))
    return found[:limit]


def words(summaries: Iterable[str]) -> dict[str, int]:
    """In how many summaries each word stands; words inside longer ones of the same count go.

    Takes a second for thousands of summaries; not for an event loop.
    """
    told = list(summaries)
    counts: Counter[str] = Counter()
    for summary in told:
        counts.update({word.lower() for word in _LATIN.findall(summary)})
    often = {word: count for word, count in counts.items() if count > 1}
    often |= _runs(told)
    inside: set[str] = set()
    for word, count in often.items():
        for shorter in (word[1:], word[:-1]):
            if often.get(shorter) == count and _CHINESE.fullmatch(word):
                inside.add(shorter)
    # A run inside one that is itself inside a longer one was found on the way.
    return {word: count for word, count in often.items() if word not in inside}


def _runs(summaries: Iterable[str]) -> dict[str, int]:
    """Runs of Chinese characters that stand in more than one summary.

    A run can only be frequent where both its parts of one character less are: so few are looked at.
    """
    found: dict[str, int] = {}
    places: list[list[tuple[str, Sequence[int]]]] = [
        [(one, range(len(one) - 1)) for one in _CHINESE.findall(summary)] for summary in summaries
    ]
    for length in range(2, LONGEST + 1):
        counts: Counter[str] = Counter()
        for summary in places:
            counts.update({text[at : at + length] for text, starts in summary for at in starts})
        often = {run: count for run, count in counts.items() if count > 1}
        found |= {
            run: count
            for run, count in often.items()
            if run[0] not in _EMPTY and run[-1] not in _EMPTY
        }
        places = [_longer(summary, often, length) for summary in places if summary]
    return found


def _longer(
    summary: list[tuple[str, Sequence[int]]], often: Mapping[str, int], length: int
) -> list[tuple[str, Sequence[int]]]:
    """Where runs of one character more may be frequent."""
    found: list[tuple[str, Sequence[int]]] = []
    for text, starts in summary:
        here = {at for at in starts if text[at : at + length] in often}
        further = [at for at in starts if at in here and at + 1 in here]
        if further:
            found.append((text, further))
    return found
