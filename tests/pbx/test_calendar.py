"""The PBX decides by the hours it was given, and the service keeps them there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from telephony.ami_client import AmiClient
from telephony.calendar import push as calendar_push
from telephony.calendar.book import CalendarBook, calendar_of
from telephony.calendar.push import AHEAD_DAYS, Switch, push, push_all, wanted_hours
from telephony.database import Database, migrate
from telephony.demo.stage import Service
from telephony.doctor import Finding, examine
from telephony.errors import InvalidValue, WrongState
from telephony.office_hours import SHANGHAI, SpecialDay
from telephony.pbx import Pbx
from telephony.private_pbx import PrivatePbx
from telephony.settings import Settings
from telephony.softphone import Softphone
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    SECOND_LINE,
    PhoneFactory,
    set_hours,
    wait_until,
)

pytestmark = pytest.mark.pbx


@pytest.fixture
def settings(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Settings]:
    """The PBX's settings with a database; the PBX has forgotten all hours before and after."""
    url = f"sqlite:///{tmp_path}/hotline.sqlite"
    migrate(url)
    forget(pbx)
    yield pbx.settings.model_copy(update={"database_url": url})
    forget(pbx)


def forget(pbx: PrivatePbx) -> None:
    for suffix in ("", SECOND_LINE.suffix):
        pbx.console(f"database deltree hotline-hours{suffix}")
        pbx.console(f"database deltree hotline-pushed{suffix}")
    pbx.console("database deltree hotline-shut")


def entries(pbx: PrivatePbx, family: str = "hotline-hours") -> dict[str, str]:
    """What the PBX itself says it has."""
    rows = (line.partition(":") for line in pbx.console(f"database show {family}").splitlines())
    return {
        key.strip().rpartition("/")[2]: value.strip() for key, colon, value in rows if "/" in key
    }


def today() -> date:
    return datetime.now(SHANGHAI).date()


async def linked(settings: Settings) -> tuple[AmiClient, Pbx]:
    client = AmiClient.from_settings(settings.pbx, events=[])
    await client.start()
    await client.wait_up(5)
    return client, Pbx(client, settings)


async def calendar_of_doctor(settings: Settings) -> Finding:
    return next(one for one in await examine(settings) if one.name == "calendar")


async def test_given_an_empty_pbx_when_pushed_then_it_has_every_day_of_a_year_and_only_changes_go(
    pbx: PrivatePbx, settings: Settings
) -> None:
    client, asked = await linked(settings)
    try:
        calendar = calendar_of(settings.line)
        first = await push(asked, calendar)
        assert entries(pbx) == wanted_hours(calendar, today())
        assert (first.written, first.deleted) == (AHEAD_DAYS, 0)
        again = await push(asked, calendar)
        assert (again.written, again.deleted, dict(again.by_hand)) == (0, 0, {})

        day = today() + timedelta(days=3)
        special = {day: SpecialDay("0900-1130,1330-1500", "盘点")}
        changed = await push(asked, calendar_of(settings.line, special))
        assert (changed.written, changed.deleted) == (1, 0)
        assert entries(pbx)[f"{day:%Y%m%d}"] == "0900-1130,1330-1500"

        # The day after: yesterday goes, one more day comes, the special day is taken back.
        tomorrow = datetime.now(SHANGHAI) + timedelta(days=1)
        moved = await push(asked, calendar, now=tomorrow)
        assert (moved.written, moved.deleted) == (2, 1)
        assert entries(pbx) == wanted_hours(calendar, tomorrow.date())
        assert entries(pbx, "hotline-pushed") == entries(pbx)
    finally:
        await client.stop()


async def test_given_a_day_entered_at_the_pbx_by_hand_when_pushed_then_it_counts_until_replaced(
    pbx: PrivatePbx, settings: Settings
) -> None:
    client, asked = await linked(settings)
    try:
        calendar = calendar_of(settings.line)
        await push(asked, calendar)
        key = f"{today() + timedelta(days=5):%Y%m%d}"
        pbx.console(f"database put hotline-hours {key} 1000-1015")
        done = await push(asked, calendar)
        assert (done.written, dict(done.by_hand)) == (0, {key: "1000-1015"})
        assert entries(pbx)[key] == "1000-1015"
        finding = await calendar_of_doctor(settings)
        assert f"{key} 1000-1015" in finding.found
        done = await push(asked, calendar, replace=True)
        assert (done.written, dict(done.by_hand)) == (1, {})
        assert entries(pbx) == wanted_hours(calendar, today())
    finally:
        await client.stop()


async def test_given_a_pbx_that_lost_its_hours_when_examined_then_told_and_the_week_counts(
    pbx: PrivatePbx, settings: Settings
) -> None:
    finding = await calendar_of_doctor(settings)
    assert finding.state == "warning"
    assert "the week counts (Monday to Friday 0830-1700)" in finding.found
    client, asked = await linked(settings)
    try:
        await push_all(asked, [calendar_of(line) for line in settings.every_line])
        finding = await calendar_of_doctor(settings)
        assert finding.state == ("warning" if today() >= date(today().year, 12, 1) else "ok")
        assert f"hours of {AHEAD_DAYS} days" in finding.found
        key = f"{today() + timedelta(days=9):%Y%m%d}"
        pbx.console(f"database del hotline-hours {key}")
        finding = await calendar_of_doctor(settings)
        assert finding.state == "warning"
        assert f"1 of {AHEAD_DAYS} days are missing on it, first {key}" in finding.found
        database = Database.from_settings(settings)
        await CalendarBook(database, settings).set_day(
            today() + timedelta(days=20), "0100-0200", "夜间", by="tests"
        )
        await database.close()
        assert "1 are other than the calendar's" in (await calendar_of_doctor(settings)).found
    finally:
        await client.stop()


async def test_given_closed_now_when_the_second_comes_then_open_again_by_itself(
    pbx: PrivatePbx, settings: Settings, phone: PhoneFactory
) -> None:
    set_hours(pbx, "0000-2400")
    citizen = await asyncio.to_thread(phone, CITIZENS[0])
    client, asked = await linked(settings)
    switch = Switch(asked, settings)
    try:
        with pytest.raises(WrongState):
            await switch.open()
        with pytest.raises(InvalidValue, match="has passed"):
            await switch.shut("00:00", "", by="tests")
        shut = await switch.shut("24:00", "台风 停电 | ${EVIL}", by="tests")
        assert shut == await switch.now()
        assert await asyncio.to_thread(where, pbx, citizen) == "hotline-message"
        # The entry as it stands, but its end is near: nobody takes it away.
        end = int(datetime.now(SHANGHAI).timestamp()) + 2
        await asked.db_put(calendar_push.SHUT, LINE, f"{end}|tests|台风")
        assert await asyncio.to_thread(where, pbx, citizen) == "hotline-message"
        await asyncio.to_thread(wait_until, lambda: datetime.now(SHANGHAI).timestamp() >= end, "it")
        assert await asyncio.to_thread(where, pbx, citizen) == "hotline-queue"
        assert await switch.now() is None
        await switch.shut("24:00", "台风", by="tests")
        await switch.open()
        assert await asyncio.to_thread(where, pbx, citizen) == "hotline-queue"
    finally:
        await client.stop()


@pytest.mark.parametrize("entry", ["open", "0830", "closed-", "25", '"', "0830-1700;0900-1000"])
def test_given_an_entry_that_is_no_hours_when_called_then_the_week_counts_and_nobody_is_lost(
    pbx: PrivatePbx, settings: Settings, phone: PhoneFactory, entry: str
) -> None:
    now = datetime.now(SHANGHAI)
    written = entry.replace('"', r"\"")
    pbx.console(f'database put hotline-hours {now:%Y%m%d} "{written}"')
    expected = calendar_push.hours_at_pbx(settings.line, None, now.date())
    minute = now.hour * 60 + now.minute
    is_open = any(one.opens <= minute < one.closes for one in expected)
    found = where(pbx, phone(CITIZENS[0]))
    assert found == ("hotline-queue" if is_open else "hotline-message")


def where(pbx: PrivatePbx, citizen: Softphone) -> str:
    """The context in which a citizen who calls ends up: in the queue, or leaving a message."""
    call = citizen.call(LINE)
    try:
        call.wait_answered(5)
        there: list[str] = []

        def has_come() -> bool:
            lines = pbx.console("core show channels concise").splitlines()
            there[:] = [line.split("!")[1] for line in lines if "!" in line]
            return there in (["hotline-queue"], ["hotline-message"])

        wait_until(has_come, "in the queue, or leaving a message")
        return there[0]
    finally:
        call.hangup()
        call.wait_ended(5)


def test_given_a_running_service_when_the_pbx_loses_a_day_and_a_day_is_set_then_it_is_pushed(
    pbx: PrivatePbx, settings: Settings, service: Service
) -> None:
    wait_until(lambda: len(entries(pbx)) == AHEAD_DAYS, "pushed at link-up", 15)
    day = today() + timedelta(days=30)
    answer = service.http.post(
        "/api/v1/calendar/days", json={"day": str(day), "hours": "closed", "reason": "检修"}
    )
    assert answer.status_code == 200
    wait_until(lambda: entries(pbx)[f"{day:%Y%m%d}"] == "closed", "pushed on change")
    year = service.http.get(f"/api/v1/calendar/{day.year}").json()
    (found,) = [one for one in year["days"] if one["day"] == str(day)]
    assert (found["hours"], found["why"], found["name"]) == ("closed", "special", "检修")

    pbx.console("database deltree hotline-hours")
    # The service may be at it already, since it took the PBX over.
    assert service.http.post("/api/v1/calendar/push").json()["written"] in (0, AHEAD_DAYS)
    assert len(entries(pbx)) == len(entries(pbx, "hotline-pushed")) == AHEAD_DAYS
    assert service.http.delete(f"/api/v1/calendar/days/{day}").status_code == 204
    assert service.http.delete(f"/api/v1/calendar/days/{day}").status_code == 404
    wait_until(
        lambda: entries(pbx) == wanted_hours(calendar_of(settings.line), today()), "taken back"
    )

    shut = service.http.post("/api/v1/calendar/closed", json={"until": "24:00", "reason": "停电"})
    assert shut.status_code == 200
    now = service.http.get("/api/v1/calendar/now").json()
    assert (now["open"], now["known"], now["shut"]["reason"]) == (False, True, "停电")
    assert service.http.delete("/api/v1/calendar/closed").status_code == 204
    assert service.http.delete("/api/v1/calendar/closed").status_code == 409
