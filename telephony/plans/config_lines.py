"""Asterisk's configuration files as lines: comments, sections, templates, includes (config.c).

Pure: files come as texts by name. What Asterisk would drop, or refuse the whole file for, becomes a
finding; reading goes on, so that one look tells everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from telephony.plans.findings import Finding

LONGEST_LINE = 8190
"""Bytes: Asterisk reads a longer line as two."""
DEEPEST = 10
"""How deep files may include each other (config.c, MAX_INCLUDE_LEVEL)."""
MOST_FILES = 1000
"""How many files are read for one: a pattern that brings its own file would never end."""

Resolve = Callable[[str, str], Sequence[tuple[str, str]]]
"""Names and texts of the files that an include of ``what`` in the file ``where`` brings."""


@dataclass(frozen=True, slots=True)
class Line:
    """``key = value`` at the place where it stands, also when a template brought it."""

    key: str
    value: str
    file: str
    number: int


@dataclass(slots=True)
class Section:
    """``[name]`` with its lines; a template's come first."""

    name: str
    file: str
    number: int
    template: bool = False
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Said:
    """A line that says something, as it stands in one file.

    ``key`` "" begins the section, ``value`` is then what stands in parentheses after its name; a
    directive is a ``key`` with its ``#``. What stands before the first section has ``section`` "".
    """

    number: int
    section: str
    key: str
    value: str


@dataclass(slots=True)
class Config:
    """What one configuration holds, and every file that was read for it."""

    sections: list[Section] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    includes: list[tuple[str, int, list[str]]] = field(default_factory=list)
    """Where something is included, and which files it brought."""


def nothing(where: str, what: str) -> Sequence[tuple[str, str]]:
    """Resolve no include."""
    return ()


def read_config(name: str, text: str, resolve: Resolve = nothing) -> Config:
    """Read a file and what it includes."""
    reader = _Reader(resolve)
    reader.file(name, text, 1)
    return reader.config


def read_lines(text: str) -> list[Said]:
    """The lines of a file, what it includes left away, templates carried out and not among them."""
    reader = _Reader(nothing)
    reader.file("", text, 1)
    templates = {one.name for one in reader.config.sections if one.template}
    return [one for one in reader.said if one.section not in templates]


class _Reader:
    def __init__(self, resolve: Resolve) -> None:
        self.config = Config()
        self.said: list[Said] = []
        self._resolve = resolve
        self._section: Section | None = None
        self._read = 0
        self._there: dict[str, Section] = {}

    def file(self, name: str, text: str, depth: int) -> None:
        self.config.texts[name] = text
        self._read += 1
        for number, line in _without_comments(name, text, self.config.findings):
            if line.startswith("["):
                self._header(name, number, line)
            elif line.startswith("#"):
                self._directive(name, number, line, depth)
            else:
                self._setting(name, number, line)

    def _found(self, code: str, file: str, line: int, /, **values: str) -> None:
        self.config.findings.append(Finding(code, file, line, values))

    def _say(self, number: int, key: str, value: str) -> None:
        section = self._section.name if self._section else ""
        self.said.append(Said(number, section, key, value))

    def _setting(self, name: str, number: int, line: str) -> None:
        before, sign, after = line.partition("=")
        key, value = before.strip(), after.removeprefix(">").strip()
        if sign and key:
            self._say(number, key, value)
        if not sign:
            self._found("no-equals", name, number, line=line[:80])
        elif self._section is None:
            self._found("before-section", name, number, line=line[:80])
        elif not key:
            self._found("no-equals", name, number, line=line[:80])
        else:
            self._section.lines.append(Line(key, value, name, number))

    def _header(self, name: str, number: int, line: str) -> None:
        title, bracket, rest = line[1:].partition("]")
        if not bracket or not title:
            self._found("bad-section", name, number, line=line[:80])
            # What follows is somebody's: better in a section of its own than in the one before.
            self._section = Section(title or line, name, number)
            self._say(number, "", "")
            return
        options, closed, after = "", "", rest.strip()
        if rest.startswith("("):
            options, closed, after = rest[1:].partition(")")
            after = after.strip()
            if not closed:
                self._found("bad-section", name, number, line=line[:80])
        if after:
            self._found("text-after-section", name, number, text=after[:80])
        self._begin(name, number, title, [one.strip() for one in options.split(",")])

    def _begin(self, name: str, number: int, title: str, options: list[str]) -> None:
        there = self._there
        section = Section(title, name, number)
        if any(one.startswith("+") for one in options):
            if title in there:
                section = there[title]
            else:
                self._found("template-missing", name, number, name=title)
        self._section = section
        self._say(number, "", ",".join(options))
        for option in options:
            if option == "!":
                section.template = True
            elif option and not option.startswith("+"):
                if option in there:
                    section.lines += there[option].lines
                    for one in there[option].lines:
                        self._say(one.number, one.key, one.value)
                else:
                    self._found("template-missing", name, number, name=option)
        if there.get(title) is not section:
            self.config.sections.append(section)
            there.setdefault(title, section)

    def _directive(self, name: str, number: int, line: str, depth: int) -> None:
        word, _, what = line[1:].partition(" ")
        word, what = word.strip().lower(), what.strip()
        if "\t" in word:
            word, _, what = line[1:].partition("\t")
            word, what = word.lower(), what.strip()
        self._say(number, f"#{word}", what)
        if word == "exec":
            self._found("exec", name, number, what=what)
            return
        if word not in ("include", "tryinclude"):
            self._found("unknown-directive", name, number, name=f"#{word}")
            return
        if what[:1] in ('"', "<"):
            what = re.split('[">]', what[1:], maxsplit=1)[0]
        brought = self._resolve(name, what) if what else ()
        self.config.includes.append((name, number, [one for one, _ in brought]))
        if not brought and word == "include":
            self._found("include-missing", name, number, name=what)
        for one, text in brought:
            if depth >= DEEPEST or self._read >= MOST_FILES:
                self._found("include-too-deep", name, number, name=one)
            else:
                self.file(one, text, depth + 1)


def _without_comments(name: str, text: str, findings: list[Finding]) -> Iterator[tuple[int, str]]:
    """What is left of each line, as config.c sees it; ``;-- … --;`` may span lines and nest."""
    open_at: list[int] = []
    for number, raw in enumerate(text.split("\n"), 1):
        if len(raw.encode("utf-8", "surrogateescape")) > LONGEST_LINE:
            findings.append(Finding("line-too-long", name, number))
        if ";" not in raw:
            if not open_at and (line := raw.strip()):
                yield number, line
            continue
        kept = _cut(raw, number, open_at).strip()
        if kept:
            yield number, kept
    if open_at:
        findings.append(Finding("comment-open", name, open_at[0]))


def _cut(raw: str, number: int, open_at: list[int]) -> str:
    kept, start, place = "", 0, 0
    while (found := raw.find(";", place)) >= 0:
        place = found + 1
        if found > start and raw[found - 1] == "\\":
            if not open_at:
                kept += raw[start : found - 1]
                start = found
        elif raw[found + 1 : found + 3] == "--" and raw[found + 3 : found + 4] != "-":
            if not open_at:
                kept += raw[start:found]
            open_at.append(number)
            start = place = found + 3
        elif open_at and found >= start + 2 and raw[found - 2 : found] == "--":
            open_at.pop()
            start = place
        elif not open_at:
            return kept + raw[start:found]
    return kept if open_at else kept + raw[start:]
