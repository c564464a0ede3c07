"""Who hands calls over to us, and whom beside desks and agents ours are handed to: settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from telephony.setting_types import (
    DeskId,
    DialTemplate,
    Endpoint,
    Extension,
    HeaderName,
    Id,
    Name,
    NumberForm,
    Section,
    no_doubles,
)


class Group(Section):
    """Agents or desks that a call is handed to under one number; whoever answers has it.

    Each member is reached by its first route. Where a member takes calls only when 1 is pressed,
    the whole group does. Who hands over to a group of their own is not rung.
    """

    id: DeskId
    name: Name
    members: list[Id] = Field(min_length=2, max_length=20, description="agents' and desks' ids")
    ring: Literal["all", "in-order"] = Field(
        "all", description="all at once, or one after the other"
    )
    ring_s: int = Field(20, ge=1, le=300, description="how long it rings; in order: each of them")


class Outside(Section):
    """An outside number, or numbers of one form, that calls may be handed to."""

    number: NumberForm
    name: Name
    dial: DialTemplate
    ring_s: int = Field(30, ge=1, le=300)
    acceptance: Literal["answer", "confirm"] = "answer"

    def matches(self, number: str) -> bool:
        """Whether this number is meant: digit for digit, X stands for any."""
        return re.fullmatch(self.number.replace("X", "[0-9]"), number) is not None

    def dial_for(self, number: str) -> str:
        """What rings for this number."""
        return self.dial.replace("{number}", number)

    def meets(self, other: Outside) -> bool:
        """Whether some number is meant by both."""
        pairs = zip(self.number, other.number, strict=False)
        same = len(self.number) == len(other.number)
        return same and all(a == b or "X" in (a, b) for a, b in pairs)


class Partner(Section):
    """A side that hands calls over to us, and how its calls are known.

    ``trunks``: all that comes in there is theirs. ``shared_trunks`` carry citizens' calls as well:
    a call is theirs when it has ``case_header``. Elsewhere that header is not looked at.
    """

    desk: Id
    trunks: list[Endpoint] = Field([], description="endpoints of trunks that are theirs alone")
    shared_trunks: list[Endpoint] = Field([], description="endpoints whose case_header counts")
    numbers: list[Extension] = Field([], description="their numbers, as a trunk delivers them")
    case_header: HeaderName = "X-Case"

    @model_validator(mode="after")
    def _can_be_known(self) -> Self:
        if not (self.trunks or self.shared_trunks or self.numbers):
            raise ValueError("name trunks, shared_trunks or numbers by which its calls are known")
        return self


def groups_agree(groups: Sequence[Group], known: Sequence[str]) -> None:
    """Each member of a group is an agent or a desk (``known``), and there once."""
    for group in groups:
        no_doubles(f"group {group.id}", group.members)
        for member in group.members:
            if member not in known:
                raise ValueError(f"group {group.id}: {member} is neither an agent nor a desk")


def outside_agrees(numbers: Sequence[Outside], known: Sequence[str]) -> None:
    """No number means two things: neither two entries nor an extension of ours (``known``)."""
    for number, one in enumerate(numbers):
        taken = next((name for name in known if one.matches(name)), None)
        if taken is not None:
            raise ValueError(f"outside {one.number}: {taken} is in use here already")
        for other in numbers[:number]:
            if one.meets(other):
                raise ValueError(f"outside: {other.number} and {one.number} mean one number")


def partners_agree(partners: Sequence[Partner], desks: Sequence[str]) -> None:
    """A call can be only one side's, and each side is one of the ``desks``."""
    no_doubles("partners", [one.desk for one in partners])
    no_doubles("partners' numbers", [n for one in partners for n in one.numbers])
    trunks = [trunk for one in partners for trunk in one.trunks]
    # A trunk that is one side's alone says more than a header; a header must say which side.
    headers = {
        f"{trunk} with {one.case_header.lower()}" for one in partners for trunk in one.shared_trunks
    }
    shared = [trunk for one in partners for trunk in set(one.shared_trunks)]
    no_doubles("partners' trunks", trunks + sorted(set(shared)))
    if len(headers) < len(shared):
        raise ValueError("partners: two on one shared trunk need different case_header")
    for one in partners:
        if one.desk not in desks:
            raise ValueError(f"partner {one.desk} is not in desks")
