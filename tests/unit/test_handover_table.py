"""The table of hand-overs: what it allows, and that it has an end for everything it begins."""

from __future__ import annotations

import pytest

from telephony.errors import WrongState
from telephony.responsibility import OUTCOMES
from telephony.transfer import TABLE, allowed, must_allow

KINDS = sorted({kind for kind, _, _ in TABLE})
OPEN = ("offered", "answered")


def test_every_kind_of_hand_over_is_in_the_table() -> None:
    expected = ["attended", "consult", "dispatch", "one-key", "refer", "three-way"]
    assert expected == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_given_a_kind_when_it_is_open_then_it_can_be_accepted_and_ended(kind: str) -> None:
    reached = {"offered"}
    for _ in range(3):
        reached |= {
            step.to for (one, at, _), step in TABLE.items() if one == kind and at in reached
        }
    assert {"accepted", "ended"} <= reached
    assert {at for one, at, _ in TABLE if one == kind} == reached - {"accepted", "ended"}


def test_given_a_step_when_state_changes_then_a_fact_is_recorded() -> None:
    for (_kind, at, event), step in TABLE.items():
        assert (step.fact is None) == (step.to == at), event
        if step.to != at:
            facts = {"accepted": "ACCEPTED", "ended": "ENDED", "answered": "ANSWERED"}
            assert step.fact == facts[step.to]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dispatch"])
def test_given_a_call_when_pressed_again_or_caller_hangs_up_then_the_table_knows(kind: str) -> None:
    for state in OPEN:
        assert TABLE[kind, state, "press"].to == state
        assert TABLE[kind, state, "caller hangs up"].to == "ended"


@pytest.mark.parametrize(
    ("kind", "state", "commands"),
    [
        ("consult", "offered", {"cancel", "decline"}),
        ("consult", "answered", {"complete", "cancel", "join", "decline"}),
        ("one-key", "offered", {"decline"}),
        ("one-key", "answered", {"confirm", "decline"}),
        ("three-way", "answered", {"confirm", "decline"}),
        ("attended", "answered", {"decline"}),
        ("dispatch", "offered", {"confirm", "decline", "cancel"}),
        ("consult", "accepted", set()),
    ],
)
def test_given_a_state_when_told_something_then_only_what_the_table_has(
    kind: str, state: str, commands: set[str]
) -> None:
    every = {"complete", "cancel", "join", "confirm", "decline"}
    assert allowed(kind, state) & every == commands
    for command in every:
        if command in commands:
            must_allow("h", kind, state, command)
        else:
            with pytest.raises(WrongState):
                must_allow("h", kind, state, command)


def test_every_outcome_of_the_dialplan_has_its_entry_in_the_ledger() -> None:
    assert {"busy", "declined", "unreachable", "unanswered", "failed", "caller_gone"} < set(
        OUTCOMES
    )
    assert OUTCOMES["cancelled"] == "withdrawn"
