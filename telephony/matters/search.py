"""Finding matters: by words, by pinyin and by the first letters of pinyin (pure, in memory).

What is asked for is cut into words; each must be found in a matter, in one of these ways, the
best first: code or name as a whole, the begin of the name, its first letters, within the name, a
keyword, first letters from within, pinyin from the begin of any character on. Where nothing is
found at all, the matters whose names share most with it are shown (:attr:`Found.exact` is False).

Pinyin is worked out once, when a directory is imported (:func:`with_sounds`): a search only
compares texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from telephony.matters.rules import URGENCIES, Matter

MOST_WORDS = 8
"""Further words of a query are not looked at."""
MOST_KEPT = 256
"""How many answers are kept, of each version of the directory."""
NEAR = 0.2
"""How much a name must share with what was asked for to be shown instead (0 to 1)."""

_APART = re.compile(r"[^\w]+|_+")
_TYPED = re.compile(r"[a-z0-9]+")


def normal(text: str) -> str:
    """A text as it is compared: no difference of case, of width, of how ü is typed."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return folded.replace("ü", "v").strip()


def words_of(query: str) -> list[str]:
    """The words of a query, each once."""
    return [one for one in dict.fromkeys(_APART.split(normal(query))) if one][:MOST_WORDS]


def with_sounds(matters: Iterable[Matter]) -> list[Matter]:
    """The matters with their names and keywords in pinyin, such as ``jiao tong shi gu``.

    Loads the dictionary of pinyin, which takes half a second the first time; not for an event loop.
    """
    from pypinyin import lazy_pinyin

    def spoken(text: str) -> str:
        # Letters and digits between the characters are syllables of their own: ETC is e t c.
        syllables = " ".join(lazy_pinyin(normal(text), errors=" ".join)).split()
        return " ".join(one for one in syllables if one.isascii() and one.isalnum())

    found = []
    for one in matters:
        texts = dict.fromkeys(map(spoken, (one.name, *one.keywords)))
        found.append(replace(one, sounds=tuple(text for text in texts if text)))
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gives: matters, the best first."""

    matters: Sequence[Matter]
    exact: bool = True
    """False: nothing holds what was asked for; these are the nearest."""


@dataclass(slots=True)
class _Entry:
    """A matter with its texts as they are compared; parts stand between line breaks."""

    matter: Matter
    code: str
    name: str
    words: str
    initials: str
    sounds: str
    all: str
    """All of these: what is not in it is nowhere."""
    pairs: frozenset[str]

    @classmethod
    def of(cls, matter: Matter) -> _Entry:
        name = normal(matter.name)
        texts = [name, normal(matter.category), *map(normal, matter.keywords)]
        spoken = [text.split(" ") for text in matter.sounds]
        starts = ["".join(one[begin:]) for one in spoken for begin in range(len(one))]
        code, words = normal(matter.code), _lines(texts)
        initials = _lines("".join(part[0] for part in one) for one in spoken)
        sounds = _lines(starts)
        everything = f"{code}{words}{initials}{sounds}"
        return cls(matter, code, name, words, initials, sounds, everything, _pairs(name))

    def cost(self, word: str) -> int | None:
        """How far a word is from this matter; None: it is not in it."""
        if word in (self.code, self.name):
            return 0
        if self.name.startswith(word):
            return 1
        typed = _TYPED.fullmatch(word) is not None
        if typed and self.initials.startswith(f"\n{word}"):
            return 1
        if word in self.name or f"\n{word}\n" in self.words:
            return 2
        if word in self.words:
            return 3
        if typed:
            if self.sounds.startswith(f"\n{word}"):
                return 2
            if f"\n{word}" in self.initials or f"\n{word}" in self.sounds:
                return 3
            if word in self.initials or word in self.code:
                return 4
        return None


def _lines(texts: Iterable[str]) -> str:
    return "\n" + "".join(f"{text}\n" for text in texts)


def _pairs(text: str) -> frozenset[str]:
    """The characters of a text and its pairs of neighbours: what likeness is measured by."""
    letters = [one for one in text if one.isalnum()]
    return frozenset([*letters, *(a + b for a, b in pairwise(letters))])


class Directory:
    """A version of the directory, ready to be searched; version 0 is one that was never loaded."""

    def __init__(self, matters: Iterable[Matter] = (), *, version: int = 0) -> None:
        self.version = version
        self.matters = tuple(matters)
        # Whether any of it is the sample that comes with the program.
        self.is_sample = any(one.is_sample for one in self.matters)
        self._entries = [_Entry.of(one) for one in self.matters]
        self._asked: dict[str, Found] = {}
        # What is more urgent goes first of those that fit equally well.
        self._ranks = [-1 if one.alarms else URGENCIES.index(one.urgency) for one in self.matters]
        self._by_code = {entry.code: entry.matter for entry in self._entries}
        self._by_name = {entry.name: entry.matter for entry in self._entries}

    @property
    def is_loaded(self) -> bool:
        return bool(self.matters)

    def get(self, name: str) -> Matter | None:
        """The matter with this code or name."""
        wanted = normal(name)
        return self._by_code.get(wanted) or self._by_name.get(wanted)

    def search(self, query: str, allow: Callable[[Matter], bool] | None = None) -> Found:
        """The matters that hold every word of the query; all, in their order, for an empty one.

        ``allow``: a further condition on what was found.
        """
        found = self._search(normal(query))
        if allow is None:
            return found
        return Found([one for one in found.matters if allow(one)], found.exact)

    def _search(self, whole: str) -> Found:
        if not whole:
            return Found(self.matters)
        # Who types, and who turns the page, asks for the same again and again.
        found = self._asked.get(whole)
        if found is None:
            found = self._look(whole, words_of(whole))
            if len(self._asked) >= MOST_KEPT:
                self._asked.clear()
            self._asked[whole] = found
        return found

    def _look(self, whole: str, words: Sequence[str]) -> Found:
        costs: dict[int, int] = {}
        for place, entry in enumerate(self._entries if words else ()):
            cost = self._cost(entry, words, whole)
            if cost is not None:
                costs[place] = cost
        if not costs:
            return Found([self.matters[place] for place in self._near(whole)], exact=False)
        order = sorted(costs, key=lambda place: (costs[place], self._ranks[place], place))
        return Found([self.matters[place] for place in order])

    def nearest(self, name: str, limit: int = 5) -> list[Matter]:
        """The matters whose names are most like this one, for whoever mistook one."""
        found = self.search(name)
        return list(found.matters[:limit])

    @staticmethod
    def _cost(entry: _Entry, words: Sequence[str], whole: str) -> int | None:
        if whole in (entry.code, entry.name):
            return -1
        total = 0
        for word in words:
            cost = entry.cost(word) if word in entry.all else None
            if cost is None:
                return None
            total += cost
        return total

    def _near(self, text: str) -> list[int]:
        wanted = _pairs(text)
        likeness: dict[int, float] = {}
        for place, entry in enumerate(self._entries if wanted else ()):
            pairs = entry.pairs
            alike = 2 * len(wanted & pairs) / (len(wanted) + len(pairs))
            if alike >= NEAR:
                likeness[place] = alike
        return sorted(likeness, key=lambda place: (-likeness[place], place))
