"""One thread for all phones of a process: their sockets, their timers and the 20 ms beat of sound.

pyVoIP gives each phone a receiving thread that polls and each call two more; twenty phones then
spend their time waking up. Here one selector waits for everything, and one beat sends for all.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

log = logging.getLogger(__name__)

BEAT_S = 0.020
_CATCH_UP_BEATS = 5


class Timer:
    """Something that will be done later, unless it is cancelled before."""

    __slots__ = ("action", "cancelled")

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        """Do not do it; harmless when it has been done already."""
        self.cancelled = True


class PhoneLoop:
    """The thread. All methods may be called from any thread; callbacks run on the loop's own."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._guard = threading.Lock()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._beats: list[Callable[[int], None]] = []
        self._next_beat = 0.0
        self._running = True
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self.watch(self._wake_in, self._drain_wake)
        self._thread = threading.Thread(target=self._run, name="softphones", daemon=True)
        self._thread.start()

    def watch(self, sock: socket.socket, on_readable: Callable[[], object]) -> None:
        """Call back whenever the socket has something to read."""
        self._selector.register(sock, selectors.EVENT_READ, on_readable)

    def unwatch_and_close(self, sock: socket.socket) -> None:
        """Stop watching a socket and close it."""
        self._selector.unregister(sock)
        sock.close()

    def later(self, delay_s: float, action: Callable[[], object]) -> Timer:
        """Do something after a delay."""
        timer = Timer(action)
        due = time.monotonic() + delay_s
        with self._guard:
            heapq.heappush(self._timers, (due, next(self._order), timer))
            first = self._timers[0][2] is timer
        if first:
            self._wake()
        return timer

    def add_beat(self, on_beat: Callable[[int], None]) -> None:
        """Call back every 20 ms with the number of beats since the last call (1, or more after
        a standstill)."""
        with self._guard:
            if not self._beats:
                self._next_beat = time.monotonic() + BEAT_S
            self._beats = [*self._beats, on_beat]
        self._wake()

    def remove_beat(self, on_beat: Callable[[int], None]) -> None:
        """Stop calling back."""
        with self._guard:
            self._beats = [other for other in self._beats if other != on_beat]

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._running = False
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _run(self) -> None:
        while self._running:
            for key, _ in self._selector.select(self._wait_s()):
                self._guarded(key.data)
            self._run_timers()
            self._run_beats()

    def _wait_s(self) -> float | None:
        with self._guard:
            dues = [self._timers[0][0]] if self._timers else []
            if self._beats:
                dues.append(self._next_beat)
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    def _run_timers(self) -> None:
        while True:
            with self._guard:
                if not self._timers or self._timers[0][0] > time.monotonic():
                    return
                timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                self._guarded(timer.action)

    def _run_beats(self) -> None:
        with self._guard:
            beats, late = self._beats, time.monotonic() - self._next_beat
            if not beats or late < 0:
                return
            rounds = beats_due(late)
            self._next_beat += sum(rounds) * BEAT_S
        for step in rounds:
            for on_beat in beats:
                self._guarded(partial(on_beat, step))

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception:
            # One call's trouble must not stop the sound of all the others.
            log.exception("a softphone's callback failed")

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"\0")
        except BlockingIOError:
            return  # full of wake-ups already

    def _drain_wake(self) -> None:
        self._wake_in.recv(4096)


def beats_due(late_s: float) -> list[int]:
    """What to do when a beat is due: one round each for a beat or a few, one for a long gap.

    A little late, no packet of sound is left out; a machine that stood still skips what is old.
    """
    count = int(late_s / BEAT_S) + 1
    return [1] * count if count <= _CATCH_UP_BEATS else [count]


_shared_guard = threading.Lock()
_shared: PhoneLoop | None = None
_users = 0


def acquire_loop() -> PhoneLoop:
    """The loop of this process, started for its first user."""
    global _shared, _users
    with _shared_guard:
        if _shared is None:
            _shared = PhoneLoop()
        _users += 1
        return _shared


def release_loop() -> None:
    """Give the loop back; the last user ends its thread."""
    global _shared, _users
    with _shared_guard:
        _users -= 1
        last = _shared if _users == 0 else None
        if last is not None:
            _shared = None
    if last is not None:
        last.stop()
