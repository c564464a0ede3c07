"""When a PBX was restarted, seen in the uniqueids of its channels (pure).

A uniqueid is ``epoch.counter``, after the system's name if it has one. The counter only grows while
Asterisk runs and starts again at 0: a channel made at least 2 s later with a counter that is not
greater belongs to a new run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Run:
    """The channels of one run of Asterisk, as far as seen: epochs and counters of uniqueids."""

    first_epoch: int
    first_counter: int
    last_epoch: int
    last_counter: int
    before: int = 0  # the run before had a channel with this epoch
    shown_by: str = ""  # the channel that showed that it is another run

    def take(self, epoch: int, counter: int) -> None:
        """Another channel of this run."""
        if epoch > self.last_epoch:
            self.last_epoch = epoch
        elif epoch < self.first_epoch:
            self.first_epoch = epoch
        if counter > self.last_counter:
            self.last_counter = counter
        elif counter < self.first_counter:
            self.first_counter = counter


class Restarts:
    """The run that each PBX is in, as the uniqueids of new channels show it."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}  # system name -> its run since the last restart
        self._shared: set[str] = set()  # names that two PBXs use: nothing is concluded from them

    def seen(self, uniqueid: str) -> tuple[str, int] | None:
        """A channel was made. System and epoch: what was made until then had been cut off."""
        system, epoch, counter = parse_uniqueid(uniqueid)
        run = self._runs.get(system)
        # Nearly always: the next channel of the same run.
        if run is not None and counter > run.last_counter and epoch >= run.first_epoch:
            run.last_counter = counter
            if epoch > run.last_epoch:
                run.last_epoch = epoch
            return None
        if not epoch or system in self._shared:
            return None
        if run is None:
            self._runs[system] = Run(epoch, counter, epoch, counter)
        elif epoch > run.last_epoch + 1 and counter <= run.last_counter:
            self._runs[system] = Run(epoch, counter, epoch, counter, run.last_epoch, uniqueid)
            return system, run.last_epoch
        elif epoch <= run.before or (
            epoch < run.first_epoch - 1 and counter >= run.first_counter
        ):  # a late row of the run before
            run.before = max(run.before, epoch)
            return system, epoch
        else:
            run.take(epoch, counter)
        return None

    def shown_by(self, uniqueid: str) -> tuple[str, int] | None:
        """The channel that showed that the run of this one is over, and when it was made."""
        run = self._runs.get(parse_uniqueid(uniqueid)[0])
        if run is None or not run.shown_by:
            return None
        return run.shown_by, parse_uniqueid(run.shown_by)[1] * 1_000_000

    def alive_after_all(self, at: int, uniqueid: str) -> str | None:
        """A row of a channel that should be gone: the system name that two PBXs share.

        None when the row is a late one.
        """
        system = parse_uniqueid(uniqueid)[0]
        run = self._runs.get(system)
        if run is None or at < (run.first_epoch + 1) * 1_000_000:
            return None
        self._shared.add(system)
        return system


def parse_uniqueid(uniqueid: str) -> tuple[str, int, int]:
    """System name, epoch and counter; epoch 0 where the uniqueid is not of that form."""
    made, _, counter = uniqueid.rpartition(".")
    if len(made) == 10 and made.isdecimal() and counter.isdecimal():  # nearly always
        return "", int(made), int(counter)
    system, _, epoch = made.rpartition("-")
    if 9 <= len(epoch) <= 11 and epoch.isdecimal() and counter.isdecimal():
        return system, int(epoch), int(counter)
    return "", 0, 0


def made_by(uniqueid: str, system: str, epoch: int) -> bool:
    """Whether the channel was made on that system, not later than in that second."""
    named, made, _ = parse_uniqueid(uniqueid)
    return named == system and 0 < made <= epoch
