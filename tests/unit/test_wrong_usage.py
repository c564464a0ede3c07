"""What is asked for wrongly is said so: an empty answer would look like an answer."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from telephony.cli import app
from telephony.commands import output
from tests.unit.api_fixtures import Running, running

BACKWARDS = ("--from", "2026-11-25", "--to", "2026-11-24")
NOTHING = "--from is not before --to: nothing lies between"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("cases", *BACKWARDS), NOTHING),
        (("cases", "--figures", *BACKWARDS), NOTHING),
        (("legs", "list", *BACKWARDS), NOTHING),
        (("legs", "gaps", *BACKWARDS), NOTHING),
        (("legs", "export", *BACKWARDS), NOTHING),
        (("voicemail", "list", *BACKWARDS), NOTHING),
        (
            ("voicemail", "list", "--state", "weird"),
            "it is one of open, answered, served, given_up",
        ),
        (("calendar", "set", "2026-13-01", "closed"), "'2026-13-01' is no date such as 2026-10-01"),
        (("calendar", "unset", "tomorrow"), "'tomorrow' is no date such as 2026-10-01"),
        (("calendar", "import", "x.csv", "--declares", "26"), "greater than or equal to 2000"),
        (("cases", "--state", "weird"), "it is one of open, taken, handed_over, closed, merged"),
        (("cases", "--kind", "weird"), "it is one of 咨询, 建议, 求助, 表扬, 投诉"),
        (("legs", "list", "--role", "weird"), "it is one of citizen, agent, target, supervisor"),
        (("legs", "export", "-o", "x.pdf"), ".pdf is none of .csv, .xlsx, .parquet"),
        (("demo", "--keep", "/proc/x"), "--keep /proc/x: nothing can be kept there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_given_a_command_that_can_find_nothing_then_it_says_why(
    command: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, command)
    # Usage stands in a frame that breaks lines.
    words = " ".join(done.output.replace("│", " ").split())
    assert done.exit_code == (1 if command[0] == "demo" else 2)
    assert said in words
    assert not list(tmp_path.iterdir())


async def test_given_a_query_that_can_find_nothing_then_422_in_plain_words(run: Running) -> None:
    admin = run.as_("admin")
    times = {"from": "2026-11-25T00:00:00Z", "to": "2026-11-24T00:00:00Z"}
    for address in ("audit", "cases", "legs", "messages", "orders", "gaps"):
        answer = await admin.get(f"/api/v1/{address}", params=times)
        assert (answer.status_code, answer.json()["errors"]) == (
            422,
            [{"field": "query", "message": "from is not before to: nothing lies between"}],
        ), address
    wrong = {
        "state": ("weird", "must be 'open', 'taken', 'handed_over', 'closed' or 'merged'"),
        "colour": ("red", "is not known here"),
        "limit": ("many", "must be a whole number"),
        "owner": ("", "must be one line of 1 to 128 characters"),
    }
    for name, (value, message) in wrong.items():
        answer = await admin.get("/api/v1/cases", params={name: value})
        assert answer.json()["errors"] == [{"field": f"query.{name}", "message": message}]
    no_json = await admin.post(
        "/api/v1/calendar/days", content="{", headers={"Content-Type": "application/json"}
    )
    assert no_json.json()["errors"] == [{"field": "body", "message": "is no JSON"}]
    empty = await admin.post("/api/v1/calendar/days", json={"hours": "closed"})
    assert empty.json()["errors"] == [{"field": "body.day", "message": "is missing"}]


def test_given_a_table_in_a_pipe_then_nothing_of_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    long = {"case": "20261124-1795499761.5", "words": "很长的一段话" * 40, "id": "1795499761.5"}
    output.print_table("Legs", list(long), [long])
    (line,) = [one for one in out.getvalue().splitlines() if "1795499761" in one]
    assert all(value in line for value in long.values())
