"""What a fork of the loaded service does; loaded once, before all of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import api.server  # noqa: F401 - what `hotline up` loads at its start
from telephony.cli import main


def hotline_up(environment: dict[str, str], log: str) -> None:
    """Become ``hotline up``: a session, environment, folder, log and command line of its own."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(Path(log).parent)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for standard in (1, 2):
        os.dup2(out, standard)
    os.close(out)
    sys.argv = ["hotline", "up"]
    main()
