"""The private PBX when its Asterisk hangs; with a real one see tests/pbx."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from telephony import private_pbx
from telephony.asterisk_program import AsteriskProgram
from telephony.errors import SetupError
from telephony.private_pbx import PrivatePbx
from telephony.settings import load_settings


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivatePbx:
    """An Asterisk that makes its control socket and answers nobody."""
    program = tmp_path / "asterisk"
    control = tmp_path / "pbx/run/asterisk.ctl"
    program.write_text(f"#!/bin/sh\n[ \"$3\" = -rx ] || : >'{control}'\nexec sleep 60\n")
    program.chmod(0o755)
    data = tmp_path / "shipped"
    (data / "sounds").mkdir(parents=True)
    monkeypatch.setattr(private_pbx, "CONSOLE_LIMIT_S", 0.2)
    monkeypatch.setattr(private_pbx, "START_LIMIT_S", 0.5)
    monkeypatch.setattr(private_pbx, "STOP_LIMIT_S", 0.2)
    monkeypatch.setattr(private_pbx, "_unprivileged_user", lambda folder: None)
    found = AsteriskProgram((str(program),), tmp_path, data, "22.0.0")
    return PrivatePbx(found, tmp_path / "pbx", load_settings())


def test_given_a_hanging_asterisk_when_asked_then_it_answers_nothing(hanging: PrivatePbx) -> None:
    assert hanging.console("core show version") == ""


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
    hanging: PrivatePbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hanging, "_wait_until_up", lambda: None)
    hanging.start()
    process = hanging.process
    assert process is not None
    hanging.stop()
    assert process.poll() is not None
    assert hanging.process is None
