"""Actions on their way: who waits for which answer, and until when.

The table is keyed by ActionID. It holds deadlines, not timers: the client sweeps it once when the
earliest of them is due, which costs less than a timer for each action.
"""

from __future__ import annotations

import asyncio
from typing import Any

from telephony.ami.packets import Event, Response
from telephony.errors import HotlineError, PbxRefused, PbxTimeout, PbxUnavailable

LIST_ID = "-list"
"""End of the ActionID of a list action, so that its late events are known when it is forgotten."""


class PendingAction:
    """One action that was sent and waits for its response."""

    def __init__(self, name: str, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.timeout = timeout
        self.deadline = loop.time() + timeout
        self.future: asyncio.Future[Any] = loop.create_future()

    def answer(self, response: Response) -> bool:
        """Take the response; True when nothing more is to come."""
        if response.ok:
            self._finish(response)
        else:
            self._refuse(response.message)
        return True

    def collect(self, event: Event) -> bool | None:
        """Take an event with our ActionID: True when that was the last, None when not for us."""
        return None

    def fail(self, error: HotlineError) -> None:
        """End the wait with an error, if somebody still waits."""
        if not self.future.done():
            self.future.set_exception(error)

    def expired(self) -> PbxTimeout:
        """The error for a wait that took too long."""
        return PbxTimeout(
            f"The PBX did not answer {self.name} within {self.timeout:g} s; "
            "whether it was carried out is not known"
        )

    def _finish(self, result: object) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _refuse(self, why: str) -> None:
        self.fail(PbxRefused(f"The PBX refused {self.name}: {why or 'no reason given'}"))


class PendingList(PendingAction):
    """A list action: its answer is a response and then events, up to ``EventList: Complete``."""

    def __init__(self, name: str, timeout: float) -> None:
        super().__init__(name, timeout)
        self._events: list[Event] = []
        self._accepted = False
        self._complete = False

    def answer(self, response: Response) -> bool:
        if not response.ok:
            return super().answer(response)
        self._accepted = True
        return self._ended()

    def collect(self, event: Event) -> bool:
        mark = event.get("EventList").lower()
        if mark == "cancelled":
            self._refuse("the list was cancelled half-way")
            return True
        if mark == "complete":
            self._complete = True
        else:
            self._events.append(event)
        return self._ended()

    def expired(self) -> PbxTimeout:
        if not self._accepted:
            return super().expired()
        return PbxTimeout(
            f"The PBX did not complete the list of {self.name} within {self.timeout:g} s "
            f"({len(self._events)} entries came)"
        )

    def _ended(self) -> bool:
        # Events may come before the response; the list is whole only with both.
        if self._accepted and self._complete:
            self._finish(self._events)
            return True
        return False


class PendingActions(dict[str, PendingAction]):
    """The table of waiting actions, by ActionID."""

    def answer(self, response: Response) -> None:
        """Hand a response to whom it belongs; one that nobody waits for is dropped."""
        action_id = response.get("ActionID")
        pending = self.get(action_id)
        if pending is not None and pending.answer(response):
            del self[action_id]

    def collect(self, event: Event, action_id: str) -> bool:
        """Hand a list's event to its list; False when it belongs to none."""
        pending = self.get(action_id)
        ended = None if pending is None else pending.collect(event)
        if ended:
            del self[action_id]
        return ended is not None

    def expire(self, now: float) -> float:
        """Fail every action whose time is up; return the next deadline (``inf`` for none)."""
        due = [key for key, pending in self.items() if pending.deadline <= now]
        for key in due:
            pending = self.pop(key)
            pending.fail(pending.expired())
        return min((pending.deadline for pending in self.values()), default=float("inf"))

    def fail_all(self, reason: str) -> None:
        """The link is gone: nobody will answer, and nothing is ever sent again."""
        lost = list(self.values())
        self.clear()
        for pending in lost:
            pending.fail(
                PbxUnavailable(
                    f"The link to the PBX was lost ({reason}) before it answered {pending.name}; "
                    "whether it was carried out is not known"
                )
            )
