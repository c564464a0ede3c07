"""The hours to the second, on a PBX whose clock is shifted from outside."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from telephony.ami_client import AmiClient
from telephony.calendar.book import calendar_of
from telephony.calendar.push import push
from telephony.office_hours import SHANGHAI, Calendar, SpecialDay
from telephony.pbx import Pbx
from telephony.softphone import Softphone
from tests.pbx.scene import CITIZENS, LINE, PASSWORD, SECOND_LINE, assert_quiet, wait_until
from tests.pbx.shifted_clock import ShiftedPbx

pytestmark = [pytest.mark.pbx, pytest.mark.xdist_group("shifted-clock")]

OPEN, CLOSED = "hotline-queue", "hotline-message"


@pytest.fixture(scope="module")
def shifted_pbx() -> Iterator[ShiftedPbx]:
    with (
        tempfile.TemporaryDirectory(prefix="hotline-tests-") as name,
        ShiftedPbx(Path(name)) as pbx,
    ):
        yield pbx


@pytest.fixture
def citizen(shifted_pbx: ShiftedPbx) -> Iterator[Softphone]:
    phone = Softphone("127.0.0.1", shifted_pbx.sip_port, CITIZENS[0], PASSWORD)
    phone.start()
    yield phone
    phone.stop()
    for family in ("hotline-hours", "hotline-pushed", "hotline-shut"):
        shifted_pbx.console(f"database deltree {family}")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


async def give(pbx: ShiftedPbx, calendar: Calendar, first: datetime) -> None:
    client = AmiClient.from_settings(pbx.settings.pbx, events=[])
    await client.start()
    try:
        await client.wait_up(5)
        await push(Pbx(client, pbx.settings), calendar, now=first)
    finally:
        await client.stop()


def decisions(pbx: ShiftedPbx, citizen: Softphone, moments: dict[str, str]) -> dict[str, str]:
    return {text: pbx.asks_at(at(text), citizen) for text in moments}


WORKING_DAY = {
    "2026-11-24T08:29:59": CLOSED,
    "2026-11-24T08:30:00": OPEN,
    "2026-11-24T16:59:59": OPEN,
    "2026-11-24T17:00:00": CLOSED,
}
HOLIDAYS = {
    "2025-12-31T16:59:59": OPEN,
    "2025-12-31T17:00:00": CLOSED,
    "2025-12-31T23:59:59": CLOSED,
    "2026-01-01T00:00:00": CLOSED,
    "2026-01-01T08:30:00": CLOSED,  # Thursday, 元旦
    "2026-01-02T16:59:59": CLOSED,  # Friday, moved
    "2026-01-04T08:29:59": CLOSED,
    "2026-01-04T08:30:00": OPEN,  # Sunday, worked for it
    "2026-01-04T16:59:59": OPEN,
    "2026-01-04T17:00:00": CLOSED,
    "2026-02-23T08:30:00": CLOSED,  # Monday, 春节
    "2026-02-28T08:30:00": OPEN,  # Saturday, worked for it
    "2026-10-10T16:59:59": OPEN,
    "2026-10-10T17:00:00": CLOSED,
}


async def test_given_a_pushed_calendar_when_called_on_its_boundary_seconds_then_as_published(
    shifted_pbx: ShiftedPbx, citizen: Softphone
) -> None:
    expected = HOLIDAYS | WORKING_DAY
    calendar = calendar_of(shifted_pbx.settings.line)
    assert {text: OPEN if calendar.is_open(at(text)) else CLOSED for text in expected} == expected
    await give(shifted_pbx, calendar, at("2025-12-31T00:00:00"))
    assert decisions(shifted_pbx, citizen, expected) == expected
    # The PBX itself thought so: its log has that time, by the zone of this host.
    log = (shifted_pbx.places.log / "steps").read_text(errors="replace")
    there = at("2026-11-24T08:30:00").astimezone()
    assert re.search(rf"^\[{there:%F %T}[.\d]*\].*@hotline-hours:1\]", log, re.M), log[-2000:]


async def test_given_the_last_second_of_a_year_when_called_then_each_second_is_its_own_days(
    shifted_pbx: ShiftedPbx, citizen: Softphone
) -> None:
    special = {
        date(2026, 12, 31): SpecialDay("0000-2400", "值班"),
        date(2027, 1, 2): SpecialDay("0000-2400", "值班"),
    }
    calendar = calendar_of(shifted_pbx.settings.line, special)
    await give(shifted_pbx, calendar, at("2026-12-30T00:00:00"))
    expected = {
        "2026-12-30T23:59:59": CLOSED,
        "2026-12-31T00:00:00": OPEN,
        "2026-12-31T23:59:59": OPEN,
        "2027-01-01T00:00:00": CLOSED,
        "2027-01-01T23:59:59": CLOSED,
        "2027-01-02T00:00:00": OPEN,
        "2027-01-02T23:59:59": OPEN,
        "2027-01-03T00:00:00": CLOSED,
    }
    assert decisions(shifted_pbx, citizen, expected) == expected


async def test_given_breaks_and_a_switch_when_called_then_they_begin_and_end_on_their_second(
    shifted_pbx: ShiftedPbx, citizen: Softphone
) -> None:
    special = {date(2026, 11, 25): SpecialDay("0830-1200,1330-1700,1900-2100", "午休")}
    calendar = calendar_of(shifted_pbx.settings.line, special)
    await give(shifted_pbx, calendar, at("2026-11-25T00:00:00"))
    expected = {
        "2026-11-25T11:59:59": OPEN,
        "2026-11-25T12:00:00": CLOSED,
        "2026-11-25T13:29:59": CLOSED,
        "2026-11-25T13:30:00": OPEN,
        "2026-11-25T18:59:59": CLOSED,
        "2026-11-25T19:00:00": OPEN,
        "2026-11-25T20:59:59": OPEN,
        "2026-11-25T21:00:00": CLOSED,
    }
    assert decisions(shifted_pbx, citizen, expected) == expected
    end = at("2026-11-26T10:15:00")
    shifted_pbx.console(f"database put hotline-shut {LINE} {int(end.timestamp())}|admin|power")
    assert shifted_pbx.asks_at(end - timedelta(seconds=1), citizen) == CLOSED
    assert shifted_pbx.asks_at(end, citizen) == OPEN


async def test_given_a_pbx_that_lost_its_hours_when_called_then_the_week_counts_to_the_second(
    shifted_pbx: ShiftedPbx, citizen: Softphone
) -> None:
    expected = WORKING_DAY | {
        "2026-11-27T16:59:59": OPEN,  # Friday
        "2026-11-28T08:30:00": CLOSED,  # Saturday
        "2026-12-31T16:59:59": OPEN,
        "2027-01-01T08:30:00": OPEN,  # a holiday that nobody told it of
    }
    assert decisions(shifted_pbx, citizen, expected) == expected


async def test_given_weekdays_of_their_own_when_called_then_pushed_or_lost_they_count_to_the_second(
    shifted_pbx: ShiftedPbx, citizen: Softphone
) -> None:
    night = SECOND_LINE.number
    calendar = calendar_of(SECOND_LINE)
    expected = {
        "2026-11-25T12:30:00": CLOSED,  # Wednesday, in its break
        "2026-11-25T19:59:59": OPEN,
        "2026-11-27T10:00:00": CLOSED,  # Friday, on which this line does not work
        "2026-11-28T08:59:59": CLOSED,  # Saturday
        "2026-11-28T09:00:00": OPEN,
        "2026-11-28T12:00:00": CLOSED,
        "2026-11-29T10:00:00": CLOSED,  # Sunday
    }
    assert {text: OPEN if calendar.is_open(at(text)) else CLOSED for text in expected} == expected
    # The week stands in the dialplan, for a PBX that knows of no day.
    told = {text: shifted_pbx.asks_at(at(text), citizen, night) for text in expected}
    assert told == expected
    await give(shifted_pbx, calendar, at("2026-09-28T00:00:00"))
    try:
        pushed = {
            "2026-10-03T09:00:00": CLOSED,  # a Saturday, National Day
            "2026-10-10T16:59:59": OPEN,  # a Saturday that is worked for it
            "2026-11-28T11:59:59": OPEN,
        }
        told = {text: shifted_pbx.asks_at(at(text), citizen, night) for text in pushed}
        assert told == pushed
    finally:
        for family in ("hotline-hours", "hotline-pushed"):
            shifted_pbx.console(f"database deltree {family}{SECOND_LINE.suffix}")


@pytest.mark.parametrize(
    ("asked", "opens"),
    [
        ("2026-11-24T08:00:00", "2026-11-24T08:30:00"),
        ("2026-11-24T12:00:00", "2026-11-24T13:30:00"),  # in the break of that day
        ("2026-11-24T17:00:00", "2026-11-25T08:30:00"),
        ("2026-09-30T17:00:00", "2026-10-08T08:30:00"),  # over a week of holidays
        ("2026-10-09T17:00:00", "2026-10-10T08:30:00"),  # a Saturday that is worked
        ("2026-12-31T17:00:00", "2027-01-04T08:30:00"),
    ],
)
async def test_given_a_closed_line_when_the_dialplan_looks_ahead_then_it_finds_the_next_opening(
    shifted_pbx: ShiftedPbx, citizen: Softphone, asked: str, opens: str
) -> None:
    special = {date(2026, 11, 24): SpecialDay("0830-1200,1330-1700", "午休")}
    calendar = calendar_of(shifted_pbx.settings.line, special)
    assert calendar.next_opening(at(asked)) == at(opens)
    await give(shifted_pbx, calendar, at(asked))
    seconds = int(at(asked).timestamp())
    for step in (
        f"1,1,Gosub(hotline-reopens,s,1({seconds}))",
        "1,2,Set(DB(tests/reopens)=${GOSUB_RETVAL})",
    ):
        said = shifted_pbx.console(f"dialplan add extension {step} into tests replace")
        assert "1@tests" in said, said
    shifted_pbx.console("database del tests reopens")
    client = AmiClient.from_settings(shifted_pbx.settings.pbx, events=[])
    await client.start()
    try:
        await client.wait_up(5)
        leg = {"Channel": "Local/1@tests", "Application": "NoOp", "Async": "true"}
        await client.action("Originate", leg)
    finally:
        await client.stop()
    expected = str(int(at(opens).timestamp()))
    wait_until(
        lambda: expected in shifted_pbx.console("database get tests reopens"),
        f"reopens at {opens}: {shifted_pbx.console('database get tests reopens')}",
    )
    assert_quiet(shifted_pbx)
