"""Settings of the agents' side: why they rest, calling citizens back, asking them afterwards."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from telephony.setting_types import DialTemplate, KeyCode, Name, Section

# An extension pattern of Asterisk without those that match any length.
NumberPattern = Annotated[str, StringConstraints(pattern=r"^(?:[0-9XZN]|\[[0-9]-[0-9]\]){3,20}$")]
_CLASSES = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]"}


class PauseReason(Section):
    """Why an agent rests: the digit after the pause code, and what people read."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]$")]
    zh: Name
    en: Name


DEFAULT_PAUSE_REASONS = [
    PauseReason(code="1", zh="小休", en="break"),
    PauseReason(code="2", zh="用餐", en="meal"),
    PauseReason(code="3", zh="会议", en="meeting"),
    PauseReason(code="4", zh="培训", en="training"),
    PauseReason(code="5", zh="事务处理", en="paperwork"),
]


DEFAULT_NUMBERS = [
    "1[3-9]XXXXXXXXX",
    "NXXXXXX",
    "NXXXXXXX",
    "0ZXXXXXXXX",
    "0ZXXXXXXXXX",
    "0ZXXXXXXXXXX",
]


class Callback(Section):
    """Calling citizens back: by which trunk, and which numbers.

    ``numbers`` are patterns of Asterisk: X is any digit, Z 1 to 9, N 2 to 9, [3-8] one of these.
    The default allows mainland mobile numbers, local numbers, and those with an area code.
    """

    code: KeyCode = Field("*40", description="dialled with the number: call it back")
    dial: DialTemplate | None = Field(None, description="without it nobody is called back")
    numbers: list[NumberPattern] = DEFAULT_NUMBERS
    ring_s: int = Field(40, ge=1, le=300)

    def allows(self, number: str) -> bool:
        """Whether this number, as it is dialled, may be called back."""
        return any(re.fullmatch(_regex(pattern), number, re.ASCII) for pattern in self.numbers)


def _regex(pattern: str) -> str:
    return "".join(_CLASSES.get(one, one) for one in pattern)


class Survey(Section):
    """Asking the citizen, when the agent has hung up, whether they were content (满意度).

    The answer is the fact ``HOTLINE_SURVEY``: case, agent, score (1 is best), of (levels), citizen
    (the leg). Nothing is noted of who pressed no key.
    """

    enabled: bool = False
    levels: Literal[3, 5] = Field(3, description="keys 1 (best) to this")
    wait_s: int = Field(6, ge=1, le=30, description="how long a key is waited for")
