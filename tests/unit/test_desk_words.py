"""Whatever may come of a hand-over is said on the agent's desk in words, and in no code."""

from __future__ import annotations

import re
from pathlib import Path

from telephony.responsibility import OUTCOMES

DESK = Path(__file__).parents[2] / "api" / "web" / "desk"


def _words(*files: Path) -> set[str]:
    return {key for file in files for key in re.findall(r'"([\w.-]+)": "', file.read_text())}


def test_every_outcome_of_a_handover_has_words_at_the_desk() -> None:
    outcomes = {f"desk.go.{one}" for one in (*OUTCOMES, "accepted")}
    assert outcomes - _words(DESK / "words.js") == set()


def test_every_key_that_the_desk_names_is_there() -> None:
    known = _words(*DESK.glob("*.js"), DESK.parent / "shared" / "i18n.js")
    named = {
        (file.name, key)
        for file in DESK.glob("*.js")
        for key in re.findall(r'\bt\("([\w.-]+)"', file.read_text())
    }
    assert len(named) > 100
    assert {one for one in named if one[1] not in known} == set()
