"""What is wrong with a value, in words for the people who wrote it and not for programmers.

pydantic says what a type did not take; here that becomes what the value must be. Used for settings
and for requests alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_KINDS = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "an object with names and values",
    "model": "an object with names and values",
    "model_attributes": "an object with names and values",
    "date": "a date such as 2026-10-01",
    "datetime": "a time such as 2026-10-01T08:30:00",
    "time": "a time of day such as 08:30",
    "path": "a path",
    "bytes": "text",
    "url": "an address such as https://host/path",
}
"""What a value must be, by the beginning of pydantic's name for the mistake."""
_ENDS = ("_type", "_parsing", "_from_datetime_parsing", "_from_date_parsing")

_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "json_invalid": lambda _: "is no JSON",
    "json_type": lambda _: "must be JSON",
    "greater_than": lambda of: f"must be more than {of['gt']}",
    "greater_than_equal": lambda of: f"must be at least {of['ge']}",
    "less_than": lambda of: f"must be less than {of['lt']}",
    "less_than_equal": lambda of: f"must be at most {of['le']}",
    "multiple_of": lambda of: f"must be a multiple of {of['multiple_of']}",
    "finite_number": lambda _: "must be a number that ends",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "is too large",
    "literal_error": lambda of: f"must be {of['expected']}",
    "enum": lambda of: f"must be {of['expected']}",
    "none_required": lambda _: "must be left out",
    "string_too_short": lambda of: f"must have at least {_counted(of['min_length'])}",
    "string_too_long": lambda of: f"must have at most {_counted(of['max_length'])}",
    "string_pattern_mismatch": lambda of: _form(str(of["pattern"])),
    "string_unicode": lambda _: "must be text in UTF-8",
    "too_short": lambda of: f"must have at least {_so_many(of, 'min_length')}",
    "too_long": lambda of: f"must have at most {_so_many(of, 'max_length')}",
    "timezone_aware": lambda _: "must name its zone, such as 2026-10-01T08:30:00+08:00",
}


_ONE_LINE = re.compile(r"\^\[\^(?:\\x00-\\x1f\\x7f|\\r\\n\\x00(?P<not>[^\]]*))\](?P<some>.+)\$")
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_NO_SUCH = r"^[^\r\n\x00;,|\"<>${}\[\]\\]"

FORMS = {
    r"^[A-Za-z0-9_-]{1,32}$": "must be 1 to 32 letters, digits, _ or -",
    r"^[A-Za-z0-9_-]{1,40}$": "must be 1 to 40 letters, digits, _ or -",
    r"^[A-Za-z0-9_.-]{1,64}$": "must be 1 to 64 letters, digits, _ . or -",
    r"^\+?[0-9]{2,20}$": "must be 2 to 20 digits, with or without + before them",
    r"^[A-Za-z0-9]+/[A-Za-z0-9@._:+&/-]{1,200}$": "must be what Dial() takes, as PJSIP/110@trunk",
    r"^[*#][0-9*#]{1,4}$": "must be * or # and one to four more of 0-9, * and #",
    rf"^{_CLOCK}-{_CLOCK}$": "must be two times of day, as 12:00-13:30",
    rf"^({_CLOCK}|24:00)$": "must be a time of day, as 14:30, or 24:00",
    r"^[A-Za-z][A-Za-z0-9-]{0,40}$": "must be the name of a header: letters, digits and -",
    r"^[0-9X]{3,20}$": "must be 3 to 20 digits, with X for any digit",
    r"^(?:[0-9XZN]|\[[0-9]-[0-9]\]){3,20}$": "must be digits and X, Z, N or [3-8], 3 to 20 of them",
    r"^[0-9]$": "must be one digit",
    r"^[A-Za-z0-9]+/[A-Za-z0-9._:+/-]{0,60}\{number\}[A-Za-z0-9@._:+/-]{0,100}$": (
        "must be what Dial() takes with {number} in it, as PJSIP/{number}@trunk"
    ),
    _NO_SUCH + "{1,60}$": 'must be one line of 1 to 60 characters without ; , | " < > $ { } [ ] \\',
    _NO_SUCH
    + "{0,60}$": 'must be one line of up to 60 characters without ; , | " < > $ { } [ ] \\',
    r"^[1-9][0-9]{0,2}(d|h|min)$": "must be days, hours or minutes, as 5d, 2h or 30min",
    r"^[1-9][0-9]{0,2}(h|min)$": "must be hours or minutes, as 2h or 30min",
    r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]+)*$": "must be a mail address",
    r"^https?://[A-Za-z0-9._\[\]:-]{1,250}$": "must be an address, as https://host",
    r"^https?://[A-Za-z0-9._\[\]:-]{1,250}(/[!-~]{0,500})?$": (
        "must be an address, as https://host/path"
    ),
    r"^$|^wss?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]{0,100})?$": (
        "must be an address, as wss://host:8089/ws"
    ),
    r"^2[0-9]{3}-(0[1-9]|1[0-2])$": "must be a month, as 2026-11",
    r"^\+?[0-9][0-9 -]{2,30}$": "must be a telephone number",
    r"^-?[0-9]{1,2}(\.[0-9]{1,8})?,-?[0-9]{1,3}(\.[0-9]{1,8})?$": (
        "must be latitude and longitude, as 41.57,120.45"
    ),
    r"^[^\x00-\x09\x0b-\x1f\x7f]{1,4000}$": "must be 1 to 4000 characters of text",
    r"^\+?[0-9*][0-9* -]{2,30}$": "must be a telephone number",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$": "must be 1 to 32 letters, digits, . _ or -",
}
"""What a form is called, by its regular expression: people are not to read those."""


def _form(pattern: str) -> str:
    if words := FORMS.get(pattern):
        return words
    if found := _ONE_LINE.fullmatch(pattern):
        some = re.fullmatch(r"\{(\d+),(\d+)\}", found["some"])
        without = f" without {' '.join(found['not'])}" if found["not"] else ""
        return (
            f"must be one line{f' of {some[1]} to {some[2]} characters' if some else ''}{without}"
        )
    return "is not written as it must be; see the documentation"


def _so_many(of: Mapping[str, Any], limit: str) -> str:
    # What pydantic calls a value is a secret text here: only lists have entries.
    if of.get("field_type") == "Value":
        return _counted(of[limit])
    return f"{of[limit]} entries"


def _counted(count: int) -> str:
    return f"{count} character" if count == 1 else f"{count} characters"


def in_plain_words(mistake: Mapping[str, Any], *, unknown: str) -> str:
    """One mistake of pydantic's as a sentence without its subject: ``must be at least 1``.

    ``unknown``: what is said of a name that nobody knows.
    """
    kind, of = str(mistake.get("type", "")), mistake.get("ctx") or {}
    if kind == "extra_forbidden":
        return unknown
    if kind in ("value_error", "assertion_error"):
        return str(of.get("error", "")) or re.sub(r"^[A-Z]\w+ error, ", "", mistake["msg"])
    if sentence := _SENTENCES.get(kind):
        return sentence(of)
    for end in _ENDS:
        if wanted := _KINDS.get(kind.removesuffix(end)) if kind.endswith(end) else None:
            return f"must be {wanted}"
    # Whatever pydantic may say some day: "Input should be …" at least in our order of words.
    said = re.sub(r"^Input should", "must", str(mistake["msg"])).strip()
    return said[:1].lower() + said[1:]
