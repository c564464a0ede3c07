"""Loads that go wrong halfway: whatever happens, callers keep the dialplan that they had."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from telephony.ami_client import AmiClient
from telephony.commands import dialplan_load
from telephony.errors import PbxRefused
from telephony.plans import load, placing
from telephony.plans.load import Loader, NotLoaded
from telephony.plans.steps import Steps
from telephony.plans.versions import Files, LoadRunning, Unfinished, Versions, VersionsUnusable
from telephony.plans.wanted import extension_steps
from telephony.plans.ways import FileWay
from telephony.settings import Settings

ACTIONS = ("Reload", "ShowDialPlan", "GetConfig")
OWN = "hotline/extensions/custom-own.conf"


class Pbx:
    """A PBX that has loaded what lay in its folder at its last reload."""

    def __init__(self, etc: Path) -> None:
        self.etc = etc
        self.steps: Steps = {}
        self.fails: list[Exception] = []

    async def wait_up(self, _timeout: float) -> None:
        """It is always there."""

    async def action(self, name: str, *_: object, **__: object) -> object:
        assert name == "Reload"
        if self.fails:
            raise self.fails.pop()
        folder = self.etc / "hotline/extensions"
        files = {f"hotline/extensions/{one.name}": one.read_text() for one in folder.iterdir()}
        self.steps = extension_steps(files)
        return SimpleNamespace(keys={})


async def running(client: Any) -> Steps:
    """What it does now, in place of the answer to ShowDialPlan."""
    return cast("Steps", client.steps)


@pytest.fixture
def pbx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pbx:
    (tmp_path / "etc/hotline/extensions").mkdir(parents=True)

    monkeypatch.setattr(load, "running_steps", running)
    return Pbx(tmp_path / "etc")


async def passes(_files: Files) -> None:
    """What is checked is proven elsewhere."""


class OwnLoader(Loader):
    """A loader of one file, whose text is given."""

    def __init__(self, pbx: Pbx, folder: Path) -> None:
        settings = Settings()
        settings = settings.model_copy(
            update={
                "pbx": settings.pbx.model_copy(update={"etc": pbx.etc}),
                "dialplan": settings.dialplan.model_copy(update={"versions": folder}),
            }
        )
        super().__init__(settings, cast("AmiClient", pbx), ACTIONS, passes)

    async def bring(self, step: str) -> load.Loaded:
        with self._alone() as way:
            files = {OWN: f"[own]\nexten => 1,1,{step}()\n"}
            return await self._bring(way, files, by="li", what="loaded", began=0.0)


@pytest.fixture
def loader(pbx: Pbx, tmp_path: Path) -> OwnLoader:
    return OwnLoader(pbx, tmp_path / "versions")


def now(pbx: Pbx) -> tuple[str, str]:
    """What the PBX does, and what lies on its disk."""
    text = (pbx.etc / OWN).read_text()
    return pbx.steps["own", "1", 1], text.rpartition(",")[2].strip()


async def test_given_a_load_that_failed_when_rolled_back_then_to_what_served_and_never_to_it(
    pbx: Pbx, loader: OwnLoader
) -> None:
    await loader.bring("One")
    pbx.fails = [PbxRefused("a reload is under way")]
    with pytest.raises(NotLoaded, match="The old dialplan"):
        await loader.bring("Never")
    await loader.bring("Two")
    assert [one.what for one in loader.versions.history()] == [
        "loaded",
        "failed",
        "loaded",
        "found",
    ]
    assert now(pbx) == ("Two()", "Two()")
    back = await loader.rollback(by="li")
    assert (back.version.of, *now(pbx)) == (2, "One()", "One()")


@pytest.mark.parametrize("stage", ["reloading", "verifying", "settled"])
async def test_given_a_disk_of_versions_that_gets_full_when_loaded_then_the_old_one_is_put_back(
    pbx: Pbx, loader: OwnLoader, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    await loader.bring("One")
    plain, full = loader.versions.begin, False

    def begin(note: Unfinished) -> None:
        nonlocal full
        full = full or note.stage == stage
        if full:
            raise VersionsUnusable("No space left on device")
        plain(note)

    def settle(*_: object) -> None:
        nonlocal full
        full = True
        raise VersionsUnusable("No space left on device")

    monkeypatch.setattr(loader.versions, "begin", begin)
    monkeypatch.setattr(loader.versions, "settle", settle)
    with pytest.raises(NotLoaded, match=r"No space left.*is back and was read back"):
        await loader.bring("Two")
    assert now(pbx) == ("One()", "One()")
    assert loader.versions.unfinished() is None


async def test_given_a_load_that_died_at_its_end_when_undone_then_it_counts_as_failed(
    pbx: Pbx, loader: OwnLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await loader.bring("One")
    monkeypatch.setattr(loader.versions, "end", lambda: None)
    await loader.bring("Two")
    monkeypatch.undo()
    monkeypatch.setattr(load, "running_steps", running)
    undone = await loader.recover()
    assert undone == loader.versions.standing() == loader.versions.get(2)
    assert now(pbx) == ("One()", "One()")
    assert loader.versions.unfinished() is None


async def test_given_a_line_there_that_asterisk_drops_when_a_load_fails_then_it_is_back_as_it_was(
    pbx: Pbx, loader: OwnLoader
) -> None:
    by_hand = "[own]\nexten => 1,1,One()\nexten => 1,1,Dropped()\nno line\n"
    (pbx.etc / OWN).write_text(by_hand)
    await pbx.action("Reload")
    pbx.fails = [PbxRefused("busy")]
    with pytest.raises(NotLoaded, match=r"The old dialplan \(version 1\) is back"):
        await loader.bring("Two")
    assert (pbx.etc / OWN).read_text() == by_hand
    assert pbx.steps == {("own", "1", 1): "One()"}


async def test_given_a_load_whose_versions_lie_elsewhere_when_another_begins_then_refused(
    pbx: Pbx, loader: OwnLoader, tmp_path: Path
) -> None:
    other = OwnLoader(pbx, tmp_path / "others")
    with other._alone(), pytest.raises(LoadRunning, match="of which nothing is kept here"):
        await loader.bring("One")
    await loader.bring("One")


def test_given_more_failed_loads_than_are_kept_when_kept_then_what_the_pbx_has_is_not_forgotten(
    tmp_path: Path,
) -> None:
    versions = Versions(tmp_path, "pbx1", keep=2)
    standing = versions.keep({"a": "x"}, by="li", what="loaded")
    for _ in range(4):
        versions.keep({"a": "y"}, by="li", what="failed")
    assert versions.standing() == standing
    assert versions.files(standing.number) == {"a": "x"}
    assert [one.number for one in versions.history()] == [5, 4, 1]


# -- how files are written ------------------------------------------------------------------------


def test_given_a_narrow_umask_when_written_then_asterisks_group_may_read_all_the_same(
    tmp_path: Path,
) -> None:
    before = os.umask(0o077)
    try:
        placing.put({tmp_path / "hotline/extensions/a.conf": "x"}, tmp_path)
    finally:
        os.umask(before)
    modes = [
        (tmp_path / name).stat().st_mode & 0o777
        for name in ("hotline", "hotline/extensions", "hotline/extensions/a.conf")
    ]
    assert modes == [0o750, 0o750, 0o640]


def test_given_a_full_disk_when_several_files_are_written_then_none_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "a.conf", tmp_path / "b.conf"]
    for path in paths:
        path.write_text("old")
    plain, seen = os.fsync, []

    def fsync(handle: int) -> None:
        seen.append(handle)
        if len(seen) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        placing.put(dict.fromkeys(paths, "new"), tmp_path, serves=True)
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert sorted(tmp_path.iterdir()) == paths


def test_given_a_link_laid_where_a_file_is_prepared_when_written_then_it_is_not_followed(
    tmp_path: Path,
) -> None:
    target = tmp_path / "passwd"
    target.write_text("root")
    (tmp_path / "a.conf.new").symlink_to(target)
    placing.put({tmp_path / "a.conf": "x"}, tmp_path)
    assert (target.read_text(), (tmp_path / "a.conf").read_text()) == ("root", "x")
    assert not (tmp_path / "a.conf").is_symlink()


def test_given_a_file_that_only_others_could_read_no_more_when_written_then_changed_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.conf"
    path.write_text("a long old text")
    path.chmod(0o644)
    number = path.stat().st_ino
    monkeypatch.setattr(placing, "_has_its_readers", lambda _fresh, _path: False)
    placing.put({path: "new"}, tmp_path, serves=True)
    assert (path.read_text(), path.stat().st_ino) == ("new", number)
    monkeypatch.undo()
    placing.put({path: "newer"}, tmp_path, serves=True)
    # Whoever could read it still can.
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("newer", 0o644)
    assert list(tmp_path.iterdir()) == [path]


async def test_given_files_of_others_in_any_encoding_when_read_then_they_are_left_alone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "hotline/extensions"
    folder.mkdir(parents=True)
    (folder / "theirs.conf").write_bytes("; 热线\n[theirs]\n".encode("gbk"))
    (folder / ".#custom-own.conf").symlink_to("nobody@nowhere")
    (folder / "custom-own.conf").write_text("[own]\n")
    assert await FileWay(tmp_path).read([]) == {OWN: "[own]\n"}


def test_given_a_user_without_a_name_when_asked_who_loads_then_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert dialplan_load._me() == f"uid {os.geteuid()}"
