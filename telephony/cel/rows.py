"""CEL rows (Channel Event Logging): what the PBX wrote about its channels, as typed rows.

Reads the columns by the names that Asterisk's CEL back ends give them (``cel_custom``,
``cel_odbc``, ``cel_pgsql``, ``cel_tds``, ``cel_manager``), in any order; columns that are not
known are ignored. Source: https://docs.asterisk.org/Configuration/Reporting/Channel-Event-Logging-CEL/
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from telephony.errors import HotlineError

OUR_COLUMNS = (
    *("eventtype", "eventtime", "cid_name", "cid_num", "cid_ani", "cid_rdnis", "cid_dnid"),
    *("exten", "context", "channame", "appname", "appdata", "amaflags", "accountcode"),
    *("uniqueid", "linkedid", "peer", "userfield", "userdeftype", "eventextra"),
)
"""The columns of the file that our own ``cel_custom.conf`` makes; it has no header row."""

USER_DEFINED = "USER_DEFINED"

# Asterisk's include/asterisk/cel.h; some back ends store the number.
EVENT_NUMBERS = {
    "1": "CHAN_START",
    "2": "CHAN_END",
    "3": "HANGUP",
    "4": "ANSWER",
    "5": "APP_START",
    "6": "APP_END",
    "7": "BRIDGE_ENTER",
    "8": "BRIDGE_EXIT",
    "9": "PARK_START",
    "10": "PARK_END",
    "11": "BLINDTRANSFER",
    "12": "ATTENDEDTRANSFER",
    "13": USER_DEFINED,
    "14": "LINKEDID_END",
    "15": "PICKUP",
    "16": "FORWARD",
    "17": "LOCAL_OPTIMIZE",
    "18": "LOCAL_OPTIMIZE_BEGIN",
    "19": "STREAM_BEGIN",
    "20": "STREAM_END",
    "21": "DTMF",
}
_EVENTS = {
    **EVENT_NUMBERS,
    **{name: name for name in EVENT_NUMBERS.values()},
    **{name: name for name in ("BRIDGE_START", "BRIDGE_END", "BRIDGE_UPDATE", "TRANSFER")},
}


class CelRow(NamedTuple):
    """One event of one channel."""

    at: int  # microseconds since 1970, UTC
    event: str  # CHAN_START, ANSWER, …; USER_DEFINED for rows that a dialplan wrote
    channel: str  # channel name, PJSIP/8001-0000000a
    uniqueid: str
    linkedid: str
    num: str  # caller id number of the channel
    exten: str
    context: str
    app: str
    appdata: str
    account: str
    peer: str  # names of the other channels in the bridge, with commas between
    fact: str  # name of a USER_DEFINED row
    extra: str  # eventextra as it stands there (JSON)


class CelHeaderError(HotlineError):
    """The file does not begin with the names of CEL columns."""

    code = "cel-header-invalid"
    status = 422
    title = "Not a CEL file"


class BadRow(ValueError):
    """A row that cannot be read; the message is the reason."""


class Fact(NamedTuple):
    """What our dialplan noted about a call (``HOTLINE_…``)."""

    at: int
    kind: str  # without the prefix: CASE, TAKEN, OFFERED, …
    values: dict[str, str]
    uniqueid: str  # of the channel it was noted on


_REQUIRED = ("eventtype", "eventtime", "channame", "uniqueid", "linkedid")
_FIELDS = (
    *("channame", "uniqueid", "linkedid", "num", "exten", "context"),
    *("appname", "appdata", "accountcode", "peer", "userdeftype", "eventextra"),
)
_ALIASES = {
    "eventname": "eventtype",
    "event": "eventtype",
    "cidname": "name",
    "calleridname": "name",
    "cidnum": "num",
    "calleridnum": "num",
    "extension": "exten",
    "channel": "channame",
    "channelname": "channame",
    "application": "appname",
    "app": "appname",
    "applicationdata": "appdata",
    "account": "accountcode",
    "bridgepeer": "peer",
    "extra": "eventextra",
    "userdefined": "userdeftype",
}


class Clock:
    """Reads the times of CEL rows: epoch with or without a fraction, or a date and time.

    A date and time without a zone is in ``zone`` (UTC unless told otherwise).
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone
        self._minutes: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Microseconds since 1970; raises :class:`BadRow`."""
        try:
            if text[4:5] == "-":
                return self._date(text)
            whole, _, fraction = text.partition(".")
            if len(fraction) != 6:
                fraction = fraction.ljust(6, "0")[:6]
            at = int(whole) * 1_000_000 + int(fraction)
        except (ValueError, OverflowError):
            raise BadRow(f"eventtime {text[:40]!r} is not a time") from None
        if not 0 < at < 253_402_300_800_000_000:
            raise BadRow(f"eventtime {text[:40]!r} is out of range")
        return at

    def _date(self, text: str) -> int:
        rest = text[17:]
        if text[16:17] == ":" and rest.replace(".", "", 1).isdigit():
            minute = self._minutes.get(text[:16])
            if minute is None:
                if len(self._minutes) > 10_000:
                    self._minutes.clear()
                minute = self._minutes[text[:16]] = self._exact(text[:16])
            seconds, _, fraction = rest.partition(".")
            if int(seconds) > 60:
                raise ValueError(text)
            return minute + int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")[:6] or 0)
        return self._exact(text)

    def _exact(self, text: str) -> int:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.zone)
        whole = int(moment.replace(microsecond=0).timestamp())
        return whole * 1_000_000 + moment.microsecond


class Layout:
    """Which column stands where; turns the fields of a line into a row."""

    def __init__(self, header: Sequence[str], zone: tzinfo = UTC) -> None:
        """``header``: the column names. Raises :class:`CelHeaderError` when some are missing."""
        self.width = len(header)
        self.clock = Clock(zone)
        places: dict[str, int] = {}
        for place, name in enumerate(header):
            places.setdefault(_column(name), place)
        missing = [name for name in _REQUIRED if name not in places]
        if missing:
            raise CelHeaderError(
                f"the header row lacks the CEL column{'s' if len(missing) > 1 else ''} "
                f"{', '.join(missing)}; it needs at least {', '.join(_REQUIRED)}"
            )
        self.id_place = places.get("id")
        self._event, self._time = places["eventtype"], places["eventtime"]
        # What a flavour of CEL does not have is read from an empty field at the end.
        self._pick = itemgetter(*(places.get(name, self.width) for name in _FIELDS))

    def row(self, fields: list[str]) -> CelRow:
        """The row of these fields; raises :class:`BadRow` with the reason."""
        return CelRow._make(self.values(fields))

    def values(self, fields: list[str]) -> tuple[Any, ...]:
        """The values of the row, as :meth:`row` gives them a name each."""
        if len(fields) != self.width:
            raise BadRow(f"{len(fields)} fields where the header has {self.width}")
        fields.append("")
        at = self.clock(fields[self._time])
        picked = self._pick(fields)
        if not picked[1]:
            raise BadRow("uniqueid is empty")
        name = fields[self._event]
        event = _EVENTS.get(name)
        if event is None or event == USER_DEFINED:
            return _user_defined(at, name, picked)
        if not picked[2]:
            picked = (*picked[:2], picked[1], *picked[3:])
        return (at, event, *picked)


def _user_defined(at: int, name: str, picked: tuple[str, ...]) -> tuple[Any, ...]:
    known = _EVENTS.get(name.strip().upper())
    if not name.strip():
        raise BadRow("eventtype is empty")
    linkedid = picked[2] or picked[1]
    if known not in (None, USER_DEFINED):
        return (at, known, *picked[:2], linkedid, *picked[3:])
    # cel_custom writes the dialplan's own name as the event type.
    fact = picked[10] or ("" if known else name)
    return (at, USER_DEFINED, *picked[:2], linkedid, *picked[3:10], fact, picked[11])


@lru_cache(maxsize=512)
def _column(name: str) -> str:
    plain = name.strip().strip('"').lower().replace("_", "").replace(" ", "").replace("-", "")
    return _ALIASES.get(plain, plain)


def our_layout() -> Layout:
    """The layout of the file that our own PBX configuration writes."""
    return Layout(OUR_COLUMNS)


def read_fact(row: tuple[Any, ...]) -> Fact | None:
    """What our dialplan noted in this row, or None when it is not one of our rows."""
    fact: str = row[_FACT]
    if not fact.startswith("HOTLINE_"):
        return None
    return Fact(row[_AT], fact[8:], fact_values(row[_EXTRA]), row[_UNIQUEID])


# By place and not by name: a row in bulk is a plain tuple, which is made several times faster.
_AT, _UNIQUEID, _FACT, _EXTRA = map(CelRow._fields.index, ("at", "uniqueid", "fact", "extra"))


def fact_values(extra: str) -> dict[str, str]:
    """The values of a fact: a query string, alone or in the JSON that Asterisk puts it in."""
    if extra.startswith('{"extra":"') and extra.endswith('"}'):
        text = extra[10:-2]
        # As Asterisk writes it with nothing encoded: made JSON pairs, it is read twice as fast.
        if '"' not in text and "%" not in text and "+" not in text:
            pairs = text.replace("=", '":"').replace("&", '","')
            try:
                loaded: dict[str, str] = orjson.loads(f'{{"{pairs}"}}')
            except orjson.JSONDecodeError:
                pass  # a value with "=" in it, or none
            else:
                return loaded
    outer = load_extra(extra)
    text = str(outer.get("extra", "")) if outer else extra
    return dict(parse_qsl(text, keep_blank_values=True))


def load_extra(text: str) -> dict[str, Any]:
    """``eventextra`` as a dictionary; empty when it holds no JSON object."""
    if not text.startswith("{"):
        return {}
    try:
        loaded = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def read_lines(
    lines: Iterable[str],
    layout: Layout,
    on_bad: Callable[[int, str], None],
    *,
    first_line: int = 1,
    delimiter: str = ",",
) -> Iterator[tuple[int, list[str]]]:
    """Fields of each line with its number; a broken line is reported and takes no other with it.

    ``on_bad``: called with line number and reason.
    """
    taken: list[str] = []
    number = first_line

    def tap() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    source = tap()
    reader = csv.reader(source, delimiter=delimiter)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a quote that never ends
            fields = []
            reader = csv.reader(source, delimiter=delimiter)
        if len(taken) == 1:
            if fields:
                yield number, fields
        else:
            yield from _untangle(taken, fields, layout.width, number, on_bad, delimiter)
        number += len(taken)
        taken.clear()


def _untangle(
    lines: list[str],
    joined: list[str],
    width: int,
    number: int,
    on_bad: Callable[[int, str], None],
    delimiter: str,
) -> Iterator[tuple[int, list[str]]]:
    """One record over several lines: a value with line breaks, or a line with a broken quote."""
    alone = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
    whole = [len(fields) == width for fields in alone]
    if not any(whole) and len(joined) == width:
        yield number, joined
        return
    for place, fields in enumerate(alone):
        if whole[place]:
            yield number + place, fields
        elif fields:
            on_bad(number + place, "the quotes of this line do not match")
