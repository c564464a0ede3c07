"""Applies the rules of retention once a day while the service runs."""

from __future__ import annotations

import asyncio
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog

from telephony import logs
from telephony.background import end
from telephony.errors import HotlineError
from telephony.setting_types import TIME_ZONE

if TYPE_CHECKING:
    from telephony.retention.book import RetentionBook

log = structlog.get_logger(__name__)

LOOK_S = 600.0
"""A clock that is set anew is noticed within this time."""
RETRY = timedelta(minutes=15)


class RetentionKeeper:
    """Deletes what the rules name, at the time of the settings."""

    def __init__(self, book: RetentionBook, runs_at: time) -> None:
        self._book = book
        self._runs_at = runs_at
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first run is at the next time of day."""
        self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """Stop; a batch is deleted whole or not at all."""
        await end(self._task)

    async def _run(self) -> None:
        due = next_run(_now(), self._runs_at)
        while True:
            left = (due - _now()).total_seconds()
            if left > 0:
                await asyncio.sleep(min(left, LOOK_S))
                continue
            done = await self._attempt()
            due = next_run(_now(), self._runs_at) if done else _now() + RETRY

    async def _attempt(self) -> bool:
        try:
            outcomes = await self._book.run()
        except HotlineError as error:
            log.warning("retention could not go on", reason=error.detail, code=error.code)
            return False
        except Exception as error:  # noqa: BLE001 - tried again, whatever it was
            logs.unexpected(log, "retention failed", error)
            return False
        for one in outcomes:
            if one.count or one.held:
                log.info("deleted by rule", rule=one.rule, count=one.count, held=one.held)
        return True


def next_run(now: datetime, runs_at: time) -> datetime:
    """The next moment at which a clock in China shows this time."""
    here = now.astimezone(ZoneInfo(TIME_ZONE))
    today = datetime.combine(here.date(), runs_at, here.tzinfo)
    return today if today > here else today + timedelta(days=1)


def _now() -> datetime:
    return datetime.now(ZoneInfo(TIME_ZONE))
