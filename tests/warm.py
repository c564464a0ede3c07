"""``hotline`` in processes that were loaded before: most of a test's start was loading code.

One process for each test process loads the code; each ``hotline`` is a fork of it with arguments,
environment, working folder and output of its own. What starts from nothing, and comes back after a
kill, is tested where that is the matter (``tests/handovers``, ``test_commands_service``).
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from telephony.demo.stage import Process, Service
from tests.warm_start import become_hotline

_CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.warm_start"])


class WarmService(Service):
    """The service, without the second or more that loading its code takes."""

    def _process(self, environment: dict[str, str], log: Path) -> Process:
        return forked_hotline(["up"], environment, log.parent, log, log)


class Forked:
    """A forked process as :class:`subprocess.Popen` shows one."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, sig: int, /) -> None:
        os.kill(self.pid, sig)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"hotline did not end within {timeout} s")
        return code


def forked_hotline(
    arguments: list[str], environment: dict[str, str], folder: Path, out: Path, err: Path
) -> Forked:
    """Start ``hotline`` with these arguments in ``folder``; what it prints goes to the files."""
    process = _CONTEXT.Process(
        target=become_hotline,
        args=(arguments, environment, str(folder), str(out), str(err)),
        daemon=True,
    )
    process.start()
    return Forked(process)
