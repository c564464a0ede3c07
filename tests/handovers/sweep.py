"""The service killed, or its link to the PBX cut, at every state of every kind of hand-over.

A batch of cells goes on in step: all reach the state, then the service dies (or the link), and all
go on to their end, with the service back at once or only after everything is over.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Literal

from telephony.errors import HotlineError
from tests.handovers.cell import Cell
from tests.handovers.floor import Floor
from tests.handovers.senses import eventually
from tests.handovers.table import DRIVERS, ENTRIES, Entry

How = Literal["kill", "cut"]
HOWS: tuple[How, ...] = ("kill", "cut")
STATES = ("talking", "ringing", "decided")
COLUMNS = ("answered", "declined-486", "caller-ringing")
ROWS = (("one-key", "phone-key", "refer", "three-way"), ("consult", "attended"))
"""The rows that are played together: no more cells than there are seats."""
STEP_S = 60.0


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to the service, in which state of these rows, and when it is back."""

    how: How
    state: str
    back_at_once: bool
    rows: tuple[str, ...]

    @property
    def name(self) -> str:
        back = "at-once" if self.back_at_once else "after-all"
        return f"{self.how}-{self.state}-back-{back}-from-{self.rows[0]}"

    def entries(self) -> list[Entry]:
        """The cells to play: without the service no key can be pressed over HTTP."""
        pressed_without = self.state == "talking" and not self.back_at_once
        return [
            entry
            for entry in ENTRIES
            if entry.column in COLUMNS
            and entry.way.name in self.rows
            and not (pressed_without and entry.way.needs_service)
        ]


SWEEP = [
    Disturbance(how, state, at_once, rows)
    for how, state, at_once, rows in product(HOWS, STATES, (True, False), ROWS)
]


def seed() -> int:
    """``SWEEP_SEED``, or another one in each run; the same in all processes of a run."""
    given = os.environ.get("SWEEP_SEED")
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if given:
        return int(given)
    return int(run, 16) % 1_000_000 if run else random.SystemRandom().randrange(1_000_000)


def chosen(with_seed: int) -> list[Disturbance]:
    """All of the sweep with ``SWEEP_ALL``, else one kill and one cut by the seed."""
    if os.environ.get("SWEEP_ALL"):
        return SWEEP
    pick = random.Random(with_seed)
    return [pick.choice([one for one in SWEEP if one.how == how]) for how in HOWS]


class InStep:
    """Lets a number of cells go on when all have reached a state, or ended before it."""

    def __init__(self, state: str, count: int) -> None:
        self._state = state
        self._on_the_way = count
        self._changed = threading.Condition()
        self._go = threading.Event()

    def hook(self) -> Callable[[str], None]:
        """For one cell: counts it when it comes to the state, and holds it there."""
        came = False

        def reached(state: str) -> None:
            nonlocal came
            if came or state not in (self._state, "over"):
                return
            came = True
            with self._changed:
                self._on_the_way -= 1
                self._changed.notify_all()
            if state != "over" and not self._go.wait(STEP_S):
                raise TimeoutError("the other cells did not come this far")

        return reached

    def wait_for_all(self) -> None:
        """Wait until no cell is on the way to the state any more."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._on_the_way == 0, STEP_S):
                raise TimeoutError(f"{self._on_the_way} cells did not come to {self._state}")

    def go_on(self) -> None:
        """Let all go on."""
        self._go.set()


class Sweep:
    """One disturbance, played on a floor whose service has a wire to the PBX."""

    def __init__(self, floor: Floor, disturbance: Disturbance) -> None:
        self._floor = floor
        self._what = disturbance
        self.stories: list[str] = []

    def play(self) -> list[str]:
        """What went wrong, a line for each cell that did; nothing when all came out right."""
        entries = self._what.entries()
        step = InStep(self._what.state, len(entries))
        with ThreadPoolExecutor(len(entries)) as pool:
            ends = {entry: pool.submit(self._cell, entry, step) for entry in entries}
            step.wait_for_all()
            self._disturb()
            if self._what.back_at_once:
                self._mend()
            step.go_on()
            wrong = [self._line(entry, end) for entry, end in ends.items()]
        if not self._what.back_at_once:
            self._mend()
        played = [end.result() for end in ends.values() if end.exception() is None]
        for cell in played:
            wrong += self._stored(cell)
        return [line for line in wrong if line]

    def _cell(self, entry: Entry, step: InStep) -> Cell:
        with self._floor.seat() as seat:
            cell = Cell(self._floor, seat, entry.way)
            cell.desk = seat.slow  # rings on while the service comes back
            cell.hook = step.hook()
            try:
                DRIVERS[entry.column](cell)
                cell.come_out(entry.expected)
            except BaseException:
                self.stories.append(cell.story())
                raise
            finally:
                cell.hook("over")
                cell.close()
            return cell

    def _line(self, entry: Entry, end: Future[Cell]) -> str:
        error = end.exception(2 * STEP_S)
        return f"{entry.name}: {type(error).__name__}: {error}" if error else ""

    def _stored(self, cell: Cell) -> list[str]:
        try:
            cell.stored()
        except (AssertionError, HotlineError) as error:
            return [f"{cell.way.name}, record of {cell.case}: {error}"]
        return []

    def _disturb(self) -> None:
        if self._what.how == "kill":
            self._floor.service.kill()
            return
        assert self._floor.wire is not None
        self._floor.wire.cut()
        eventually(lambda: self._ready() == 503, "the service says that its link is down")

    def _mend(self) -> None:
        if self._what.how == "kill":
            self._floor.service.start()
            return
        assert self._floor.wire is not None
        self._floor.wire.mend()
        eventually(lambda: self._ready() == 200, "the service has its link again", limit_s=30)

    def _ready(self) -> int:
        return self._floor.service.http.get("/readyz").status_code
