"""What tests of dialplans loaded on a real PBX share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telephony.private_pbx import PrivatePbx
from telephony.settings import Settings

WELL = """
[custom-info]
exten => 9001,1,Answer()
 same => n(again),Playback(hotline/welcome) ; heard once
 same => n,Set(WORDS=a\\;b)
 same => n,Hangup()
"""

ODD = """
[custom-odd]
switch => Realtime
ignorepat => 9
autohints = no
include => custom-info,09:00-17:00,mon-fri,*,*
exten => _[1,2]9,1,Hangup()
exten => 7/138,1,Hangup
"""
"""All that may stand in a context beside its extensions, in another order than it is told."""


def settings_for_loads(settings: Settings, pbx: PrivatePbx, folder: Path) -> Settings:
    """With the PBX's folder, a folder for dialplans of one's own, and one for versions."""
    (folder / "custom").mkdir()
    at = settings.pbx.model_copy(update={"etc": pbx.places.etc})
    kept = settings.dialplan.model_copy(
        update={
            "custom": folder / "custom",
            "versions": folder / "versions",
            "return_wait_s": 15.0,
        }
    )
    return settings.model_copy(update={"pbx": at, "dialplan": kept})


@contextmanager
def as_before(pbx: PrivatePbx) -> Iterator[None]:
    """The PBX's files and dialplan are afterwards as they were."""
    before = {path: path.read_text() for path in (pbx.places.etc / "hotline").rglob("*.conf")}
    yield
    for path in (pbx.places.etc / "hotline").rglob("*.conf*"):
        if path not in before:
            path.unlink()
    owner = pbx.places.etc.stat()
    for path, text in before.items():
        path.write_text(text)
        os.chown(path, owner.st_uid, owner.st_gid)
    pbx.console("module reload features")
    pbx.console("dialplan reload")


def own(settings: Settings, text: str, name: str = "info.conf") -> None:
    """A dialplan of the admin's own."""
    assert settings.dialplan.custom is not None
    (settings.dialplan.custom / name).write_text(text)


def start_again(pbx: PrivatePbx) -> None:
    """Start a PBX that has died; its prompts are as short as they were, its steps are logged."""
    link = pbx.places.data / "sounds/zh/hotline"
    prompts = link.readlink()
    pbx.start()
    link.unlink()
    link.symlink_to(prompts)
    pbx.console("logger add channel steps verbose(3),notice,warning,error")
