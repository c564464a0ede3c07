"""What ``pipx install`` gives: the wheel holds all that the program reads, and works without us."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from telephony.asterisk_program import checkout
from telephony.dialplan import render
from telephony.settings import Pbx, Settings

CODE = ("telephony", "api", "migrations", "dialplans")
PAGES = ("docs", "systemd")
SHARE = "share/doc/hotline-telephony"
SECRET = "a-secret-of-the-wheel"
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
# As a user would, in one process: each command loads the whole program anew.
USE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from typer.testing import CliRunner
import api.pages, telephony.asterisk_program
from telephony.cli import app
from telephony.database import migrate

migrate("sqlite:///hotline.sqlite")
done = []
for line in json.loads(sys.argv[2]):
    result = CliRunner().invoke(app, line)
    done.append([" ".join(line), result.exit_code, result.output, repr(result.exception)])
where = str(api.pages.WEB), str(telephony.asterisk_program.cache_dir())
json.dump({"done": done, "where": where}, sys.stdout)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built by the setuptools that is here, from a copy: nothing is fetched, no tree is touched."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in (*CODE, *PAGES):
        shutil.copytree(
            checkout() / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for path in ("pyproject.toml", "LICENSE", "README.md", "README.zh-CN.md"):
        shutil.copy(checkout() / path, source)
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=source, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    [file] = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def files(name: str) -> set[str]:
    """The files of one of the checkout's folders, from the checkout's root."""
    there = (one for one in (checkout() / name).rglob("*") if one.is_file())
    paths = (one.relative_to(checkout()) for one in there if one.suffix != ".pyc")
    return {str(one) for one in paths if not any(part.startswith(".") for part in one.parts)}


def test_the_wheel_holds_every_file_of_the_program_its_pages_and_units(
    wheel: zipfile.ZipFile,
) -> None:
    held = set(wheel.namelist())
    wanted = {path for name in CODE for path in files(name)}
    assert wanted - held == set()
    assert {one.partition("/")[0] for one in held if ".d" not in one.partition("/")[0]} == {*CODE}
    beside = {one.partition(".data/data/")[2] for one in held if ".data/" in one}
    read = {path for name in PAGES for path in files(name)} | {"README.md", "README.zh-CN.md"}
    assert beside == {f"{SHARE}/{path}" for path in read}


def test_given_the_wheel_alone_when_used_in_an_empty_folder_then_nothing_is_missing(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    wheel.extractall(site)
    here.mkdir()
    commands = [
        ["--help"],
        ["dialplan", "render", "--out", "etc"],
        ["calendar", "show", "2026"],
        ["matters", "import", "--sample"],
        ["matters", "search", "jtsg"],
        ["figures", "report", "2026-11"],
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOTLINE_")}
    environment |= {"HOTLINE_PBX__AMI_SECRET": SECRET, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    used = subprocess.run(
        [sys.executable, "-c", USE, str(site), json.dumps(commands)],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert used.returncode == 0, used.stderr
    said = json.loads(used.stdout)
    for line, status, output, error in said["done"]:
        assert status == 0, (line, output, error)
    assert said["where"] == [str(site / "api" / "web"), str(tmp_path / "cache/hotline-telephony")]
    written = {
        str(one.relative_to(here / "etc")) for one in (here / "etc").rglob("*") if one.is_file()
    }
    ours = render(Settings(pbx=Pbx(ami_secret=SECRET)))
    assert {path for path in ours if path not in written} == set()
    assert (here / "report-2026-11.html").stat().st_size > 0
