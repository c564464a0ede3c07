"""Every word of the record that the supervisors' console may show is there for people to read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from api.schemas.agents import Agent
from api.schemas.messages import Kind as MessageKind
from api.schemas.messages import State as MessageState
from telephony.around.supervision import Mode
from telephony.bulk.tables import Format, Headings, What
from telephony.cases.work import CASE_STATES
from telephony.deadlines.rules import KINDS
from telephony.live.model import Role, State
from telephony.responsibility import OUTCOMES, Event

CONSOLE = Path(__file__).parents[2] / "api" / "web" / "console"


def _events() -> set[str]:
    """The events of the ledger: literals in a union."""
    return {word for part in get_args(Event) for word in get_args(part) or (part,)}


def _agent_states() -> set[str]:
    return set(get_args(Agent.model_fields["state"].annotation))


WORDS = {
    "event": _events(),
    "call": set(get_args(State)),
    "role": set(get_args(Role)),
    "agent": _agent_states(),
    "case": set(CASE_STATES),
    "handover": {"offered", "answered", "accepted", *OUTCOMES},
    "story.outcome": set(OUTCOMES),
    "deadline": set(KINDS),
    "message": set(get_args(MessageState)),
    "message.kind": set(get_args(MessageKind)),
    "mode": set(get_args(Mode)),
    "leg": {"complete", "open", "cut_off"},
    "exports.what": set(get_args(What)),
    "exports.format": set(get_args(Format)),
    "exports.headings": set(get_args(Headings)),
}


@pytest.mark.parametrize("group", WORDS)
def test_every_word_of_a_kind_has_words_for_people(group: str) -> None:
    known = set(re.findall(r'"([\w.-]+)": "', (CONSOLE / "words.js").read_text()))
    assert WORDS[group]
    assert {f"{group}.{word}" for word in WORDS[group]} - known == set()


def test_every_key_that_a_page_names_is_there() -> None:
    shared = (CONSOLE.parent / "shared" / "i18n.js").read_text()
    known = set(re.findall(r'"([\w.-]+)": "', (CONSOLE / "words.js").read_text() + shared))
    named = {
        (file.name, key)
        for file in CONSOLE.glob("*.js")
        for key in re.findall(r'\bt\("([\w.-]+)"', file.read_text())
    }
    assert len(named) > 100
    assert {one for one in named if one[1] not in known} == set()


def test_every_event_of_the_ledger_is_told_in_a_sentence() -> None:
    known = set(re.findall(r'"story\.([\w-]+)', (CONSOLE / "words.js").read_text()))
    ends = {"declined", "unanswered", "failed", "withdrawn"}  # told by their outcome
    assert _events() - ends - known == set()
