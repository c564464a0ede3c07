"""``Idempotency-Key``: a command sent again is answered again, and done once.

A client that got no answer (its network was cut) may send the same command with the same key: the
press is not done twice, the first answer comes back. A command that failed is not remembered, so it
may be tried again. Keys are kept for ten minutes in this process: after a restart a second press is
still told that the first one runs (409 ``handover-running``).

Header: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from api.schemas.calls import Handover
from api.security import Identity
from telephony.errors import HotlineError

KEPT_S = 600.0
LIMIT = 10_000
KEY = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        description="the same command sent again with the same key is done once",
    ),
]


class KeyReused(HotlineError):
    """The same ``Idempotency-Key`` came with another command."""

    code = "idempotency-key-reused"
    status = 422
    title = "This Idempotency-Key was used for something else"


class Once:
    """Handovers of commands by who sent them and their key."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kept: OrderedDict[
            tuple[str, str], tuple[float, tuple[str, ...], asyncio.Task[Handover]]
        ] = OrderedDict()

    async def do(
        self,
        who: Identity,
        key: str | None,
        command: tuple[str, ...],
        work: Callable[[], Coroutine[Any, Any, Handover]],
    ) -> Handover:
        """Do the work, or give the answer of the same command with the same key.

        ``command`` is what was asked for, in words. Raises :class:`KeyReused` when the key came
        with another command, and whatever the work raises.
        """
        if key is None:
            return await work()
        self._forget_old()
        place = (who.name, key)
        kept = self._kept.get(place)
        if kept is None:
            # A task of its own: the client that sent the first may have gone.
            task = asyncio.create_task(work())
            self._kept[place] = (self._now(), command, task)
        else:
            _, first, task = kept
            if first != command:
                raise KeyReused("use a new Idempotency-Key for each command")
        try:
            return await asyncio.shield(task)
        except HotlineError:
            self._kept.pop(place, None)
            raise

    def _forget_old(self) -> None:
        oldest = self._now() - KEPT_S
        while self._kept:
            place, (since, _, _) = next(iter(self._kept.items()))
            if since >= oldest and len(self._kept) < LIMIT:
                return
            del self._kept[place]


async def _once(request: Request) -> Once:
    once: Once = request.app.state.once
    return once


TheOnce = Annotated[Once, Depends(_once)]
