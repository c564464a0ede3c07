"""What ``hotline dialplan check`` finds: by rules, and by what a real Asterisk said."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from pathlib import Path

import pytest

from bench.dialplan_mutants import BROKEN, HARMLESS, file_gone, mutants, reordered
from telephony.dialplan import SOUNDS
from telephony.plans.check import Reference, Set, is_dialplan, loaded_modules, rendered
from telephony.plans.findings import Findings
from telephony.plans.names import Names
from telephony.plans.prompts import SoundFolders
from telephony.plans.sources import gather
from telephony.settings import Settings, load_settings

REPLAY = Path(__file__).resolve().parent.parent / "replay"
ROOT = {"extensions.conf": '#include "hotline/extensions/*.conf"\n'}
MUTANTS_OF_A_KIND = 1
SEED = 7
OWN = ("own.conf",)


@cache
def settings() -> Settings:
    return load_settings(pbx={"ami_secret": "a-secret-of-the-tests"})


@cache
def reference() -> Reference:
    return Reference(rendered(settings()))


@cache
def names() -> Names:
    return Names(**json.loads((REPLAY / "asterisk_names.json").read_text()))


def examine(
    files: dict[str, str], roots: tuple[str, ...] = (), modules: frozenset[str] | None = None
) -> Findings:
    known = Names(names().version, names().apps, names().functions, modules)
    exists = SoundFolders({"zh": [SOUNDS / "zh"], "en": [SOUNDS / "en"]}, [SOUNDS / "en"])
    # A plan of one's own is looked at alone, for speed.
    beside: dict[str, str] | None = {} if roots == OWN else None
    found = Set(files, settings(), reference(), roots, beside=beside)
    return Findings(found.examine(known, exists))


def errors(text: str, **more: str) -> list[tuple[int, str]]:
    """Lines and codes of a plan of one's own."""
    files = {"own.conf": text, **more}
    found = examine(files, OWN).errors
    assert all(one.file == "own.conf" for one in found)
    return [(one.line, one.code) for one in found]


def plan(*lines: str) -> str:
    return "\n".join(["[own]", *lines, ""])


# What is found, the line that is told (the first is [own]), and the plan: nothing else is told.
CASES = """
no-equals 3: exten => 1,1,Answer() | same n,NoOp() | same => n,Hangup()
bad-priority 3: exten => 1,1,Answer() | same => n NoOp() | same => n,Hangup()
parenthesis 2: exten => 1,1,Set(A=1 | same => n,Hangup()
unbalanced 2: exten => 1,1,Set(A=${B) | same => n,Hangup()
same-first 2: same => n,Hangup()
next-first 2: exten => 1,n,Hangup()
bad-priority 2: exten => 1,0,Hangup()
bad-label 2: exten => 1,1(a,Hangup()
text-after-step 2: exten => 1,1,Hangup() now
unknown-directive 3: exten => 1,1,Hangup() | sam => n,NoOp()
no-application 2: exten => 1,1 | exten => 2,1,Hangup()
include-missing 2: #include gone.conf | exten => 1,1,Hangup()
exec 2: #exec /bin/date | exten => 1,1,Hangup()
comment-open 3: exten => 1,1,Hangup() | ;-- so | same => n,NoOp()
unknown-application 2: exten => 1,1,Hungup() | same => n,Hangup()
unknown-application 2: exten => 1,1,ExecIf($[1]?Playbak(beep)) | same => n,Hangup()
unknown-function 2: exten => 1,1,Set(A=${LENN(x)}) | same => n,Hangup()
unknown-function 2: exten => 1,1,Set(CALLERIDD(num)=1) | same => n,Hangup()
target-context 2: exten => 1,1,Goto(gone,s,1)
target-extension 2: exten => 1,1,Goto(2,1)
target-priority 2: exten => 1,1,Goto(gone)
target-priority 2: exten => 1,1,Goto(1,7)
target-priority 3: exten => 1,1,GotoIf($[1]?:) | same => n,Goto()
target-priority 2: exten => 1,1,GotoIf($[1]?gone) | same => n,Hangup()
target-context 2: exten => 1,1,GotoIfTime(*,*,*,*?gone,s,1) | same => n,Hangup()
target-context 2: exten => 1,1,ExecIf($[1]?Gosub(gone,s,1(x))) | same => n,Hangup()
target-extension 2: exten => 1,1,Dial(PJSIP/1&Local/9@own/n) | same => n,Hangup()
target-context 2: exten => 1,1,Dial(PJSIP/1,9,tU(gone^a)g) | same => n,Hangup()
target-context 2: exten => 1,1,Queue(q,cF(gone^s^1)) | same => n,Hangup()
target-context 2: exten => 1,1,ChannelRedirect(${A},gone,s,1) | same => n,Hangup()
target-context 2: exten => 1,1,Originate(PJSIP/1,exten,gone,s,1) | same => n,Hangup()
target-context 2: exten => 1,1,Set(CHANNEL(hangup_handler_push)=gone,s,1) | same => n,Hangup()
include-context 2: include => gone | exten => 1,1,Hangup()
no-priority-1 2: exten => 1,2,Hangup()
priority-gap 3: exten => 1,1,Answer() | same => 3,Hangup()
priority-twice 3: exten => 1,1,Hangup() | exten => 1,1,Hangup()
label-twice 3: exten => 1,1(a),Answer() | same => n(a),Hangup()
unreachable-step 3: exten => 1,1,Hangup() | same => n,Answer() | same => n,Hangup()
no-way-out 3: exten => 1,1,Answer() | same => n,Playback(hotline/goodbye)
loop-without-exit 2: exten => 1,1(a),Wait(1) | same => n,Goto(a)
prompt-missing 2: exten => 1,1,Playback(hotline/goodby) | same => n,Hangup()
prompt-missing 2: exten => 1,1,Read(A,hotline/confirm&gone,1) | same => n,Hangup()
"""


@pytest.mark.parametrize("case", CASES.strip().splitlines())
def test_given_a_plan_with_one_mistake_then_its_line_is_told_and_nothing_else(case: str) -> None:
    told, _, steps = case.partition(": ")
    code, line = told.split()
    assert errors(plan(*steps.split(" | "))) == [(int(line), code)]


def test_given_files_that_asterisk_does_not_load_at_all_then_the_line_is_told() -> None:
    good = plan("exten => 1,1,Hangup()")
    assert errors("exten => 1,1,Hangup()\n" + good) == [(1, "before-section")]
    assert (3, "bad-section") in errors(good + "[next\nexten => 1,1,Hangup()\n")
    assert errors(good + "[gone](+)\nexten => 1,1,Hangup()\n") == [(3, "template-missing")]
    assert errors(good + "[a](gone)\nexten => 1,1,Hangup()\n") == [(3, "template-missing")]


def test_given_what_asterisk_takes_then_nothing_is_told() -> None:
    text = """[globals]
NEAR = 61
[base](!)
exten => h,1,NoOp(over)
[house](base)
exten => _${NEAR}XX,1,GotoIf($["${CALLERID(num)}" = "1"]?other,s,1:1,menu)
exten => 1,1,Answer()
 same => n(menu),Background(hotline/confirm)
 same => n,WaitExten(5)
 same => n,Goto(menu)
exten => 2,1,Goto(${NEXT})
exten => 3,1,Gosub(routine,s,1(a,b(c)))
 same => n,ExecIf($["${A}" = "(x"]?Goto(other,s,last):Hangup(16))
 same => n,Dial(Local/9@other/n,20,gG(pair^s^1)b(routine^s^1(x)))
 same => n,Goto(1,1)
include => other,09:00-17:00,mon-fri,*,*
[other]
exten => s,1,Set(A=a\\;b) ; a note; with another
;-- exten => s,2,Hangup() ;-- nested --; --;
exten => s,n(last),Goto(house,6123,1)
exten => 9/123,1,Hangup()
exten => 9,1,Hangup()
exten => _[a-c]X!,1,Hangup()
[pair]
exten => s,1,Hangup()
 same => n,Hangup()
[routine]
exten => s,1,GotoIf($[${LEN(${ARG1})} > 1]?yes)
 same => n,Return(${IF($[1]?a:b)})
 same => n(yes),Return()
[house](+)
exten => 4,1,Goto(2,1)
"""
    findings = examine({"own.conf": text}, OWN)
    assert [str(one) for one in findings.errors] == []
    assert [(one.line, one.code) for one in findings if one.severity == "note"] == [
        (11, "target-computed")
    ]


def test_given_modules_conf_when_an_application_is_of_a_module_that_is_not_loaded_then_told() -> (
    None
):
    files = {"modules.conf": "[modules]\nautoload = no\nload = app_dial.so\nload = pbx_config.so\n"}
    modules = loaded_modules(files)
    own = plan("exten => 1,1,Dial(PJSIP/1)", "same => n,VoiceMail(1)", "same => n,Hangup()")
    found = examine({**files, "own.conf": own}, OWN, modules)
    assert [(one.line, one.code) for one in found.errors] == [(3, "module-not-loaded")]
    assert loaded_modules({"modules.conf": "[modules]\nautoload = yes\n"}) is None
    # What it includes may load more.
    more = "[modules]\nautoload = no\n#tryinclude more.conf\n"
    assert loaded_modules({"modules.conf": more}) is None


def test_given_pjsip_conf_when_a_device_is_not_in_it_then_told() -> None:
    pjsip = "[common](!)\ntype = endpoint\n[6101](common)\n[trunk](common)\n[6101]\ntype = aor\n"
    own = plan("exten => 1,1,Dial(PJSIP/6101&PJSIP/6102)", "same => n,Dial(PJSIP/${A}@trunk)",
               "same => n,Dial(PJSIP/5@trunk)", "same => n,Hangup()")  # fmt: skip
    assert errors(own, **{"pjsip.conf": pjsip}) == [(2, "device-missing")]
    text = plan("exten => 1,1,MSet(DESK_DIAL=PJSIP/6109,DESK_BACKUP=)", "same => n,Hangup()")
    desk = {"own.conf": text}
    found = examine({**desk, "pjsip.conf": pjsip}, OWN)
    assert [(one.line, one.code) for one in found if one.code != "unreachable-context"] == [
        (2, "desk-missing")
    ]
    assert errors(own) == []


def test_given_files_that_include_each_other_then_each_finding_is_in_its_own_file() -> None:
    files = {
        "extensions.conf": '[first]\nexten => 1,1,Goto(second,1,1)\n#include "parts/*.conf"\n',
        "parts/a.conf": "exten => 2,1,Goto(gone,1,1)\n[second]\nexten => 1,1,Hangup()\n",
        "parts/b.conf": "[third]\nexten => 1,1,Goto(first,2,1)\n",
    }
    assert [(one.file, one.line, one.code) for one in examine(files).errors] == [
        ("parts/a.conf", 1, "target-context")
    ]


def test_given_files_that_include_themselves_then_the_check_ends_and_says_so() -> None:
    files = {f"parts/{one}.conf": '#include "parts/*.conf"\n' for one in range(5)}
    files["extensions.conf"] = '#include "parts/*.conf"\n'
    assert {one.code for one in examine(files).errors} >= {"include-too-deep"}


def test_given_files_on_disk_when_one_cannot_be_read_or_is_not_utf8_then_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "extensions.conf").write_bytes(b'[a]\nexten => s,1,NoOp(\xff)\n#include "b.conf"\n')
    (tmp_path / "b.conf").symlink_to(tmp_path / "gone.conf")
    (tmp_path / "features.conf").write_text("[general]\n")
    sources = gather([tmp_path / "extensions.conf", tmp_path / "none.conf"])
    assert sources.roots == [str(tmp_path / "extensions.conf")]
    assert [(Path(one.file).name, one.line, one.code) for one in sources.findings] == [
        ("extensions.conf", 2, "not-utf8"),
        ("none.conf", 0, "unreadable"),
    ]
    assert sources.resolve(sources.roots[0], "b.conf") == []
    assert str(tmp_path / "features.conf") in sources.texts


def test_given_our_dialplan_as_rendered_then_nothing_but_notes() -> None:
    found = examine({**reference().texts, **ROOT})
    assert [str(one) for one in found if one.severity != "note"] == []


def ours() -> dict[str, str]:
    return {**{n: t for n, t in reference().texts.items() if is_dialplan(n)}, **ROOT}


def others() -> dict[str, str]:
    return {n: t for n, t in reference().texts.items() if not is_dialplan(n)}


def test_given_our_dialplan_when_one_thing_sends_a_caller_elsewhere_then_it_is_refused() -> None:
    made = [file_gone(ours(), SEED)]
    made += mutants(ours(), BROKEN, len(BROKEN) * MUTANTS_OF_A_KIND, SEED)
    assert len({one.kind for one in made}) >= 20
    for one in made:
        found = examine({**others(), **one.files}).errors
        assert found, f"{one.kind}: {one.file}:{one.line}: {one.what}"
        assert any(each.line > 0 for each in found)


def test_given_our_dialplan_when_nothing_that_matters_is_changed_then_it_is_not_refused() -> None:
    made = [reordered(ours(), SEED)]
    made += islice(mutants(ours(), HARMLESS, 1000, SEED), len(HARMLESS) * MUTANTS_OF_A_KIND)
    for one in made:
        found = examine({**others(), **one.files}).errors
        assert not found, f"{one.kind}: {one.file}:{one.line}: {one.what}: {found[0]}"


def test_given_one_file_of_ours_edited_by_hand_when_checked_alone_then_the_line_is_told() -> None:
    name = "hotline/extensions/keys.conf"
    text = reference().texts[name]
    edited = text.replace("${PEER},hotline-transfer,", "${PEER},hotline-way-back,")
    line = 1 + next(at for at, one in enumerate(edited.split("\n")) if "hotline-way-back" in one)
    assert [str(one) for one in examine({name: text}).errors] == []
    found = examine({name: edited}).errors
    assert (name, line, "ours-changed") in [(one.file, one.line, one.code) for one in found]


def test_given_an_own_file_that_touches_a_context_of_ours_then_it_is_refused() -> None:
    own = "[hotline-way-back]\nexten => s,1,Hangup()\n"
    assert ("ours-changed") in [code for _, code in errors(own)]
    trunk = f"[{settings().trunk_context}]\nexten => 5551234,1,Hangup()\n"
    assert errors(trunk) == []


def test_given_keys_rooms_or_queues_edited_by_hand_then_the_line_is_told() -> None:
    texts = reference().texts
    edits = {
        "hotline/features.conf": ("hotline-key-park,s,1", "hotline-key-bark,s,1"),
        "hotline/confbridge.conf": ("hotline-room-pressed,end,1", "hotline-room-pressed,ends,1"),
        "hotline/queues.conf": (
            "membergosub = hotline-agent-up",
            "membergosub = hotline-agent-down",
        ),
    }
    for name, (old, new) in edits.items():
        edited = texts[name].replace(old, new)
        line = 1 + edited[: edited.index(new)].count("\n")
        found = examine({**texts, **ROOT, name: edited}).errors
        assert {(one.file, one.line) for one in found} >= {(name, line)}
        codes = {one.code for one in found}
        # A pattern takes any key that a room sends.
        assert codes & {"target-context", "ours-added"}
        assert "ours-missing" in codes


def test_given_the_queues_of_a_pbx_when_a_step_names_another_then_told() -> None:
    own = plan("exten => 1,1,Queue(tax)", "same => n,Queue(taxes)", "same => n,Hangup()")
    assert errors(own, **{"queues.conf": "[general]\n[tax]\n"}) == [(3, "section-missing")]
    forked = {"queues.conf": '[tax]\n#include "more.conf"\n'}
    assert errors(own, **forked) == []
