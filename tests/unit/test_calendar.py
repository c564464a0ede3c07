"""The calendar by command, over HTTP and on its way to the PBX."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calendar.book import calendar_of
from telephony.calendar.push import (
    AHEAD_DAYS,
    HOURS,
    SHUT,
    Switch,
    hours_at_pbx,
    plan,
    provisional_warning,
    push,
    shut_now,
    wanted_hours,
)
from telephony.database import migrate
from telephony.errors import CalendarNotPushed, InvalidValue
from telephony.office_hours import SHANGHAI
from telephony.settings import Line
from tests.unit.api_fixtures import Running, running
from tests.unit.simulated_pbx import SimulatedPbx
from tests.unit.test_commands_service import environment, hotline

LINE = Line()
NOON = datetime(2026, 11, 24, 12, tzinfo=SHANGHAI)


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


# -- on its way to the PBX ------------------------------------------------------------------------

days = st.dictionaries(
    st.integers(0, 9).map(lambda number: f"202611{number + 20}"),
    st.sampled_from(["closed", "0830-1700", "0900-1200"]),
)


@given(days.filter(bool), days, days)
def test_given_any_state_of_the_pbx_when_planned_then_only_what_is_ours_changes(
    wanted: dict[str, str], there: dict[str, str], pushed: dict[str, str]
) -> None:
    todo = plan(wanted, there, pushed)
    after = {key: value for key, value in there.items() if key not in todo.delete} | dict(
        todo.write
    )
    assert {key: value for key, value in after.items() if key not in todo.by_hand} == {
        key: value for key, value in wanted.items() if key not in todo.by_hand
    }
    for key, value in todo.by_hand.items():
        assert after[key] == value != pushed.get(key)
    again = plan(wanted, after, pushed | wanted)
    assert not again.write or set(again.write) & set(todo.by_hand)
    forced = plan(wanted, there, pushed, replace=True)
    kept = {key: value for key, value in there.items() if key not in forced.delete}
    assert kept | dict(forced.write) == wanted


def test_given_entries_that_are_no_days_when_planned_then_they_are_left_alone() -> None:
    todo = plan({"20261124": "closed"}, {"note": "x", "20200101": "closed"}, {})
    assert set(todo.delete) == {"20200101"}
    assert dict(todo.write) == {"20261124": "closed"}
    assert not todo.by_hand


async def test_given_a_pbx_that_keeps_nothing_when_pushed_then_that_is_an_error(
    run: Running,
) -> None:
    class Forgetful(dict[tuple[str, str], str]):
        """A database on a full disk: it says yes and keeps nothing."""

        def __setitem__(self, key: tuple[str, str], value: str) -> None:
            return

    run.simulated.astdb = Forgetful()
    with pytest.raises(CalendarNotPushed, match=f"the hours of {AHEAD_DAYS} days"):
        await push(run.service.pbx, calendar_of(LINE))


def test_given_the_time_of_year_then_an_unpublished_year_is_warned_of_from_december() -> None:
    november = datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC)
    assert provisional_warning((2027,), november) == ""
    december = november + timedelta(seconds=1)  # midnight in Shanghai
    assert "2027 are provisional" in provisional_warning((2027,), december)
    assert provisional_warning((), december) == ""


def test_given_what_the_pbx_has_then_its_hours_are_taken_as_the_dialplan_does() -> None:
    tuesday, saturday = date(2026, 11, 24), date(2026, 11, 28)
    assert hours_at_pbx(LINE, None, tuesday) == LINE.windows
    assert hours_at_pbx(LINE, None, saturday) == ()
    assert hours_at_pbx(LINE, "nonsense", tuesday) == LINE.windows
    assert hours_at_pbx(LINE, "closed", tuesday) == ()
    assert len(hours_at_pbx(LINE, "0830-1200,1330-1700", saturday)) == 2


# -- closed now -----------------------------------------------------------------------------------


def test_given_the_switchs_entry_then_it_ends_on_its_second() -> None:
    end = NOON + timedelta(hours=2)
    entry = f"{int(end.timestamp())}|值班长|停电|台风"
    before = shut_now(entry, end - timedelta(seconds=1))
    assert before is not None
    assert (before.until, before.by, before.reason) == (end, "值班长", "停电|台风")
    assert shut_now(entry, end) is None
    for wrong in ("", "soon", "٣", "9" * 40, "|a|b"):
        assert shut_now(wrong, NOON) is None


@pytest.mark.parametrize("until", ["12:00", "00:00", "11:59"])
async def test_given_a_time_that_has_passed_when_closed_then_refused(
    run: Running, until: str
) -> None:
    with pytest.raises(InvalidValue, match="has passed"):
        await Switch(run.service.pbx, run.service.settings).shut(until, "", by="t", now=NOON)
    for wrong in ("24:01", "9:00", "1200", "25:00", ""):
        with pytest.raises(InvalidValue, match="no time such as"):
            await Switch(run.service.pbx, run.service.settings).shut(wrong, "", by="t", now=NOON)


# -- over HTTP ------------------------------------------------------------------------------------


async def test_given_a_wrong_special_day_when_sent_then_422_and_nothing_is_stored(
    run: Running,
) -> None:
    wrong = [
        {"day": "2026-13-01", "hours": "closed"},
        {"day": "1795478400", "hours": "closed"},
        {"day": "2026-10-01", "hours": "0830"},
        {"day": "2026-10-01", "hours": "closed\r\nAction: Logoff"},
        {"day": "2026-10-01", "hours": "closed", "reason": "a\r\nb"},
        {"day": "1826-10-01", "hours": "closed"},
    ]
    async with run.as_("admin") as client:
        for body in wrong:
            assert (await client.post("/api/v1/calendar/days", json=body)).status_code == 422
        for until in ("25:00", "14:30\r\n", "now"):
            answer = await client.post("/api/v1/calendar/closed", json={"until": until})
            assert answer.status_code == 422
        assert (await client.get("/api/v1/calendar/99999")).status_code == 422
        assert (await client.delete("/api/v1/calendar/days/2026-10-01")).status_code == 404
        year = (await client.get("/api/v1/calendar/2026")).json()
    assert len(year["days"]) == 365
    assert not year["provisional"]
    assert {one["why"] for one in year["days"]} == {"week", "holiday", "make-up"}


# -- by command -----------------------------------------------------------------------------------


async def test_given_a_file_when_imported_by_command_then_stored_pushed_and_shown(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(migrate, f"sqlite:///{tmp_path}/record.sqlite")
    day = datetime.now(SHANGHAI).date() + timedelta(days=40)
    file = tmp_path / "days.csv"
    file.write_text(f"date,hours,reason\n{day},08:30-12:00,盘点\n", encoding="utf-8")
    async with SimulatedPbx() as simulated:
        env = environment(tmp_path, simulated)
        code, out, err = await hotline(tmp_path, env, "calendar", "import", str(file))
        assert (code, err) == (0, "")
        assert "1 day added" in out
        wanted = wanted_hours(calendar_of(LINE), datetime.now(SHANGHAI).date())
        there = {key: value for (family, key), value in simulated.astdb.items() if family == HOURS}
        assert there == wanted | {f"{day:%Y%m%d}": "0830-1200"}
        code, out, err = await hotline(tmp_path, env, "calendar", "push", "--json")
        assert orjson.loads(out)["written"] == 0
        code, out, err = await hotline(
            tmp_path, env, "calendar", "close", "24:00", "--reason", "停电"
        )
        code, out, err = await hotline(tmp_path, env, "calendar", "show")
        assert (code, "not known" in err) == (0, False)
        assert "closed by hand until" in out
        assert "(command line: 停电)" in out
    code, out, err = await hotline(tmp_path, env, "calendar", "show", str(day.year), "--json")
    assert code == 0
    # The PBX has gone: that it does not tell is said, and the year is shown all the same.
    assert not orjson.loads(out)["closed_by_hand_known"]
    (shown,) = [one for one in orjson.loads(out)["days"] if one["day"] == str(day)]
    assert shown == {"day": str(day), "hours": "0830-1200", "why": "special", "name": "盘点"}


async def test_given_a_wrong_file_or_no_pbx_when_imported_then_said_so_and_status_1(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(migrate, f"sqlite:///{tmp_path}/record.sqlite")
    env = environment(tmp_path, None)
    file = tmp_path / "days.csv"
    file.write_text("date,hours,reason\n2027-02-30,closed,\n2027-03-01,closed,\n")
    code, out, err = await hotline(tmp_path, env, "calendar", "import", str(file))
    assert (code, out) == (1, "")
    assert "nothing was taken: line 2: '2027-02-30' is no date" in err
    code, out, err = await hotline(tmp_path, env, "calendar", "show", "2027", "--json")
    assert not [one for one in orjson.loads(out)["days"] if one["why"] == "special"]
    assert orjson.loads(out)["provisional"]
    code, out, err = await hotline(tmp_path, env, "calendar", "set", "2027-03-01", "closed")
    assert code == 1
    assert "it is stored; the service pushes it when the PBX is back" in err
    code, out, err = await hotline(tmp_path, env, "calendar", "show", "2027")
    assert code == 0
    assert "2027-03-01 Mon  closed" in out
    assert "2027 is provisional" in err


async def test_given_hours_as_people_write_them_when_set_then_taken_and_a_day_of_the_past_is_told(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(migrate, f"sqlite:///{tmp_path}/record.sqlite")
    env = environment(tmp_path, None)
    there = ("--no-push",)
    day = f"{datetime.now(SHANGHAI).year + 1}-03-01"
    for written, taken in {
        "8:30-12:00,13:30-17:00": "0830-1200,1330-1700",
        "0900-1100": "0900-1100",
        "休": "closed",
    }.items():
        code, out, err = await hotline(tmp_path, env, "calendar", "set", day, written, *there)
        assert (code, out, err) == (0, f"{day}: {taken}\n", "")
    code, out, err = await hotline(tmp_path, env, "calendar", "set", day, "17-8", *there)
    assert (code, out, "'17-8' is not like 0830-1700; say closed" in err) == (1, "", True)
    code, out, err = await hotline(tmp_path, env, "calendar", "unset", day, *there)
    assert (code, out, err) == (0, f"{day}: no special day any more\n", "")
    code, out, err = await hotline(tmp_path, env, "calendar", "set", "2020-03-02", "班", *there)
    assert (code, out) == (0, "2020-03-02: work\n")
    assert "2020-03-02 has passed: no call goes by it any more" in err


async def test_given_several_pbxs_then_each_is_told_and_one_that_is_away_fails_the_command(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(migrate, f"sqlite:///{tmp_path}/record.sqlite")
    async with SimulatedPbx() as east, SimulatedPbx() as west:
        further = [{"name": "west", "ami_port": west.port}]
        env = environment(tmp_path, east, HOTLINE_PBXS=orjson.dumps(further).decode())
        code, out, _ = await hotline(tmp_path, env, "calendar", "push", "--json")
        assert (code, orjson.loads(out)["written"]) == (0, 2 * AHEAD_DAYS)
        assert east.astdb == west.astdb
        assert len([key for key in west.astdb if key[0] == HOURS]) == AHEAD_DAYS
        # Closed at one of them alone, as when its entry was lost at the other.
        until = int((datetime.now(UTC) + timedelta(hours=1)).timestamp())
        west.astdb[SHUT, LINE.number] = f"{until}|tests|"
        code, out, err = await hotline(tmp_path, env, "calendar", "open")
        assert (code, err) == (0, "")
        assert (SHUT, LINE.number) not in west.astdb
        code, out, err = await hotline(tmp_path, env, "calendar", "open")
        assert (code, "not closed by hand" in err) == (1, True)
        await west.stop()
        code, out, err = await hotline(tmp_path, env, "calendar", "push", "--json")
        assert (code, orjson.loads(out)["written"]) == (1, 0)
        assert "west" in err
