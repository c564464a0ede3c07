"""What every page says, in the user's language, when the server refuses something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from telephony.plain_words import _KINDS, FORMS, in_plain_words

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "api" / "web" / "shared"
FIELD_WORDS = re.findall(
    r"^  \[/(.+)/, \"(field\.\w+)\"\],$", (SHARED / "http.js").read_text(), re.M
)

NOT_AT_A_PAGE = re.compile(
    r"backup-|cel-|phone-|settings-|setup-|spool-|signature-|order-|parquet-|output-|hold-|dialplan"
    r"|pbx-not-shipped|pbx-not-allowed|cursor-|not-checked|not-owner|report-|nuisance-|version-needed"
    r"|matter-file|calendar-file|person-invalid|kind-not|upgrade-|no-session"
)
"""Said by commands, to programs, in the log; or said by one page in words of its own."""


def field_words(message: str) -> str:
    """The key of the words of a page for this message about a field."""
    return next((key for form, key in FIELD_WORDS if re.search(form, message)), "field.wrong")


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ("is missing", "field.required"),
        ("must have at least 1 character", "field.required"),
        ("must have at least 10 characters", "field.short"),
        ("must have at most 64 characters", "field.long"),
        ("must have at most 50 entries", "field.many"),
        ("must be one line", "field.line"),
        ("must be one line of 1 to 60 characters without ; ,", "field.span"),
        ("must be 1 to 4000 characters of text", "field.span"),
        ("must be a telephone number", "field.phone"),
        ("must be latitude and longitude, as 41.57,120.45", "field.position"),
        ("must be a date such as 2026-10-01", "field.date"),
        ("must name its zone, such as 2026-10-01T08:30:00+08:00", "field.date"),
        ("must be a whole number", "field.number"),
        ("must be at most 65535", "field.range"),
        ("must be 'a' or 'b'", "field.known"),
        ("is not known here", "field.extra"),
        ("must be 1 to 32 letters, digits, _ or -", "field.pattern"),
        ("what no page has heard of", "field.wrong"),
    ],
)
def test_a_message_about_a_field_is_said_in_the_words_of_the_page(message: str, key: str) -> None:
    assert field_words(message) == key


def test_given_anything_that_a_field_is_refused_for_then_pages_have_words_for_it() -> None:
    messages = [f"must be {kind}" for kind in _KINDS.values()] + list(FORMS.values())
    messages += ["is no JSON", "must be a number that ends", "is too large", "must be left out"]
    assert [one for one in messages if field_words(one) == "field.wrong"] == []


def test_given_a_password_that_is_too_long_then_its_characters_are_counted_and_not_entries() -> (
    None
):
    class Form(BaseModel):
        password: SecretStr = Field(max_length=3)
        names: list[str] = Field([], max_length=1)

    with pytest.raises(ValidationError) as caught:
        Form.model_validate({"password": "x" * 9, "names": ["a", "b"]})
    said = [in_plain_words(dict(one), unknown="") for one in caught.value.errors()]
    assert said == ["must have at most 3 characters", "must have at most 1 entries"]


def test_given_an_error_that_a_page_may_meet_then_it_has_words_and_no_words_are_left_over() -> None:
    known = set(re.findall(r"\"problem\.([a-z-]+)\"", (SHARED / "i18n.js").read_text()))
    codes = {
        code
        for part in ("telephony", "api")
        for file in (ROOT / part).rglob("*.py")
        for code in re.findall(r"^    code = \"([a-z-]+)\"$", file.read_text(), re.M)
    }
    assert len(codes) > 60
    assert {one for one in codes - known if not NOT_AT_A_PAGE.match(one)} == set()
    assert known - codes - {"offline", "other", "internal"} == set()


def test_chinese_stands_in_the_chinese_words_only() -> None:
    """Else somebody who reads English reads it, if only a comma of another width."""
    chinese = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
    no_words = (
        r"\n  zh: \{.*?\n  \},",
        r"zh: \[.*?\]",
        r"const KINDS = \[.*?\]",  # as the record holds them
        r'"(kind|nuisance)\.\w+": ',
        r'"shell.language": "中文"',  # to be found by who reads no English
        r"/\*\*.*?\*/",
        r"//[^\n]*",
        r"replace\(/.*?/g",  # what people may type
    )
    # What the server says in English, in Chinese.
    tables = {"admin/broken.js", "admin/doctor.js", "admin/dialplan.js"}
    found = {}
    for module in SHARED.parent.rglob("*.js"):
        if module.parent.name == "vendor":
            continue
        text = module.read_text()
        for pattern in no_words:
            text = re.sub(pattern, "", text, flags=re.DOTALL)
        lines = [line.strip() for line in text.splitlines() if chinese.search(line)]
        found[f"{module.parent.name}/{module.name}"] = lines
    assert {name: lines for name, lines in found.items() if lines and name not in tables} == {}
