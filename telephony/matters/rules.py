"""The matters (事项) that either side hands to the other, and where each goes (pure).

| the case's matter                        | is with            | proposed                            |
| ---------------------------------------- | ------------------ | ----------------------------------- |
| touches social stability or danger       | anybody but 110    | 110, at once, whatever else is open |
| goes to 110, or to 12345                 | anybody else       | its desk                            |
| goes either way                          | anybody else       | its desk                            |
| goes either way, desk is one of the two  | that desk          | the other one of 110 and 12345      |
| any other                                | its desk's side    | nothing: it is there already        |

Source: the list of 双向转办事项 of which either side hands each to the other; 国办发〔2022〕12号 (a clue
that touches social stability goes to 110 at once).
"""  # noqa: E501 - a table is read by its rows

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

Direction = Literal["to_110", "to_12345", "both"]
Urgency = Literal["emergency", "urgent", "normal"]
Why = Literal["stability", "danger", "matter", "other-side", "with-it", "no-matter"]

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
URGENCIES: tuple[Urgency, ...] = get_args(Urgency)

SAMPLE = "SAMPLE-"
"""How the codes of the sample begin that comes with the program: it is nobody's real directory."""
RESERVED = frozenset({"export", "import", "versions"})
"""Parts of addresses, which no code may be."""
MOST_KEYWORDS = 20
LONGEST_FEEDBACK_H = 2000
"""Working hours: about a year."""

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_FORMULA = tuple("=+-@＝＋－＠")
_HOURS = re.compile(r"([0-9]{1,5})(?:\.0+)?\s*(?:h|小时|工作小时)?", re.IGNORECASE)
_WORD_ENDS = re.compile(r"[;；,，、|/\s]+")

ZH_DIRECTIONS: dict[Direction, str] = {
    "to_110": "12345转110",
    "to_12345": "110转12345",
    "both": "双向",
}
ZH_URGENCIES: dict[Urgency, str] = {"emergency": "特急", "urgent": "紧急", "normal": "一般"}
ZH_FLAGS = {True: "是", False: "否"}


def _spoken(known: Iterable[tuple[str, str]], *more: tuple[str, str]) -> dict[str, str]:
    """Every way in which a value may be written -> the value."""
    pairs = list(known)
    values = {value: value for value, _ in pairs}
    return values | {text: value for value, text in pairs} | dict(more)


_DIRECTIONS = _spoken(
    ZH_DIRECTIONS.items(), ("转110", "to_110"), ("转12345", "to_12345"), ("双向转办", "both")
)
_URGENCIES = _spoken(ZH_URGENCIES.items(), ("普通", "normal"), ("", "normal"))
_FLAGS = {"是": True, "有": True, "√": True, "y": True, "yes": True, "true": True, "1": True}
_FLAGS |= {"否": False, "无": False, "": False, "n": False, "no": False, "false": False, "0": False}


AS_WRITTEN = frozenset({"name", "category", "keywords"})
"""Fields that are kept letter by letter, wide brackets and all."""


@dataclass(frozen=True, slots=True)
class Matter:
    """One kind of concern, whose it is and how fast something must come of it.

    ``feedback_h``: within how many working hours the side that took it says what came of it; None:
    the directory sets no limit. ``sounds``: name and keywords as they are spoken
    (:func:`telephony.matters.search.with_sounds`).
    """

    code: str
    name: str
    category: str
    direction: Direction
    desk: str
    urgency: Urgency = "normal"
    feedback_h: int | None = None
    keywords: tuple[str, ...] = ()
    stability: bool = False
    danger: bool = False
    sounds: tuple[str, ...] = ()

    @property
    def alarms(self) -> bool:
        """Whether it goes to 110 at once."""
        return self.stability or self.danger

    @property
    def is_sample(self) -> bool:
        return self.code.startswith(SAMPLE)


@dataclass(frozen=True, slots=True)
class Desks:
    """Whom matters can name: ``known`` desks and groups; the two sides of the exchange."""

    known: frozenset[str]
    alarm: str = "110"
    service: str = "12345"


class WrongCell(ValueError):
    """What is wrong with a value; ``field`` is that of :class:`Matter`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.reason = field, reason


# -- what a row of a file says --------------------------------------------------------------------


def matter_of(cells: Mapping[str, str], desks: Desks) -> tuple[Matter | None, list[WrongCell]]:
    """A matter from the texts of its fields, or everything that is wrong with them."""
    wrong: list[WrongCell] = []

    def read(field: str, how: Callable[[str], Any]) -> Any:
        text = cells.get(field, "").strip()
        try:
            return how(text if field in AS_WRITTEN else clean(text))
        except ValueError as error:
            wrong.append(WrongCell(field, str(error)))
            return None

    values: dict[str, Any] = {
        "code": read("code", _code),
        "name": read("name", lambda text: _title(text, 60)),
        "category": read("category", lambda text: _title(text, 40)),
        "direction": read("direction", _direction),
        "urgency": read("urgency", _urgency),
        "feedback_h": read("feedback_h", _feedback),
        "keywords": read("keywords", _keywords),
        "stability": read("stability", _flag),
        "danger": read("danger", _flag),
    }
    direction = values["direction"]
    values["desk"] = read("desk", lambda text: _desk(text, direction, desks))
    if wrong:
        return None, wrong
    return Matter(**values), []


def clean(text: str) -> str:
    """A text without the differences that nobody sees: width of letters, spaces around it."""
    return unicodedata.normalize("NFKC", text).strip()


def _code(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise ValueError(f"{text!r} is no code: 1 to 32 letters, digits, '.', '_' or '-'")
    if text.lower() in RESERVED:
        raise ValueError(f"{text!r} cannot be a code: it is an address of its own")
    return text


def _title(text: str, longest: int) -> str:
    if not text:
        raise ValueError("is empty")
    if len(text) > longest:
        raise ValueError(f"has {len(text)} characters; at most {longest}")
    if any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co") for one in text):
        raise ValueError("holds a line break or another character that cannot be seen")
    if text.startswith(_FORMULA):
        raise ValueError(f"must not begin with {text[0]}, which begins a formula in a spreadsheet")
    return text


def _direction(text: str) -> str:
    found = _DIRECTIONS.get(re.sub(r"\s", "", text).lower().replace("-", "_"))
    if found is None:
        raise ValueError(f"{text!r} is no direction: {', '.join(ZH_DIRECTIONS.values())}")
    return found


def _urgency(text: str) -> str:
    found = _URGENCIES.get(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is no urgency: {', '.join(ZH_URGENCIES.values())}")
    return found


def _feedback(text: str) -> int | None:
    if not text:
        return None
    found = _HOURS.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= LONGEST_FEEDBACK_H:
        raise ValueError(f"{text!r} is no number of working hours from 1 to {LONGEST_FEEDBACK_H}")
    return int(found[1])


def _keywords(text: str) -> tuple[str, ...]:
    words = [word for word in dict.fromkeys(_WORD_ENDS.split(text)) if word]
    if len(words) > MOST_KEYWORDS:
        raise ValueError(f"has {len(words)} words; at most {MOST_KEYWORDS}")
    return tuple(_title(word, 30) for word in words)


def _flag(text: str) -> bool:
    found = _FLAGS.get(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is neither 是 nor 否")
    return found


def _desk(text: str, direction: object, desks: Desks) -> str:
    goes = {"to_110": desks.alarm, "to_12345": desks.service}
    if not text:
        if direction == "both":
            raise ValueError("is empty; a matter that goes either way names its desk")
        text = goes.get(str(direction), "")
        if not text:
            return ""  # the direction is wrong, and named already
    if text not in desks.known:
        raise ValueError(f"{text!r} is no desk of the settings: {', '.join(sorted(desks.known))}")
    against = {"to_110": desks.service, "to_12345": desks.alarm}.get(str(direction))
    if text == against:
        raise ValueError(f"{text!r} is the side that this direction takes it from")
    return text


# -- two directories ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """What a directory changes against the one before it: codes, in their order."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    moved: bool
    """Whether those that stay stand in another order."""

    @property
    def is_none(self) -> bool:
        return not (self.new or self.changed or self.removed or self.moved)


def difference(before: Iterable[Matter], after: Iterable[Matter]) -> Difference:
    """What ``after`` changes; how matters are spoken is no part of them."""
    old = {one.code: replace(one, sounds=()) for one in before}
    new = {one.code: replace(one, sounds=()) for one in after}
    stay = [code for code in new if code in old]
    changed = tuple(code for code in stay if new[code] != old[code])
    return Difference(
        new=tuple(code for code in new if code not in old),
        changed=changed,
        removed=tuple(code for code in old if code not in new),
        unchanged=len(stay) - len(changed),
        moved=stay != [code for code in old if code in new],
    )


# -- where it goes --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proposal:
    """The desk to hand a case over to, and why; None: nothing is proposed."""

    desk: str | None
    why: Why

    @property
    def urgent(self) -> bool:
        """At once, whatever else is open."""
        return self.desk is not None and self.why in ("stability", "danger")


def candidates(matter: Matter, desks: Desks) -> tuple[tuple[str, Why], ...]:
    """Whom a matter is handed to, the first who has not got it; each with the reason."""
    if matter.alarms and desks.alarm in desks.known:
        return ((desks.alarm, "stability" if matter.stability else "danger"),)
    found: list[tuple[str, Why]] = [(matter.desk, "matter")]
    others = {desks.alarm: desks.service, desks.service: desks.alarm}
    other = others.get(matter.desk)
    if matter.direction == "both" and other in desks.known:
        found.append((other, "other-side"))
    return tuple(found)


def propose(
    matter: Matter | None,
    holder: str | None,
    desks: Desks,
    same_side: Callable[[str, str], bool] = lambda party, other: party == other,
) -> Proposal:
    """The desk to hand over to, from whoever has the case now (``holder``; None: nobody yet).

    ``same_side(desk, party)``: whether the party belongs to the desk's side.
    """
    if matter is None:
        return Proposal(None, "no-matter")
    for desk, why in candidates(matter, desks):
        if holder is None or not same_side(desk, holder):
            return Proposal(desk, why)
    return Proposal(None, "with-it")
