"""Messages and missed calls: what counts as one, who waits, who has it, when it is done."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from telephony.calendar.book import calendar_of
from telephony.database import Database
from telephony.errors import AgentNotFound, NotAllowed, WrongState
from telephony.messages.book import (
    Hand,
    MessageBook,
    MessageHeld,
    MessageNotFound,
)
from telephony.messages.rules import due_at, message_of, missed_of, next_try_at
from telephony.messages.settings import Messages
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.settings import Line
from tests.unit.citizens_waiting import CITIZEN, OTHER, back, book, call, left, rows, write

__all__ = ["book"]  # fixtures

BOSS = Hand("boss", None, is_senior=True)


# -- rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "is_one"),
    [
        ({"kept": "yes"}, True),
        ({"kept": "failed", "ms": "4000"}, True),
        ({"kept": "failed", "ms": "0"}, False),
        ({"kept": "short", "ms": "400"}, False),
        ({"kept": "none", "ms": "0"}, False),
        ({"kept": "yes", "id": ""}, False),
    ],
)
def test_given_a_fact_then_it_is_a_message_only_when_somebody_can_listen_to_it(
    values: dict[str, str], is_one: bool
) -> None:
    state = call(facts=(left(**values),))
    found = message_of(state.facts[-1])
    assert (found is not None) == is_one
    if found is not None:
        assert (found.kind, found.number, found.file) == ("message", CITIZEN, f"{found.name}.wav")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ((), "queue"),
        ((left(kept="none", ms="0"),), "hours"),
        ((left(kept="short", ms="300"),), "hours"),
        ((left(kept="failed", ms="0"),), "not-taken"),
        ((left(),), None),
        ((("TAKEN", {"agent": "8001"}),), None),
        ((("ACCEPTED", {"id": "x", "desk": "110"}),), None),
        ((("HANDED", {"id": "x", "by": "110"}),), None),
    ],
)
def test_given_a_call_that_is_over_then_it_is_missed_only_when_nobody_answered(
    facts: tuple[tuple[str, dict[str, str]], ...], why: str | None
) -> None:
    state = call(facts=facts, waits=42)
    found = missed_of(state.legs, state.facts)
    assert [one.why for one in found] == ([] if why is None else [why])
    for one in found:
        assert (one.kind, one.number, one.waited_s) == ("missed", CITIZEN, 42.0)
        assert (one.file is None) == (why != "hours" or facts[0][1]["kept"] == "none")


def test_given_no_case_of_ours_then_nothing_is_missed() -> None:
    state = call()
    assert missed_of(state.legs, state.facts[1:]) == []


def test_given_a_friday_evening_then_due_on_monday_and_tried_again_in_open_hours() -> None:
    calendar, settings = calendar_of(Line()), Messages()
    friday = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)  # 20:30 in Shanghai
    due = due_at(calendar, friday, settings)
    assert due is not None
    assert due.isoformat() == "2026-11-30T17:00:00+08:00"
    assert next_try_at(calendar, None, 0, settings) is None
    again = next_try_at(calendar, friday, 1, settings)
    later = next_try_at(calendar, friday, 5, settings)
    assert again is not None
    assert later is not None
    assert again.isoformat() == "2026-11-30T09:00:00+08:00"
    assert later.isoformat() == "2026-11-30T10:30:00+08:00"


# -- on record ----------------------------------------------------------------------------------


async def test_given_facts_read_again_when_people_have_worked_then_each_is_there_once_untouched(
    database: Database, book: MessageBook
) -> None:
    calls = [call(facts=(left(),), over=False), call(OTHER, at=100)]
    await write(database, *calls)
    [message] = await rows(book, kind="message")
    await book.heard(message["id"], by="8002")
    await book.take(message["id"], "8001")
    calls[0] = call(facts=(left(),))
    for _ in range(2):
        await write(database, *calls)
    found = await rows(book)
    assert [(one["kind"], one["number"]) for one in found] == [
        ("missed", OTHER),
        ("message", CITIZEN),
    ]
    assert (found[1]["holder"], found[1]["heard_by"]) == ("8001", "8002")
    assert (found[0]["waited_s"], found[0]["sound"], found[1]["length_s"]) == (30.0, None, 5.0)
    ledger = await queries.ledger(database, found[1]["case"])
    assert [(one["event"], one["detail"]) for one in ledger] == [
        ("message", "5.0 s"),
        ("message", "taken"),
    ]
    assert (await verify_ledger(database)).problems == []


async def test_given_missed_calls_when_the_citizen_calls_again_and_is_served_then_they_fall_off(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(), call(at=100), call(OTHER, at=50))
    await write(database, call("+86 13804210001", at=200, facts=(("TAKEN", {"agent": "8002"}),)))
    waiting = (await book.waiting(limit=10)).items
    assert [one["number"] for one in waiting] == [OTHER]
    served = await rows(book, state="served")
    assert [one["closed_by"] for one in served] == ["8002", "8002"]
    # Missed again after that; and one that comes on record only after it was served.
    await write(database, call(at=300), call(at=150))
    waiting = (await book.waiting(limit=10)).items
    assert [(one["number"], one["calls"]) for one in waiting] == [(OTHER, 1), (CITIZEN, 1)]


async def test_given_many_who_wait_then_each_missed_number_once_and_the_oldest_first_by_pages(
    database: Database, book: MessageBook
) -> None:
    numbers = [f"1380421{number:04d}" for number in range(7)]
    calls = [
        call(one, at=1000 * turn + place) for turn in range(3) for place, one in enumerate(numbers)
    ]
    calls.append(call(numbers[0], at=5000, facts=(left(),)))
    await write(database, *calls)
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await book.waiting(limit=3, cursor=cursor)
        seen += page.items
        cursor = page.next
        if cursor is None:
            break
    assert [one["number"] for one in seen] == [*numbers, CITIZEN]
    assert [one["calls"] for one in seen] == [3] * 7 + [1]
    assert seen == sorted(seen, key=lambda one: one["at"])


async def test_given_calls_back_in_vain_when_three_then_given_up_and_each_is_counted_once(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(facts=(left(),)))
    [message] = await rows(book)
    for n, outcome in enumerate(("busy", "unanswered"), 1):
        tried = call("2800000", at=1000 * n, facts=(back(outcome, CITIZEN, n),))
        await write(database, tried)
        await write(database, tried)
        found = await book.get(message["id"])
        assert (found["tries"], found["last_outcome"], found["state"]) == (n, outcome, "open")
        assert found["next_try_at"] is not None
    await write(database, call("2800000", at=3000, facts=(back("declined", CITIZEN, 3),)))
    found = await book.get(message["id"])
    assert (found["tries"], found["state"], found["next_try_at"]) == (3, "given_up", None)
    assert [one["outcome"] for one in found["called"]] == ["busy", "unanswered", "declined"]
    with pytest.raises(WrongState):
        await book.take(message["id"], "8001")


# -- people -------------------------------------------------------------------------------------


async def test_given_two_agents_when_both_take_at_once_then_one_has_all_of_the_number(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(facts=(left(),)), call(at=100), call(OTHER, at=200))
    waiting = (await book.waiting(limit=10)).items
    assert [one["number"] for one in waiting] == [CITIZEN, CITIZEN, OTHER]
    took = await asyncio.gather(
        book.take(waiting[0]["id"], "8001"),
        book.take(waiting[1]["id"], "8002"),
        return_exceptions=True,
    )
    lost = [one for one in took if isinstance(one, MessageHeld)]
    assert sorted(map(type, took), key=str) == [bool, MessageHeld]
    holders = {one["holder"] for one in await rows(book) if one["number"] == CITIZEN}
    assert holders == {lost[0].extra["holder"]}
    assert await book.take(waiting[2]["id"], "8002")
    assert not await book.take(waiting[2]["id"], "8002")


async def test_given_a_message_then_only_its_holder_or_a_senior_gives_returns_or_answers_it(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(facts=(left(),)), call(at=100))
    missed, message = await rows(book)
    first, second = Hand("first", "8001"), Hand("second", "8002")
    with pytest.raises(WrongState, match="take it first"):
        await book.give(message["id"], "8002", first)
    await book.take(message["id"], "8001")
    for act in (
        book.give(message["id"], "8002", second),
        book.give_back(message["id"], second),
        book.answered(message["id"], "完成", second),
    ):
        with pytest.raises(NotAllowed):
            await act
    with pytest.raises(AgentNotFound):
        await book.give(message["id"], "9999", first)
    with pytest.raises(MessageNotFound):
        await book.take("nothing", "8001")
    await book.give(message["id"], "8002", first)
    assert (await book.get(missed["id"]))["holder"] == "8002"
    await book.give_back(message["id"], BOSS)
    await book.answered(message["id"], "号码有误", first, outcome="wrong-number")
    for one in await rows(book):
        found = await book.get(one["id"])
        assert (found["state"], found["result"], found["closed_by"]) == (
            *("answered", "号码有误", "first"),
        )
        assert [each["outcome"] for each in found["called"]] == ["wrong-number"]
    assert (await book.waiting(limit=10)).items == []
    story = await queries.ledger(database, message["case"])
    done = [one for one in story if one["by"] is not None]
    assert [(one["event"], one["by"], one["to"], one["detail"]) for one in done] == [
        ("message", "8001", None, "taken"),
        ("message", "8001", "8002", "given"),
        ("message", BOSS.name, None, "given back"),
        ("message", "8001", None, "answered"),
    ]
    assert (await verify_ledger(database)).problems == []
