"""The table of work orders: every cell, and what platforms are told of a ledger."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from telephony.cel.rows import Fact
from telephony.orders.rules import TABLE, Order, Sender, State, Telling, Word, tellings
from telephony.responsibility import Entry, new_entries
from tests.unit.test_responsibility import CASE

ENDED = {"refused", "withdrawn", "closed"}
GOING = {"accepted", "feedback"}


def expected(word: Word, sender: Sender, state: State) -> tuple[str, str] | None:
    """What the table says in words."""
    match word:
        case "accepted":
            first = "accepted" if sender == "holder" else "feedback"
            return ("accepted", first) if state == "new" else (state, "")
        case "feedback":
            return ("feedback" if state in GOING else state), "feedback"
        case "refused" | "withdrawn":
            if sender != {"refused": "holder", "withdrawn": "giver"}[word]:
                return None
            if state in ENDED:
                return state, ""
            by_offer = {"refused": "declined", "withdrawn": "withdrawn"}[word]
            return word, by_offer if state == "new" else "returned"
        case "closed":
            if state in ENDED:
                return state, ""
            return ("closed", "closed") if state in GOING else None
        case "reopened":
            if state in GOING:
                return state, ""
            return ("accepted", "reopened") if state == "closed" else None


@pytest.mark.parametrize(
    ("word", "sender", "state"), product(get_args(Word), get_args(Sender), get_args(State))
)
def test_given_a_cell_of_the_table_then_it_is_so(word: Word, sender: Sender, state: State) -> None:
    step = TABLE.get((word, sender, state))
    assert (None if step is None else (step.to, step.effect)) == expected(word, sender, state)


BEHIND = {"12345": "p12345", "110": "p110"}


def ledger(*facts: tuple[str, dict[str, str]]) -> list[Entry]:
    made = [
        Fact(1_795_496_800_000_000 + n, kind, {"case": CASE, **values}, f"1795496800.{n}")
        for n, (kind, values) in enumerate(facts)
    ]
    return new_entries(CASE, [], made)


def told(entries: list[Entry], *orders: Order) -> list[tuple[str, str, str, str]]:
    found: list[Telling] = tellings(
        entries, orders, BEHIND.get, lambda platform, party: BEHIND.get(party) == platform
    )
    return [(one.order.platform, one.word, one.order.number, one.order.state) for one in found]


def offered(desk: str, number: int = 1) -> tuple[str, dict[str, str]]:
    name = f"{CASE}-d{number}"
    return "OFFERED", {"id": name, "desk": desk, "by": "8001", "kind": "dispatch"}


def work(event: str, by: str, **more: str) -> tuple[str, dict[str, str]]:
    key = f"{event}:{by}:{more.get('detail')}"
    return "WORK", {"event": event, "key": key, "by": by, **more}


D1 = f"{CASE}-d1"
H1 = f"{CASE}-h1"


def test_given_a_dispatch_then_its_platform_gets_an_order_and_hears_what_becomes_of_it() -> None:
    entries = ledger(
        ("TAKEN", {"agent": "8001", "leg": "1.1"}),
        offered("12345"),
        work("feedback", "8001", detail="more of it"),
        ("ACCEPTED", {"id": D1, "desk": "12345"}),
        work("feedback", "12345", detail="their own words"),
        work("feedback", "8001", detail="ours"),
        work("closed", "8001"),
        work("reopened", "8001"),
    )
    assert told(entries) == [
        ("p12345", "new", D1, "new"),
        ("p12345", "feedback", D1, "new"),
        ("p12345", "accepted", D1, "accepted"),
        ("p12345", "feedback", D1, "feedback"),
        ("p12345", "closed", D1, "closed"),
        ("p12345", "reopened", D1, "accepted"),
    ]


@pytest.mark.parametrize("outcome", ["declined", "cancelled"])
def test_given_an_offer_that_ends_here_then_it_is_withdrawn_there(outcome: str) -> None:
    entries = ledger(
        offered("12345"), ("ENDED", {"id": D1, "desk": "12345", "outcome": outcome, "said": "no"})
    )
    assert told(entries)[1:] == [("p12345", "withdrawn", D1, "withdrawn")]


def test_given_a_desk_without_a_platform_then_nobody_is_told() -> None:
    assert told(ledger(offered("122"), ("ACCEPTED", {"id": D1, "desk": "122"}))) == []


def test_given_a_call_handed_over_then_it_is_an_order_when_it_was_accepted() -> None:
    call = {"id": H1, "desk": "110", "by": "8001", "kind": "one-key"}
    unanswered = ledger(
        ("OFFERED", call), ("ENDED", {"id": H1, "desk": "110", "outcome": "unanswered"})
    )
    assert told(unanswered) == []
    assert told(ledger(("OFFERED", call), ("ACCEPTED", {"id": H1, "desk": "110"}))) == [
        ("p110", "new", H1, "accepted")
    ]


def test_given_a_three_way_call_then_only_who_takes_it_last_keeps_the_order() -> None:
    def decided(desk: str) -> tuple[str, dict[str, str]]:
        return "DECIDED", {"room": f"{CASE}-r1795496800", "desk": desk, "outcome": "taken"}

    room = f"{CASE}-r1795496800"
    assert told(ledger(decided("12345"), decided("110"))) == [
        ("p12345", "new", room, "accepted"),
        ("p12345", "withdrawn", room, "withdrawn"),
        ("p110", "new", room, "accepted"),
    ]


def test_given_an_order_of_theirs_then_they_hear_what_we_do_with_it() -> None:
    theirs = Order("p12345", "them", "T-1", CASE, D1, "new", "2800122")
    entries = ledger(
        ("ACCEPTED", {"id": D1, "desk": "2800122"}),
        work("feedback", "8001", detail="on it"),
        work("returned", "8001", id=D1, to="12345", detail="not ours"),
    )
    assert told(entries, theirs) == [
        ("p12345", "accepted", "T-1", "accepted"),
        ("p12345", "feedback", "T-1", "feedback"),
        ("p12345", "refused", "T-1", "refused"),
    ]
    declined = ledger(("ENDED", {"id": D1, "outcome": "declined", "said": "not ours"}))
    (one,) = tellings(declined, [theirs], BEHIND.get, lambda platform, party: False)
    assert (one.word, one.text) == ("refused", "not ours")


def test_given_two_platforms_in_a_case_then_each_hears_the_others_news() -> None:
    theirs = Order("p110", "them", "T-1", CASE, f"{CASE}-d1", "accepted", "2800122")
    ours = Order("p12345", "us", f"{CASE}-d2", CASE, f"{CASE}-d2", "accepted", "12345")
    entries = ledger(work("feedback", "12345", detail="done by noon"))
    assert told(entries, theirs, ours) == [("p110", "feedback", "T-1", "feedback")]
