"""``hotline cases``: one case whole, its story, the figures, and who looked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from telephony import audit
from telephony.cli import app
from telephony.database import Database
from tests.unit.day_of_calls import DAY, make

TRANSFER = "20261124-1795497294.19"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A day of recorded calls in the database that the settings name; its URL."""
    url = f"sqlite:///{tmp_path}/record.sqlite"

    async def fill() -> None:
        database = Database(url)
        await database.migrate()
        (tmp_path / "Master.csv").write_bytes(DAY)
        await make(database, tmp_path).catch_up()
        await database.close()

    asyncio.run(fill())
    monkeypatch.setenv("HOTLINE_DATABASE_URL", url)
    monkeypatch.delenv("HOTLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["cases", *arguments])


def test_given_a_case_when_looked_at_then_it_is_told_and_the_look_is_logged(record: str) -> None:
    whole = orjson.loads(run(TRANSFER, "--json").stdout)
    assert [entry["event"] for entry in whole["ledger"]] == ["taken", "offered", "accepted"]
    story = orjson.loads(run(TRANSFER, "--story", "--json").stdout)
    assert len(story["events"]) == 3 + 1 + 3
    table = run(TRANSFER, "--story")
    assert table.exit_code == 0
    assert "accepted" in table.stdout

    async def looks() -> list[tuple[str, str, str]]:
        database = Database(record)
        page = await audit.entries(database, which=TRANSFER)
        await database.close()
        return [(one["role"], one["what"], one["which"]) for one in reversed(page.items)]

    told = [("command", what, TRANSFER) for what in ("case", "story", "story")]
    assert asyncio.run(looks()) == told


@pytest.mark.usefixtures("record")
def test_given_figures_then_they_are_those_of_the_time_named() -> None:
    found = orjson.loads(run("--figures", "--json").stdout)
    assert found["cases"] > 0
    assert found["handovers"] > 0
    assert "mean_time_to_answer_s" in run("--figures").stdout
    none = orjson.loads(run("--figures", "--to", "2026-01-01", "--json").stdout)
    assert none["cases"] == 0


@pytest.mark.usefixtures("record")
def test_given_what_cannot_be_then_the_exit_status_says_so() -> None:
    assert run("--story").exit_code == 2
    assert run("20261124-1.1").exit_code == 1
