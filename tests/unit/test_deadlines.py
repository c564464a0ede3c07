"""By when somebody must act: every row of the tables, in working time of the published calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calendar.book import calendar_of
from telephony.cases.store import micros_of
from telephony.deadlines.notes import KINDS, News, as_message, recipients, subject, text
from telephony.deadlines.rules import (
    STEPS,
    CaseFacts,
    Deadline,
    Length,
    Reply,
    after,
    before,
    deadlines,
    next_step,
    working_time,
)
from telephony.deadlines.settings import Deadlines, Mail
from telephony.office_hours import SHANGHAI, SpecialDay
from telephony.orders.delivery import letter
from telephony.orders.format import json_schema
from telephony.orders.outbox import Message
from telephony.responsibility import GENESIS, Entry
from telephony.settings import Line
from tests.unit.test_office_hours import published

CALENDAR = calendar_of(Line())
SETTINGS = Deadlines()
RULES = SETTINGS.rules(reply_days=1)
CASE = "20260930-1790755200.0"
LINE = "2800122"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def ledger(*told: tuple[str, str, str | None, str | None]) -> list[Entry]:
    """Entries of (when, event, who answers for the case then, hand-over)."""
    return [
        Entry(
            case=CASE,
            number=number,
            key=f"{event}:{number}",
            at=micros_of(at(when)),
            event=event,
            by="8001",
            to="110" if event == "offered" else None,
            responsible=responsible,
            leg=None,
            handover=handover,
            detail=None,
            previous=GENESIS,
        )
        for number, (when, event, responsible, handover) in enumerate(told, 1)
    ]


def found(facts: CaseFacts, *, unfiled: bool = True) -> dict[str, Deadline]:
    rules = replace(RULES, unfiled=unfiled)
    return {one.key: one for one in deadlines(facts, rules, CALENDAR)}


# -- working time -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "limit", "due"),
    [
        ("2026-09-30T16:00", "4h", "2026-10-08T11:30"),  # over National Day
        ("2026-09-30T16:00", "2d", "2026-10-09T16:00"),
        ("2026-10-03T12:00", "2h", "2026-10-08T10:30"),  # begins within it
        ("2026-09-18T16:00", "2h", "2026-09-20T09:30"),  # a Sunday that is worked for it
        ("2026-10-09T09:00", "1d", "2026-10-10T09:00"),  # and a Saturday
        ("2026-10-10T16:30", "1h", "2026-10-12T09:00"),
        ("2026-02-13T16:30", "90min", "2026-02-14T09:30"),  # the Saturday before Spring Festival
        ("2026-02-14T16:30", "1h", "2026-02-24T09:00"),  # and over it
        ("2026-11-24T07:00", "30min", "2026-11-24T09:00"),  # before opening
        ("2026-11-24T20:00", "1d", "2026-11-25T17:00"),  # after closing: not after the next one
    ],
)
def test_given_the_published_calendar_when_time_is_added_then_only_working_time_counts(
    since: str, limit: str, due: str
) -> None:
    assert after(CALENDAR, at(since), Length.parse(limit)) == at(due)


WORKED = {day for day, works in published() if works}
MOMENTS = st.datetimes(datetime(2024, 3, 1), datetime(2026, 10, 1)).map(
    lambda one: one.replace(second=0, microsecond=0, tzinfo=SHANGHAI)
)


def counted(since: datetime, until: datetime) -> timedelta:
    """Working time by the published list alone, day by day."""
    whole = timedelta()
    day: date = since.date()
    while day <= until.date():
        if day in WORKED:
            midnight = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
            opens = max(since, midnight + timedelta(hours=8, minutes=30))
            closes = min(until, midnight + timedelta(hours=17))
            whole += max(timedelta(), closes - opens)
        day += timedelta(days=1)
    return whole


@given(MOMENTS, st.integers(1, 60 * 40))
def test_given_any_moment_when_working_time_is_added_then_just_so_much_lies_between(
    since: datetime, minutes: int
) -> None:
    length = timedelta(minutes=minutes)
    due = after(CALENDAR, since, Length(minutes=minutes))
    assert counted(since, due) == working_time(CALENDAR, since, due) == length
    early = before(CALENDAR, due, length)
    # Where the clock says that nobody works, a moment has the same working time before it.
    assert counted(early, due) == length
    assert counted(since, early) == timedelta()


def test_given_a_special_day_then_it_counts_as_the_admin_said() -> None:
    closed = replace(CALENDAR, special={date(2026, 11, 25): SpecialDay("closed")})
    worked = replace(CALENDAR, special={date(2026, 11, 28): SpecialDay("0900-1200")})
    assert after(closed, at("2026-11-24T16:00"), Length(minutes=120)) == at("2026-11-26T09:30")
    assert after(worked, at("2026-11-27T16:00"), Length(minutes=120)) == at("2026-11-28T10:00")


def test_given_a_line_that_never_opens_then_nothing_raises() -> None:
    shut = replace(CALENDAR, week=((),) * 7, working=())
    since = at("2026-11-24T10:00")
    assert after(shut, since, Length(days=1)) == since + timedelta(days=400)
    facts = CaseFacts(ledger(("2026-11-24T10:00", "taken", "8001", None)), LINE)
    (one,) = deadlines(facts, RULES, shut)
    assert one.since < one.due <= one.head


@pytest.mark.parametrize("text", ["2", "d", "-1d", "2 d", "1.5h", "2w", ""])
def test_given_what_is_no_length_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not like"):
        Length.parse(text)


# -- the table ----------------------------------------------------------------------------------


def test_given_a_call_that_was_taken_then_its_agent_owes_feedback() -> None:
    facts = CaseFacts(ledger(("2026-09-30T16:00", "taken", "8001", None)), LINE, kind="求助")
    (one,) = found(facts).values()
    assert (one.key, one.kind, one.holder, one.ended) == ("feedback:1", "feedback", "8001", None)
    assert one.due == at("2026-10-20T16:00")  # ten working days: the Saturday counts
    assert one.remind == at("2026-10-20T14:00")
    assert one.head == at("2026-10-21T16:00")


@pytest.mark.parametrize(
    ("kind", "hours", "due"),
    [
        (None, None, "2026-10-13T16:00"),  # the setting's five days
        ("咨询", None, "2026-10-09T16:00"),  # its kind's two
        ("咨询", 3.0, "2026-10-08T10:30"),  # its matter's three hours
        ("表扬", None, "2026-10-13T16:00"),  # a kind without a limit of its own
    ],
)
def test_given_matter_and_kind_then_the_nearest_rule_sets_the_limit(
    kind: str | None, hours: float | None, due: str
) -> None:
    entries = ledger(("2026-09-30T16:00", "taken", "8001", None))
    (one,) = found(CaseFacts(entries, LINE, kind=kind, feedback_h=hours)).values()
    assert one.due == at(due)


def test_given_a_short_limit_then_the_reminder_comes_half_way() -> None:
    entries = ledger(("2026-11-24T09:00", "taken", "8001", None))
    (one,) = found(CaseFacts(entries, LINE, feedback_h=1)).values()
    assert (one.remind, one.due) == (at("2026-11-24T09:30"), at("2026-11-24T10:00"))


def test_given_an_offer_when_it_has_an_outcome_then_its_deadline_ends() -> None:
    offered = ("2026-11-24T09:00", "offered", None, f"{CASE}-d1")
    (one,) = found(CaseFacts(ledger(offered), LINE)).values()
    assert (one.key, one.holder) == (f"acceptance:{CASE}-d1", "110")
    assert (one.due, one.ended) == (at("2026-11-26T09:00"), None)
    for outcome in ("accepted", "declined", "unanswered", "failed", "withdrawn", "undecided"):
        decided = ("2026-11-24T11:00", outcome, "8001", f"{CASE}-d1")
        done = found(CaseFacts(ledger(offered, decided), LINE))[f"acceptance:{CASE}-d1"]
        assert done.ended == at("2026-11-24T11:00"), outcome
    other = ("2026-11-24T11:00", "declined", "8001", f"{CASE}-d2")
    assert found(CaseFacts(ledger(offered, other), LINE))[one.key].ended is None


TAKEN = ("2026-11-24T09:00", "taken", "8001", None)


@pytest.mark.parametrize("event", ["feedback", "closed", "merged"])
def test_given_feedback_or_an_end_then_nothing_is_owed(event: str) -> None:
    end = ("2026-11-24T12:00", event, "8001", None)
    (one,) = found(CaseFacts(ledger(TAKEN, end), LINE)).values()
    assert one.ended == at("2026-11-24T12:00")


@pytest.mark.parametrize("event", ["edited", "reminded", "escalated", "monitored", "taken"])
def test_given_what_settles_nothing_then_the_deadline_runs_on(event: str) -> None:
    entry = ("2026-11-24T12:00", event, "8001", None)
    (one,) = found(CaseFacts(ledger(TAKEN, entry), LINE)).values()
    assert (one.key, one.ended, one.since) == ("feedback:1", None, at("2026-11-24T09:00"))


def test_given_another_who_answers_for_it_then_the_time_starts_anew() -> None:
    handed = [
        TAKEN,
        ("2026-11-24T09:10", "offered", "8001", f"{CASE}-d1"),
        ("2026-11-24T10:00", "accepted", "110", f"{CASE}-d1"),
        ("2026-11-25T10:00", "returned", "8001", f"{CASE}-d1"),
        ("2026-11-25T11:00", "feedback", "8001", None),
        ("2026-11-26T11:00", "closed", "8001", None),
        ("2026-11-27T11:00", "reopened", "8001", None),
    ]
    told = [
        (one.key, one.holder, one.since, one.ended)
        for one in found(CaseFacts(ledger(*handed), LINE)).values()
        if one.kind == "feedback"
    ]
    assert told == [
        ("feedback:1", "8001", at("2026-11-24T09:00"), at("2026-11-24T10:00")),
        ("feedback:3", "110", at("2026-11-24T10:00"), at("2026-11-25T10:00")),
        ("feedback:4", "8001", at("2026-11-25T10:00"), at("2026-11-25T11:00")),
        ("feedback:7", "8001", at("2026-11-27T11:00"), None),
    ]


def test_given_facts_that_come_after_the_end_then_nothing_begins() -> None:
    closed = ("2026-11-24T12:00", "closed", "8001", None)
    late = ("2026-11-24T13:00", "accepted", "110", f"{CASE}-h1")
    running = [
        one
        for one in found(CaseFacts(ledger(TAKEN, closed, late), LINE)).values()
        if one.ended is None
    ]
    assert running == []


def test_given_calls_that_nobody_filed_then_the_setting_decides() -> None:
    plain = CaseFacts(ledger(TAKEN), LINE)
    assert set(found(plain)) == {"feedback:1"}
    assert set(found(plain, unfiled=False)) == set()
    assert set(found(replace(plain, is_filed=True), unfiled=False)) == {"feedback:1"}
    accepted = ledger(TAKEN, ("2026-11-24T10:00", "accepted", "110", f"{CASE}-h1"))
    assert set(found(CaseFacts(accepted, LINE), unfiled=False)) == {"feedback:2"}


def test_given_citizens_who_wait_then_they_are_answered_within_a_working_day() -> None:
    left = Reply(f"{CASE}-m1", "message", at("2026-10-03T12:00"))
    missed = Reply(f"{CASE}-missed", "missed_call", at("2026-11-24T10:00"), holder="8002")
    told = found(CaseFacts([], LINE, replies=[left, missed]))
    message, call = told[f"message:{CASE}-m1"], told[f"missed_call:{CASE}-missed"]
    assert (message.holder, message.due) == (LINE, at("2026-10-08T12:00"))
    assert (call.holder, call.due) == ("8002", at("2026-11-25T10:00"))
    answered = replace(left, ended=at("2026-10-08T09:00"))
    assert found(CaseFacts([], LINE, replies=[answered]))[message.key].ended is not None
    # Whoever has the case owes the answer; feedback and the end of the case settle it.
    accepted = ledger(("2026-10-08T09:00", "taken", "8001", None))
    assert found(CaseFacts(accepted, LINE, replies=[left]))[message.key].holder == "8001"
    closed = ledger(("2026-10-08T10:00", "closed", None, None))
    assert found(CaseFacts(closed, LINE, replies=[left]))[message.key].ended == at(
        "2026-10-08T10:00"
    )
    before_it = ledger(("2026-10-01T10:00", "feedback", None, None))
    assert found(CaseFacts(before_it, LINE, replies=[left]))[message.key].ended is None


def test_given_what_was_done_then_the_next_step_follows_and_each_comes_once() -> None:
    (one,) = found(CaseFacts(ledger(TAKEN), LINE)).values()
    assert [next_step(one, STEPS[:number]) for number in range(4)] == [*STEPS, None]
    assert [one.at(step) for step in STEPS] == [one.remind, one.due, one.head]
    assert next_step(replace(one, ended=one.due), ()) is None


# -- what is told -------------------------------------------------------------------------------

NEWS = News(
    step="remind",
    case=CASE,
    key="feedback:1",
    deadline="feedback",
    holder="110",
    department="公安局指挥中心",
    since=at("2026-11-24T09:00"),
    due=at("2026-11-26T09:00"),
    at=at("2026-11-26T07:00"),
    caller="13804210001",
    kind="投诉",
    matter="噪声 13900001111",
)
TOLD = Deadlines(
    supervisors=["boss@example.org"],
    heads={"公安局指挥中心": ["head@example.org"]},
    holders={"110": ["duty@example.org"], "12345平台": ["side@example.org"]},
)


def test_given_a_step_then_those_hear_who_are_named_for_it() -> None:
    assert recipients(NEWS, TOLD) == ["duty@example.org"]
    late = replace(NEWS, step="escalate")
    assert recipients(late, TOLD) == ["duty@example.org", "boss@example.org"]
    head = replace(NEWS, step="escalate_head")
    assert recipients(head, TOLD)[-1] == "head@example.org"
    by_department = replace(NEWS, holder="9001", department="12345平台")
    assert recipients(by_department, TOLD) == ["side@example.org"]
    both = Deadlines(holders={"110": ["boss@example.org"]}, supervisors=["boss@example.org"])
    assert recipients(late, both) == ["boss@example.org"]


def test_given_a_mail_then_it_is_chinese_with_english_below_and_masks_numbers() -> None:
    near, late = (
        text(NEWS, numbers=False),
        replace(NEWS, step="escalate", at=at("2026-11-27T09:00")),
    )
    zh, en = near.split("\n\n")
    assert f"事项 {CASE} 的反馈将到期" in zh
    assert "责任方：110（公安局指挥中心）" in zh
    assert "时限：2026-11-26 09:00" in zh
    assert "is due soon" in en
    assert "Held by: 110 (公安局指挥中心)" in en
    assert "138****0001" in zh
    assert "138****0001" in en
    for number in ("13804210001", "13900001111"):
        assert number not in near
        assert number in text(NEWS, numbers=True)
    assert subject(late) == f"【督办：反馈已逾期】{CASE} / feedback overdue"
    assert "已逾期" in text(late, numbers=False)
    assert as_message(NEWS, numbers=False)["caller"] == "138****0001"
    assert as_message(NEWS, numbers=True)["caller"] == "13804210001"
    assert "13900001111" not in str(as_message(NEWS, numbers=False))
    # As it travels it fits what is published.
    for numbers in (True, False):
        body = as_message(NEWS, numbers=numbers)
        told = Message(1, KINDS[NEWS.step], None, 0, "remind:1", body, NEWS.at, 1)
        jsonschema_rs.validator_for(json_schema()).validate(orjson.loads(letter(told)))


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"acceptance": "2"},
        {"remind_before": "1d"},
        {"feedback": "0d"},
        {"supervisors": ["nobody"]},
        {"heads": {"x": ["a@b\nBcc: c@d"]}},
    ],
)
def test_given_a_wrong_setting_of_deadlines_then_it_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Deadlines.model_validate(wrong)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"host": "mail"}, "sender"),
        ({"host": "mail", "sender": "a@b.cn", "user": "a"}, "go together"),
        (
            {"host": "mail", "sender": "a@b.cn", "user": "a", "password": "b", "tls": "none"},
            "without TLS",
        ),
    ],
)
def test_given_a_wrong_setting_of_mail_then_it_says_why(wrong: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Mail.model_validate(wrong)
