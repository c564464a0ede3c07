"""Phones that die while they hold a citizen: the citizen is with the agents again in seconds.

A phone that holds a call need not send any sound, so its silence says nothing, and the PBX by
itself ends such a call only after ``held_silence_s``. What it can know sooner is that the phone no
longer answers its regular question (SIP OPTIONS, ``qualify_frequency``). When that happens and the
phone holds a call, it is asked once more; silent again, its leg is ended as of a phone that is
lost, and the dialplan takes the citizen on: to the queue, as after any lost phone. A phone that
talks is left alone: its sound shows better than OPTIONS whether it is there.

Event: https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Events/ContactStatus/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from telephony import logs
from telephony.errors import PbxRefused, PbxUnavailable
from telephony.pbx import Ask, ask_hangup

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.live.model import Channel
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx

log = structlog.get_logger(__name__)

EVENTS = frozenset({"ContactStatus"})
"""All events that this needs: what the AMI link must let through."""
ANSWER_LIMIT_S = 4.0
"""How long the phone has for the second question: the PBX waits 3 s (``qualify_timeout``)."""
LOST = 27
"""Q.850 cause: destination out of order. The dialplan knows a lost phone by it."""


class DeadPhones:
    """Watches the phones of one PBX that hold calls.

    ``acts``: whether it is this process that does so, of several on one database.
    """

    def __init__(self, pbx: Pbx, calls: LiveCalls, acts: Callable[[], bool] = lambda: True) -> None:
        self._pbx, self._calls, self._acts = pbx, calls, acts
        self._asked: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_listening = pbx.client.add_event_listener(self._on_event, EVENTS)

    async def close(self) -> None:
        """Stop watching."""
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_event(self, event: Event) -> None:
        phone, status = event.get("EndpointName"), event.get("ContactStatus")
        if status == "Reachable" and phone in self._asked:
            self._asked[phone].set()
        elif (
            status == "Unreachable"
            and phone not in self._asked
            and self._acts()
            and self._held_by(phone)
        ):
            task = asyncio.create_task(self._ask_again(phone), name=f"phone {phone}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _held_by(self, phone: str) -> list[Channel]:
        if not self._calls.ready:
            return []
        parties = [one for call in self._calls.calls() for one in call.parties]
        return [one for one in parties if one.held and one.endpoint == f"PJSIP/{phone}"]

    async def _ask_again(self, phone: str) -> None:
        answered = self._asked[phone] = asyncio.Event()
        try:
            await self._pbx.ask(Ask("PJSIPQualify", {"Endpoint": phone}))
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    await answered.wait()
            except TimeoutError:
                await self._let_go(phone)
        except (PbxUnavailable, PbxRefused) as error:
            log.warning("a silent phone was not asked again", phone=phone, reason=error.detail)
        except Exception as error:  # noqa: BLE001 - a task nobody waits for must not fail unheard
            logs.unexpected(log, "a silent phone was not asked again", error)
        finally:
            del self._asked[phone]

    async def _let_go(self, phone: str) -> None:
        for leg in self._held_by(phone):
            log.warning("a phone is gone and holds a call: its leg is ended", phone=phone)
            await self._pbx.ask(ask_hangup(leg.name, LOST))
