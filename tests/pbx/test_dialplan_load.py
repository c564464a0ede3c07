"""Dialplans loaded on a PBX with a call going on: proven by reading back, taken back, repaired."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from telephony.ami_client import AmiClient
from telephony.dialplan import render, write
from telephony.errors import PbxUnavailable
from telephony.plans.desk import differences_now
from telephony.plans.diff import as_lines
from telephony.plans.load import ContextNotOurs, Loader, NotLoaded, StateUnknown
from telephony.plans.running import running_steps
from telephony.plans.versions import Files, LoadRunning, VersionNotFound
from telephony.plans.wanted import CustomRefused
from telephony.plans.ways import NotReachable
from telephony.private_pbx import PrivatePbx
from telephony.settings import Settings
from tests.pbx.plans_scene import ODD, WELL, as_before, own, settings_for_loads, start_again
from tests.pbx.scene import Talk

pytestmark = pytest.mark.pbx


CUSTOM_INFO = "hotline/extensions/custom-info.conf"


async def checked(_files: Files) -> None:
    """The check is proven by its own tests; here it lets everything through."""


@pytest.fixture
def settings(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Settings]:
    with as_before(pbx):
        yield settings_for_loads(pbx.settings, pbx, tmp_path)


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


def one_key_less(settings: Settings) -> Settings:
    """The settings with a key less: another features.conf and other steps."""
    return settings.model_copy(update={"keys": settings.keys[:-1]})


async def load_and_back(pbx: PrivatePbx, settings: Settings, talk: Talk) -> None:
    """Load twice, roll back twice; the call goes on and the PBX has what it is said to have."""
    own(settings, WELL)
    async with loader_of(one_key_less(settings)) as loader:
        there = await running_steps(loader._client)
        lines = list(as_lines(await differences_now(loader._settings, loader._client)))
        assert lines[lines.index("[custom-info] is new") + 1] == "+ 9001,1  Answer()"
        assert any(line.startswith("-hotline-consult-110 => *4,") for line in lines)
        first = await loader.load(by="li")
        assert (await differences_now(loader._settings, loader._client)).equal
        assert first.before.what == "found"
        assert (first.version.what, first.version.by) == ("loaded", "li")
        assert "hotline/features.conf" in first.changed
        assert "Set(WORDS=a;b)" in pbx.console("dialplan show custom-info")
        assert "*4" not in pbx.console("features show").partition("Dynamic")[2]
        own(settings, WELL.replace("9001", "9002") + ODD)
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


async def test_given_a_call_when_dialplans_are_loaded_over_ami_and_rolled_back_then_it_goes_on(
    pbx: PrivatePbx, settings: Settings, talk: Talk
) -> None:
    settings = over_ami(settings)
    own(settings, WELL)
    async with loader_of(settings) as loader:
        with pytest.raises(NotReachable, match="add `config` to write ="):
            await loader.load(by="li")
    with more_rights(pbx, settings):
        await refused_by_its_disk(pbx, settings)
        await load_and_back(pbx, settings, talk)


async def refused_by_its_disk(pbx: PrivatePbx, settings: Settings) -> None:
    """A file that Asterisk's user may not write: all is as it was, and told."""
    features = pbx.places.etc / "hotline/features.conf"
    before = features.read_text()
    other = settings.dialplan.versions.with_name("refused")
    kept = settings.dialplan.model_copy(update={"versions": other})
    features.chmod(0o440)
    try:
        changed = one_key_less(settings).model_copy(update={"dialplan": kept})
        async with loader_of(changed) as loader:
            with pytest.raises(NotLoaded, match=r"may not write hotline/features\.conf .* is back"):
                await loader.load(by="li")
            assert loader.versions.unfinished() is None
        assert features.read_text() == before
        assert "no existence" in pbx.console("dialplan show custom-info")
    finally:
        features.chmod(0o640)


def over_ami(settings: Settings) -> Settings:
    at = settings.pbx.model_copy(update={"etc": None, "load_over_ami": True})
    return settings.model_copy(update={"pbx": at})


@contextmanager
def more_rights(pbx: PrivatePbx, settings: Settings) -> Iterator[None]:
    """The AMI user as it is rendered for these settings."""
    path = pbx.places.etc / "hotline/manager.conf"
    before = path.read_text()
    path.write_text(render(settings, pbx.places)["hotline/manager.conf"])
    pbx.console("manager reload")
    try:
        yield
    finally:
        path.write_text(before)
        pbx.console("manager reload")


async def test_given_what_is_not_ours_when_loaded_then_refused_and_nothing_is_changed(
    pbx: PrivatePbx, settings: Settings
) -> None:
    async with loader_of(settings) as loader:
        there = await running_steps(loader._client)
        own(settings, "[parkedcalls]\nexten => 1,1,Hangup()\n")
        with pytest.raises(ContextNotOurs, match="the PBX has parkedcalls already"):
            await loader.load(by="li")
        own(
            settings,
            "[hotline-transfer]\nexten => 1,1,Hangup()\n[x](+)\n#exec ls\n[globals]\nA=1\n",
        )
        with pytest.raises(CustomRefused) as refused:
            await loader.load(by="li")
        assert [line.partition("info.conf:")[2][:22] for line in refused.value.lines] == [
            *("1: [hotline-transfer] ", "3: [x](+) adds to a co"),
            *("4: #exec is not taken:", "5: [globals] is of the"),
        ]
        with pytest.raises(VersionNotFound, match="no version 7 is kept; there are: none"):
            await loader.rollback(7, by="li")
        own(settings, WELL)
        with loader.versions.alone(), pytest.raises(LoadRunning):
            await loader.load(by="li")
        assert await running_steps(loader._client) == there
        assert not list((pbx.places.etc / "hotline/extensions").glob("custom-*"))
    nowhere = settings.pbx.model_copy(update={"etc": Path("/nowhere")})
    async with loader_of(settings.model_copy(update={"pbx": nowhere})) as loader:
        with pytest.raises(NotReachable, match=r"/nowhere .* is no folder"):
            await loader.load(by="li")
    nowhere = settings.pbx.model_copy(update={"etc": None})
    async with loader_of(settings.model_copy(update={"pbx": nowhere})) as loader:
        with pytest.raises(NotReachable, match=r"set pbx\.etc"):
            await loader.load(by="li")


async def test_given_a_step_that_asterisk_drops_when_loaded_then_the_old_one_is_back(
    pbx: PrivatePbx, settings: Settings
) -> None:
    async with loader_of(settings) as loader:
        there = await running_steps(loader._client)
        # Asterisk answers the reload with success and keeps the first of the two.
        own(settings, WELL + "exten => 9001,1,Hangup()\n")
        with pytest.raises(
            NotLoaded, match=r"custom-info,9001,1: .*The old dialplan \(version 1\)"
        ):
            await loader.load(by="li")
        assert await running_steps(loader._client) == there
        assert not list((pbx.places.etc / "hotline/extensions").glob("custom-*"))
        assert [one.what for one in loader.versions.history()] == ["failed", "found"]
        assert loader.versions.unfinished() is None


@pytest.mark.parametrize("way", ["file", "ami"])
async def test_given_a_pbx_that_stops_answering_when_loaded_then_it_is_back_on_its_old_dialplan(
    pbx: PrivatePbx, settings: Settings, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    settings = over_ami(settings) if way == "ami" else settings
    own(settings, WELL)
    process = pbx.process
    assert process is not None
    with more_rights(pbx, settings):
        async with loader_of(settings) as loader:
            there = await running_steps(loader._client)
            hangs_at_reload(loader, process, monkeypatch)
            load = asyncio.create_task(loader.load(by="li"))
            try:
                await until(lambda: stage_of(loader) == "putting-back")
            finally:
                process.send_signal(signal.SIGCONT)
            with pytest.raises(NotLoaded, match=r"The old dialplan .* is back and was read back"):
                await load
            assert await running_steps(loader._client) == there
            assert "no existence" in pbx.console("dialplan show custom-info")
            assert loader.versions.unfinished() is None


async def test_given_a_pbx_that_dies_as_it_is_reloaded_when_it_is_back_then_on_its_old_dialplan(
    pbx: PrivatePbx, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(settings, WELL)
    async with loader_of(settings) as loader:
        there = await running_steps(loader._client)
        plain = loader._reload

        async def dies(names: Iterable[str]) -> None:
            monkeypatch.setattr(loader, "_reload", plain)
            pbx.kill()
            await plain(names)

        monkeypatch.setattr(loader, "_reload", dies)
        load = asyncio.create_task(loader.load(by="li"))
        await until(lambda: stage_of(loader) == "putting-back")
        # While it is away its files are put back already.
        await until(lambda: not (pbx.places.etc / CUSTOM_INFO).exists())
        await asyncio.to_thread(start_again, pbx)
        with pytest.raises(NotLoaded, match=r"The old dialplan .* is back and was read back"):
            await load
        assert await running_steps(loader._client) == there
        assert loader.versions.unfinished() is None


def hangs_at_reload(
    loader: Loader, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX stops as the first reload is sent to it; it takes that up when it goes on."""
    plain = loader._reload
    monkeypatch.setattr("telephony.plans.load.RELOAD_LIMIT_S", 0.5)

    async def hang(names: Iterable[str]) -> None:
        monkeypatch.setattr(loader, "_reload", plain)
        process.send_signal(signal.SIGSTOP)
        await plain(names)

    monkeypatch.setattr(loader, "_reload", hang)


def stage_of(loader: Loader) -> str:
    unfinished = loader.versions.unfinished()
    return unfinished.stage if unfinished else ""


async def until(true: Callable[[], bool]) -> None:
    """Wait for what is written on disk, which tells nobody; a check's Asterisk may start first."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 (a file)
            await asyncio.sleep(0.02)


async def test_given_a_load_whose_process_died_when_recovered_then_it_is_undone(
    pbx: PrivatePbx, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(settings, WELL)
    settings = settings.model_copy(
        update={"dialplan": settings.dialplan.model_copy(update={"return_wait_s": 0.0})}
    )
    async with loader_of(settings) as loader:
        there = await running_steps(loader._client)

        async def dies(_names: Iterable[str]) -> None:
            raise PbxUnavailable("the link is gone")

        monkeypatch.setattr(loader, "_reload", dies)
        with pytest.raises(StateUnknown, match="The old files are back in its folder"):
            await loader.load(by="li")
        unfinished = loader.versions.unfinished()
        assert unfinished is not None
        # As if it had ended after the reload, with the new files in place.
        files = loader.versions.files(unfinished.after)
        write(files, pbx.places.etc)
        pbx.console("dialplan reload")
        assert "9001" in pbx.console("dialplan show custom-info")
    async with loader_of(settings) as loader:
        undone = await loader.rollback(by="wang")
        assert undone.version.what == "found"
        assert await running_steps(loader._client) == there
        assert loader.versions.unfinished() is None
