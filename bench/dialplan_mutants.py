"""Dialplans with one thing changed: broken (a caller ends up elsewhere) or harmless.

Every mutant is made by a seed, so that the same seed makes the same. Pure: texts in, texts out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Texts = dict[str, str]
STEP = re.compile(r"^(\s*(?:exten|same)\s*=>\s*)(.*)$")
GO = re.compile(r"\b(?:Goto|GotoIf|GotoIfTime|Gosub|GosubIf|ChannelRedirect)\(")
CONTROL = re.compile(
    r"\b(?:Goto|GotoIf|Gosub|ChannelRedirect|Dial|Queue|Bridge|Return|Hangup|ConfBridge|Originate)\("
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """Files with one change in ``file`` at ``line``; ``what`` says which."""

    kind: str
    file: str
    line: int
    what: str
    files: Texts


@dataclass(slots=True)
class Place:
    """A line of a dialplan that can be changed."""

    file: str
    index: int
    lines: list[str]

    @property
    def text(self) -> str:
        return self.lines[self.index]

    @property
    def is_step(self) -> bool:
        return STEP.match(self.text) is not None

    @property
    def head(self) -> str:
        return next(
            (one for one in reversed(self.lines[: self.index + 1]) if one.startswith("[")), ""
        )

    def following(self) -> str:
        """The next line that is a step of the same extension; "" when there is none."""
        for one in self.lines[self.index + 1 :]:
            if re.match(r"\s*same\s*=>", one):
                return one
            if re.match(r"\s*exten\s*=>|\[", one):
                return ""
        return ""


Change = Callable[[Place, random.Random, list[str]], list[str] | None]
"""The lines that stand instead of the place's; None: nothing to change here."""


def _contexts(files: Texts) -> list[str]:
    return sorted(set(re.findall(r"^\[([\w-]+)\]", "\n".join(files.values()), re.MULTILINE)))


def _labels(place: Place) -> list[str]:
    """Labels of the same extension."""
    first = place.index
    while first > 0 and not re.match(r"\s*exten\s*=>", place.lines[first]):
        first -= 1
    found = []
    for number in range(first, len(place.lines)):
        if number > first and re.match(r"\s*exten\s*=>|\[", place.lines[number]):
            break
        found += re.findall(
            r"^\s*(?:exten|same) => (?:[^,]*,)?(?:n|\d+)\(([\w-]+)\),", place.lines[number]
        )
    return found


def other_context(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(
        r"((?:Goto|Gosub|GotoIf|ChannelRedirect)\((?:[^()]*[?,])?)(hotline-[\w-]+|[a-z][\w-]+)(,\w+,\w+)",
        place.text,
    )
    others = [one for one in contexts if found and one != found[2]]
    if not found or not others or found[2] not in contexts:
        return None
    return [place.text[: found.start(2)] + chance.choice(others) + place.text[found.end(2) :]]


def missing_context(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(
        r"(?:Goto|Gosub|GotoIf|ChannelRedirect)\((?:[^()]*[?,])?([a-z][\w-]+)(?=,\w+,\w+)",
        place.text,
    )
    if not found or found[1] not in contexts:
        return None
    return [place.text[: found.end(1)] + "-x" + place.text[found.end(1) :]]


def other_label(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    labels = _labels(place)
    found = re.search(r"(?:Goto\(|\?|:)([a-z][\w-]*)(?=\)$|:)", place.text)
    if not found or found[1] not in labels or not GO.search(place.text):
        return None
    others = [one for one in labels if one != found[1]]
    if not others:
        return None
    return [place.text[: found.start(1)] + chance.choice(others) + place.text[found.end(1) :]]


def label_gone(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(r"(?:n|\d+)(\(([\w-]+)\)),", place.text)
    rest = "\n".join(place.lines)
    if (
        not place.is_step
        or not found
        or not re.search(rf"[?:(]{re.escape(found[2])}[):]", rest.replace(found[1] + ",", ","))
    ):
        return None
    return [place.text[: found.start(1)] + place.text[found.end(1) :]]


def step_gone(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not place.is_step or not CONTROL.search(place.text) or re.match(r"\s*exten", place.text):
        return None
    if not place.following() and not re.search(r"\b(?:Goto|Return|Hangup)\(", place.text):
        return None
    return []


def first_step_gone(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not re.match(r"\s*exten => [^h,]+,1", place.text):
        return None
    return []


def steps_swapped(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if place.index + 1 >= len(place.lines):
        return None
    after = place.lines[place.index + 1]
    both = [re.match(r"\s*same => n,", one) for one in (place.text, after)]
    if not all(both) or not CONTROL.search(place.text) or place.text == after:
        return None
    place.lines[place.index + 1] = place.text
    return [after]


def hangup_handler_gone(
    place: Place, chance: random.Random, contexts: list[str]
) -> list[str] | None:
    return [] if re.match(r"\s*exten => h,1", place.text) else None


def condition_turned(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if "GotoIf($[" not in place.text and "ExecIf($[" not in place.text:
        return None
    if " = " in place.text:
        return [place.text.replace(" = ", " != ", 1)]
    if " != " in place.text:
        return [place.text.replace(" != ", " = ", 1)]
    return None


def branches_swapped(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(r"\]\?([^:?()]+):([^:?()]+)\)$", place.text)
    if "GotoIf(" not in place.text or not found or found[1] == found[2]:
        return None
    return [place.text[: found.start(1)] + f"{found[2]}:{found[1]})"]


def application_misspelt(
    place: Place, chance: random.Random, contexts: list[str]
) -> list[str] | None:
    found = re.search(
        r"\b(Goto|GotoIf|Gosub|Dial|Queue|Bridge|Return|Hangup|ChannelRedirect)\(", place.text
    )
    if not place.is_step or not found:
        return None
    name = found[1]
    at = chance.randrange(1, len(name))
    wrong = name[:at] + name[at - 1] + name[at:]
    return [place.text[: found.start(1)] + wrong + place.text[found.end(1) :]]


def function_misspelt(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(r"\$\{([A-Z_]{3,})\(", place.text)
    if not place.is_step or not found or not CONTROL.search(place.text):
        return None
    return [place.text[: found.end(1)] + "S" + place.text[found.end(1) :]]


def bracket_lost(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    places = [at for at, sign in enumerate(place.text) if sign in "}])"]
    if not place.is_step or not CONTROL.search(place.text) or not places:
        return None
    at = chance.choice(places)
    return [place.text[:at] + place.text[at + 1 :]]


def arrow_lost(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not place.is_step or not CONTROL.search(place.text):
        return None
    return [place.text.replace("=>", " ", 1)]


def comma_lost(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not place.is_step or not CONTROL.search(place.text):
        return None
    return [place.text.replace(",", " ", 1)]


def header_broken(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not re.match(r"\[[\w-]+\]$", place.text):
        return None
    return [place.text[:-1]] if chance.random() < 0.5 else [place.text[:-1] + "s]"]


def header_gone(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    return [] if re.match(r"\[[\w-]+\]$", place.text) and place.index > 5 else None


def priority_moved(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    first = re.match(r"(\s*exten => [^,]+,)1([(,])", place.text)
    if first:
        return [f"{first[1]}2{first[2]}{place.text[first.end() :]}"]
    next_ = re.match(r"(\s*same => )n([(,])", place.text)
    if next_ and CONTROL.search(place.text):
        return [f"{next_[1]}n+1{next_[2]}{place.text[next_.end() :]}"]
    return None


def call_cut(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not re.match(r"\s*same => n,", place.text) or not CONTROL.search(place.text):
        return None
    return [" same => n,Hangup()", place.text]


def commented_out(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not re.match(r"\s*same => n,", place.text) or not CONTROL.search(place.text):
        return None
    if chance.random() < 0.3:
        return [";-- " + place.text]
    return [";" + place.text]


def extension_renamed(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.match(r"(\s*exten => )([\w]+)(,1)", place.text)
    if not found:
        return None
    return [f"{found[1]}{found[2]}9{place.text[found.end(2) :]}"]


def dialled_elsewhere(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(r"(?:DESK_DIAL=|Dial\()PJSIP/(\w+)", place.text)
    if not found:
        return None
    return [place.text[: found.start(1)] + found[1] + "0" + place.text[found.end(1) :]]


def way_back_lost(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(r"F\([\w-]+\^s\^1\)", place.text)
    if not place.is_step or not found:
        return None
    return [place.text[: found.start()] + place.text[found.end() :]]


def include_gone(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    return [] if re.match(r"\s*include =>", place.text) else None


BROKEN: dict[str, Change] = {
    "target in another existing context": other_context,
    "target in a context that does not exist": missing_context,
    "target at another existing label": other_label,
    "label lost": label_gone,
    "step deleted": step_gone,
    "first step deleted": first_step_gone,
    "steps swapped": steps_swapped,
    "h extension deleted": hangup_handler_gone,
    "condition turned round": condition_turned,
    "branches swapped": branches_swapped,
    "application misspelt": application_misspelt,
    "function misspelt": function_misspelt,
    "bracket lost": bracket_lost,
    "arrow lost": arrow_lost,
    "comma lost": comma_lost,
    "section header broken": header_broken,
    "section header deleted": header_gone,
    "priority moved": priority_moved,
    "Hangup put in between": call_cut,
    "step commented out": commented_out,
    "extension renamed": extension_renamed,
    "another device dialled": dialled_elsewhere,
    "way back after a talk lost": way_back_lost,
    "include deleted": include_gone,
}


def comment_added(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if chance.random() < 0.5:
        return ["; Goto(nowhere,s,1) was here", place.text]
    return [place.text + " ; as agreed"] if place.is_step else None


def block_comment_added(
    place: Place, chance: random.Random, contexts: list[str]
) -> list[str] | None:
    return [";-- a note", "exten => s,1,Hangup()", "--;", place.text]


def blank_lines(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    return ["", "  ", place.text, "\t"]


def white_space(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.match(r"^\s*(exten|same)\s*=>\s*(.*)$", place.text)
    if not found:
        return None
    return [f"\t{found[1]}{chance.choice(['=>', '  =>  ', ' =', '=> '])} {found[2]}\t "]


def note_added(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    if not place.is_step:
        return None
    note = chance.choice(["NoOp(here ${EXTEN})", "Verbose(2,here)", "NoOp()"])
    return [place.text, f" same => n,{note}"]


def one_form(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.match(r"\s*same => (.*)$", place.text)
    if not found:
        return None
    for one in reversed(place.lines[: place.index]):
        exten = re.match(r"\s*exten => ((?:\[[^]]*\]|[^,\[])+),", one)
        if exten:
            return [f"exten => {exten[1]},{found[1]}"]
        if not re.match(r"\s*same =>|\s*;|\s*$", one):
            return None
    return None


def label_renamed(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    found = re.search(r"same => (?:n|\d+)\(([\w-]+)\),", place.text)
    if not found:
        return None
    name = found[1]
    first = place.index
    while first > 0 and not re.match(r"\s*exten\s*=>", place.lines[first]):
        first -= 1
    last = place.index + 1
    while last < len(place.lines) and not re.match(r"\s*exten\s*=>|\[", place.lines[last]):
        last += 1
    uses = re.compile(rf"(?<=[?:(]){re.escape(name)}(?=[:)])")
    own = "\n".join(place.lines[first:last])
    everything = "\n".join(place.lines)
    if len(uses.findall(own)) < 2 or re.search(rf",{re.escape(name)}[):]", everything):
        return None
    for number in range(first, last):
        if number != place.index:
            line = place.lines[number]
            if GO.search(line):
                place.lines[number] = uses.sub(f"{name}-new", line)
    # Its own line may hold the same word as a value: Return(yes).
    whole = place.text if GO.search(place.text) else place.text[: found.end()]
    return [uses.sub(f"{name}-new", whole) + place.text[len(whole) :]]


def numbered(place: Place, chance: random.Random, contexts: list[str]) -> list[str] | None:
    """``n`` written as the number that it is."""
    if not re.match(r"\s*same => n,", place.text):
        return None
    count = 1
    for one in reversed(place.lines[: place.index]):
        if re.match(r"\s*same => n[,(]", one):
            count += 1
        elif re.match(r"\s*exten => [^,\[]+,1[,(]", one):
            return [place.text.replace("same => n,", f"same => {count + 1},", 1)]
        elif re.match(r"\s*(same|exten)", one) or one.startswith("["):
            return None
    return None


HARMLESS: dict[str, Change] = {
    "comment added": comment_added,
    "block comment added": block_comment_added,
    "blank lines added": blank_lines,
    "white space changed": white_space,
    "NoOp or Verbose added": note_added,
    "exten instead of same": one_form,
    "private label renamed with its uses": label_renamed,
    "number instead of n": numbered,
}


def mutants(files: Texts, changes: dict[str, Change], count: int, seed: int) -> Iterator[Mutant]:
    """``count`` mutants, the kinds in turn; kinds for which there is no place are left out."""
    chance = random.Random(seed)
    contexts = _contexts(files)
    made, kinds, seen = 0, dict(changes), set[tuple[str, int, str]]()
    while made < count and kinds:
        for kind in list(kinds):
            one = _mutant(files, kind, kinds[kind], chance, contexts, seen)
            if one is None:
                del kinds[kind]
                continue
            made += 1
            yield one
            if made == count:
                return


def _mutant(
    files: Texts,
    kind: str,
    change: Change,
    chance: random.Random,
    contexts: list[str],
    seen: set[tuple[str, int, str]],
) -> Mutant | None:
    places = [(name, at) for name, text in files.items() for at in range(text.count("\n"))]
    chance.shuffle(places)
    for name, at in places:
        lines = files[name].split("\n")
        place = Place(name, at, lines)
        before = place.text
        new = change(place, chance, contexts)
        if new is None or (name, at, "|".join(new)) in seen:
            continue
        seen.add((name, at, "|".join(new)))
        lines[at : at + 1] = new
        what = f"{before.strip()} -> {' / '.join(new).strip() or '(deleted)'}"
        return Mutant(kind, name, at + 1, what, {**files, name: "\n".join(lines)})
    return None


def reordered(files: Texts, seed: int) -> Mutant:
    """The contexts of one file in another order."""
    chance = random.Random(seed)
    name = chance.choice([one for one, text in files.items() if text.count("\n[") > 2])
    head, *sections = re.split(r"(?m)^(?=\[)", files[name])
    sections = [one.rstrip("\n") + "\n" for one in sections]
    chance.shuffle(sections)
    text = head.rstrip("\n") + "\n\n" + "\n".join(sections)
    return Mutant("order of contexts changed", name, 1, "shuffled", {**files, name: text})


def file_gone(files: Texts, seed: int) -> Mutant:
    """One file that others include is not there."""
    # Of what is switched off there is a file without a context.
    with_contexts = [one for one, text in files.items() if "\n[" in text]
    name = random.Random(seed).choice(with_contexts)
    rest = {one: text for one, text in files.items() if one != name}
    return Mutant("file missing", "extensions.conf", 1, f"without {name}", rest)
