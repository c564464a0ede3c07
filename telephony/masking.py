"""Citizens' numbers and details as those see them who may not see them whole (pure).

| number                       | is shown as      |
| ---------------------------- | ---------------- |
| mobile, ``13812345678``      | ``138****5678``  |
| mobile, ``+8613812345678``   | ``+86138****5678`` |
| landline, ``04212800122``    | ``0421*****22``  |
| landline, ``+864212800122``  | ``+86421*****22`` |
| landline, ``2800122``        | ``*****22``      |
| any other of 7 digits and more | its last 2     |
| shorter: 110, 12345, 8001    | as it is         |

In running text every run of seven digits and more is taken for a number. What stands in a dispatch
or a desk's name is an institution's and stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import phonenumbers

Row = dict[str, Any]

HIDDEN = "***"
_PREFIX = re.compile(r"(?P<cc>\+86|0086|86|)(?P<rest>[0-9]+)")
_MOBILE = re.compile(r"0?1[3-9][0-9]{9}")
# What is no number though it looks like one: case numbers, uniqueids, dates with their time.
_RUN = re.compile(
    r"(?P<other>[0-9]{8}-[0-9]{9,11}\.[0-9]+|[0-9]{9,11}\.[0-9]+"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?)"
    r"|\+?[0-9](?:[ -]?[0-9]){6,}"
)
_BETWEEN = dict.fromkeys("－‐‑‒–—", "-") | dict.fromkeys("　\u00a0\u2002\u2003", " ") | {"＋": "+"}


@lru_cache(maxsize=65536)
def mask_number(number: str) -> str:
    """A number with its middle hidden; the table of this module says how."""
    digits = re.sub(r"[ \-()]", "", number)
    if not re.fullmatch(r"\+?[0-9]+", digits):
        return mask_text(number)
    if len(digits.lstrip("+")) < 7:
        return number
    parts = _PREFIX.fullmatch(digits)
    # 86… of fewer digits than country code and number have is a number that begins so.
    cc, rest = (parts["cc"], parts["rest"]) if parts else ("+", digits[1:])
    if cc == "86" and len(rest) < 9:
        cc, rest = "", digits
    if _MOBILE.fullmatch(rest):
        return f"{cc}{rest[:-8]}****{rest[-4:]}"
    area = _area_code(cc, rest)
    return f"{cc}{area}{'*' * (len(rest) - len(area) - 2)}{rest[-2:]}"


def mask_typed(number: str) -> str:
    """A number that somebody typed to search by, in whatever form: also ``138.1234.5678``."""
    shown = mask_number(number)
    digits = re.sub(r"[^0-9+]", "", number)
    return mask_number(digits) if shown == number and len(digits) >= 7 else shown


def _area_code(cc: str, rest: str) -> str:
    """The area code with which a Chinese landline's number begins; empty where there is none."""
    if cc == "+" or (not cc and not rest.startswith("0")):
        return ""
    national = rest.removeprefix("0")
    try:
        parsed = phonenumbers.parse(f"+86{national}")
    except phonenumbers.NumberParseException:
        return ""
    length = phonenumbers.length_of_geographical_area_code(parsed)
    return rest[: length + len(rest) - len(national)] if length else ""


def mask_text(text: str) -> str:
    """Running text with the numbers in it masked, also those of full-width or other digits."""
    # Both have the same length, so what is no number is taken from the text as it was written.
    plain = text if text.isascii() else "".join(map(_as_ascii, text))
    parts, done = [], 0
    for found in _RUN.finditer(plain):
        begin, end = found.span()
        parts += [text[done:begin], text[begin:end] if found["other"] else mask_number(found[0])]
        done = end
    return "".join([*parts, text[done:]])


@lru_cache(maxsize=4096)
def _as_ascii(character: str) -> str:
    """A digit of any script as 0 to 9, and what stands between digits as ``+``, ``-``, space."""
    digit = unicodedata.digit(character, None)
    return str(digit) if digit is not None else _BETWEEN.get(character, character)


def mask_channel(name: str) -> str:
    """A channel's name, which may hold the number that was dialled."""
    return re.sub(r"(?<=[/])\+?[0-9]{7,}", lambda found: mask_number(found[0]), name)


def mask_leg(leg: Mapping[str, Any]) -> Row:
    """A leg of the record."""
    shown = _numbers(leg, ("caller", "caller_e164"))
    if leg["role"] not in ("agent", "supervisor"):
        shown = _numbers(shown, ("party", "party_e164"))
    return shown | {"channel_names": [mask_channel(one) for one in leg["channel_names"]]}


def mask_case(case: Mapping[str, Any]) -> Row:
    """A case of the record, with as much of its story as is in it."""
    shown = _numbers(case, ("caller", "caller_e164"))
    if case.get("matter"):  # any words, where no directory is loaded
        shown["matter"] = mask_text(case["matter"])
    if isinstance(case.get("details"), Mapping):
        shown["details"] = mask_details(case["details"])
    for name, mask in (("legs", mask_leg), ("ledger", mask_entry), ("handovers", mask_handover)):
        if name in case:
            shown[name] = [mask(one) for one in case[name]]
    return shown


def mask_story(story: Mapping[str, Any]) -> Row:
    """A case with its events in the order of time."""
    masks = {"leg": mask_leg, "handover": mask_handover, "ledger": mask_entry}
    events = [
        event | {name: mask(event[name]) for name, mask in masks.items() if event[name] is not None}
        for event in story["events"]
    ]
    return mask_case(story) | {"events": events}


def mask_details(details: Mapping[str, Any]) -> Row:
    """What people wrote about a case: no name, number, address or position is left in it."""
    shown = _numbers(details, ("citizen_phone", "phone"))
    name = details["citizen_name"]
    shown["citizen_name"] = name and name[0] + "*" * max(1, len(name) - 1)
    for field in ("citizen_address", "position", "place"):
        shown[field] = details[field] and HIDDEN
    for field in ("summary", "what", "matter"):
        shown[field] = details[field] and mask_text(details[field])
    return shown


def mask_message(message: Mapping[str, Any]) -> Row:
    """A message or missed call."""
    shown = _numbers(message, ("caller", "number"))
    return shown | {"result": message["result"] and mask_text(message["result"])}


def mask_entry(entry: Mapping[str, Any]) -> Row:
    """An entry of the ledger: what somebody wrote in it. Its hash is that of the whole entry."""
    return {**entry, "detail": entry["detail"] and mask_text(entry["detail"])}


def mask_handover(handover: Mapping[str, Any]) -> Row:
    """A hand-over of the record."""
    shown = {**handover, "reason": handover["reason"] and mask_text(handover["reason"])}
    if isinstance(handover.get("details"), Mapping):
        shown["details"] = mask_details(handover["details"])
    return shown


def mask_call(call: Mapping[str, Any]) -> Row:
    """A call in progress, as the live feed and ``GET /calls`` show it."""
    shown = _numbers(call, ("caller",))
    shown["parties"] = [
        {
            **party,
            "channel": mask_channel(party["channel"]),
            "party": party["party"] and mask_number(party["party"])
            if party["role"] in ("citizen", "other")
            else party["party"],
        }
        for party in call["parties"]
    ]
    for name in ("handover", "nuisance"):
        if call.get(name):
            shown[name] = _words(call[name])
    return shown


def _words(told: Mapping[str, Any]) -> Row:
    """What somebody wrote about a hand-over or a caller: the numbers in it masked."""
    return {**told, "reason": mask_text(told["reason"])} if told.get("reason") else dict(told)


def mask_frame(frame: Mapping[str, Any]) -> Row:
    """A frame of the live feed."""
    shown = dict(frame)
    if frame.get("calls"):
        shown["calls"] = [mask_call(call) for call in frame["calls"]]
    if frame.get("handovers"):
        shown["handovers"] = [_words(one) for one in frame["handovers"]]
    if frame.get("queues"):
        shown["queues"] = [
            {**queue, "callers": [_numbers(one, ("caller",)) for one in queue["callers"]]}
            for queue in frame["queues"]
        ]
    return shown


def _numbers(row: Mapping[str, Any], names: tuple[str, ...]) -> Row:
    return dict(row) | {
        name: mask_number(row[name]) for name in names if isinstance(row.get(name), str)
    }
