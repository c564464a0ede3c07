"""Undoes a load that was cut off as soon as its PBX is back; part of the running service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from telephony import logs
from telephony.errors import HotlineError
from telephony.plans.desk import allowed, loader_of, versions_of
from telephony.plans.versions import LoadRunning

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient
    from telephony.settings import Settings

log = structlog.get_logger(__name__)


class LoadKeeper:
    """Looks at each link-up whether a load has begun and not ended."""

    def __init__(self, settings: Settings, client: AmiClient) -> None:
        self._settings = settings
        self._client = client
        self._task: asyncio.Task[None] | None = None
        client.on_up(self._on_up)

    def start(self) -> None:
        """Nothing to begin: the link says when."""

    async def stop(self) -> None:
        """Stop; what is under way is undone by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _on_up(self) -> None:
        # The link counts as up only after this, and a repair needs it.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._repair(), name="dialplan-repair")

    async def _repair(self) -> None:
        try:
            if versions_of(self._settings).unfinished() is None:
                return
            await self._client.wait_up(self._settings.pbx.action_timeout_s)
            loader = loader_of(self._settings, self._client, await allowed(self._client))
            undone = await loader.recover()
        except LoadRunning:
            return
        except HotlineError as error:
            log.warning("a load that was cut off could not be undone", why=error.detail)
        except Exception as error:  # noqa: BLE001 - the next link-up may do better
            logs.unexpected(log, "a load that was cut off could not be undone", error)
        else:
            if undone is not None:
                log.warning("a load that was cut off was undone", version=undone.number)
