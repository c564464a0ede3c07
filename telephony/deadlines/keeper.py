"""Reminds and escalates while the service runs; what an outage has delayed is done at once.

Nothing of it is kept in memory: what is to be done stands in the database, so any service of the
same PBX may do it, and one that dies leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from telephony import logs
from telephony.background import end, woken
from telephony.deadlines.book import rules_of
from telephony.deadlines.sides import Measure
from telephony.errors import DatabaseUnavailable, HotlineError
from telephony.office_hours import text_of

if TYPE_CHECKING:
    from telephony.calendar.book import CalendarBook
    from telephony.deadlines.book import DeadlineBook
    from telephony.deadlines.notes import News
    from telephony.office_hours import Calendar
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

POLL_S = 5.0
"""How often cases that others have changed are looked for, in seconds."""


def _now() -> datetime:
    return datetime.now(UTC)


class DeadlineKeeper:
    """Keeps the deadlines of one PBX.

    ``tell``: given what was done, once it is stored. ``clock`` says when it is.
    """

    def __init__(
        self,
        book: DeadlineBook,
        calendar: CalendarBook,
        settings: Settings,
        *,
        tell: Callable[[Sequence[News]], None] = lambda _news: None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._book = book
        self._calendar = calendar
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._basis = ""
        self._overdue = 0
        self._held_up = False
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def overdue(self) -> int:
        """How many deadlines had passed when it was last looked."""
        return self._overdue

    def start(self) -> None:
        """Begin; the database may come later."""
        self._task = asyncio.create_task(self._run(), name="deadlines")

    async def stop(self) -> None:
        """Stop; what is under way is stored whole or not at all."""
        await end(self._task)

    def poke(self) -> None:
        """A case has changed: look at once."""
        self._poked.set()

    async def round(self) -> list[News]:
        """Work out what has changed and do all that is due; what was done.

        Raises :class:`DatabaseUnavailable`; what was done before is stored and stays.
        """
        now = self._clock()
        calendars = await self._calendar.by_line()
        measure = Measure(calendars, self._basis_of(calendars.values()))
        if measure.basis != self._basis:
            await self._book.recheck(measure)
            self._basis = measure.basis
        while await self._book.settle(measure, now):
            pass
        done = await self._steps(measure, now) if self._settings.deadlines.enabled else []
        self._overdue = await self._book.overdue(now)
        return done

    async def _steps(self, measure: Measure, now: datetime) -> list[News]:
        done: list[News] = []
        failed: set[tuple[str, str]] = set()
        while due := [one for one in await self._book.steps(now) if one not in failed]:
            for case, key in due:
                try:
                    news = await self._book.step(case, key, measure, now)
                except DatabaseUnavailable:
                    raise
                except HotlineError as error:  # of this case alone; the others go on
                    failed.add((case, key))
                    log.warning("a deadline was not acted on", case=case, reason=error.detail)
                except Exception as error:  # noqa: BLE001 - nor may a fault of ours stop them
                    failed.add((case, key))
                    logs.unexpected(log, "a deadline was not acted on", error)
                else:
                    if news is not None:
                        done.append(news)
                        self._tell([news])
        self._held_up = bool(failed)
        return done

    async def _run(self) -> None:
        while True:
            wait = POLL_S
            try:
                await self.round()
                wait = await self._until_next()
            except DatabaseUnavailable as error:
                log.info("deadlines wait for the database", reason=error.detail)
            except Exception as error:  # noqa: BLE001 - it is tried again, whatever it was
                logs.unexpected(log, "deadlines could not be kept", error)
            await woken(self._poked, wait)

    async def _until_next(self) -> float:
        following = await self._book.next_at() if self._settings.deadlines.enabled else None
        # What has failed is due still, and tried again in the next round, not at once.
        if following is None or self._held_up:
            return POLL_S
        return min(POLL_S, max(0.0, (following - self._clock()).total_seconds()))

    def _basis_of(self, calendars: Iterable[Calendar]) -> str:
        """A name for all that deadlines are worked out by, besides the case itself."""
        parts = [repr(rules_of(self._settings))]
        for calendar in calendars:
            parts += [
                calendar.line,
                *map(text_of, (*calendar.week, calendar.working)),
                *(f"{day} {one.hours}" for day, one in sorted(calendar.special.items())),
                *map(str, sorted(calendar.declared)),
                *(
                    f"{year} {sorted(one.holidays)} {sorted(one.workdays)}"
                    for year, one in sorted(calendar.published.items())
                ),
            ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
