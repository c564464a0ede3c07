"""The private PBX when its Asterisk hangs; with a real one see tests/pbx."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telephony import private_pbx
from telephony.asterisk_program import AsteriskProgram
from telephony.errors import SetupError
from telephony.private_pbx import PrivatePbx
from telephony.settings import load_settings


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivatePbx]:
    """An Asterisk whose control socket takes every question and answers nobody."""
    # A socket's path must be short.
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as control:
        folder = Path(name)
        program = folder / "asterisk"
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o755)
        (folder / "shipped/sounds").mkdir(parents=True)
        (folder / "pbx/run").mkdir(parents=True)
        control.bind(str(folder / "pbx/run/asterisk.ctl"))
        control.listen()
        monkeypatch.setattr(private_pbx, "CONSOLE_LIMIT_S", 0.2)
        monkeypatch.setattr(private_pbx, "START_LIMIT_S", 0.5)
        monkeypatch.setattr(private_pbx, "STOP_LIMIT_S", 0.2)
        monkeypatch.setattr(private_pbx, "_unprivileged_user", lambda folder: None)
        found = AsteriskProgram((str(program),), folder, folder / "shipped", "22.0.0")
        yield PrivatePbx(found, folder / "pbx", load_settings())


def test_given_a_hanging_asterisk_when_asked_then_it_answers_nothing(hanging: PrivatePbx) -> None:
    began = time.monotonic()
    assert hanging.console("core show version") == ""
    assert 0.2 <= time.monotonic() - began < 5


def test_given_a_hanging_asterisk_when_started_then_it_is_ended_and_said(
    hanging: PrivatePbx,
) -> None:
    began = time.monotonic()
    with pytest.raises(SetupError, match="did not come up"):
        hanging.start()
    assert time.monotonic() - began < 30
    assert hanging.process is not None
    assert hanging.process.poll() is not None


def test_given_a_hanging_asterisk_when_stopped_then_it_is_gone(
    hanging: PrivatePbx,
) -> None:
    hanging.launch()
    process = hanging.process
    assert process is not None
    hanging.stop()
    assert process.poll() is not None
    assert hanging.process is None
