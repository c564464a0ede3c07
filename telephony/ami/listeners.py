"""Who hears which events, each on their own: a listener that fails or is slow harms no other.

A listener is called as soon as its event is read. What an ``async`` one returns is queued and
awaited one after the other, so each listener sees its events in order. The queues together are
the backlog; when it is full the client stops reading from the PBX.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import structlog
from asterisk.ami import AMIClient
from asterisk.ami.event import EventListener

from telephony.ami.packets import Event

Listener = Callable[[Event], Awaitable[object] | object]

log = structlog.get_logger(__name__)


class Backlog:
    """How many events wait for slow listeners."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.size = 0
        self._changed = changed
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self) -> None:
        """One more waits."""
        self.size += 1
        self._empty.clear()

    def done(self, count: int = 1) -> None:
        """So many wait no longer."""
        self.size -= count
        if not self.size:
            self._empty.set()
        self._changed()

    async def drained(self) -> None:
        """Wait until nothing waits any more."""
        await self._empty.wait()


class Subscription(EventListener):  # type: ignore[misc]
    """One listener with the events it wants; the library's rules (``white_list`` …) hold."""

    def __init__(
        self, listener: Listener, names: Iterable[str] | None, backlog: Backlog, **rules: Any
    ) -> None:
        super().__init__(
            on_event=listener, white_list=None if names is None else list(names), **rules
        )
        self._ruled = bool(self.assert_attrs)
        self._backlog = backlog
        self._waiting: deque[Awaitable[object]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def deliver(self, event: Event) -> None:
        """Call the listener with an event whose name it wants."""
        if self._ruled and not self.check_attributes(event.keys):
            return
        try:
            result = self.on_event(event)
        except Exception:
            log.exception("event listener failed", listener=repr(self.on_event), heard=event.name)
            return
        if result is not None and hasattr(result, "__await__"):
            self._enqueue(cast(Awaitable[object], result))

    async def close(self) -> None:
        """Forget what still waits and end the worker."""
        self._forget_waiting()
        worker = self._worker
        if worker is not None and worker is not asyncio.current_task():
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    def cancel(self) -> None:
        """The listener wants no more: what it works on is finished, what waits is not begun."""
        self._forget_waiting()

    def _enqueue(self, result: Awaitable[object]) -> None:
        self._waiting.append(result)
        self._backlog.add()
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="ami-listener")

    async def _work(self) -> None:
        try:
            while self._waiting:
                result = self._waiting.popleft()
                try:
                    await result
                except Exception:
                    log.exception("event listener failed", listener=repr(self.on_event))
                finally:
                    self._backlog.done()
        finally:
            self._worker = None

    def _forget_waiting(self) -> None:
        for result in self._waiting:
            if inspect.iscoroutine(result):
                result.close()
        count = len(self._waiting)
        self._waiting.clear()
        if count:
            self._backlog.done(count)


class IsolatedHooks(AMIClient):  # type: ignore[misc]
    """The library's hooks (``add_listener(on_action=…)`` …), each isolated from the others."""

    def _fire(self, method: str, **kwargs: Any) -> None:
        for listener in list(self._listeners):
            try:
                getattr(listener, method)(source=self, **kwargs)
            except Exception:
                log.exception("AMI hook failed", hook=method)

    def _fire_on_connect(self, **kwargs: Any) -> None:
        self._fire("on_connect", **kwargs)

    def _fire_on_disconnect(self, **kwargs: Any) -> None:
        self._fire("on_disconnect", **kwargs)

    def _fire_on_response(self, **kwargs: Any) -> None:
        self._fire("on_response", **kwargs)

    def _fire_on_action(self, **kwargs: Any) -> None:
        self._fire("on_action", **kwargs)

    def _fire_on_event(self, **kwargs: Any) -> None:
        self._fire("on_event", **kwargs)

    def _fire_on_unknown(self, **kwargs: Any) -> None:
        self._fire("on_unknown", **kwargs)
