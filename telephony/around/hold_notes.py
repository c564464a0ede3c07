"""A phone's own hold, put on record: AMI tells of it (``Hold``, ``Unhold``), CEL does not.

The PBX itself writes the row, asked over AMI: so it stands in the durable record with the PBX's own
time. What happens while no service runs is not known, and stays so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from telephony.errors import HotlineError
from telephony.pbx import ask_originate

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.live.model import Channel
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx

log = structlog.get_logger(__name__)

EVENTS = frozenset({"Hold", "Unhold"})
"""All events that this needs: what the AMI link must let through."""
NOTE_LIMIT_S = 10


class HoldNotes:
    """Notes each hold of a leg that talks with a citizen. One per PBX: the service's.

    ``acts``: whether it is this process that does so, of several on one database.
    """

    def __init__(self, pbx: Pbx, calls: LiveCalls, acts: Callable[[], bool] = lambda: True) -> None:
        self._pbx = pbx
        self._acts = acts
        self._calls = calls
        self._running: set[asyncio.Task[None]] = set()
        self._stop_listening = pbx.client.add_event_listener(self._on_event, EVENTS)

    async def close(self) -> None:
        """Stop noting; what was asked already is waited for."""
        self._stop_listening()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _on_event(self, event: Event) -> None:
        if not self._acts():
            return
        channel = self._calls.channel(event.get("Uniqueid"))
        if channel is None or channel.role not in ("agent", "target") or not channel.account:
            return
        task = asyncio.create_task(self._note(event.name, channel))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _note(self, event: str, channel: Channel) -> None:
        facts = f"case={channel.account}&leg={channel.uniqueid}&by={channel.party}&how=phone"
        try:
            await self._pbx.ask(
                ask_originate(
                    "Local/s@hotline-note/n",
                    "hotline-third-idle",
                    "s",
                    variables={
                        "__CASE_ID": channel.account,
                        "__NOTE": f"HOTLINE_{event.upper()}",
                        "__FACTS": facts,
                    },
                    ring_s=NOTE_LIMIT_S,
                )
            )
        except HotlineError as error:
            log.warning("a hold could not be put on record", reason=error.detail)
