"""Legs made again from the stored rows: the same, unless somebody changed what is stored."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import delete, insert, literal, select, tuple_, update
from typer.testing import CliRunner, Result

from telephony.call_legs import Directory
from telephony.commands import legs
from telephony.database import Database
from telephony.record import rebuild as legs_rebuild
from telephony.record.leg_table import LEGS
from telephony.record.rebuild import Difference, Progress, Rebuild
from telephony.record.store import IS_OPEN, ROWS, rows_in_order
from telephony.settings import Settings
from tests.unit.day_of_calls import AGENTS, DAY, make, record, same

app = typer.Typer()
app.add_typer(legs.app, name="legs")

DAWN = datetime(2026, 11, 24, tzinfo=UTC)
MIDNIGHT = DAWN + timedelta(days=1)
NOW = DAWN + timedelta(days=30)
DIRECTORY = Directory.from_settings(
    Settings.model_validate({"agents": AGENTS, "database_url": "sqlite://"})
)


async def rebuilt(
    database: Database,
    since: datetime = DAWN,
    until: datetime = MIDNIGHT,
    *,
    apply: bool = False,
    now: datetime = NOW,
) -> tuple[list[Difference], Progress]:
    told: list[int] = []
    rebuild = Rebuild(database, DIRECTORY, "pbx1", since, until, now=now, apply=apply)
    found = [one async for one in rebuild.run(lambda progress: told.append(progress.rows))]
    assert told == sorted(told)
    assert told[-1] == rebuild.progress.rows
    return found, rebuild.progress


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of recorded calls in a SQLite file."""
    folder = tmp_path_factory.mktemp("made")

    async def fill() -> None:
        database = Database(f"sqlite:///{folder}/record.sqlite")
        await database.migrate()
        (folder / "Master.csv").write_bytes(DAY)
        await make(database, folder).catch_up()
        await database.close()

    asyncio.run(fill())
    return folder / "record.sqlite"


@pytest.fixture
async def day(made: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The same in a file of the test's own."""
    shutil.copy(made, tmp_path / "record.sqlite")
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    yield database
    await database.close()


async def change(database: Database, uniqueid: str, **values: Any) -> None:
    async with database.writing() as connection:
        await connection.execute(update(LEGS).where(LEGS.c.uniqueid == uniqueid).values(**values))


@pytest.mark.parametrize("page", [7, 5000])
async def test_given_an_untouched_record_then_nothing_differs(
    day: Database, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(legs_rebuild, "PAGE", page)
    monkeypatch.setattr(legs_rebuild, "BATCH", page)
    found, progress = await rebuilt(day)
    assert found == []
    whole = await record(day)
    assert progress.legs + progress.going_on == len(whole["legs"])
    assert progress.rows == DAY.count(b"\n")
    assert (progress.different, progress.without_rows) == (0, 0)


async def test_given_legs_that_were_changed_then_leg_field_was_and_is_are_told_and_mended(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    day = database
    assert (await rebuilt(day))[0] == []
    whole = await record(day)
    transfer, busy, lost = "1795497294.19", "1795497339.57", "1795497294.20"
    await change(day, transfer, talk_s=99.0, party="110", segments=[])
    await change(day, busy, started_at=DAWN)
    async with day.writing() as connection:
        await connection.execute(delete(LEGS).where(LEGS.c.uniqueid == lost))
        # A channel that is no leg: the far half of a Local channel.
        columns = [column for column in LEGS.c if column.name not in ("epoch", "uniqueid")]
        names = ["epoch", "uniqueid", *(column.name for column in columns)]
        copy = select(literal(1795497285), literal("1795497285.5"), *columns)
        copy = copy.where(LEGS.c.uniqueid == transfer)
        await connection.execute(insert(LEGS).from_select(names, copy))
    found, progress = await rebuilt(day)
    by_leg = {(one.leg, one.field): (one.was, one.is_now) for one in found}
    assert by_leg[transfer, "talk_s"] == (99.0, whole["legs"][transfer]["talk_s"])
    assert by_leg[transfer, "party"] == ("110", "13812345678")
    assert by_leg[busy, "started_at"] == (DAWN, whole["legs"][busy]["started_at"])
    assert by_leg[lost, "leg"] == (None, "complete")
    assert by_leg["1795497285.5", "leg"] == ("complete", None)
    assert len(by_leg) == 6
    assert progress.different == 4
    # Nothing was changed so far; now it is.
    assert (await rebuilt(day))[0] == found
    assert (await rebuilt(day, apply=True))[0] == found
    assert (await rebuilt(day))[0] == []
    same(await record(day), whole)


async def test_given_a_period_then_only_its_legs_are_looked_at_and_a_call_on_its_edge_is_whole(
    day: Database,
) -> None:
    whole = await record(day)
    call = [leg for leg in whole["legs"].values() if leg["linkedid"] == "1795497294.19"]
    inside = max(call, key=lambda leg: leg["started_at"])  # of a call that begins before
    await change(day, "1795497294.19", talk_s=99.0)
    await change(day, inside["uniqueid"], talk_s=98.0)
    since = inside["started_at"]
    found, progress = await rebuilt(day, since, since + timedelta(microseconds=1))
    (one,) = found
    assert (one.leg, one.field, one.was) == (inside["uniqueid"], "talk_s", 98.0)
    assert one.is_now == inside["talk_s"]
    assert progress.legs == 1


async def test_given_a_call_that_goes_on_then_it_is_left_to_the_recorder(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    await database.migrate()
    lines = DAY.splitlines(True)
    last = next(at for at, line in enumerate(lines) if b'"1795499209.171"' in line) + 20
    (tmp_path / "Master.csv").write_bytes(b"".join(lines[:last]))
    await make(database, tmp_path).catch_up()
    await change(database, "1795499209.171", talk_s=99.0)
    found, progress = await rebuilt(database, apply=True)
    assert found == []
    assert progress.going_on >= 2
    await database.close()


async def test_given_rows_that_are_no_longer_stored_then_their_legs_are_kept(
    day: Database,
) -> None:
    whole = await record(day)
    async with day.writing() as connection:
        await connection.execute(delete(ROWS).where(ROWS.c.linkedid == "1795497294.19"))
    found, progress = await rebuilt(day, apply=True)
    assert found == []
    assert progress.without_rows == 3
    assert (await record(day))["legs"] == whole["legs"]


async def test_given_a_call_whose_first_rows_are_deleted_then_its_legs_are_kept(
    day: Database,
) -> None:
    whole = await record(day)
    before = whole["legs"]["1795497294.19"]["answered_at"]
    async with day.writing() as connection:
        gone = await connection.execute(delete(ROWS).where(ROWS.c.at < before))
        left = select(ROWS.c.line).where(ROWS.c.linkedid == "1795497294.19").limit(1)
        assert await connection.scalar(left) is not None
    assert gone.rowcount > 0
    found, progress = await rebuilt(day, apply=True)
    assert found == []
    assert progress.without_rows >= 3
    assert (await record(day))["legs"] == whole["legs"]


# --- the command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["legs", *arguments])


PERIOD = ("rebuild", "--from", "2026-11-24", "--to", "2026-11-25 08:00")


@pytest.fixture
def named(day: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("HOTLINE_DATABASE_URL", day.url.render_as_string(False))
    monkeypatch.setenv("HOTLINE_AGENTS", json.dumps(AGENTS))
    monkeypatch.chdir(tmp_path)
    return day


async def test_given_the_command_then_the_exit_status_says_whether_something_differs(
    named: Database,
) -> None:
    first = await asyncio.to_thread(run, *PERIOD, "--json")
    told = json.loads(first.stdout)
    assert (first.exit_code, told["differences"], told["different"]) == (0, [], 0), first.stderr
    await change(named, "1795497294.19", talk_s=99.0)
    plain = await asyncio.to_thread(run, *PERIOD)
    assert plain.exit_code == 1
    assert "1795497294.19  talk_s: 99.0 -> " in plain.stdout
    second = await asyncio.to_thread(run, *PERIOD, "--json")
    assert second.exit_code == 1
    told = json.loads(second.stdout)
    assert [set(one) for one in told["differences"]] == [{"pbx", "leg", "field", "was", "is"}]
    assert told["applied"] is False
    mended = await asyncio.to_thread(run, *PERIOD, "--apply", "--json")
    assert mended.exit_code == 0
    assert json.loads(mended.stdout)["different"] == 1
    assert (await asyncio.to_thread(run, *PERIOD)).exit_code == 0


def test_given_a_period_that_is_none_then_the_usage_is_wrong(named: Database) -> None:
    assert run("rebuild", "--from", "2026-11-25", "--to", "2026-11-24").exit_code == 2
    assert run("rebuild", "--from", "yesterday", "--to", "2026-11-24").exit_code == 2
    assert run("rebuild", "--from", "2026-11-24").exit_code == 2


def test_given_gaps_then_the_command_lists_them(named: Database) -> None:
    listed = json.loads(run("gaps", "--json").stdout)
    assert {gap["why"] for gap in listed["items"]} == {"channels-missing", "pbx-stopped"}
    assert "channels-missing" in run("gaps", "--why", "channels-missing").stdout
    assert run("gaps", "--why", "bad-luck").exit_code == 2


async def test_given_many_legs_then_the_open_ones_are_found_by_their_index(day: Database) -> None:
    query = select(LEGS.c.channels).where(LEGS.c.pbx == "pbx1", IS_OPEN)
    async with day.reading() as connection:
        text = query.compile(dialect=connection.dialect)
        plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ("pbx1",))).all()
    assert "ix_legs_open" in " ".join(str(step.detail) for step in plan)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_given_many_rows_then_a_page_of_them_is_found_without_sorting_all(
    day: Database, newest_first: bool
) -> None:
    order = (ROWS.c.at, ROWS.c.seq, ROWS.c.digest)
    query = select(ROWS.c.line).where(rows_in_order("pbx1"))
    if newest_first:
        query = query.order_by(ROWS.c.at.desc(), ROWS.c.digest.desc()).limit(500)
    else:
        after = tuple_(*order) > tuple_(DAWN, 1, "x")
        query = query.where(ROWS.c.at >= DAWN, after).order_by(*order).limit(500)
    async with day.reading() as connection:
        text = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")).all()
    said = " ".join(str(step.detail) for step in plan)
    assert "sqlite_autoindex_cel_rows_1" in said
    assert "FOR ORDER BY" not in said
