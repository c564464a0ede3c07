"""``hotline dialplan check`` with a real scratch Asterisk: what it says, and what it leaves."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from telephony.asterisk_program import find_asterisk
from telephony.dialplan import write
from telephony.errors import SetupError
from telephony.plans import scratch
from telephony.plans.check import check_files, check_wanted, rendered
from telephony.plans.config_lines import read_config
from telephony.plans.mirror import Mirror
from telephony.settings import load_settings

pytestmark = pytest.mark.pbx
REPLAY = Path(__file__).resolve().parent.parent / "replay"
EDGES = REPLAY / "dialplan_edges.conf"


def running() -> set[str]:
    """Scratch programs of ours that run, by their command lines."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"hotline-scratch-" in words:
            found.add(words.decode(errors="replace"))
    return found


def test_given_temporary_files_far_down_then_the_scratch_asterisk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(SetupError, match="set TMPDIR to a shorter one"):
        check_wanted(load_settings(pbx={"ami_secret": "a-secret-of-the-tests"}))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's, as pytest's own do not in each process."""
    with tempfile.TemporaryDirectory(prefix="plan-") as name:
        yield Path(name)


def test_given_our_dialplan_on_disk_then_it_is_well_until_a_line_is_edited_by_hand(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path = short_path
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = load_settings(pbx={"ami_secret": "a-secret-of-the-tests"})
    assert [str(one) for one in check_wanted(settings) if one.severity != "note"] == []
    etc = tmp_path / "etc"
    write({**rendered(settings), "extensions.conf": '#include "hotline/extensions/*.conf"\n'}, etc)
    root = etc / "extensions.conf"
    assert [str(one) for one in check_files([root], settings) if one.severity != "note"] == []
    keys = etc / "hotline/extensions/keys.conf"
    text = keys.read_text()
    keys.write_text(
        text.replace("Gosub(hotline-busy,s,1(${PEER}))", "Gosub(hotline-busy,s,1(${PEER})", 1)
    )
    line = 1 + text[: text.index("Gosub(hotline-busy")].count("\n")
    for files in ([root], [keys]):
        found = check_files(files, settings).errors
        assert (str(keys), line) in {(one.file, one.line) for one in found}
    # Nothing is left: neither a process nor a folder.
    assert not any(str(tmp_path) in one for one in running())
    assert [one.name for one in tmp_path.iterdir()] == ["etc"]


def test_given_every_odd_line_then_asterisk_says_what_was_recorded_of_it() -> None:
    program = find_asterisk()
    config = read_config(EDGES.name, EDGES.read_text())
    contexts = [section.name for section in config.sections]
    verdict = scratch.judge(program, Mirror([config]).files, contexts)
    shown = list(scratch.read_shown((REPLAY / "dialplan_edges.show").read_text()))
    log = list(scratch.read_log((REPLAY / "dialplan_edges.log").read_text()))
    assert verdict.loaded
    assert sorted(map(str, verdict.steps)) == sorted(map(str, shown))
    assert [(one.file, one.line) for one in verdict.complaints] == [
        (one.file, one.line) for one in log
    ]


def test_given_a_header_that_is_not_whole_then_asterisk_loads_nothing_and_the_line_is_told(
    tmp_path: Path,
) -> None:
    own = tmp_path / "own.conf"
    own.write_text("[own]\nexten => 1,1,Hangup()\n[next\nexten => 1,1,Hangup()\n")
    settings = load_settings(pbx={"ami_secret": "a-secret-of-the-tests"})
    found = check_files([own], settings)
    assert (str(own), 3, "bad-section") in [(one.file, one.line, one.code) for one in found.errors]
    verdict = scratch.judge(find_asterisk(), {"extensions.conf": own.read_text()}, ["own"])
    assert (verdict.loaded, verdict.steps) == (False, [])


def test_given_globals_that_call_functions_then_none_runs(tmp_path: Path) -> None:
    """Asterisk fills in global variables when it loads; a check must not do what they say."""
    mark = tmp_path / "ran"
    text = f"[globals]\nX=${{SHELL(touch {mark})}}\n[a]\nexten => s,1,Hangup()\n"
    verdict = scratch.judge(find_asterisk(), {"extensions.conf": text}, ["a"])
    assert [one.written for one in verdict.steps] == ["Hangup()"]
    assert not mark.exists()


def test_given_names_that_were_asked_once_then_they_are_kept_for_that_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = find_asterisk()
    monkeypatch.setenv("HOTLINE_CACHE_DIR", str(tmp_path))
    names = scratch.names_of(program)
    assert {"Dial", "Queue", "VoiceMail", "ConfBridge", "Goto"} <= set(names.apps)
    assert {"CHANNEL", "DIALPLAN_EXISTS", "PJSIP_HEADER", "SHARED"} <= set(names.functions)
    [kept] = tmp_path.iterdir()
    before = os.stat(kept).st_mtime_ns
    assert scratch.names_of(program) == names
    assert os.stat(kept).st_mtime_ns == before
