"""Dialplans loaded on a PBX with a call going on: proven by reading back, taken back, repaired."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from telephony.ami_client import AmiClient
from telephony.errors import PbxUnavailable
from telephony.plans.load import ContextNotOurs, Loader, NotLoaded, StateUnknown, running_steps
from telephony.plans.versions import Files, LoadRunning, VersionNotFound
from telephony.plans.wanted import CustomRefused
from telephony.plans.ways import NotReachable
from telephony.private_pbx import PrivatePbx
from telephony.settings import Settings
from tests.pbx.scene import Talk

pytestmark = pytest.mark.pbx

WELL = """
[custom-info]
exten => 9001,1,Answer()
 same => n(again),Playback(hotline/welcome) ; heard once
 same => n,Set(WORDS=a\\;b)
 same => n,Hangup()
"""


async def checked(_files: Files) -> None:
    """The check is proven by its own tests; here it lets everything through."""


@pytest.fixture
def settings(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Settings]:
    """The PBX's settings, with its folder, a folder for dialplans of one's own, and one to keep."""
    (tmp_path / "custom").mkdir()
    before = {path: path.read_text() for path in (pbx.places.etc / "hotline").rglob("*.conf")}
    at = pbx.settings.pbx.model_copy(update={"etc": pbx.places.etc})
    kept = pbx.settings.dialplan.model_copy(
        update={
            "custom": tmp_path / "custom",
            "versions": tmp_path / "versions",
            "return_wait_s": 15.0,
        }
    )
    yield pbx.settings.model_copy(update={"pbx": at, "dialplan": kept})
    extensions = pbx.places.etc / "hotline/extensions"
    for path in [*extensions.glob("custom-*"), *(pbx.places.etc / "hotline").rglob("*.loading")]:
        path.unlink()
    for path, text in before.items():
        path.write_text(text)
    pbx.console("dialplan reload")


@asynccontextmanager
async def loader_of(settings: Settings) -> AsyncIterator[Loader]:
    client = AmiClient.from_settings(settings.pbx, events=[])
    await client.start()
    try:
        await client.wait_up(5)
        actions = (await client.action("ListCommands")).keys
        yield Loader(settings, client, actions, checked)
    finally:
        await client.stop()


def own(settings: Settings, text: str, name: str = "info.conf") -> None:
    assert settings.dialplan.custom is not None
    (settings.dialplan.custom / name).write_text(text)


def more_desks(settings: Settings) -> Settings:
    """The settings with a key less: another features.conf and other steps."""
    return settings.model_copy(update={"keys": settings.keys[:-1]})


async def load_and_back(pbx: PrivatePbx, settings: Settings, talk: Talk) -> None:
    """Load twice, roll back twice; the call goes on and the PBX has what it is said to have."""
    own(settings, WELL)
    async with loader_of(more_desks(settings)) as loader:
        there = await running_steps(loader._client)
        first = await loader.load(by="li")
        assert first.before.what == "found"
        assert (first.version.what, first.version.by) == ("loaded", "li")
        assert "hotline/features.conf" in first.changed
        assert "Set(WORDS=a;b)" in pbx.console("dialplan show custom-info")
        assert "*4" not in pbx.console("features show").partition("Dynamic")[2]
        own(settings, WELL.replace("9001", "9002"))
        second = await loader.load(by="wang")
        assert second.before == first.version
        assert second.changed == ("hotline/extensions/custom-info.conf",)
        assert "9001" not in pbx.console("dialplan show custom-info")
        talk.assert_together()
        back = await loader.rollback(by="li")
        assert (back.version.what, back.version.of) == ("rolled-back", first.version.number)
        assert "9001" in pbx.console("dialplan show custom-info")
        assert (await loader.rollback(by="li")).version.of == first.before.number
        assert await running_steps(loader._client) == there
        assert "*4" in pbx.console("features show").partition("Dynamic")[2]
        with pytest.raises(VersionNotFound, match="no older version"):
            await loader.rollback(by="li")
        assert [one.what for one in loader.versions.history()] == [
            *("rolled-back", "rolled-back", "loaded", "loaded", "found")
        ]
        assert loader.versions.unfinished() is None
    talk.assert_together()
    talk.citizen.hangup()
    talk.agent.wait_ended(5)


async def test_given_a_call_when_dialplans_are_loaded_by_file_and_rolled_back_then_it_goes_on(
    pbx: PrivatePbx, settings: Settings, talk: Talk
) -> None:
    await load_and_back(pbx, settings, talk)
