"""A private PBX whose clock is set from outside: libfaketime in front of Asterisk's own C library.

Only the time of day is shifted; Asterisk's timers run on as they would.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from telephony.asterisk_program import AsteriskProgram, find_asterisk, unpacked
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx
from telephony.softphone import Softphone
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PASSWORD,
    assert_quiet,
    pbx_settings,
    wait_until,
)

TRIES = 5
"""A call that reaches the decision after the second in which it was made is made again."""
_DECIDED = re.compile(r"@hotline-hours:1\] .*AT=(\d+)")


class ShiftedPbx(PrivatePbx):
    """A PBX that thinks it is another time than it is."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self._clock = folder / "clock"
        self._clock.write_text("+0")
        program = shifted(find_asterisk(), self._clock)
        phones = [Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS]
        super().__init__(program, folder / "root", pbx_settings(), phones)

    def __enter__(self) -> ShiftedPbx:
        super().__enter__()
        self.console("logger add channel steps verbose(3)")
        return self

    def set_clock(self, moment: datetime) -> None:
        """From now on it is this moment there, and time goes on from it."""
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(f"{moment.timestamp() - time.time():+.3f}")
        fresh.replace(self._clock)

    def asks_at(self, moment: datetime, citizen: Softphone, line: str = LINE) -> str:
        """Where a citizen comes to whose call the dialplan decides on in this very second."""
        for _ in range(TRIES):
            self.set_clock(moment)
            context = self._call(citizen, line)
            decided = _DECIDED.findall((self.places.log / "steps").read_text(errors="replace"))
            if decided and int(decided[-1]) == int(moment.timestamp()):
                return context
        raise AssertionError(f"in {TRIES} tries no call was decided on at {moment}")

    def _call(self, citizen: Softphone, line: str) -> str:
        call = citizen.call(line)
        try:
            call.wait_answered(5)
            there = ""

            def has_come() -> bool:
                # Taking a message, and greeting, go through several contexts.
                nonlocal there
                lines = self.console("core show channels concise").splitlines()
                contexts = {line.split("!")[1] for line in lines if "!" in line}
                there = contexts.pop() if len(contexts) == 1 else ""
                there = "hotline-message" if there.startswith("hotline-message") else there
                return there in ("hotline-queue", "hotline-message")

            wait_until(has_come, "in the queue, or leaving a message")
            return there
        finally:
            call.hangup()
            call.wait_ended(5)
            assert_quiet(self)


def shifted(program: AsteriskProgram, clock: Path) -> AsteriskProgram:
    """The program with a clock that follows a file: what stands in it is added to the real time."""
    root = unpacked("libfaketime")
    # The one for programs with threads.
    library = next(root.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    settings = {
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    command = list(program.command)
    if "--library-path" in command:
        # Asterisk's own loader takes it, so that nothing that Asterisk runs gets it as well.
        command[1:1] = ["--preload", str(library)]
    else:
        settings["LD_PRELOAD"] = str(library)
    words = [f"{name}={value}" for name, value in settings.items()]
    return replace(program, command=("/usr/bin/env", *words, *command))
