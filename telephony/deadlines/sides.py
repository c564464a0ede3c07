"""What keeping deadlines asks of other parts: limits, citizens who wait, and who passes news on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.deadlines.notes import News
    from telephony.deadlines.rules import Reply
    from telephony.office_hours import Calendar


class MatterLimits(Protocol):
    """Where the limits come from that belong to what a case is about."""

    async def feedback_hours(
        self, connection: AsyncConnection, cases: Sequence[str]
    ) -> Mapping[str, float]:
        """Within how many working hours something must come of each; unknown ones are left out."""
        ...


class Replies(Protocol):
    """Where the citizens are found who wait for an answer."""

    async def of(
        self, connection: AsyncConnection, cases: Sequence[str]
    ) -> Mapping[str, Sequence[Reply]]:
        """Messages and missed calls of these cases."""
        ...

    async def changed(self, connection: AsyncConnection) -> Sequence[str]:
        """Cases of which one was taken on or answered since its deadline was worked out."""
        ...


class Teller(Protocol):
    """Who passes on what was done about a deadline, in the transaction of it."""

    async def tell(self, connection: AsyncConnection, news: News) -> None:
        """Put what is to be told where it will be sent from."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """By what deadlines are worked out: the calendar of each line by its number, and a name for
    them and the limits."""

    calendars: Mapping[str, Calendar]
    basis: str
