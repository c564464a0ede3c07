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
    """In how many summaries each word stands; words inside longer ones of the same count go."""
    counts: Counter[str] = Counter()
    for summary in summaries:
        counts.update(_runs(summary))
    often = {word: count for word, count in counts.items() if count > 1}
    inside: set[str] = set()
    for word, count in often.items():
        for shorter in (word[1:], word[:-1]):
            if often.get(shorter) == count and _CHINESE.fullmatch(word):
                inside.add(shorter)
    # A run inside one that is itself inside a longer one was found on the way.
    return {word: count for word, count in often.items() if word not in inside}


def _runs(summary: str) -> set[str]:
    found = {word.lower() for word in _LATIN.findall(summary)}
    for stretch in _CHINESE.findall(summary):
        for start in range(len(stretch)):
            if stretch[start] in _EMPTY:
                continue
            for end in range(start + 2, min(start + LONGEST, len(stretch)) + 1):
                if stretch[end - 1] not in _EMPTY:
                    found.add(stretch[start:end])
    return found
