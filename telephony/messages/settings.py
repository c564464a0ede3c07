"""Settings of what happens when nobody can answer: taking messages, and calling back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from telephony.setting_types import Id, Section

USUAL_DANGER_DESK = "110"

Minutes = Annotated[int, Field(ge=1, le=10_000)]


class Messages(Section):
    """Messages that citizens leave, missed calls, and calling both back.

    The length of a message is limited by ``line.message_max_s`` and ``line.message_min_s``. Too
    short a message, and whoever gave up before an agent answered, is a missed call.
    """

    folder: Path | None = Field(
        None, description="where the service finds them: hotline/messages below the PBX's spool"
    )
    silence_s: int = Field(
        10, ge=0, le=300, description="so long a silence ends a message; 0: none does"
    )
    danger_desk: Id | None = Field(
        USUAL_DANGER_DESK, description="where the key 0 leads at any point; none: there is no key"
    )
    lamp: bool = Field(
        False, description="a lamp (MWI) on agents' phones shows messages that nobody has heard"
    )
    due_days: int = Field(
        1, ge=1, le=60, description="working days until a citizen should have been called back"
    )
    tries: int = Field(3, ge=1, le=20, description="so often a citizen is called back in vain")
    retry_min: list[Minutes] = Field(
        [30, 120],
        min_length=1,
        description="minutes of open hours until the next try; the last counts for all that follow",
    )

    def retry_after(self, tries: int) -> int:
        """Minutes of open hours from this many tries in vain until the next."""
        return self.retry_min[min(tries, len(self.retry_min)) - 1]


def messages_agree(messages: Messages, desks: list[str]) -> None:
    """Raise ValueError for a danger desk that is none; where there is no 110 there is no key."""
    desk = messages.danger_desk
    if desk is not None and desk not in desks and desk != USUAL_DANGER_DESK:
        raise ValueError(f"messages.danger_desk is {desk}, which is not in desks")
