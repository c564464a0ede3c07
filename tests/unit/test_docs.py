"""The documents say what is true: links, commands, settings and the two languages agree."""

from __future__ import annotations

import re
import shlex
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from fastapi.routing import APIRoute
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperGroup

from api.app import ROUTERS
from telephony.asterisk_program import checkout
from telephony.cli import app
from telephony.line_settings import FurtherLine
from telephony.settings import Pbx, Settings, load_settings

ROOT = checkout()
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCUMENTS = [
    *READMES,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/guides").glob("*.md")),
    ROOT / "docker/README.md",
    ROOT / "dialplans/sounds/README.md",
]

HTTP = [ROOT / "docs/http.md", ROOT / "docs/http.zh-CN.md"]
PLANS = [ROOT / "docs/dialplans.md", ROOT / "docs/dialplans.zh-CN.md"]
SUPERVISOR = [ROOT / "docs/guides/supervisor.md", ROOT / "docs/guides/supervisor.zh-CN.md"]
ADMIN = [ROOT / "docs/guides/admin.md", ROOT / "docs/guides/admin.zh-CN.md"]
EXISTING = [ROOT / "docs/existing-systems.md", ROOT / "docs/existing-systems.zh-CN.md"]
PAIRS = [READMES, HTTP, PLANS, SUPERVISOR, ADMIN, EXISTING]

each_readme = pytest.mark.parametrize("document", READMES, ids=lambda path: path.name)
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_blocks(document: Path) -> str:
    text = document.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(document: Path) -> list[str]:
    """The level of each heading, in order."""
    return re.findall(r"^(#+) ", without_blocks(document), re.MULTILINE)


def first_columns(document: Path) -> list[list[str]]:
    """What stands in backquotes in each row of each table, without translated words."""
    rows = re.findall(r"^\|(.*)\|$", without_blocks(document), re.MULTILINE)
    return [re.findall(r"`([^`]+)`", row.split(" | ")[0]) for row in rows]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].name)
def test_given_a_document_in_two_languages_then_both_have_the_same_parts(pair: list[Path]) -> None:
    english, chinese = pair
    assert headings(english) == headings(chinese)
    assert first_columns(english) == first_columns(chinese)
    for language in ("sh", "text", "toml", "ini"):
        assert [code_of(one) for one in blocks(english, language)] == [
            code_of(one) for one in blocks(chinese, language)
        ]


def code_of(block: str) -> str:
    """A block without its comments, which are translated."""
    lines = (re.sub(r"\s*(^|\s)[#;] .*$", "", line) for line in block.splitlines())
    return "\n".join(re.sub(r"(?<=--moh-dir )\S+", "", line).rstrip() for line in lines)


@each_readme
def test_given_a_readme_then_it_names_the_two_commands(document: Path) -> None:
    commands = "\n".join(blocks(document, "sh"))
    assert "make demo" in commands
    assert "make test" in commands


@each_document
def test_given_links_then_the_files_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    missing = [
        link
        for link in links
        if not re.match(r"\w+://", link) and not (document.parent / link).exists()
    ]
    assert not missing


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").glob("*.svg")), ids=lambda p: p.name)
def test_given_a_picture_then_it_is_an_svg_that_says_what_it_shows(picture: Path) -> None:
    root = ET.fromstring(picture.read_text(encoding="utf-8"))
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert root.findtext("svg:title", namespaces=space)
    assert root.findtext("svg:desc", namespaces=space)
    assert "prefers-color-scheme: dark" in picture.read_text(encoding="utf-8")


def code_lines(document: Path) -> Iterator[str]:
    """What a reader may type: lines of shell blocks, and code in the text."""
    for block in blocks(document, "sh"):
        yield from re.sub(r"\\\n\s*", "", block).splitlines()
    yield from re.findall(r"`([^`\n]+)`", without_blocks(document))


@each_document
def test_given_hotline_commands_then_they_and_their_options_exist(document: Path) -> None:
    wrong = [line for line in code_lines(document) if not hotline_can(line)]
    assert not wrong


def hotline_can(line: str) -> bool:
    """Whether the words after ``hotline`` in this line are commands and options that exist."""
    found = re.search(r"(?:^|[ /])hotline ([a-z].*)", line)
    if found is None:
        return True
    command: Any = typer.main.get_command(app)
    for word in shlex.split(found[1], comments=True):
        if isinstance(command, TyperGroup):
            if word not in command.commands:
                return False
            command = command.commands[word]
        elif word in getattr(command, "beside", {}):
            command = command.beside[word]
        elif word.startswith("-") and word != "-" and word != "--help":
            options = {name for one in command.params for name in one.opts + one.secondary_opts}
            if word not in options:
                return False
    return True


def test_given_a_command_or_option_that_is_not_there_then_the_check_notices() -> None:
    assert hotline_can(".venv/bin/hotline legs list --agent 8001  # a comment")
    assert not hotline_can("hotline legs lits")
    assert not hotline_can("X=1 hotline dialplan render --ouput /etc/asterisk")


@each_document
def test_given_make_targets_then_the_makefile_has_them(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        word for line in code_lines(document) for word in re.findall(r"^make ([a-z]+)\b", line)
    }
    assert named <= targets


@each_readme
def test_given_the_table_of_settings_then_it_is_all_of_them_with_their_defaults(
    document: Path,
) -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| (.*?) \| .*\|$", text_of(document), re.M)
    found = {name: (environment.strip(), default) for name, environment, default in rows}
    expected = dict(settings_of(Settings, "", "HOTLINE_"))
    assert [name for name, _, _ in rows] == list(expected)
    wrong = {
        name: (found[name], (environment, default))
        for name, (environment, default) in expected.items()
        if found[name][0] != environment or (default is not None and found[name][1] != default)
    }
    assert not wrong


def text_of(document: Path) -> str:
    """The text, with the empty cells of tables as wide as full ones."""
    return without_blocks(document).replace("| |", "|  |").replace("| |", "|  |")


def settings_of(
    model: type[BaseModel], prefix: str, environment: str | None
) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Each setting: its name, its variable and its default as written (None: any words do)."""
    for name, field in model.model_fields.items():
        variable = f"`{environment}{name.upper()}`" if environment else ""
        section = section_of(field)
        if section is None:
            yield prefix + name, (variable, written(field))
        elif isinstance(field.default, list):
            yield prefix + name, (variable, None)
            if section not in (FurtherLine, Pbx):  # they have what the first one has
                yield from settings_of(section, f"{name}.", None)
        else:
            yield from settings_of(section, f"{name}.", f"{environment}{name.upper()}__")


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model inside of a section or of a list of sections."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def written(field: FieldInfo) -> str | None:
    default = field.default
    if default is None:  # what an unset value stands for may be said in words
        return None
    if default is PydanticUndefined or default == "":
        return ""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if hasattr(default, "strftime"):
        return f"`{default.strftime('%H:%M')}`"
    return f"`{default}`"


@each_readme
def test_given_the_example_of_settings_then_it_loads(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = blocks(document, "toml")
    file = tmp_path / "hotline.toml"
    file.write_text(example, encoding="utf-8")
    monkeypatch.setenv("HOTLINE_CONFIG", str(file))
    settings = load_settings()
    assert [desk.id for desk in settings.desks] == [one["id"] for one in tables(example, "desks")]
    assert [one.id for one in settings.agents] == [one["id"] for one in tables(example, "agents")]


def tables(example: str, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(example)[name]
    return found


@pytest.mark.parametrize("document", HTTP, ids=lambda path: path.name)
def test_given_the_table_of_addresses_then_it_is_all_of_them(document: Path) -> None:
    named = set(re.findall(r"`(GET|POST|PATCH|PUT|DELETE) (/[^`]+)`", without_blocks(document)))
    real = {
        (method, re.sub(r"\b(call|conference)_(?=id)|:path", "", prefix + route.path))
        for router, prefix in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert named == real


@each_document
def test_given_a_document_then_it_holds_no_place_of_one_machine(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not re.findall(r"/(?:work|root|home)/\w+|pypi[.]org|//deb[.]|npmjs", text)
