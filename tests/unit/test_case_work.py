"""The table of what people may do with a case: every cell, and what each does to the ledger."""

from __future__ import annotations

from itertools import product

import pytest

from telephony.cases.sides import Sides
from telephony.cases.work import (
    RULES,
    WORK,
    Action,
    Actor,
    Standing,
    case_figures,
    check,
    given_by,
    open_dispatches,
    work_fact,
)
from telephony.cel.rows import Fact
from telephony.errors import NotAllowed, WrongState
from telephony.responsibility import Entry, case_state, new_entries, verify
from telephony.settings import load_settings
from tests.unit.test_responsibility import ACCEPTED, CASE, OFFERED, TAKEN, fact

STATES = ("open", "taken", "handed_over", "closed", "merged")
ACTORS = ("first", "owner", "stranger", "senior")

# Action: states in which it goes, then who may besides a supervisor while somebody has the case.
TABLE: dict[Action, tuple[str, str]] = {
    "accept": ("open", ""),
    "return": ("handed_over", "owner"),
    "edit": ("open taken handed_over", "owner first"),
    "dispatch": ("open taken handed_over", "owner first"),
    "attach": ("open taken handed_over", "owner first"),
    "feedback": ("taken handed_over", "owner"),
    "close": ("open taken handed_over", "owner"),
    "reopen": ("closed", "owner first"),
}


@pytest.mark.parametrize(("action", "state", "who"), product(RULES, STATES, ACTORS))
def test_given_a_cell_of_the_table_then_it_is_so(action: Action, state: str, who: str) -> None:
    states, allowed = TABLE[action]
    names = {"first": "8001", "owner": "110", "stranger": "8009", "senior": "8009"}
    actor = Actor(names[who], is_senior=who == "senior")
    case = Standing(CASE, state, "110", "8001")

    def same(one: str, other: str) -> bool:
        return one == other

    if who != "senior" and who not in allowed.split():
        with pytest.raises(NotAllowed):
            check(action, case, actor, same)
    elif state not in states.split():
        with pytest.raises(WrongState):
            check(action, case, actor, same)
    else:
        check(action, case, actor, same)


@pytest.mark.parametrize("action", RULES)
def test_given_nobody_has_it_then_any_agent_may_where_the_table_says_so(action: Action) -> None:
    case = Standing(CASE, "open", None, None)
    if action in ("accept", "edit", "dispatch", "attach"):
        check(action, case, Actor("8009"), lambda one, other: one == other)
    else:
        with pytest.raises(NotAllowed):
            check(action, case, Actor("8009"), lambda one, other: one == other)


def test_given_departments_and_groups_then_they_stand_for_each_other() -> None:
    agents = [{"id": name, "department": "民意"} for name in ("8001", "8002")]
    group = {"id": "600", "name": "组", "members": ["8001", "8003"]}
    sides = Sides(load_settings(agents=[*agents, {"id": "8003"}, {"id": "8004"}], groups=[group]))
    assert sides.same("8001", "8002")
    assert sides.same("600", "8003")
    assert not sides.same("8003", "8004")  # no department is nobody's
    assert not sides.same("8001", "110")
    assert not sides.same("8001", "who nobody knows")


def work(at: int, event: str, by: str = "110", **more: str) -> Fact:
    return Fact(at, WORK, work_fact(CASE, event, str(at), by, **more), "")


HANDED_OVER = [TAKEN, OFFERED, ACCEPTED]


@pytest.mark.parametrize(
    ("facts", "state", "responsible"),
    [
        ([work(40, "closed")], "closed", "110"),
        ([work(40, "closed"), work(50, "reopened")], "handed_over", "110"),
        ([work(40, "returned", to="8001", handover=f"{CASE}-h1")], "taken", "8001"),
        ([work(40, "edited", detail="kind"), work(41, "feedback")], "handed_over", "110"),
        ([work(40, "attached", detail="other")], "handed_over", "110"),
        ([work(40, "merged", to="other")], "merged", "110"),
        ([work(40, "closed"), work(50, "merged", to="other")], "merged", "110"),
    ],
)
def test_given_work_then_state_and_who_answers_follow(
    facts: list[Fact], state: str, responsible: str
) -> None:
    entries = new_entries(CASE, [], [*HANDED_OVER, *facts])
    assert [one.event for one in entries[3:]] == [one.values["event"] for one in facts]
    assert (case_state(entries), entries[-1].responsible) == (state, responsible)
    assert new_entries(CASE, entries, facts) == []
    assert not list(verify(entries, {CASE: (len(entries), entries[-1].hash)}))


def test_given_a_case_nobody_has_when_taken_then_that_is_the_first_contact() -> None:
    entries = new_entries(CASE, [], [work(40, "taken", by="8002")])
    assert (case_state(entries), entries[0].by, entries[0].responsible) == ("taken", "8002", "8002")


def test_given_an_event_that_is_none_of_ours_then_nothing_is_written() -> None:
    forged = Fact(1, WORK, {"case": CASE, "event": "owned", "key": "k", "by": "x"}, "")
    assert new_entries(CASE, [], [forged]) == []
    assert new_entries(CASE, [], [Fact(1, WORK, {"case": CASE, "event": "closed"}, "")]) == []


def test_given_a_chain_of_handovers_when_returned_then_each_goes_back_one_step() -> None:
    second = f"{CASE}-h2"
    more = [
        fact(40, "OFFERED", id=second, desk="12345", by="110", kind="one-key"),
        fact(50, "ACCEPTED", id=second, desk="12345", leg="1.9"),
    ]
    entries = new_entries(CASE, [], [*HANDED_OVER, *more])
    assert given_by(entries) == (second, "110")
    entries += new_entries(CASE, entries, [work(60, "returned", to="110", handover=second)])
    assert case_state(entries) == "handed_over"
    assert given_by(entries) == (f"{CASE}-h1", "8001")


def test_given_dispatches_then_only_those_that_wait_are_open() -> None:
    offers = [fact(20 + n, "OFFERED", id=f"{CASE}-d{n}", desk=f"11{n}") for n in range(3)]
    ended = fact(30, "ENDED", id=f"{CASE}-d1", desk="111", outcome="declined", said="不归我们")
    entries = new_entries(CASE, [], [TAKEN, OFFERED, *offers, ended])
    assert open_dispatches(entries) == {f"{CASE}-d0": "110", f"{CASE}-d2": "112"}
    assert entries[-1].detail == "declined: 不归我们"


def figures(*facts: Fact) -> tuple[object, ...]:
    entries: list[Entry] = new_entries(CASE, [], facts)
    found = case_figures(entries, 5)
    return (
        found.handovers,
        found.time_to_answer_s,
        found.time_to_acceptance_s,
        found.first_contact_resolution,
    )


def test_given_a_ledger_then_its_figures_follow() -> None:
    closed, again = work(90, "closed", by="8001"), work(95, "reopened", by="8001")
    assert figures() == (0, None, None, None)
    assert figures(TAKEN) == (0, 5e-6, None, None)
    assert figures(TAKEN, closed) == (0, 5e-6, None, True)
    assert figures(TAKEN, closed, again) == (0, 5e-6, None, None)
    assert figures(TAKEN, closed, again, work(99, "closed")) == (0, 5e-6, None, False)
    assert figures(*HANDED_OVER, closed) == (1, 5e-6, 10e-6, False)
    # A hand-over that nobody took does not stop the first contact from settling it.
    refused = fact(30, "ENDED", id=f"{CASE}-h1", desk="110", outcome="busy")
    assert figures(TAKEN, OFFERED, refused, closed) == (1, 5e-6, None, True)
    # Taken from the mailbox, no call was answered.
    assert figures(work(40, "taken", by="8002"), closed) == (0, None, None, True)
