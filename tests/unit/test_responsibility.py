"""Who answers for a case: every row of the table of rules, and what a changed ledger looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telephony.cel.rows import Fact
from telephony.legs.model import Leg, Segment
from telephony.responsibility import (
    GENESIS,
    Entry,
    case_state,
    first_contact,
    handovers,
    new_entries,
    verify,
)

CASE = "20261124-1795497280.0"
FIRST = f"{CASE}-h1"


def fact(at: int, name: str, /, **values: str) -> Fact:
    return Fact(at, name, {"case": CASE, **values}, "1795497280.0")


TAKEN = fact(10, "TAKEN", agent="8001", leg="1795497280.1")
OFFERED = fact(20, "OFFERED", id=FIRST, desk="110", by="8001", kind="one-key", reason="打架")
ACCEPTED = fact(30, "ACCEPTED", id=FIRST, desk="110", leg="1795497290.4")


def told(entries: list[Entry]) -> list[tuple[str, str | None]]:
    return [(one.event, one.responsible) for one in entries]


def test_given_an_accepted_handover_then_responsibility_moves_only_then() -> None:
    entries = new_entries(CASE, [], [fact(1, "CASE"), TAKEN, OFFERED, ACCEPTED])
    assert told(entries) == [("taken", "8001"), ("offered", "8001"), ("accepted", "110")]
    assert [one.number for one in entries] == [1, 2, 3]
    assert case_state(entries) == "handed_over"


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        ("busy", "failed"),
        ("declined", "declined"),
        ("unreachable", "failed"),
        ("unanswered", "unanswered"),
        ("failed", "failed"),
        ("caller_gone", "failed"),
        ("a word we do not know", "failed"),
    ],
)
def test_given_any_other_outcome_then_it_stays_where_it_was(outcome: str, event: str) -> None:
    ended = fact(30, "ENDED", id=FIRST, desk="110", outcome=outcome, cause="17")
    entries = new_entries(CASE, [], [TAKEN, OFFERED, ended])
    assert told(entries)[-1] == (event, "8001")
    assert entries[-1].detail == f"{outcome}, cause 17"
    assert case_state(entries) == "taken"


def test_given_a_three_way_call_then_joining_is_not_accepting() -> None:
    offered = OFFERED._replace(values={**OFFERED.values, "kind": "three-way"})
    before = new_entries(CASE, [], [TAKEN, offered])
    entries = new_entries(CASE, before, [ACCEPTED])
    assert told(entries) == [("undecided", "8001")]


def test_given_a_second_agent_then_the_first_contact_still_answers() -> None:
    again = fact(40, "TAKEN", agent="8002", leg="1795497280.9")
    entries = new_entries(CASE, [], [TAKEN, again])
    assert told(entries) == [("taken", "8001"), ("taken", "8001")]


def test_given_nobody_took_it_then_nobody_answers_for_it() -> None:
    assert new_entries(CASE, [], [fact(1, "CASE")]) == []
    assert case_state([]) == "open"


def test_given_the_same_facts_again_then_nothing_is_appended() -> None:
    facts = [TAKEN, OFFERED, ACCEPTED]
    entries = new_entries(CASE, [], facts)
    assert new_entries(CASE, entries, facts) == []
    assert new_entries(CASE, entries[:2], facts) == entries[2:]
    assert new_entries(CASE, [], facts[::-1]) == entries


def test_given_two_outcomes_then_the_first_counts() -> None:
    late = fact(31, "ENDED", id=FIRST, desk="110", outcome="unanswered", cause="19")
    entries = new_entries(CASE, [], [TAKEN, OFFERED, ACCEPTED, late])
    assert told(entries)[-1] == ("accepted", "110")
    assert handovers([OFFERED, ACCEPTED, late])[FIRST].state == "accepted"


def test_given_another_outcome_that_comes_later_to_the_record_then_the_ledger_stays() -> None:
    """Whatever its time: what is in the ledger was what everybody has seen."""
    gone = fact(29, "ENDED", id=FIRST, desk="110", outcome="caller_gone", cause="16")
    before = new_entries(CASE, [], [TAKEN, OFFERED, ACCEPTED])
    assert new_entries(CASE, before, [TAKEN, OFFERED, gone, ACCEPTED]) == []
    one = handovers([OFFERED, gone, ACCEPTED], before)[FIRST]
    assert (one.state, one.decided, one.leg) == ("accepted", ACCEPTED.at, ACCEPTED.values["leg"])
    # Without one in the ledger the first counts, and both say the same.
    assert handovers([OFFERED, gone, ACCEPTED])[FIRST].state == "caller_gone"
    assert told(new_entries(CASE, [], [TAKEN, OFFERED, gone, ACCEPTED]))[-1] == ("failed", "8001")


def test_given_the_facts_of_a_handover_then_all_of_them_are_told() -> None:
    route = fact(25, "ROUTE", id=FIRST, desk="110", route="2")
    ended = fact(30, "ENDED", id=FIRST, desk="110", outcome="unanswered", cause="19")
    back = fact(31, "RETURNED", id=FIRST, to="agent", by="8001")
    one = handovers([back, ended, route, OFFERED])[FIRST]
    assert (one.state, one.route, one.cause, one.reason) == ("unanswered", 2, 19, "打架")
    assert (one.offered, one.decided, one.returned, one.returned_to) == (20, 30, 31, "agent")


def test_given_a_fact_without_its_keys_then_nothing_fails() -> None:
    strange = [Fact(1, kind, {"case": CASE}, "1.1") for kind in ("TAKEN", "OFFERED", "ENDED", "X")]
    assert [one.event for one in new_entries(CASE, [], strange)] == ["taken"]
    assert handovers(strange) == {}


def leg(uniqueid: str, role: str | None, **fields: object) -> Leg:
    made = Leg("pbx1", uniqueid, [uniqueid], [], uniqueid, 0, case=CASE)
    for name, value in {"role": role, **fields}.items():
        setattr(made, name, value)
    return made


def test_given_no_note_then_the_first_answered_leg_with_the_citizen_took_it() -> None:
    met = [Segment(("2",), 50, 60), Segment(("3",), 70, None)]
    legs = [
        leg("1", "citizen", segments=met),
        leg("2", None, answered=49),
        leg("3", "agent", answered=69),
    ]
    found = first_contact(legs, CASE)
    assert found is not None
    assert (found[0].uniqueid, found[1]) == ("2", 50)
    assert first_contact(legs, "another") is None
    assert first_contact(legs[1:], CASE) is None


def chain() -> list[Entry]:
    return new_entries(CASE, [], [TAKEN, OFFERED, ACCEPTED])


def heads(entries: list[Entry]) -> dict[str, tuple[int, str]]:
    return {CASE: (len(entries), entries[-1].hash)}


def test_given_a_ledger_as_it_was_written_then_there_is_no_problem() -> None:
    entries = chain()
    assert entries[0].previous == GENESIS
    assert list(verify(entries, heads(entries))) == []
    assert list(verify([], {CASE: (0, GENESIS)})) == []


@pytest.mark.parametrize(
    "field", ["at", "event", "by", "to", "responsible", "leg", "detail", "key"]
)
def test_given_any_changed_field_then_the_entry_is_named(field: str) -> None:
    entries = chain()
    value: Any = 99 if field == "at" else "someone else"
    changed = [entries[0], replace(entries[1], **{field: value}), entries[2]]
    problems = list(verify(changed, heads(entries)))
    assert [(one.case, one.number) for one in problems] == [(CASE, 2)]


def test_given_a_changed_entry_with_a_new_hash_then_the_next_one_does_not_follow() -> None:
    entries = chain()
    forged = replace(entries[1], responsible="8009")
    forged = replace(forged, hash=forged.computed_hash())
    problems = list(verify([entries[0], forged, entries[2]], heads(entries)))
    assert [one.number for one in problems] == [3]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_given_a_missing_entry_then_its_place_is_named(missing: int) -> None:
    entries = chain()
    left = entries[:missing] + entries[missing + 1 :]
    assert missing + 1 in [one.number for one in verify(left, heads(entries))]


def test_given_an_entry_too_many_then_it_is_named() -> None:
    entries = chain()
    more = new_entries(CASE, entries, [fact(50, "TAKEN", agent="8009", leg="x")])
    assert [one.number for one in verify([*entries, *more], heads(entries))] == [4]


ROOM = f"{CASE}-r1795497290"
THREE_WAY = [
    TAKEN,
    fact(20, "OFFERED", id=FIRST, desk="110", by="8001", kind="three-way"),
    fact(30, "ACCEPTED", id=FIRST, desk="110", leg="1795497280.2"),
]


def decided(at: int, outcome: str, desk: str = "", room: str = ROOM) -> Fact:
    values = {"case": CASE, "room": room, "outcome": outcome, "desk": desk, "by": "8001"}
    return Fact(at, "DECIDED", values, f"1795497280.{at}")


@pytest.mark.parametrize(
    ("decisions", "responsible", "state"),
    [
        ([decided(40, "undecided")], "8001", "taken"),
        ([decided(40, "taken", "110")], "110", "handed_over"),
        # The last word of one three-way call counts.
        ([decided(40, "taken", "110"), decided(50, "undecided")], "8001", "taken"),
        ([decided(40, "undecided"), decided(50, "taken", "110")], "110", "handed_over"),
        # In a later one, undecided leaves the case where it was before that one.
        (
            [decided(40, "taken", "110"), decided(50, "undecided", room=f"{CASE}-r2")],
            "110",
            "handed_over",
        ),
    ],
)
def test_given_three_way_when_decided_then_the_last_word_counts(
    decisions: list[Fact], responsible: str, state: str
) -> None:
    whole = new_entries(CASE, [], [*THREE_WAY, *decisions])
    assert whole[-1].responsible == responsible
    assert case_state(whole) == state
    assert not list(verify(whole, {CASE: (len(whole), whole[-1].hash)}))
    # The same, fact by fact, and seen twice: nothing else comes of it.
    step: list[Entry] = []
    for one in [*THREE_WAY, *decisions]:
        step += new_entries(CASE, step, [one])
        step += new_entries(CASE, step, [one])
    assert step == whole


def test_given_case_that_was_given_back_when_three_way_is_undecided_then_it_stays_there() -> None:
    back = {"case": CASE, "event": "returned", "key": "returned:1", "by": "110", "to": "8001"}
    facts = [TAKEN, OFFERED, ACCEPTED, Fact(35, "WORK", {**back, "id": FIRST}, "")]
    whole = new_entries(CASE, [], [*facts, decided(50, "undecided", room=f"{CASE}-r2")])
    assert told(whole)[2:] == [("accepted", "110"), ("returned", "8001"), ("undecided", "8001")]
    assert case_state(whole) == "taken"


ROOM_AT = 1795497290_000_000
LATER = f"{CASE}-h2"


@pytest.mark.parametrize("outcome", ["taken", "undecided"])
@pytest.mark.parametrize("since", ["accepted", "returned", "closed"])
def test_given_case_went_on_since_the_three_way_when_decided_then_it_stays_where_it_is(
    since: str, outcome: str
) -> None:
    facts = [
        *THREE_WAY,
        fact(ROOM_AT + 9_000_000, "OFFERED", id=LATER, desk="122", by="8001", kind="one-key"),
        fact(ROOM_AT + 9_500_000, "ACCEPTED", id=LATER, desk="122", leg="1795497280.9"),
    ]
    work = {"case": CASE, "event": since, "key": f"{since}:1", "by": "122", "to": "8001"}
    if since != "accepted":
        facts.append(Fact(ROOM_AT + 10_000_000, "WORK", {**work, "id": LATER}, ""))
    before = new_entries(CASE, [], facts)
    desk = "110" if outcome == "taken" else ""
    [late] = new_entries(CASE, before, [decided(ROOM_AT + 20_000_000, outcome, desk)])
    assert (late.event, late.responsible) == ("undecided", before[-1].responsible)
    assert late.responsible == ("8001" if since == "returned" else "122")
    assert case_state([*before, late]) == case_state(before)


def test_given_case_accepted_before_the_three_way_when_a_desk_takes_it_then_it_is_theirs() -> None:
    facts = [
        TAKEN,
        fact(ROOM_AT - 10, "ACCEPTED", id=LATER, desk="122", leg="1795497280.9"),
        decided(ROOM_AT + 5_000_000, "taken", "110"),
    ]
    assert new_entries(CASE, [], facts)[-1].responsible == "110"


def test_given_case_handed_over_before_when_three_way_is_undecided_then_it_stays_there() -> None:
    facts = [
        TAKEN,
        fact(12, "OFFERED", id=f"{CASE}-h0", desk="122", by="8001", kind="one-key"),
        fact(14, "ACCEPTED", id=f"{CASE}-h0", desk="122", leg="1795497280.9"),
        *THREE_WAY[1:],
        decided(40, "taken", "110"),
        decided(50, "undecided"),
    ]
    assert new_entries(CASE, [], facts)[-1].responsible == "122"


INCOMING = f"{CASE}-h0"
HANDED = fact(5, "HANDED", id=INCOMING, desk="2800122", by="110", their="JQ-1", caller="1.0")
ANSWERED = fact(10, "TAKEN", agent="8001", leg="1795497280.1", id=INCOMING, desk="2800122")


def test_given_a_call_handed_over_to_us_then_it_is_theirs_until_our_agent_answers() -> None:
    first = new_entries(CASE, [], [fact(1, "CASE"), HANDED])
    assert told(first) == [("taken", "110"), ("offered", "110")]
    assert (first[0].by, first[0].leg, case_state(first)) == ("110", None, "taken")
    assert "JQ-1" in (first[0].detail or "")
    # The answer is seen in a later reading; the first facts come again with it.
    then = new_entries(CASE, first, [fact(1, "CASE"), HANDED, ANSWERED])
    assert told(then) == [("accepted", "8001")]
    assert (then[0].to, then[0].leg) == ("8001", "1795497280.1")
    assert case_state([*first, *then]) == "handed_over"
    assert not list(verify([*first, *then], {CASE: (3, then[-1].hash)}))


def test_given_it_was_accepted_when_another_agent_takes_it_back_then_responsibility_stays() -> None:
    again = fact(40, "TAKEN", agent="8002", leg="1795497300.7")
    entries = new_entries(CASE, [], [HANDED, ANSWERED, again])
    assert told(entries)[-2:] == [("accepted", "8001"), ("taken", "8001")]


@pytest.mark.parametrize(
    ("outcome", "event"),
    [("unanswered", "unanswered"), ("closed", "unanswered"), ("caller_gone", "failed")],
)
def test_given_nobody_of_ours_answers_then_it_stays_theirs(outcome: str, event: str) -> None:
    ended = fact(30, "ENDED", id=INCOMING, desk="2800122", outcome=outcome)
    entries = new_entries(CASE, [], [HANDED, ended])
    assert told(entries)[-1] == (event, "110")
    assert case_state(entries) == "taken"
    one = handovers([HANDED, ended])[INCOMING]
    assert (one.kind, one.by, one.desk, one.state) == ("incoming", "110", "2800122", outcome)


def test_given_our_answer_then_the_handover_to_us_is_accepted_on_that_leg() -> None:
    [one] = handovers([HANDED, ANSWERED]).values()
    assert (one.state, one.leg, one.offered, one.decided) == ("accepted", "1795497280.1", 5, 10)
    assert (one.kind, one.by, one.caller) == ("incoming", "110", "1.0")
