"""The running service: its parts, put together, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from telephony.ami_client import AmiClient
from telephony.conference import ThreeWays
from telephony.database import Database
from telephony.dialplan import targets
from telephony.errors import DatabaseUnavailable
from telephony.handover import Offers
from telephony.live_calls import EVENTS, LiveCalls
from telephony.metrics import Metrics
from telephony.pbx import Pbx
from telephony.transfer import Transfers

if TYPE_CHECKING:
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

CHECK_LIMIT_S = 1.0
DATABASE_RETRY_S = 2.0


class CallControl:
    """What needs the PBX only: the link, the live picture, and the keys."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = AmiClient.from_settings(settings.pbx, events=EVENTS)
        self.pbx = Pbx(self.client, settings)
        self.calls = LiveCalls(self.pbx, settings)
        self._offers = Offers(self.pbx, self.calls, settings)
        self.transfers = Transfers(self._offers)
        longest = max((target.ring_s for target in targets(settings)), default=0)
        self.three_ways = ThreeWays(self._offers, ring_s=2 * longest + 30)

    async def start(self) -> None:
        """Begin to keep the link up; returns at once, with or without a PBX."""
        await self.client.start()

    async def stop(self) -> None:
        """Let go of the PBX. Its calls go on."""
        await self.client.stop()
        self._offers.close()
        self.calls.close()


class Service(CallControl):
    """Call control and the record, as one running thing.

    Each part starts without waiting for the others: a PBX or a database that is away at the start
    is taken up when it comes. Raises :class:`~telephony.errors.SettingsError` for a setting that
    only shows to be wrong when it is used, such as a database URL.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.database = Database.from_settings(settings)
        self.metrics = Metrics(self.client)
        self.metrics.watch("hotline_calls", "Citizens on the line now", self.calls.calls_now)
        self.metrics.watch("hotline_channels", "Channels on the PBX now", self.calls.channels_now)
        self._record: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start all parts; returns at once."""
        await super().start()
        self._record = asyncio.create_task(self._keep_record(), name="record")

    async def stop(self) -> None:
        """Stop all parts, the record last, so that it has what was told until now."""
        await super().stop()
        if self._record is not None:
            self._record.cancel()
            await asyncio.gather(self._record, return_exceptions=True)
        await self.database.close()

    async def not_ready(self) -> list[str]:
        """The parts that do not work at this moment; empty when all do."""
        parts: dict[str, Callable[[], Awaitable[bool]]] = {
            "pbx": self._pbx_ready,
            "database": self._database_ready,
        }
        works = await asyncio.gather(*(check() for check in parts.values()))
        return [part for part, well in zip(parts, works, strict=True) if not well]

    async def _pbx_ready(self) -> bool:
        return self.client.up and self.calls.ready

    async def _database_ready(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                await self.database.check()
        except (DatabaseUnavailable, TimeoutError):
            return False
        return True

    async def _keep_record(self) -> None:
        while True:
            try:
                await self.database.migrate()
                break
            except DatabaseUnavailable as error:
                log.warning("the database cannot be used yet", reason=error.detail)
                await asyncio.sleep(DATABASE_RETRY_S)
