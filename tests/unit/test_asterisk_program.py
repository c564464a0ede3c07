"""Making the private root: one at a time, and a folder that will not go away."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from telephony import asterisk_program
from telephony.asterisk_program import private_root
from telephony.errors import SetupError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HOTLINE_CACHE_DIR", str(folder))
    return folder


def test_given_two_set_ups_at_once_then_the_root_is_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, second_waits = threading.Event(), threading.Event()
    made: list[Path] = []

    def make(root: Path, say: asterisk_program.Say) -> None:
        made.append(root)
        begun.set()
        assert second_waits.wait(20)
        (root / "usr/sbin").mkdir(parents=True)
        (root / "usr/sbin/asterisk").touch()

    def told(text: str) -> None:
        assert "waiting" in text
        second_waits.set()

    monkeypatch.setattr(asterisk_program, "_make_root", make)
    first = threading.Thread(target=private_root)
    first.start()
    assert begun.wait(20)
    root = private_root(told)
    first.join(20)
    assert made == [root]


def test_given_a_set_up_that_failed_then_the_next_one_is_not_held_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(root: Path, say: asterisk_program.Say) -> None:
        raise SetupError("no mirror")

    monkeypatch.setattr(asterisk_program, "_make_root", fail)
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(SetupError, match="no mirror"):
            private_root(said.append)
    assert said == []


def not_permitted(folder: Path) -> None:
    raise PermissionError(13, "Permission denied", str(folder))


def test_given_a_leftover_of_other_ids_then_it_is_said_how_to_remove_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = cache / "asterisk-root.new"
    left.mkdir(parents=True)
    monkeypatch.setattr(shutil, "rmtree", not_permitted)
    monkeypatch.setattr(asterisk_program, "_mmdebstrap", lambda say: "/bin/true")
    monkeypatch.setattr(asterisk_program, "_needs_debian", lambda: None)
    with pytest.raises(SetupError) as caught:
        private_root()
    assert "Permission denied" in caught.value.detail
    assert f"mmdebstrap --unshare-helper rm -rf {left}; rm -rf {left}" in caught.value.detail


def test_given_a_failed_unpacking_that_cannot_be_removed_then_both_are_said(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "mmdebstrap"
    left = cache / "asterisk-root.new"
    program.write_text(f"#!/bin/sh\nmkdir '{left}'\necho 'E: no such suite'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "rmtree", not_permitted)
    monkeypatch.setattr(asterisk_program, "_mmdebstrap", lambda say: str(program))
    monkeypatch.setattr(asterisk_program, "_needs_debian", lambda: None)
    with pytest.raises(SetupError) as caught:
        private_root()
    assert "E: no such suite" in caught.value.detail
    assert "could not be removed" in caught.value.detail
