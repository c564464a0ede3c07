"""Keeps the PBX's hours up to date while the service runs: at link-up, every hour, on change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from telephony import logs
from telephony.background import end, woken
from telephony.calendar import push as calendar_push
from telephony.calendar.push import Pushed, provisional_warning
from telephony.errors import HotlineError, PbxUnavailable

if TYPE_CHECKING:
    from telephony.calendar.book import CalendarBook
    from telephony.pbx import Pbx

log = structlog.get_logger(__name__)

EVERY_S = 3600.0
"""A day is added at midnight, a year ahead; what the PBX lost comes back within this time."""
RETRY_S = 5.0


class CalendarKeeper:
    """Pushes the calendar; the PBX goes on deciding by what it has when this cannot.

    ``acts``: whether it is this process that pushes by itself, of several on one database.
    """

    def __init__(
        self, pbx: Pbx, book: CalendarBook, acts: Callable[[], bool] = lambda: True
    ) -> None:
        self._acts = acts
        self._pbx = pbx
        self._book = book
        self._due = asyncio.Event()
        self._one = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._told = ""
        self._asked = False  # by somebody who changed the calendar here
        pbx.client.on_up(self._on_up)

    def start(self) -> None:
        """Begin; the first push is made when the link is up."""
        self._task = asyncio.create_task(self._run(), name="calendar")

    async def stop(self) -> None:
        """Stop; what the PBX has stays there."""
        await end(self._task)

    async def push(self, *, replace: bool = False) -> Pushed:
        """Push now and say what was done; errors as of :func:`telephony.calendar.push.push`,
        and :class:`DatabaseUnavailable`: without the special days nothing is pushed."""
        async with self._one:
            calendars = await self._book.calendars()
            return await calendar_push.push_all(self._pbx, calendars, replace=replace)

    def poke(self) -> None:
        """The calendar has changed: push soon."""
        self._asked = True
        self._due.set()

    async def _on_up(self) -> None:
        self._due.set()

    async def _run(self) -> None:
        wait_s = EVERY_S
        while True:
            await woken(self._due, wait_s)
            wait_s = await self._attempt()

    async def _attempt(self) -> float:
        """One push; how long until the next in seconds."""
        if not (self._acts() or self._asked):
            return EVERY_S
        self._asked = False
        try:
            done = await self.push()
        except PbxUnavailable:
            return EVERY_S  # the next link-up comes first
        except HotlineError as error:
            self._asked = True
            if error.detail != self._told:
                log.warning("the calendar was not pushed", reason=error.detail, code=error.code)
            self._told = error.detail
            return RETRY_S
        except Exception as error:  # noqa: BLE001 - hours are pushed again, whatever it was
            logs.unexpected(log, "the calendar was not pushed", error)
            return RETRY_S
        self._told = ""
        if done.written or done.deleted:
            log.info("hours pushed", written=done.written, deleted=done.deleted, until=done.until)
        if done.by_hand:
            log.warning("days entered at the PBX by hand were left alone", days=dict(done.by_hand))
        if told := provisional_warning(done.provisional):
            log.warning("a year is provisional", reason=told)
        return EVERY_S
