"""Dialplans as steps and files, their differences, their versions on disk, and the admin's own."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from telephony import dialplan
from telephony.around.settings import Supervisor
from telephony.dialplan import DialplanError
from telephony.plans.diff import PlanDiff, as_lines, diff_files, diff_steps
from telephony.plans.findings import Finding
from telephony.plans.load import differences
from telephony.plans.steps import UNREADABLE, read_steps
from telephony.plans.versions import (
    LoadRunning,
    Unfinished,
    VersionNotFound,
    Versions,
    VersionsUnusable,
)
from telephony.plans.wanted import (
    CustomRefused,
    custom_files,
    extension_steps,
    module_of,
    wanted,
)
from telephony.plans.ways import FileWay, NotReachable, as_text, config_told, plain, same
from telephony.settings import Settings

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


# -- steps --------------------------------------------------------------------------------------


def test_given_includes_hints_labels_and_templates_when_read_then_as_asterisk_has_them() -> None:
    text = """
        [one]
        include => two
        ignorepat => 9
        exten => 10,hint,PJSIP/10
        exten => 10,1,NoOp(a\\;b) ; said
        ;-- exten => 10,2,Hangup()
        exten => 10,3,Hangup() --;
        exten => 10,n+4(far),Dial(PJSIP/10,20)
        exten = 11/138,1,Hangup
        [kind](!)
        exten => s,1,Answer()
        [three](kind)
        exten => s,n,Hangup()
    """
    assert read_steps(text) == {
        ("one", "", 1): "include => two",
        ("one", "", 2): "ignorepat => 9",
        ("one", "10", 0): "hint: PJSIP/10",
        ("one", "10", 1): "NoOp(a;b)",
        ("one", "10", 6): "far: Dial(PJSIP/10,20)",
        ("one", "11", 1): "Hangup()",
        ("three", "s", 1): "Answer()",
        ("three", "s", 2): "Hangup()",
    }


@pytest.mark.parametrize("line", ["exten => 1,x,NoOp()", "extn => 1,1,NoOp()", "exten => ,1,NoOp"])
def test_given_a_line_that_asterisk_drops_when_read_then_it_differs_from_whatever_a_pbx_has(
    line: str,
) -> None:
    steps = read_steps(f"[a]\n{line}\n")
    assert list(steps.values()) == [UNREADABLE]
    assert len(differences(steps, {}, {}, "trunk")) == 1


def test_given_lines_that_are_no_extension_when_read_then_in_the_order_that_the_pbx_tells() -> None:
    text = """
        [own]
        lswitch => Realtime
        autohints = yes
        ignorepat => 9
        include => other,09:00-17:00,mon-fri,*,*
        include => other,09:00-17:00,mon-fri,*,*
        exten => _[1,2]X,1,Hangup()
    """
    assert read_steps(text) == {
        ("own", "_[1,2]X", 1): "Hangup()",
        ("own", "", 1): "include => other,09:00-17:00,mon-fri,*,*",
        ("own", "", 2): "ignorepat => 9",
        ("own", "", 3): "switch => Realtime/",
    }


def test_given_a_priority_twice_when_read_then_the_first_holds_and_the_line_is_told() -> None:
    text = "[own]\nexten => 1,1,One()\nexten => 1,1,Two()\n"
    assert read_steps(text, strict=False) == {("own", "1", 1): "One()"}
    [left] = differences(read_steps(text), {}, read_steps(text, strict=False), "trunk")
    assert str(left) == f"own,1,1: missing, ours is {UNREADABLE}"


def test_given_what_was_ours_in_the_trunks_context_when_compared_then_it_must_be_gone() -> None:
    before = {("trunk", "1", 1): "Goto(a,s,1)", ("trunk", "2", 1): "Goto(a,s,1)"}
    ours = {("trunk", "1", 1): "Goto(a,s,1)"}
    theirs = {**before, ("trunk", "999", 1): "Hangup()", ("own", "s", 1): "Hangup()"}
    [left] = differences(ours, before, theirs, "trunk")
    assert str(left) == "trunk,2,1: Goto(a,s,1) is not ours"


# -- differences, readable ------------------------------------------------------------------------


def test_given_two_dialplans_when_compared_then_each_context_tells_what_goes_and_what_comes() -> (
    None
):
    ours = {
        ("a", "s", 1): "One()",
        ("a", "s", 2): "Two()",
        ("new", "h", 0): "hint: X",
        ("trunk", "1", 1): "In()",
    }
    before = {("old", "s", 1): "Gone()", ("trunk", "2", 1): "In()"}
    running = {
        ("a", "s", 1): "Other()",
        ("a", "s", 2): "Two()",
        ("old", "s", 1): "Gone()",
        ("trunk", "2", 1): "In()",
        ("trunk", "999", 1): "Theirs()",
        ("own", "s", 1): "Theirs()",
    }
    contexts = diff_steps(ours, running, before, "trunk")
    files = diff_files(
        {"hotline/features.conf": "[a]\nx = 2\n"}, {"hotline/features.conf": "[a]\nx=>1"}
    )
    found = PlanDiff(tuple(contexts), tuple(files))
    assert not found.equal
    assert [line for line in as_lines(found) if not line.startswith("@@")] == [
        *("[a] changes", "- s,1  Other()", "+ s,1  One()"),
        *("[new] is new", "+ h,hint  hint: X"),
        *("[trunk] changes", "+ 1,1  In()", "- 2,1  In()"),
        *("[old] goes", "- s,1  Gone()"),
        *("hotline/features.conf changes", " [a]", "-x => 1", "+x => 2"),
    ]
    assert PlanDiff((), ()).equal


def test_given_a_supervisors_pin_when_a_difference_is_told_then_without_it() -> None:
    step = 'GotoIf($["${{GIVEN}}" = "{}"]?yes)'
    place = ("hotline-supervisor", "pin601", 1)
    ours, running = {place: step.format("4711")}, {place: step.format("0815")}
    supervisor = Supervisor(id="601", name="Li", pin=SecretStr("4711"))
    files = wanted(Settings(supervisors=[supervisor]))
    assert ours.items() & extension_steps(files).items()
    [change] = diff_steps(ours, running, {}, "trunk")[0].changes
    told = [
        str(differences(ours, {}, running, "trunk")[0]),
        *(change.running, change.wanted),
        str(Finding("ours-changed", "a", 1, {"where": "a", "ours": ours[place], "found": "x"})),
    ]
    assert all('"${GIVEN}" = "***"' in one for one in told)
    assert not [one for one in told if "4711" in one or "0815" in one]


# -- files --------------------------------------------------------------------------------------


def test_given_an_answer_to_getconfig_when_written_as_text_then_it_says_the_same_as_the_file() -> (
    None
):
    told = {
        "Category-000000": "a",
        "Line-000000-000000": "exten=s,1,NoOp(x;y)",
        "Line-000000-000001": "same=n,Set(A=b=c)",
        "Category-000001": "b",
    }
    text = "; why\n[a]\nexten => s,1,NoOp(x\\;y) ; said\n same => n,Set(A=b=c)\n\n[b]\n"
    assert as_text(config_told(told)) == plain(text)
    assert same({"x": text}, {"x": plain(text), "empty": "; nothing\n"})
    assert not same({"x": text}, {"x": text.replace("b=c", "b=d")})


def test_given_settings_when_asked_what_is_loaded_then_no_secret_and_nothing_of_the_start() -> None:
    files = wanted(Settings())
    assert "hotline/extensions/transfer.conf" in files
    assert "hotline/features.conf" in files
    assert all(module_of(name) for name in files)
    assert not [name for name in files if "manager" in name or "cel" in name or "moh" in name]


def test_given_a_file_that_somebody_changed_when_rendered_then_it_is_kept_and_named(
    tmp_path: Path,
) -> None:
    files = {
        name: dialplan.stamped(f"; {dialplan.HEADER}\n[a]\nx = {name}\n") for name in ("a", "b")
    }
    dialplan.write(files, tmp_path)
    assert not dialplan.is_edited(files["a"])
    edited = files["b"].replace("x = b", "x = mine")
    (tmp_path / "b").write_text(edited)
    newer = {name: dialplan.stamped(f"; {dialplan.HEADER}\n[a]\ny = 1\n") for name in files}
    with pytest.raises(DialplanError, match="b was changed since hotline made it"):
        dialplan.write(newer, tmp_path)
    # Nothing at all was written.
    assert {name: (tmp_path / name).read_text() for name in files} == files | {"b": edited}
    assert len(dialplan.write(newer, tmp_path, force=True)) == 2
    # What was made before there were sums is taken as ours.
    (tmp_path / "a").write_text(f"; {dialplan.HEADER}\n[a]\n")
    assert dialplan.write(newer, tmp_path) == [tmp_path / "a"]


async def test_given_a_folder_with_files_of_others_when_read_then_they_are_not_ours(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "hotline/extensions"
    folder.mkdir(parents=True)
    (folder / "mine.conf").write_text("[mine]\n")
    (folder / "custom-info.conf").write_text("[info]\n")
    (folder / "transfer.conf").write_text(f"; {dialplan.HEADER}\n[a]\n")
    way = FileWay(tmp_path)
    assert set(await way.read([])) == {
        "hotline/extensions/custom-info.conf",
        "hotline/extensions/transfer.conf",
    }
    with pytest.raises(NotReachable, match=r"mine\.conf was not made by hotline"):
        await way.read(["hotline/extensions/mine.conf"])
    way.check_rights()


def test_given_a_folder_that_may_not_be_written_when_asked_then_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hotline/extensions").mkdir(parents=True)
    way = FileWay(tmp_path)
    way.check_rights()
    # Whoever runs the tests may be root, whom no folder keeps out.
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("extensions"))
    with pytest.raises(NotReachable, match=r"hotline/extensions may not be .* `setfacl -R -m u:"):
        way.check_rights()
    with pytest.raises(NotReachable, match=r"nowhere \(pbx\.etc\) is no folder"):
        FileWay(tmp_path / "nowhere").check_rights()


# -- the admin's own ------------------------------------------------------------------------------


def test_given_dialplans_of_ones_own_when_taken_then_only_contexts_of_their_own_may_stand_in_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "info.conf").write_text("[info]\nexten => 1,1,Hangup()\n")
    (tmp_path / "README").write_text("not taken\n")
    assert list(custom_files(tmp_path, {"hotline-queue"})) == [
        "hotline/extensions/custom-info.conf"
    ]
    (tmp_path / "more.conf").write_text(
        "x = 1\n[info]\n[hotline-queue]\n[General]\n[a b]\n#include other.conf\n[c](+)\n"
    )
    (tmp_path / "bad name.conf").write_bytes(b"\xff")
    with pytest.raises(CustomRefused) as refused:
        custom_files(tmp_path, {"hotline-queue"})
    told = [line.removeprefix(f"{tmp_path}/") for line in refused.value.lines]
    assert [line.split(": ", 1)[0] for line in told] == [
        *("bad name.conf", "more.conf:1", "more.conf:2", "more.conf:3", "more.conf:4"),
        *("more.conf:5", "more.conf:6", "more.conf:7"),
    ]
    assert "is of info.conf already" in told[2]
    assert "is of the hotline already" in told[3]


# -- versions -----------------------------------------------------------------------------------


def test_given_versions_when_kept_then_they_are_read_back_listed_and_the_oldest_forgotten(
    tmp_path: Path,
) -> None:
    versions = Versions(tmp_path, "pbx1", keep=3)
    assert (versions.history(), versions.standing(), versions.unfinished()) == ([], None, None)
    first = versions.keep({"a/b.conf": "x\n"}, by="li", what="found")
    versions.keep({"a/b.conf": "y\n"}, by="li", what="failed")
    assert versions.standing() == first
    assert versions.settle(2, "loaded") == versions.standing() == versions.get(2)
    assert versions.files(1) == {"a/b.conf": "x\n"}
    versions.keep({}, by="wang", what="rolled-back", of=1)
    versions.keep({"c": "z"}, by="wang", what="loaded")
    assert [(one.number, one.by, one.what, one.of) for one in versions.history()] == [
        (4, "wang", "loaded", 0),
        (3, "wang", "rolled-back", 1),
        (2, "li", "loaded", 0),
    ]
    assert versions.files(3) == {}
    with pytest.raises(VersionNotFound, match="no version 1 is kept; there are: 4, 3, 2"):
        versions.files(1)


def test_given_a_version_that_was_tampered_with_when_taken_then_refused(tmp_path: Path) -> None:
    versions = Versions(tmp_path, "pbx1")
    versions.keep({"a.conf": "x\n"}, by="li", what="loaded")
    (tmp_path / "pbx1/0001/files/a.conf").write_text("y\n")
    with pytest.raises(VersionsUnusable, match="were changed"):
        versions.files(1)
    (tmp_path / "pbx1/0001/version.json").write_text("no json")
    with pytest.raises(VersionsUnusable, match="something else than versions"):
        versions.history()
    (tmp_path / "file").write_text("")
    with pytest.raises(VersionsUnusable, match=r"set dialplan\.versions"):
        Versions(tmp_path / "file", "pbx1").keep({}, by="li", what="found")


def test_given_a_load_under_way_when_another_begins_then_refused_and_its_note_survives(
    tmp_path: Path,
) -> None:
    versions, other = Versions(tmp_path, "pbx1"), Versions(tmp_path, "pbx1")
    note = Unfinished("writing", "file", "li", NOW, pid=1, before=1, after=2)
    with versions.alone():
        assert other.busy()
        with pytest.raises(LoadRunning), other.alone():
            raise AssertionError
        versions.begin(note)
        versions.begin(replace(note, stage="reloading"))
    assert not other.busy()
    assert other.unfinished() == replace(note, stage="reloading")
    other.end()
    assert versions.unfinished() is None
