"""Holds the lock of one PBX while the service runs, or waits to take it over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import structlog
from prometheus_client import Counter, Gauge

from telephony import logs
from telephony.background import end
from telephony.errors import DatabaseUnavailable
from telephony.ownership.locks import lock_for

if TYPE_CHECKING:
    from telephony.database import Database

log = structlog.get_logger(__name__)

BEAT_S = 1.0
"""How often the owner makes sure that it is; well within the silence that loses the lock."""
TRY_S = 0.5
"""How often another process tries to take over."""

OWNER = Gauge("hotline_pbx_owner", "1 while this process records the PBX", ["pbx"])
TAKEOVERS = Counter("hotline_pbx_taken", "Times this process began to record the PBX", ["pbx"])

State = Literal["unknown", "owner", "waiting"]


class Ownership:
    """Whether this process is the one that records a PBX.

    ``state`` is ``unknown`` while the database cannot be asked.
    """

    def __init__(self, database: Database, pbx: str) -> None:
        self.pbx = pbx
        self.state: State = "unknown"
        self._lock = lock_for(database, pbx)
        self._was_owner: bool | None = None  # what it was when it was known last
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_owner(self) -> bool:
        """Whether this process records the PBX now."""
        return self.state == "owner"

    @property
    def acts(self) -> bool:
        """Whether this process does what is done once at the PBX, such as lighting its lamps.

        While the database is away nobody can be asked: who was the owner goes on, and so does a
        process that has never seen the database, for it may be the only one.
        """
        return self.is_owner or (self.state == "unknown" and self._was_owner is not False)

    def start(self) -> None:
        """Begin to try; returns at once."""
        OWNER.labels(self.pbx).set(0)
        self._task = asyncio.create_task(self._run(), name=f"owner of {self.pbx}")

    async def stop(self) -> None:
        """Let go: another process takes over at once."""
        await end(self._task)
        await self._lock.close()
        self._be("unknown")

    async def owned(self) -> None:
        """Return when this process is the owner."""
        while not self.is_owner:
            await self._next_change()

    async def lost(self) -> None:
        """Return when another process is the owner; a database that is away does not say so."""
        while self.state != "waiting":
            await self._next_change()

    async def holder(self) -> str | None:
        """The process that records the PBX (``host:number``), or None.

        Raises :class:`DatabaseUnavailable`.
        """
        return await self._lock.holder()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _run(self) -> None:
        while True:
            try:
                self._be("owner" if await self._lock.take() else "waiting")
            except DatabaseUnavailable as error:
                if self.state != "unknown":
                    log.warning("owner-unknown", pbx=self.pbx, reason=error.detail)
                self._be("unknown")
            except Exception as error:  # noqa: BLE001 - the next try may do
                logs.unexpected(log, "the lock of a PBX failed", error)
                await self._lock.close()
                self._be("unknown")
            await asyncio.sleep(BEAT_S if self.is_owner else TRY_S)

    def _be(self, state: State) -> None:
        if state == self.state:
            return
        if state == "owner":
            TAKEOVERS.labels(self.pbx).inc()
        if state != "unknown":
            log.info("owner", pbx=self.pbx, here=state == "owner")
            self._was_owner = state == "owner"
        self.state = state
        OWNER.labels(self.pbx).set(self.is_owner)
        self._changed.set()
