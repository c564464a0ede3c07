"""The service as a process that was loaded before: most of a test's start was loading code.

One process for each test process loads the service's code; each service is a fork of it and runs
``hotline up`` with settings, working folder and log of its own. What starts from nothing, and
comes back after a kill, is tested where that is the matter (``tests/handovers``, ``hotline demo``).
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from telephony.demo.stage import Process, Service
from tests.pbx.warm_start import hotline_up

_CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.pbx.warm_start"])


class WarmService(Service):
    """The service, without the second or more that loading its code takes."""

    def _process(self, environment: dict[str, str], log: Path) -> Process:
        process = _CONTEXT.Process(target=hotline_up, args=(environment, str(log)), daemon=True)
        process.start()
        return Forked(process)


class Forked:
    """A forked process as :class:`subprocess.Popen` shows one."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, sig: int, /) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, sig)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"the service did not end within {timeout} s")
        return code
