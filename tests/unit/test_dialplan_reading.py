"""How ``hotline dialplan check`` reads a dialplan: as a real Asterisk 22 did, and part by part."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telephony.plans.calls import split, targets
from telephony.plans.config_lines import read_config
from telephony.plans.dialplan_lines import Step, read_plan, unbalanced
from telephony.plans.finding_codes import CODES
from telephony.plans.findings import Finding, Findings
from telephony.plans.mirror import Mirror, compare_with
from telephony.plans.places import matches
from telephony.plans.scratch import Verdict, read_log, read_shown

REPLAY = Path(__file__).resolve().parent.parent / "replay"

# What a real Asterisk 22 said of the same lines.


def recorded(text: str) -> tuple[Verdict, list[Finding], list[Finding]]:
    config = read_config("edges.conf", text)
    shown = (REPLAY / "dialplan_edges.show").read_text()
    log = (REPLAY / "dialplan_edges.log").read_text()
    verdict = Verdict(True, list(read_shown(shown)), list(read_log(log)))
    own = read_plan(config)
    return verdict, own.findings, compare_with(verdict, Mirror([config]), own, own.findings)


def line_of(text: str, line: str) -> int:
    return 1 + text.split("\n").index(line)


def test_given_every_odd_line_then_our_reading_and_asterisks_are_the_same() -> None:
    text = (REPLAY / "dialplan_edges.conf").read_text()
    verdict, found, differences = recorded(text)
    assert len(verdict.steps) > 60
    # += adds to the value before, a name of more than 79 is cut, 25:00 is no time: Asterisk tells.
    plus, cut, time = (
        line_of(text, "exten += g,1,NoOp(x)") - 1,
        line_of(text, "exten => s,1,NoOp(long ctx)"),
        line_of(text, "include => b,25:00-99:00,xyz"),
    )
    assert {(one.line, one.code) for one in differences} == {
        (plus, "asterisk-differs"),
        (cut, "asterisk-differs"),
        (time, "asterisk-says"),
    }
    told = {one.line for one in found}
    complained = {one.line for one in verdict.complaints if one.line}
    assert len(complained) > 15
    assert complained <= told


def test_given_a_line_that_we_misread_then_asterisk_has_the_last_word() -> None:
    text = (REPLAY / "dialplan_edges.conf").read_text()
    line = line_of(text, "same => n,NoOp(after)")
    _, _, before = recorded(text)
    _, _, differences = recorded(text.replace("same => n,NoOp(after)", "same => n,NoOp(before)"))
    more = {one for one in differences if str(one) not in map(str, before)}
    assert [(one.line, one.code) for one in more] == [(line, "asterisk-differs")]


def test_given_a_complaint_about_a_line_in_which_nothing_was_found_then_it_is_told() -> None:
    config = read_config("a.conf", "[a]\nexten => s,1,Hangup()\ninclude => b,25:00-26:00,*,*,*\n")
    log = (
        "[Nov 24 14:00:00] WARNING[1] pbx_config.c: Something new at line 2 of f0.conf\n"
        "[Nov 24 14:00:00] WARNING[1] pbx_timing.c: '25:00' isn't a valid start time.\n"
        "[Nov 24 14:00:00] NOTICE[1] pbx_config.c: All is well at line 1 of f0.conf\n"
    )
    own = read_plan(config)
    verdict = Verdict(False, [], list(read_log(log)))
    found = compare_with(verdict, Mirror([config]), own, own.findings)
    assert [(one.file, one.line, one.code) for one in found] == [
        ("a.conf", 2, "asterisk-says"),
        ("a.conf", 3, "asterisk-says"),
    ]


def test_given_an_include_after_a_comment_then_asterisk_reads_no_file_of_this_machine() -> None:
    text = '[a]\n;-- here --; #include "/etc/hosts"\nexten => s,1,Hangup()\n'
    config = read_config("a.conf", text)
    assert [one.code for one in config.findings] == ["include-missing"]
    texts = Mirror([config]).files.values()
    assert not [one for one in texts if "hosts" in one]


def test_given_nothing_loaded_and_no_reason_then_that_is_an_error() -> None:
    config = read_config("a.conf", "[a]\nexten => s,1,Hangup()\n")
    found = compare_with(Verdict(False, [], []), Mirror([config]), read_plan(config), [])
    assert [one.code for one in found] == ["asterisk-says"]


# The parts.


def test_arguments_are_split_where_asterisk_splits_them() -> None:
    assert split("a,${B(c,d)},$[1,2],(e,f),\"g,h\",i\\,j") == [
        "a", "${B(c,d)}", "$[1,2]", "(e,f)", '"g,h"', "i\\,j",
    ]  # fmt: skip
    assert split("a?b:c", "?", 1) == ["a", "b:c"]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ("${A}", ""),
        ("${A", "{"),
        ("$[${A} = 1", "["),
        ("a)b", ")"),
        ('"(" ${B}', ""),
        ("\\(", ""),
        ("${A}}", "}"),
    ],
)
def test_brackets_without_their_other_half_are_found(data: str, wrong: str) -> None:
    assert unbalanced(data) == wrong


def test_patterns_match_what_asterisk_matches() -> None:
    assert matches("_X.", "12")
    assert not matches("_X.", "1")
    assert matches("_N[2-46]Z!", "941")
    assert not matches("_N[2-46]Z!", "951")
    assert matches("_X-X", "12")
    assert matches("8000", "8000")
    assert not matches("8000", "800")


def test_targets_of_options_and_computed_parts() -> None:
    def of(app: str, data: str) -> list[tuple[str | None, str | None, str | None]]:
        step = Step("c", "s", 1, "", app, data, "f", 1)
        return [(one.context, one.exten, one.priority) for one in targets(step)]

    assert of("Dial", "PJSIP/1,9,gU(up^${A})b(set^x^2(y))") == [("up", "s", "1"), ("set", "x", "2")]
    assert of("Goto", "a,${B},1") == [("a", None, "1")]
    assert of("Goto", "${A}") == [(None, None, None)]
    assert of("GotoIf", "$[1?2]?x:y,1") == [("", "", "x"), ("", "y", "1")]


def test_every_code_says_what_and_why_in_both_languages() -> None:
    for code, words in CODES.items():
        assert all((words.what, words.what_zh, words.why, words.why_zh)), code
        fields = [
            {f.split("}")[0] for f in text.split("{")[1:]} for text in (words.what, words.what_zh)
        ]
        assert fields[0] == fields[1], code
        assert any("\u4e00" <= sign <= "\u9fff" for sign in words.what_zh + words.why_zh), code


@pytest.mark.parametrize("page", ["dialplans.md", "dialplans.zh-CN.md"])
def test_every_code_stands_in_the_page_about_dialplans(page: str) -> None:
    text = (REPLAY.parent.parent / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([\w-]+)` \| (?:error|warning|note|错误|警告|提示) \|", text, re.MULTILINE
    )
    assert rows == list(CODES)


def test_findings_come_once_in_order_and_as_json() -> None:
    twice = Finding("no-way-out", "b.conf", 2, {"where": "a,s", "app": "Wait"})
    found = Findings(
        [twice, twice, Finding("target-computed", "a.conf", 9, {"app": "Goto", "target": "${A}"})]
    )
    assert [one.file for one in found] == ["a.conf", "b.conf"]
    made = found.as_json()
    assert (made["ok"], made["errors"], made["notes"]) == (False, 1, 1)
    assert made["findings"][1]["what"] == "a,s ends with Wait, and nothing says what follows"
