"""``hotline voicemail`` and ``hotline callbacks``: what is listed, as a table and as JSON."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from telephony.cli import app
from telephony.database import Database
from tests.empty_record import empty_record
from tests.unit.citizens_waiting import CITIZEN, OTHER, call, left, write


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message and two missed calls of one number, in the database that the settings name."""
    shutil.copy(empty_record(tmp_path.parent), tmp_path / "record.sqlite")
    url = f"sqlite:///{tmp_path}/record.sqlite"

    async def fill() -> None:
        database = Database(url)
        await write(database, call(facts=(left(),)), call(OTHER, at=100), call(OTHER, at=200))
        await database.close()

    asyncio.run(fill())
    monkeypatch.setenv("HOTLINE_DATABASE_URL", url)
    monkeypatch.setenv("HOTLINE_AGENTS", '[{"id": "8001"}]')
    monkeypatch.delenv("HOTLINE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.usefixtures("record")
def test_given_messages_and_missed_calls_when_listed_then_each_command_shows_its_own() -> None:
    listed = orjson.loads(run("voicemail", "list", "--json").stdout)
    assert [(one["number"], one["length_s"], one["why"]) for one in listed["items"]] == [
        (CITIZEN, 5.0, "hours")
    ]
    waiting = orjson.loads(run("callbacks", "--json").stdout)
    found = [(one["kind"], one["number"], one["calls"]) for one in waiting["items"]]
    assert found == [("message", CITIZEN, 1), ("missed", OTHER, 2)]
    assert waiting["items"][0]["due_at"].startswith("2026-11-24")
    table = run("callbacks")
    assert table.exit_code == 0
    assert CITIZEN in table.stdout
    assert waiting["items"][0]["case"] in table.stdout
    assert orjson.loads(run("voicemail", "list", "--state", "answered", "--json").stdout) == {
        "items": [],
        "next": None,
    }


@pytest.mark.usefixtures("record")
def test_given_a_holder_whom_nobody_knows_when_nothing_is_found_then_it_is_said() -> None:
    nobody = run("voicemail", "list", "--holder", "9999")
    assert (nobody.exit_code, "no agent '9999' in the settings" in nobody.stderr) == (0, True)
    known = run("voicemail", "list", "--holder", "8001")
    assert (known.exit_code, known.stderr) == (0, "")


@pytest.mark.usefixtures("record")
def test_given_more_than_a_page_when_gone_on_then_the_rest_is_shown() -> None:
    first = orjson.loads(run("callbacks", "--limit", "1", "--json").stdout)
    rest = orjson.loads(run("callbacks", "--cursor", first["next"], "--json").stdout)
    assert [one["number"] for one in (*first["items"], *rest["items"])] == [CITIZEN, OTHER]
    wrong = run("callbacks", "--cursor", "nonsense")
    assert wrong.exit_code == 1
