"""What is rendered for the PBX, and how it gets on disk."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from telephony import dialplan
from telephony.settings import Settings, load_settings

SECRET = "a-secret-of-the-tests"


def settings_with(**values: Any) -> Settings:
    return load_settings(**{"pbx": {"ami_secret": SECRET}, **values})


def test_given_a_locale_that_is_not_utf8_when_written_then_names_are_utf8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.open

    def chinese_windows(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "b" not in mode and not rest:
            more["encoding"] = more.get("encoding") or "gbk"
        return real(file, mode, *rest, **more)

    monkeypatch.setattr(builtins, "open", chinese_windows)
    files = {"hotline/some.conf": f"; {dialplan.HEADER}\nname = 民意服务中心\n"}
    [path] = dialplan.write(files, tmp_path)
    assert path.read_bytes() == files["hotline/some.conf"].encode("utf-8")
    assert dialplan.write(files, tmp_path) == []


def test_given_a_password_of_a_phone_then_it_stands_whole_in_pjsip_conf(tmp_path: Path) -> None:
    password = '"#$%&=>[\\]'
    here = tmp_path
    places = dialplan.Standalone(here, here, here, here, here, here, here)
    settings = settings_with(agents=[{"id": "8001", "name": "坐席一", "password": password}])
    lines = dialplan.render(settings, places)["pjsip.conf"].splitlines()
    assert f"password = {password}" in lines
    assert "callerid = 坐席一 <8001>" in lines


def test_given_the_queue_then_it_tells_of_an_answer_by_its_own_setting() -> None:
    """Queue() has its gosub in another place on Asterisk 20; queues.conf is alike on all."""
    files = dialplan.render(settings_with())
    queue = files["hotline/queues.conf"].split("[hotline]")[1]
    assert "membergosub = hotline-agent-up" in queue.splitlines()
    assert "[hotline-agent-up]\nexten => s,1," in files["hotline/extensions/entry.conf"]


def test_given_what_a_phone_says_of_itself_then_it_is_no_setting_of_an_mset() -> None:
    """MSet takes what stands after a comma in a value for the next setting, of whatever it is."""
    for name, text in dialplan.render(settings_with()).items():
        for line in text.splitlines():
            _, found, settings = line.partition("MSet(")
            assert not found or "=${CALLERID(" not in settings, f"{name}: {line}"
