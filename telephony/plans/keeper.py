"""Undoes a load that was cut off as soon as its PBX is there; part of the running service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from telephony import logs
from telephony.background import end, woken
from telephony.errors import HotlineError
from telephony.plans.desk import allowed, loader_of, versions_of
from telephony.plans.versions import LoadRunning, VersionsUnusable

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient
    from telephony.settings import Settings

LOOK_EVERY_S = 10.0
"""A command that was killed in mid-load tells nobody; a look is one question to the disk."""

log = structlog.get_logger(__name__)


class LoadKeeper:
    """Looks at each link-up, and now and then, whether a load has begun and will not end."""

    def __init__(self, settings: Settings, client: AmiClient) -> None:
        self._settings = settings
        self._client = client
        self._linked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._said = ""
        client.on_up(self._linked.set)

    def start(self) -> None:
        """Begin; the PBX may come later."""
        self._task = asyncio.create_task(self._run(), name="dialplan-repair")

    async def stop(self) -> None:
        """Stop; what is under way is undone by whoever comes next."""
        await end(self._task)

    async def _run(self) -> None:
        while True:
            await woken(self._linked, LOOK_EVERY_S)
            try:
                await self._repair()
            except LoadRunning:
                continue
            except HotlineError as error:
                self._say(error.detail)
            except Exception as error:  # noqa: BLE001 - the next look may do better
                logs.unexpected(log, "a load that was cut off could not be undone", error)

    async def _repair(self) -> None:
        versions = versions_of(self._settings)
        try:
            unfinished = versions.unfinished()
        except VersionsUnusable as error:
            self._say(error.detail)
            return
        if unfinished is None or versions.busy():
            return
        await self._client.wait_up(self._settings.pbx.action_timeout_s)
        loader = loader_of(self._settings, self._client, await allowed(self._client))
        await loader.recover()
        self._said = ""

    def _say(self, why: str) -> None:
        # The same trouble again every few seconds is said once.
        if why != self._said:
            log.warning("a load that was cut off is not undone yet", why=why)
        self._said = why
