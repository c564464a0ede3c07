"""What a cell waits for: states that tell nobody when they begin, and what parties hear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from telephony.softphone import SoftCall

PATIENCE_S = 10.0
"""What must happen happens within this on a busy machine; it is no figure."""
MIXED = 0.2
"""A tone's share where two people speak at once."""


def eventually(
    true: Callable[[], object], what: str, *, every_s: float = 0.1, limit_s: float = PATIENCE_S
) -> None:
    """Wait for a state that tells nobody when it begins; seldom looked at, for others wait too."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"after {limit_s} s still not: {what}"
        time.sleep(every_s)


def hears(who: SoftCall, tone: float, share: float) -> None:
    """Wait until this party hears a tone now.

    Looks at the last moments only, some times a second: many cells do this at the same time.
    """
    what = f"{who.phone.username} hears {tone:g} Hz"
    eventually(lambda: who.hears(tone, window_s=0.1) >= share, what)


def hears_not(who: SoftCall, tone: float) -> None:
    """Wait until this party does not hear a tone any more."""
    what = f"{who.phone.username} hears no {tone:g} Hz"
    eventually(lambda: who.hears(tone, window_s=0.1) < MIXED, what)


def run_at_once(*what: Callable[[], int]) -> list[int]:
    """Do all this at the same moment; what each gave."""
    ready = threading.Barrier(len(what))

    def one(do: Callable[[], int]) -> int:
        ready.wait(PATIENCE_S)
        return do()

    with ThreadPoolExecutor(len(what)) as pool:
        return list(pool.map(one, what))
