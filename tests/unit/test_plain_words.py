"""What people read when a setting or a request is wrong: no word of pydantic's, and no pattern."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from telephony.errors import SettingsError, SettingsFileBroken
from telephony.plain_words import FORMS, in_plain_words
from telephony.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("HOTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"colour": "red"}, "colour: no setting has this name (found 'red')"),
        ({"http": {"prot": 1}}, "http.prot: no setting has this name (found 1)"),
        ({"http": {"port": "many"}}, "http.port: must be a whole number (found 'many')"),
        ({"http": {"port": 70000}}, "http.port: must be at most 65535 (found 70000)"),
        ({"http": {"public_docs": "x"}}, "http.public_docs: must be true or false (found 'x')"),
        ({"http": {"host": 7}}, "http.host: must be text (found 7)"),
        ({"agents": "8001"}, "agents: must be a list (found '8001')"),
        ({"agents": [{}]}, "agents.0.id: is missing"),
        (
            {"agents": [{"id": "a b"}]},
            "agents.0.id: must be 2 to 20 digits, with or without + before them (found 'a b')",
        ),
        (
            {"line": {"name": "a;b"}},
            "line.name: must be one line of 1 to 60 characters without "
            "; , | \" < > $ { } [ ] \\ (found 'a;b')",
        ),
        ({"line": {"breaks": ["noon"]}}, "line.breaks.0: must be two times of day, as 12:00-13:30"),
        ({"line": {"opens": "25:00"}}, "line.opens: must be a time of day such as 08:30"),
        ({"line": {"opens": "18:00"}}, "line: opens 18:00 is not before closes 17:00"),
        ({"line": "x"}, "line: must be an object with names and values (found 'x')"),
    ],
)
def test_given_a_wrong_setting_then_one_plain_line_says_so(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**settings)
    (line,) = caught.value.lines
    assert line.startswith(said)


def patterns(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        found = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return found.union(*(patterns(value) for value in schema.values()))
    return set().union(*(patterns(one) for one in schema)) if isinstance(schema, list) else set()


def test_given_any_form_of_a_setting_then_it_has_words() -> None:
    forms = patterns(Settings.model_json_schema())
    assert len(forms) > 10
    assert forms <= set(FORMS)


def test_given_a_line_of_text_then_its_length_is_said() -> None:
    mistake = {
        "type": "string_pattern_mismatch",
        "ctx": {"pattern": r"^[^\x00-\x1f\x7f]{1,128}$"},
        "msg": "x",
    }
    assert in_plain_words(mistake, unknown="") == "must be one line of 1 to 128 characters"


def test_given_a_kind_of_mistake_that_nobody_knows_then_still_in_our_words() -> None:
    told = in_plain_words({"type": "new", "msg": "Input should be a colour"}, unknown="")
    assert told == "must be a colour"


@pytest.mark.parametrize("text", ["[line\nname = 1\n", "name = \n", "\x00"])
def test_given_a_file_that_is_no_toml_then_the_file_is_what_is_wrong(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "hotline.toml").write_text(text)
    with pytest.raises(SettingsFileBroken) as caught:
        load_settings()
    (line,) = caught.value.lines
    assert re.match(r"hotline.toml cannot be read: it is no TOML: .*line 1", line)


def test_given_a_file_that_is_no_text_then_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "hotline.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsFileBroken, match=r"hotline\.toml cannot be read"):
        load_settings()
