"""Settings of the lines: each has numbers, hours and breaks, special days and greetings of its own.

``[line]`` is the first line, and what the others have in common with it; each of ``[[lines]]`` is
one more. What a further line does not say is as ``[line]`` says. Where ``[line]`` names no number,
the first of ``[[lines]]`` is the first line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from telephony.office_hours import CLOSED, NoHours, Windows, parse_windows, text_of, without
from telephony.setting_types import Break, Extension, Id, Name, Section

NO_DANGER_KEY = "none"
OWN = ("id", "name", "number", "numbers")
"""What a further line never takes from the first."""
COMMON = ("area_code", "country_code", "agent_ring_s", "wrapup_s")
"""What all lines have in common: one queue, one area."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKDAYS = WEEKDAYS[:5]

# A folder of sounds; letters, digits and the like, as it becomes part of a path.
Folder = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Line(Section):
    """A public number and its hours."""

    id: Id | None = Field(None, description="its name in commands and addresses; so is its number")
    name: Name = "民意服务中心"
    number: Extension = "2800122"
    numbers: list[Extension] = Field([], description="further numbers that lead to it")
    area_code: Extension = "0421"
    country_code: Extension = "86"
    opens: time = time(8, 30)
    closes: time = time(17, 0)
    breaks: list[Break] = Field([], description="the line is closed meanwhile, as 12:00-13:30")
    week: dict[Weekday, list[Break]] = Field(
        {}, description="weekdays with hours of their own, as sat: 09:00-12:00; none: closed"
    )
    queue_wait_s: int = Field(120, ge=5, le=3600)
    agent_ring_s: int = Field(20, ge=1, le=300)
    wrapup_s: int = Field(0, ge=0, le=3600)
    message_max_s: int = Field(180, ge=5, le=3600)
    message_min_s: int = Field(1, ge=0, le=60)
    language: Id = "zh"
    greetings: Folder | None = Field(
        None,
        description="folder of its own greetings beside ours (sounds/<language>/<folder>): "
        "welcome, closed, closed-now, holiday, queue-full; what is not there is ours",
    )
    danger_desk: Id | None = Field(
        None, description="where its key 0 leads; default: messages.danger_desk; none: no key"
    )

    @model_validator(mode="before")
    @classmethod
    def _first_number(cls, data: Any) -> Any:
        """``numbers`` alone: the first of them is the number."""
        if (
            isinstance(data, dict)
            and "number" not in data
            and isinstance(data.get("numbers"), list)
        ):
            first, *more = data["numbers"] or [None]
            if first is not None:
                return {**data, "number": first, "numbers": more}
        return data

    @model_validator(mode="after")
    def _is_open_at_all(self) -> Self:
        if self.opens >= self.closes:
            raise ValueError(f"opens {self.opens:%H:%M} is not before closes {self.closes:%H:%M}")
        try:
            self.windows  # noqa: B018 - raises what is wrong with the breaks
        except NoHours as error:
            raise ValueError(f"breaks: {error}") from None
        for day, hours in self.week.items():
            try:
                _windows_of(hours)
            except NoHours as error:
                raise ValueError(f"week.{day}: {error}") from None
        return self

    @property
    def windows(self) -> Windows:
        """The hours of an ordinary working day, without its breaks."""
        breaks = [parse_windows(one.replace(":", "")) for one in self.breaks]
        return without(self.opens, self.closes, tuple(part for one in breaks for part in one))

    def windows_on(self, weekday: Weekday) -> Windows:
        """The hours of a day of the week that is neither holiday nor special day."""
        own = self.week.get(weekday)
        if own is not None:
            return _windows_of(own)
        return self.windows if weekday in WORKDAYS else ()

    @property
    def hours(self) -> str:
        """Those of an ordinary working day as the dialplan writes them: 0830-1200,1330-1700."""
        return text_of(self.windows)

    @property
    def week_hours(self) -> list[str]:
        """The same of Monday to Sunday."""
        return [text_of(self.windows_on(day)) for day in WEEKDAYS]

    @property
    def week_in_words(self) -> str:
        """The week as people are told of it: Monday to Friday 0830-1700, sat 0900-1200."""
        own = [f"{day} {text_of(self.windows_on(day))}" for day in WEEKDAYS if day in self.week]
        return ", ".join([f"Monday to Friday {self.hours}", *own])

    @property
    def suffix(self) -> str:
        """What follows the names of AstDB's families that hold the days of this line."""
        return ""

    @property
    def full_number(self) -> str:
        """The number as a citizen dials it from outside the city: 04212800122."""
        return self.area_code + self.number

    @property
    def dialled_forms(self) -> list[str]:
        """Every form in which a trunk may deliver its numbers (E.164 with and without +)."""
        area, cc = self.area_code, self.country_code
        forms = []
        for number in (self.number, *self.numbers):
            national = area.removeprefix("0") + number
            forms += [number, area + number, national]
            forms += [cc + national, "+" + cc + national, "00" + cc + national]
        return list(dict.fromkeys(forms))

    def is_named(self, name: str) -> bool:
        """Whether people mean this line: by its id, its name or any form of its numbers."""
        return name in (self.id, self.name, *self.dialled_forms)


def _windows_of(hours: Sequence[str]) -> Windows:
    return parse_windows(",".join(hours).replace(":", "") or CLOSED)


class FurtherLine(Line):
    """A line besides the first; its days stand in AstDB under its own number."""

    name: Name
    number: Extension

    @property
    def suffix(self) -> str:
        return f"-{self.number}"


def spread_lines(data: dict[str, Any]) -> dict[str, Any]:
    """Give every further line what it does not say itself, before anything is checked."""
    lines = data.get("lines")
    if not isinstance(lines, list) or not all(isinstance(one, dict | Line) for one in lines):
        return data
    first = _said(data.get("line", {}))
    further = [_said(one) for one in lines]
    if first is None or not further or None in further:
        return data
    if not {"number", "numbers"} & set(first):
        head, *further = further
        first = _filled(head, first)
    return {**data, "line": first, "lines": [_filled(one, first) for one in further]}


def _said(section: Any) -> dict[str, Any] | None:
    if isinstance(section, Line):  # by code; a further line says what was set of it
        return section.model_dump(exclude_unset=isinstance(section, FurtherLine))
    return dict(section) if isinstance(section, dict) else None


def _filled(one: Mapping[str, Any] | None, common: Mapping[str, Any]) -> dict[str, Any]:
    own = dict(one or {})
    # Breaks belong to the hours that they lie in, and a week's exceptions to what they except.
    hours = ("opens", "closes", "breaks", "week") if {"opens", "closes"} & set(own) else ()
    return {name: value for name, value in common.items() if name not in (*OWN, *hours)} | own


def lines_agree(first: Line, further: Sequence[Line], desks: Sequence[str]) -> None:
    """Raise ValueError for lines that nobody could tell apart, or a danger desk that is none."""
    seen: dict[str, Line] = {}
    for one in (first, *further):
        for form in one.dialled_forms:
            if seen.setdefault(form, one) is not one:
                raise ValueError(f"{form} leads to two lines; each number belongs to one of them")
    for one in (first, *further):
        named = one.id
        if named and any(other is not one and other.is_named(named) for other in (first, *further)):
            raise ValueError(f"two lines are called {named}; give one another id")
        desk = one.danger_desk
        if desk not in (None, NO_DANGER_KEY, *desks):
            raise ValueError(f"line {one.number}: danger_desk is {desk}, which is not in desks")
    for one in further:
        for name in COMMON:
            if getattr(one, name) != getattr(first, name):
                raise ValueError(f"line {one.number}: {name} is one for all lines; set line.{name}")
