"""What a fork of the loaded process does; loaded once, before all of them."""

from __future__ import annotations

import importlib
import os
import sys

import aiosqlite  # noqa: F401 - these are what `hotline up` loads at its start
import uvicorn.protocols.http.httptools_impl  # noqa: F401

import api.live_socket
import api.server  # noqa: F401
from telephony.cli import COMMANDS, main

for _place in COMMANDS.values():
    importlib.import_module(f"telephony.commands.{_place.partition(':')[0]}")


def become_hotline(
    arguments: list[str], environment: dict[str, str], folder: str, out: str, err: str
) -> None:
    """Become ``hotline``: session, environment, folder, output and command line of its own."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for standard, file in ((1, out), (2, err)):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(opened, standard)
        os.close(opened)
    sys.argv = ["hotline", *arguments]
    main()
