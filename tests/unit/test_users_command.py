"""``hotline users``: people, from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from telephony.commands.users import app
from tests.unit.quick_passwords import quick_passwords  # noqa: F401 - it works by itself


@pytest.fixture(autouse=True)
def a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_DATABASE_URL", f"sqlite:///{tmp_path}/record.sqlite")
    monkeypatch.chdir(tmp_path)


def users(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=typed)


def test_given_people_then_they_are_added_listed_changed_and_disabled() -> None:
    secret = "four words make one"
    added = users("add", "Chief", "--role", "admin", typed=f"{secret}\n{secret}\n")
    assert added.exit_code == 0
    assert secret not in added.output
    weak = users("add", "lina", "--role", "agent", "--agent", "8001", "--password-stdin", typed="1")
    assert weak.exit_code == 1
    assert "password-weak" in weak.output
    invented = users(
        "add", "lina", "--role", "agent", "--role", "auditor", "--agent", "8001", "--invent"
    )
    assert invented.exit_code == 0
    assert len(invented.output.split("password: ")[1].strip()) >= 16
    again = users("add", "LINA", "--role", "auditor", "--invent")
    assert (again.exit_code, "person-exists" in again.output) == (1, True)
    assert users("add", "x", "--role", "boss", "--invent").exit_code == 2
    listed = json.loads(users("list", "--json").output)
    assert [(one["name"], one["roles"]) for one in listed] == [
        ("chief", ["admin"]),
        ("lina", ["agent", "auditor"]),
    ]
    assert "argon2" not in str(listed)
    assert users("passwd", "lina", "--password-stdin", typed=f"{secret}\n").exit_code == 0
    assert users("disable", "lina").exit_code == 0
    assert [one["active"] for one in json.loads(users("list", "--json").output)] == [True, False]
    last = users("disable", "chief")
    assert (last.exit_code, "last-admin" in last.output) == (1, True)
    assert users("enable", "lina").exit_code == 0
    assert "0 sessions" in users("sign-out", "lina").output
    assert users("passwd", "nobody", "--invent").exit_code == 1
