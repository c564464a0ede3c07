"""A three-way call as the controls around it see it: who is in it, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from telephony.live.model import Call, Channel
    from telephony.rooms.watch import Member, Room

Outcome = Literal["taken-by", "undecided"]


@dataclass(frozen=True, slots=True)
class Party:
    """Who is in a three-way call. ``channel`` is what the live picture knows of them."""

    member: Member
    channel: Channel

    @property
    def role(self) -> str:
        """Citizen, agent, target (a desk) or other."""
        return self.channel.role


@dataclass(frozen=True, slots=True)
class Conference:
    """A three-way call as it is now. ``call`` is None when the citizen has left it."""

    room: Room
    call: Call | None
    parties: tuple[Party, ...]
    locked: bool

    @property
    def citizen(self) -> Party | None:
        """The citizen, unless they have left."""
        return next((one for one in self.parties if one.role == "citizen"), None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the sides agreed on. ``desk`` takes the case; None: it stays with the first contact."""

    case: str
    room: str
    outcome: Outcome
    desk: str | None
    by: str
