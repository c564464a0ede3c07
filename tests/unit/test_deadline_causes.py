"""What a deadline is about, what ends it, and what begins it anew."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, update

from telephony.audit import AUDIT
from telephony.calendar.book import CalendarBook
from telephony.cases.store import table
from telephony.cases.work import WORK, work_fact
from telephony.deadlines import queries as deadline_queries
from telephony.deadlines.book import DEADLINES, DeadlineBook
from telephony.deadlines.keeper import DeadlineKeeper
from telephony.deadlines.queries import OverdueFilter
from telephony.deadlines.sides import Measure
from telephony.deadlines.teller import DeadlineTeller
from telephony.matters.models import CaseMatter, MatterRecord, MatterVersion
from telephony.messages.book import MessageBook
from telephony.messages.models import MessageRecord
from telephony.record import queries
from tests.unit import citizens_waiting
from tests.unit.deadlines_scene import CASE, Scene, at, both, scene, settings_of, steps

__all__ = ["both", "scene"]  # fixtures


async def test_given_who_is_told_a_number_whole_then_it_is_in_the_audit_log(scene: Scene) -> None:
    await scene.add()
    await scene.handed_over()
    scene.now = at("2026-11-30T16:30")
    whole = settings_of(numbers_in_mail=True)
    city = whole.platforms[0].model_copy(update={"numbers": True})
    whole = whole.model_copy(update={"platforms": [city]})
    assert steps(await scene.keeper(whole).round()) == ["remind"]
    told = [(one["who"], one["role"], one["what"]) for one in await scene.rows(AUDIT)]
    assert sorted(told) == [
        ("city", "platform", "deadline-sent"),
        ("duty@example.org", "mail", "deadline-sent"),
    ]


@pytest.mark.parametrize("action", ["feedback", "close"])
async def test_given_feedback_or_closing_then_nobody_hears_of_it_any_more(
    scene: Scene, action: Any
) -> None:
    await scene.add()
    await scene.handed_over()
    await scene.keeper().round()
    await scene.work("2026-11-25T09:00", "feedback" if action == "feedback" else "closed")
    scene.now = at("2026-12-07T09:00")
    assert await scene.keeper().round() == []
    assert await scene.running() == {}
    case = await queries.get_case(scene.database, CASE)
    assert (case["due_at"], case["late"]) == (None, False)
    page = await deadline_queries.overdue(scene.database, OverdueFilter(), now=scene.now)
    assert page.items == []


async def test_given_it_is_settled_just_before_the_step_then_the_step_is_not_done(
    scene: Scene,
) -> None:
    await scene.add()
    await scene.handed_over()
    settings = scene.settings
    book = DeadlineBook(scene.database, settings, DeadlineTeller(settings))
    keeper = DeadlineKeeper(
        book, CalendarBook(scene.database, settings), settings, clock=lambda: scene.now
    )
    await keeper.round()
    measure = Measure(await CalendarBook(scene.database, settings).by_line(), "x")
    scene.now = at("2026-12-07T09:00")
    due = await book.steps(scene.now)
    assert due == [(CASE, "feedback:3")]
    await scene.work("2026-12-07T08:59", "feedback")
    assert await book.step(*due[0], measure, scene.now) is None
    assert await scene.events() == []


async def test_given_it_is_given_back_or_reopened_then_the_time_starts_anew(scene: Scene) -> None:
    await scene.add()
    await scene.handed_over()
    await scene.keeper().round()
    await scene.work("2026-11-25T09:00", "closed")
    await scene.work("2026-11-26T11:00", "reopened")
    await scene.keeper().round()
    assert await scene.running() == {"feedback:5": at("2026-12-03T11:00")}
    await scene.note(
        "2026-11-27T15:00",
        WORK,
        **{
            name: text
            for name, text in work_fact(
                CASE, "returned", "r", "110", to="8001", handover=f"{CASE}-d1"
            ).items()
            if name != "case"
        },
    )
    await scene.keeper().round()
    (row,) = [one for one in await scene.rows(DEADLINES) if one["ended_at"] is None]
    assert (row["holder"], row["department"]) == ("8001", "民意服务中心")
    assert row["due_at"] == at("2026-12-04T15:00")


async def test_given_an_offer_then_the_desk_is_reminded_to_take_it(scene: Scene) -> None:
    await scene.add()
    name = f"{CASE}-d1"
    await scene.note("2026-11-24T09:30", "OFFERED", id=name, desk="110", by="8001")
    scene.now = at("2026-11-26T09:30")
    done = await scene.keeper().round()
    assert [(one.step, one.deadline, one.holder) for one in done] == [
        ("remind", "acceptance", "110"),
        ("escalate", "acceptance", "110"),
    ]
    # The entries are no outcome of the offer: it can still be taken.
    await scene.note("2026-11-26T10:00", "ACCEPTED", id=name, desk="110")
    case = await queries.get_case(scene.database, CASE)
    assert (case["owner"], case["state"]) == ("110", "handed_over")
    await scene.keeper().round()
    assert set(await scene.running()) == {"feedback:4"}


async def test_given_the_matters_limit_then_it_counts(both: Scene) -> None:
    scene = both
    await scene.add()
    when = at("2026-11-24T09:00")
    version = {"version": 1, "imported_at": when, "imported_by": "a", "source": "x", "matters": 1}
    matter = MatterRecord(
        version=1, code="A1", position=1, name="噪声", category="治安", direction="to_110",
        desk="110", urgency="urgent", feedback_h=2, keywords=[], stability=False, danger=False,
        sounds=[],
    )  # fmt: skip
    chosen = {"case_id": CASE, "version": 1, "code": "A1", "set_at": when, "set_by": "8001"}
    async with scene.database.writing() as connection:
        await connection.execute(insert(table(MatterVersion)).values(version))
        await connection.execute(insert(table(MatterRecord)).values(matter.model_dump()))
        await connection.execute(insert(table(CaseMatter)).values(chosen))
    await scene.handed_over()
    await scene.keeper().round()
    assert await scene.running() == {"feedback:3": at("2026-11-24T12:00")}


async def test_given_citizens_who_wait_then_the_line_holds_them_until_somebody_does(
    both: Scene,
) -> None:
    scene = both
    await scene.add()
    messages = table(MessageRecord)
    row = {"id": "a" * 32, "pbx": "pbx1", "name": f"{CASE}-m1", "kind": "message", "tries": 0}
    row |= {"case_id": CASE, "at": at("2026-11-24T10:00"), "why": "shut", "sound_state": "ok"}
    row |= {"state": "open", "number": "13804210001"}
    unknown = {**row, "id": "b" * 32, "name": f"{CASE}-missed", "kind": "missed", "number": None}
    async with scene.database.writing() as connection:
        await connection.execute(insert(messages), [row, unknown])
    keeper = scene.keeper()
    await keeper.round()
    assert await scene.running() == {f"message:{CASE}-m1": at("2026-11-25T10:00")}
    (waits,) = await scene.rows(DEADLINES)
    assert (waits["holder"], waits["department"]) == ("2800122", "民意服务中心")
    # Nothing of this is an entry of the ledger, and it is seen all the same.
    async with scene.database.writing() as connection:
        await connection.execute(update(messages).values(holder="8001"))
    await keeper.round()
    assert (await scene.rows(DEADLINES))[0]["holder"] == "8001"
    scene.now = at("2026-11-25T10:00")
    assert steps(await keeper.round()) == ["remind", "escalate"]
    closed = {"state": "answered", "closed_at": at("2026-11-25T10:30")}
    async with scene.database.writing() as connection:
        await connection.execute(update(messages).values(**closed))
    scene.now = at("2026-12-25T10:00")
    assert await keeper.round() == []
    assert await scene.running() == {}


async def test_given_calls_as_the_recorder_writes_them_then_messages_and_missed_calls_are_due(
    scene: Scene,
) -> None:
    scene.now = at("2026-11-23T10:30")
    missed = citizens_waiting.call(citizens_waiting.OTHER, at=100)
    await citizens_waiting.write(
        scene.database, citizens_waiting.call(facts=(citizens_waiting.left(),)), missed
    )
    keeper = scene.keeper()
    await keeper.round()
    rows = {one["kind"]: one for one in await scene.rows(DEADLINES)}
    assert set(rows) == {"message", "missed_call"}
    assert {one["holder"] for one in rows.values()} == {"2800122"}
    assert rows["message"]["due_at"] == at("2026-11-24T10:00:01")
    calendar = CalendarBook(scene.database, scene.settings)
    messages = MessageBook(scene.database, scene.settings, calendar)
    (message,) = await citizens_waiting.rows(messages, kind="message")
    await messages.take(message["id"], "8001")
    # The citizen calls again and is answered: nothing is written about the case that was missed.
    served = ("TAKEN", {"agent": "8001", "leg": "1.2"})
    again = citizens_waiting.call(citizens_waiting.OTHER, at=600, facts=(served,))
    await citizens_waiting.write(scene.database, again)
    await keeper.round()
    rows = {one["kind"]: one for one in await scene.rows(DEADLINES)}
    assert rows["message"]["holder"] == "8001"
    assert rows["missed_call"]["ended_at"] is not None
    assert rows["feedback"]["ended_at"] is None
