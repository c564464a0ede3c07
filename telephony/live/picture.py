"""A picture of something on the PBX, kept from AMI events and asked for whole at every link-up.

It is never guessed: without a link there is none (:class:`PbxUnavailable`), because a stale one
would send callers to people who have left. Events that arrive while the PBX is asked are kept and
applied on top of its answer: each of them sets or removes, so replaying one that the answer has
counted already changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from telephony.errors import PbxRefused, PbxTimeout, PbxUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from telephony.ami_client import Event
    from telephony.pbx import Pbx

log = structlog.get_logger(__name__)

MOST_WAITING = 20_000
"""How many events are kept while the PBX is asked; after more it is asked again. Some 20 MB."""


Answer = TypeVar("Answer")


class LivePicture(ABC, Generic[Answer]):
    """A picture of one PBX. ``what``: of what, for the log; ``events``: all that it needs."""

    def __init__(self, pbx: Pbx, events: Collection[str], what: str) -> None:
        self._pbx = pbx
        self._what = what
        self._ready = False
        # What happened since the PBX was asked last; None when no answer is coming.
        self._waiting: list[Event] | None = []
        self._too_many = False
        self._clear()
        self._stop_listening = pbx.client.add_event_listener(self._on_event, frozenset(events))
        pbx.client.on_up(self.rebuild)
        pbx.client.on_down(self._on_down)

    def close(self) -> None:
        """Stop following the PBX's events."""
        self._stop_listening()

    @property
    def ready(self) -> bool:
        """Whether the picture stands: the link is up and the PBX has answered."""
        return self._ready

    async def rebuild(self) -> None:
        """Ask the PBX and start the picture anew; runs at every link-up."""
        self._ready = False
        try:
            answer = await self._ask_until_told()
        except PbxRefused as error:
            log.error("no live picture: the PBX does not tell", of=self._what, reason=error.detail)
            self._waiting = None
            return
        self._clear()
        self._take(answer)
        meanwhile, self._waiting = self._waiting or [], []
        for event in meanwhile:
            self._apply(event)
        log.info("live picture rebuilt", of=self._what, meanwhile=len(meanwhile))
        self._ready = True

    async def _ask_until_told(self) -> Answer:
        while True:
            # What the PBX said before this question, its answer counts already; of a link that
            # broke while we asked, the end of something may be missing.
            self._waiting, self._too_many = [], False
            try:
                answer = await self._ask()
            except PbxTimeout:  # a list that stopped half-way; each try has its own time limit
                log.warning("the PBX did not tell in time; asking again", of=self._what)
                continue
            if not self._too_many:
                return answer
            log.warning("more happened than is kept; asking again", of=self._what)

    @abstractmethod
    async def _ask(self) -> Answer:
        """What the PBX has now."""

    @abstractmethod
    def _take(self, answer: Answer) -> None:
        """Fill the empty picture from the PBX's answer."""

    @abstractmethod
    def _apply(self, event: Event) -> None:
        """An event changes the picture."""

    @abstractmethod
    def _clear(self) -> None:
        """Make the picture empty."""

    def _on_down(self) -> None:
        self._ready = False
        self._waiting = []
        self._clear()

    def _on_event(self, event: Event) -> None:
        if self._ready:
            self._apply(event)
        elif self._waiting is not None and not self._too_many:
            self._waiting.append(event)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.clear()
                self._too_many = True

    def _need_picture(self) -> None:
        if not self._ready:
            raise PbxUnavailable(
                f"there is no link to the PBX {self._pbx.name} at this moment; "
                "calls go on, try again in a few seconds"
            )
