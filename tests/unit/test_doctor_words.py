"""What the doctor says is to be done, and what a finding means, in Chinese as in English."""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from telephony import doctor
from telephony.checkup.checks import CHECKS
from telephony.checkup.needs import MODULES, RIGHTS
from telephony.doctor import examine
from telephony.private_pbx import free_port
from tests.unit.doctor_scene import settings_for

PACKAGE = Path(doctor.__file__).parent
FILES = sorted([*(PACKAGE / "checkup").glob("*.py"), Path(doctor.__file__)])
CHINESE = re.compile("[\u4e00-\u9fff]")


def said() -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Everything that is said in two languages: where, in English, in Chinese."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Words" and node.args:
                english, chinese = node.args
                yield f"{file.name}:{node.lineno}", english, chinese


SAID = list(said())


def literal(text: ast.expr) -> str:
    """What stands there by itself, with a mark for each value that is put in."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in parts)


def values(text: ast.expr) -> list[str]:
    """The values that are put in; of words in two languages it is the same value."""
    found = [
        ast.unparse(one.value) for one in ast.walk(text) if isinstance(one, ast.FormattedValue)
    ]
    return sorted({re.sub(r"\.(en|zh)\b", "", one) for one in found})


@pytest.mark.parametrize(("where", "english", "chinese"), SAID, ids=[where for where, *_ in SAID])
def test_what_is_said_in_english_is_said_in_chinese_with_the_same_values_and_commands(
    where: str, english: ast.expr, chinese: ast.expr
) -> None:
    if not isinstance(english, ast.Constant | ast.JoinedStr):  # several, joined
        assert ".zh" in ast.unparse(chinese), where
        return
    assert values(english) == values(chinese), where
    assert CHINESE.search(literal(chinese)), where
    assert not CHINESE.search(literal(english)), where
    commands = re.compile(r"`[^`]*`")
    assert commands.findall(literal(english)) == commands.findall(literal(chinese)), where


def test_nothing_to_do_is_said_in_one_language_alone() -> None:
    """Remedies and meanings are made of words in two languages; the types see to the rest."""
    assert len(SAID) > 100
    words = [one.means for one in CHECKS] + [*MODULES.values()]
    words += [lost for _, lost in RIGHTS.values()]
    assert all(one.en and one.zh for one in words)


async def test_given_no_pbx_when_examined_then_every_finding_says_in_chinese_what_to_do() -> None:
    findings = await examine(settings_for(free_port(socket.SOCK_STREAM)))
    assert [one.name for one in findings] == ["ami", *(one.name for one in CHECKS)]
    for one in findings:
        assert CHINESE.search(one.means_zh), one
        assert bool(one.todo) == (one.state != "ok") == bool(CHINESE.search(one.todo_zh)), one
