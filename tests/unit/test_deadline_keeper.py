"""Reminding and escalating on a record: each once, over restarts, outages and two services."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from telephony.audit import AUDIT
from telephony.calendar.book import CalendarBook
from telephony.cases.book import CaseBook
from telephony.cases.dispatch import Dispatches
from telephony.cases.store import CASES, CaseStore, micros_of, table
from telephony.cases.work import WORK, Actor, work_fact
from telephony.cel.rows import Fact
from telephony.database import Database
from telephony.deadlines import queries as deadline_queries
from telephony.deadlines.book import DEADLINES, DeadlineBook
from telephony.deadlines.keeper import POLL_S, DeadlineKeeper
from telephony.deadlines.mail import MAILS
from telephony.deadlines.notes import News
from telephony.deadlines.queries import OverdueFilter
from telephony.deadlines.rules import Deadline, deadlines
from telephony.deadlines.sides import Measure
from telephony.deadlines.sources import MatterHours, WaitingCitizens
from telephony.deadlines.teller import DeadlineTeller
from telephony.errors import WrongState
from telephony.matters.models import CaseMatter, MatterRecord, MatterVersion
from telephony.messages.book import MessageBook
from telephony.messages.models import MessageRecord
from telephony.models import CaseRecord
from telephony.office_hours import SHANGHAI
from telephony.orders.outbox import OUTBOX
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.responsibility import GENESIS
from telephony.settings import Settings, load_settings
from tests.empty_record import empty_record
from tests.unit import test_messages

CASE = "20261124-1795482000.0"
OTHER = "20261124-1795482001.7"
BOSS = Actor("值班长", is_senior=True)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def settings_of(**deadlines: Any) -> Settings:
    return load_settings(
        agents=[{"id": "8001", "department": "民意服务中心"}],
        deadlines={
            "supervisors": ["boss@example.org"],
            "heads": {"公安局指挥中心": ["head@example.org"]},
            "holders": {"110": ["duty@example.org"]},
            **deadlines,
        },
        mail={"host": "127.0.0.1", "sender": "hotline@example.org"},
        platforms=[
            {
                "id": "city",
                "url": "http://127.0.0.1:1/",
                "secrets": ["x" * 32],
                "numbers": False,
                "kinds": ["deadline.reminder", "deadline.escalated"],
            },
            {"id": "deaf", "url": "http://127.0.0.1:1/", "secrets": ["y" * 32]},
        ],
    )


@dataclass
class Scene:
    """A record, a clock, and services that keep its deadlines."""

    database: Database
    settings: Settings
    now: datetime
    told: list[News] = field(default_factory=list)
    on_told: Callable[[], None] = lambda: None

    def hear(self, news: Sequence[News]) -> None:
        self.told += news
        self.on_told()

    def keeper(self, settings: Settings | None = None) -> DeadlineKeeper:
        """A service that has just started."""
        used = settings or self.settings
        book = DeadlineBook(
            self.database,
            used,
            DeadlineTeller(used),
            limits=MatterHours(),
            replies=WaitingCitizens(),
        )
        return DeadlineKeeper(
            book,
            CalendarBook(self.database, used),
            used,
            tell=self.hear,
            clock=lambda: self.now,
        )

    @property
    def book(self) -> CaseBook:
        return CaseBook(self.database, self.settings, Dispatches(self.database, self.settings))

    async def add(self, case: str = CASE, when: str = "2026-11-24T09:00", **row: Any) -> None:
        """A case that nobody has taken."""
        made = CaseRecord(
            case_id=case,
            pbx="pbx1",
            opened_at=at(when),
            caller="13804210001",
            state="open",
            entries=0,
            head=GENESIS,
            due_pending=True,
        )
        async with self.database.writing() as connection:
            await connection.execute(insert(CASES).values({**made.model_dump(), **row}))

    async def note(self, when: str, what: str, /, of: str = CASE, **values: str) -> None:
        """Something that is noted of a case, at that time."""
        store = CaseStore(self.database, "pbx1")
        fact = Fact(micros_of(at(when)), what, {"case": of, **values}, of.partition("-")[2])
        async with self.database.writing() as connection:
            await store.note(connection, of, fact)

    async def work(self, when: str, event: str, case: str = CASE, by: str = "110") -> None:
        values = work_fact(case, event, f"at {when}", by)
        del values["case"]
        await self.note(when, WORK, case, **values)

    async def handed_over(self, case: str = CASE) -> None:
        """Taken at 9, offered to 110 at 9:30, accepted at 10 on 24 November."""
        await self.note("2026-11-24T09:00", "TAKEN", case, agent="8001", leg="1795482000.1")
        name = f"{case}-d1"
        offer = {"id": name, "desk": "110", "by": "8001", "kind": "dispatch"}
        await self.note("2026-11-24T09:30", "OFFERED", case, **offer)
        await self.note("2026-11-24T10:00", "ACCEPTED", case, id=name, desk="110")

    async def events(self, case: str = CASE) -> list[tuple[str, str | None]]:
        """What deadlines left in the ledger: event and who was told."""
        entries = await queries.ledger(self.database, case)
        return [
            (one["event"], one["to"])
            for one in entries
            if one["event"] in ("reminded", "escalated")
        ]

    async def rows(self, source: Any) -> list[dict[str, Any]]:
        async with self.database.reading() as connection:
            return [dict(row) for row in (await connection.execute(select(source))).mappings()]

    async def running(self, case: str = CASE) -> dict[str, datetime]:
        rows = await self.rows(DEADLINES)
        return {
            row["key"]: row["due_at"]
            for row in rows
            if row["case_id"] == case and row["ended_at"] is None
        }


@pytest.fixture
def both(database: Database) -> Scene:
    """On SQLite and on PostgreSQL."""
    return Scene(database, settings_of(), at("2026-11-24T10:30"))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """On SQLite, for what the databases do alike."""
    made = await asyncio.to_thread(empty_record, tmp_path.parent)
    shutil.copy(made, tmp_path / "record.sqlite")
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    yield Scene(database, settings_of(), at("2026-11-24T10:30"))
    await database.close()


ALL = [
    ("reminded", "110"),
    ("escalated", "supervisors"),
    ("escalated", "head of 公安局指挥中心"),
]


def steps(news: Sequence[News]) -> list[str]:
    return [one.step for one in news]


async def test_given_a_case_that_nobody_acts_on_then_each_hears_in_turn_and_once(
    both: Scene,
) -> None:
    scene = both
    await scene.add()
    await scene.handed_over()
    keeper = scene.keeper()
    assert await keeper.round() == []
    due = at("2026-12-01T10:00")
    assert await scene.running() == {"feedback:3": due}
    expected = [[], ["remind"], ["escalate"], ["escalate_head"], []]
    times = [
        "2026-11-30T16:29",
        "2026-11-30T16:30",  # two working hours before 10:00
        "2026-12-01T10:00",
        "2026-12-02T10:00",
        "2026-12-31T10:00",
    ]
    for now, wanted in zip(times, expected, strict=True):
        scene.now = at(now)
        assert steps(await keeper.round()) == wanted, now
        assert await keeper.round() == []
    assert await scene.events() == ALL
    assert steps(scene.told) == ["remind", "escalate", "escalate_head"]
    assert keeper.overdue == 1
    assert (await verify_ledger(scene.database)).problems == []
    assert (await queries.get_case(scene.database, CASE))["owner"] == "110"


async def test_given_an_outage_then_what_is_late_is_done_at_once_and_told_once(
    both: Scene,
) -> None:
    scene = both
    await scene.add()
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")
    assert steps(await scene.keeper().round()) == ["remind", "escalate", "escalate_head"]
    for _ in range(2):
        assert await scene.keeper().round() == []  # another life of the service
    assert await scene.events() == ALL
    mails = await scene.rows(MAILS)
    assert sorted((one["key"].split(":")[1], one["recipient"]) for one in mails) == [
        ("escalate", "boss@example.org"),
        ("escalate", "duty@example.org"),
        ("escalate_head", "boss@example.org"),
        ("escalate_head", "duty@example.org"),
        ("escalate_head", "head@example.org"),
        ("remind", "duty@example.org"),
    ]
    told = await scene.rows(OUTBOX)
    told.sort(key=lambda one: one["id"])
    # Of no case: whoever refuses one must not hold up the work orders of the case.
    assert [(one["destination"], one["kind"], one["case_id"]) for one in told] == [
        ("city", "deadline.reminder", None),
        ("city", "deadline.escalated", None),
        ("city", "deadline.escalated", None),
    ]
    assert [one["body"]["case"] for one in told] == [CASE] * 3
    assert told[0]["body"]["caller"] == "138****0001"
    assert "13804210001" not in str(mails)


async def test_given_two_services_at_once_then_each_step_is_done_once(both: Scene) -> None:
    scene = both
    cases = [CASE, OTHER, "20261124-1795482002.9"]
    for case in cases:
        await scene.add(case)
        await scene.handed_over(case)
    scene.now = at("2026-11-30T16:30")
    done = await asyncio.gather(*(scene.keeper().round() for _ in range(3)))
    assert steps([news for one in done for news in one]) == ["remind"] * 3
    scene.now = at("2026-12-07T09:00")
    done = await asyncio.gather(*(scene.keeper().round() for _ in range(3)))
    assert sum(map(len, done)) == 6
    assert len(scene.told) == 9
    for case in cases:
        assert sorted(await scene.events(case)) == sorted(ALL)
    assert (await verify_ledger(scene.database)).problems == []
    assert len(await scene.rows(OUTBOX)) == 9
    assert len(await scene.rows(MAILS)) == 18
    assert await scene.rows(AUDIT) == []  # nobody was told a number whole


async def test_given_a_step_that_fails_half_way_then_nothing_of_it_is_left(scene: Scene) -> None:
    await scene.add()
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")

    class Broken(DeadlineTeller):
        async def tell(self, connection: Any, news: News) -> None:
            await super().tell(connection, news)
            raise WrongState("it breaks after everything was written")

    settings = scene.settings
    book = DeadlineBook(scene.database, settings, Broken(settings))
    calendar = CalendarBook(scene.database, settings)
    broken = DeadlineKeeper(book, calendar, settings, clock=lambda: scene.now)
    assert await broken.round() == []
    assert (await scene.events(), await scene.rows(MAILS), await scene.rows(OUTBOX)) == ([], [], [])
    assert await broken._until_next() == POLL_S  # it is due still, and not tried again at once
    assert len(await scene.keeper().round()) == 3


async def test_given_a_case_that_cannot_be_worked_out_then_it_holds_up_no_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [f"{CASE}{number}" for number in range(3)]
    for case in cases:
        await scene.add(case)
        await scene.handed_over(case)
    broken = cases[1]

    def deadlines_of(facts: Any, *rest: Any) -> Any:
        if facts.entries[0].case == broken:
            raise ValueError("no such state")
        return deadlines(facts, *rest)

    keeper = scene.keeper()
    monkeypatch.setattr("telephony.deadlines.book.deadlines", deadlines_of)
    await keeper.round()
    assert {row["case_id"] for row in await scene.rows(DEADLINES)} == {*cases} - {broken}
    monkeypatch.undo()
    await keeper.round()  # it is left for a while
    assert broken not in {row["case_id"] for row in await scene.rows(DEADLINES)}
    scene.now += timedelta(minutes=11)
    await keeper.round()
    assert {row["case_id"] for row in await scene.rows(DEADLINES)} == {*cases}


async def test_given_many_cases_then_other_work_comes_between_any_two(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, seen = 0, []

    def counted(*given: Any) -> list[Deadline]:
        seen.append(turns)
        return deadlines(*given)

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr("telephony.deadlines.book.deadlines", counted)
    for number in range(5):
        await scene.add(f"20261124-1795482000.{number}")
    other = asyncio.create_task(other_work())
    await scene.keeper().round()
    other.cancel()
    assert len(seen) == len(set(seen)) == 5


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
    missed = test_messages.call(test_messages.OTHER, at=100)
    await test_messages.write(
        scene.database, test_messages.call(facts=(test_messages.left(),)), missed
    )
    keeper = scene.keeper()
    await keeper.round()
    rows = {one["kind"]: one for one in await scene.rows(DEADLINES)}
    assert set(rows) == {"message", "missed_call"}
    assert {one["holder"] for one in rows.values()} == {"2800122"}
    assert rows["message"]["due_at"] == at("2026-11-24T10:00:01")
    calendar = CalendarBook(scene.database, scene.settings)
    messages = MessageBook(scene.database, scene.settings, calendar)
    (message,) = await test_messages.rows(messages, kind="message")
    await messages.take(message["id"], "8001")
    # The citizen calls again and is answered: nothing is written about the case that was missed.
    served = ("TAKEN", {"agent": "8001", "leg": "1.2"})
    again = test_messages.call(test_messages.OTHER, at=600, facts=(served,))
    await test_messages.write(scene.database, again)
    await keeper.round()
    rows = {one["kind"]: one for one in await scene.rows(DEADLINES)}
    assert rows["message"]["holder"] == "8001"
    assert rows["missed_call"]["ended_at"] is not None
    assert rows["feedback"]["ended_at"] is None


async def test_given_the_calendar_or_the_limits_change_then_open_deadlines_follow(
    both: Scene,
) -> None:
    scene = both
    await scene.add()
    await scene.handed_over()
    keeper = scene.keeper()
    await keeper.round()
    calendar = CalendarBook(scene.database, scene.settings)
    await calendar.set_day(date(2026, 11, 26), "closed", "停电", by="admin")
    await keeper.round()
    assert await scene.running() == {"feedback:3": at("2026-12-02T10:00")}
    await scene.keeper(settings_of(feedback="1d")).round()
    assert await scene.running() == {"feedback:3": at("2026-11-25T10:00")}


async def test_given_what_began_long_ago_when_first_seen_then_it_is_shown_and_not_chased(
    scene: Scene,
) -> None:
    await scene.add()
    await scene.handed_over()
    scene.now = at("2027-03-01T10:00")
    keeper = scene.keeper()
    assert await keeper.round() == []
    assert keeper.overdue == 1
    assert await scene.events() == []


async def test_given_it_is_switched_off_then_late_ones_are_shown_and_nobody_hears(
    scene: Scene,
) -> None:
    await scene.add()
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")
    keeper = scene.keeper(settings_of(enabled=False))
    assert await keeper.round() == []
    assert keeper.overdue == 1


async def test_given_another_pbx_then_its_cases_are_left_to_its_service(scene: Scene) -> None:
    await scene.add(pbx="pbx2")
    await scene.handed_over()
    scene.now = at("2026-12-07T09:00")
    assert await scene.keeper().round() == []
    assert await scene.rows(DEADLINES) == []


async def test_given_many_late_ones_then_they_are_listed_page_by_page_the_oldest_first(
    both: Scene,
) -> None:
    scene = both
    cases = [f"20261124-179548200{number}.0" for number in range(5)]
    for case in cases:
        await scene.add(case)
        await scene.handed_over(case)
    await scene.add(OTHER)
    await scene.note("2026-11-24T10:00", "OFFERED", OTHER, id=f"{OTHER}-d1", desk="12345")
    scene.now = at("2026-12-07T09:00")
    await scene.keeper().round()
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await deadline_queries.overdue(
            scene.database, OverdueFilter(), now=scene.now, limit=2, cursor=cursor
        )
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    assert [one["case"] for one in found] == [OTHER, *cases]
    assert found[0]["department"] == "12345平台"
    assert found[1]["late_s"] == timedelta(days=5, hours=23).total_seconds()
    for filters, count in (
        (OverdueFilter(holder="110"), 5),
        (OverdueFilter(department="12345平台"), 1),
        (OverdueFilter(kind="acceptance"), 1),
        (OverdueFilter(holder="110", kind="acceptance"), 0),
    ):
        page = await deadline_queries.overdue(scene.database, filters, now=scene.now)
        assert len(page.items) == count, filters
    listed = await queries.list_cases(scene.database, queries.CaseFilter(), by_due=True, limit=3)
    rest = await queries.list_cases(
        scene.database, queries.CaseFilter(), by_due=True, cursor=listed.next
    )
    assert [one["case"] for one in [*listed.items, *rest.items]] == [OTHER, *cases]


async def test_given_a_running_keeper_when_it_is_poked_then_it_acts_at_once(scene: Scene) -> None:
    await scene.add()
    await scene.handed_over()
    acted = asyncio.Event()
    scene.on_told = acted.set
    keeper = scene.keeper()
    keeper.start()
    try:
        # Nothing was worked out before: the poke alone makes it look again within the time.
        scene.now = at("2026-11-30T16:30")
        keeper.poke()
        async with asyncio.timeout(4):
            await acted.wait()
    finally:
        await keeper.stop()
    assert steps(scene.told) == ["remind"]


async def test_given_no_tables_yet_then_a_running_keeper_waits_for_them(
    empty_database_url: str,
) -> None:
    database = Database(empty_database_url)
    scene = Scene(database, settings_of(), datetime.now(UTC))
    keeper = scene.keeper()
    keeper.start()
    try:
        await database.migrate()
        await scene.add(due_pending=None)
        keeper.poke()
        assert await keeper.round() == []
    finally:
        await keeper.stop()
        await database.close()
