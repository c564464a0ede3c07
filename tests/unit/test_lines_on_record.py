"""Several lines: what a citizen waits for goes by the hours and days of the line they called."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from telephony.calendar.book import CalendarBook
from telephony.database import Database
from telephony.deadlines.book import DEADLINES
from telephony.messages.book import MessageBook, MessageFilter
from telephony.settings import Settings, load_settings
from tests.unit import citizens_waiting
from tests.unit.api_fixtures import running
from tests.unit.citizens_waiting import BEGUN, CITIZEN, SECOND, back, call, left, sound
from tests.unit.deadlines_scene import CASE, Scene, at, steps

FIRST_FULL, NIGHT_FULL = "04212800122", "04212800123"
NIGHT = {
    "id": "night",
    "name": "夜间热线",
    "number": "2800123",
    "opens": "18:00",
    "closes": "23:00",
}


def two_lines(**more: Any) -> Settings:
    line = {"number": "2800122"}
    return load_settings(agents=[{"id": "8001"}], line=line, lines=[NIGHT], **more)


@pytest.fixture
def both(database: Database) -> Scene:
    """On SQLite and on PostgreSQL; Monday, half past ten in the morning."""
    return Scene(database, two_lines(), at("2026-11-23T10:30"))


async def by_line(scene: Scene) -> dict[tuple[str, str], dict[str, Any]]:
    """The deadlines that run, by the kind and who holds them."""
    return {
        (row["kind"], row["holder"]): row
        for row in await scene.rows(DEADLINES)
        if row["ended_at"] is None
    }


async def test_given_two_lines_then_each_citizen_is_answered_in_the_hours_of_their_own(
    both: Scene,
) -> None:
    scene = both
    await citizens_waiting.write(
        scene.database,
        call(facts=(left(),)),
        call("13904210002", at=100, facts=(left(),), line=NIGHT_FULL),
        call("13904210003", at=200, line=NIGHT_FULL),
    )
    keeper = scene.keeper()
    await keeper.round()
    found = await by_line(scene)
    day, night = found["message", "2800122"], found["message", "2800123"]
    assert set(found) == {
        ("message", "2800122"),
        ("message", "2800123"),
        ("missed_call", "2800123"),
    }
    assert (day["due_at"], day["department"]) == (at("2026-11-24T10:00:01"), "民意服务中心")
    # Called at ten in the morning: by when the line opens on the next day.
    assert (night["due_at"], night["department"]) == (at("2026-11-24T18:00"), "夜间热线")
    assert night["remind_at"] == at("2026-11-23T21:00")  # two of its hours before
    assert found["missed_call", "2800123"]["due_at"] == at("2026-11-24T18:00")

    # A day of that line alone moves what it has to do, and nothing of the other.
    closed = CalendarBook(scene.database, scene.settings).of(scene.settings.lines[0])
    await closed.set_day(date(2026, 11, 24), "closed", "检修", by="admin")
    await keeper.round()
    moved = await by_line(scene)
    assert moved["message", "2800122"]["due_at"] == day["due_at"]
    assert moved["message", "2800123"]["due_at"] == at("2026-11-25T18:00")

    # A line that is no more: its citizens are the first line's.
    await scene.keeper(load_settings(agents=[{"id": "8001"}])).round()
    rows = [row for row in await scene.rows(DEADLINES) if row["ended_at"] is None]
    assert {row["holder"] for row in rows} == {"2800122"}
    assert {row["due_at"].date() for row in rows} == {date(2026, 11, 24)}


async def test_given_two_lines_then_what_a_desk_was_offered_is_due_by_the_line_of_its_case(
    both: Scene,
) -> None:
    scene = both
    for case, line in ((CASE, NIGHT_FULL), (f"{CASE}1", FIRST_FULL), (f"{CASE}2", None)):
        await scene.add(case, line=line)
        offer = {"id": f"{case}-d1", "desk": "110", "by": "8001", "kind": "dispatch"}
        await scene.note("2026-11-24T09:30", "OFFERED", case, **offer)
    await scene.keeper(two_lines(deadlines={"acceptance": "4h"})).round()
    due = {row["case_id"]: row["due_at"] for row in await scene.rows(DEADLINES)}
    assert due == {
        CASE: at("2026-11-24T22:00"),
        f"{CASE}1": at("2026-11-24T13:30"),
        f"{CASE}2": at("2026-11-24T13:30"),
    }


async def test_given_two_lines_then_a_list_says_due_and_next_try_by_the_line_called(
    database: Database,
) -> None:
    settings = two_lines()
    book = MessageBook(database, settings, CalendarBook(database, settings))
    await citizens_waiting.write(
        database,
        call(facts=(left(),)),
        call("13904210002", at=100, facts=(left(callback="13904210002"),), line=NIGHT_FULL),
    )
    for number, citizen in ((1, CITIZEN), (2, "13904210002")):
        facts = (back("unanswered", citizen, number),)
        await citizens_waiting.write(database, call("2800000", at=1000 * number, facts=facts))
    found = {
        one["number"]: (one["due_at"], one["next_try_at"])
        for one in (await book.page(MessageFilter(kind="message"), limit=9)).items
    }
    assert found == {
        CITIZEN: (at("2026-11-24T10:00:01"), at("2026-11-23T10:46:41")),
        "13904210002": (at("2026-11-24T18:00"), at("2026-11-23T18:30")),
    }
    waiting = (await book.waiting(limit=9)).items
    assert {one["number"]: one["due_at"] for one in waiting if one["kind"] == "message"} == {
        number: due for number, (due, _) in found.items()
    }


async def test_given_a_message_cut_off_by_a_crash_then_its_own_line_says_whether_it_is_long_enough(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "messages"
    calls = {
        "long enough for the first": (call(at=0), 5),
        "too short for the first": (call(at=100), 3),
        "long enough for the night": (call(at=200, line=NIGHT_FULL), 3),
        "too short for the night": (call(at=300, line=NIGHT_FULL), 1),
    }
    for one, seconds in calls.values():
        file = sound(folder / f"{one.legs[0].case}-m1.wav", seconds)
        os.utime(file, (BEGUN / SECOND, BEGUN / SECOND))
    lines = {
        "line": {"number": "2800122", "message_min_s": 4},
        "lines": [{**NIGHT, "message_min_s": 2}],
    }
    async with running(tmp_path, messages={"folder": folder}, **lines) as run:
        await citizens_waiting.write(run.service.database, *(one for one, _ in calls.values()))
        run.service.voicemail._adopted_at = None
        await run.service.voicemail._adopt()
        found = (await run.service.messages.page(MessageFilter(kind="message"), limit=9)).items
        cases = {one.legs[0].case: what for what, (one, _) in calls.items()}
        assert {cases[one["case"]]: one["length_s"] for one in found} == {
            "long enough for the first": 5.0,
            "long enough for the night": 3.0,
        }


async def test_given_several_pbxs_then_the_cases_of_all_have_deadlines(both: Scene) -> None:
    scene = both
    await scene.add(pbx="west")
    await scene.handed_over()
    await scene.add(f"{CASE}1")
    await scene.handed_over(f"{CASE}1")
    scene.now = at("2026-12-01T10:00")
    keeper = scene.keeper(two_lines(pbxs=[{"name": "west"}]))
    assert sorted(steps(await keeper.round())) == ["escalate", "escalate", "remind", "remind"]
    rows = await scene.rows(DEADLINES)
    assert {row["pbx"]: row["due_at"] for row in rows if row["ended_at"] is None} == {
        "pbx1": at("2026-12-01T10:00"),
        "west": at("2026-12-01T10:00"),
    }
    assert keeper.overdue == 2


@pytest.mark.parametrize(
    ("number", "line"),
    [
        ("04212800123", "2800123"),
        ("2800123", "2800123"),
        ("+864212800123", "2800123"),
        ("2800122", "2800122"),
        ("2800199", "2800122"),
        ("", "2800122"),
        (None, "2800122"),
    ],
)
def test_given_a_number_on_record_then_its_line_is_known_and_any_other_is_the_firsts(
    number: str | None, line: str
) -> None:
    assert two_lines().line_called(number).number == line
