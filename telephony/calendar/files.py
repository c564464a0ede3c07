"""Special days out of a file, CSV or ICS (iCalendar, RFC 5545): all of it is right, or none taken.

CSV: a header row ``date,hours,reason`` (日期, 时间, 原因), in UTF-8 or GB18030 as Excel writes it.
Hours are ``closed`` (休), ``work`` (班) or ``08:30-12:00;13:30-17:00``.

ICS: an event of whole days is closed, or worked if its title says so (班); one with times is open
then, and several on a day are its windows. What repeats is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from telephony.calendar.book import Entry, checked_entry
from telephony.errors import CalendarFileRefused, InvalidValue
from telephony.office_hours import CLOSED, SHANGHAI, WORK

MAX_BYTES = 1_000_000
MAX_DAYS = 2000
MAX_SPAN_DAYS = 31
"""The longest event of whole days: a longer one is a mistake."""
SHOWN = 20
"""How many mistakes are named."""

COLUMNS = {"date": "day", "日期": "day", "hours": "hours", "时间": "hours"}
COLUMNS |= {"reason": "reason", "原因": "reason"}
WORDS = {"closed": CLOSED, "休": CLOSED, "休息": CLOSED, "放假": CLOSED}
WORDS |= {"work": WORK, "班": WORK, "上班": WORK, "补班": WORK}
WORKED = re.compile(r"班|\bwork", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})", re.ASCII)
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII)


class Wrong(ValueError):
    """What is wrong with a line."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a line of the file says of a day."""

    line: int
    entry: Entry


def read_days(file: Path) -> list[Entry]:
    """The special days of a file, in order.

    Raises :class:`CalendarFileRefused` with line and reason of each mistake: a date that is none,
    hours that are none, two different things said of one day, or a file that is neither kind.
    """
    try:
        data = file.read_bytes() if file.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise CalendarFileRefused([f"{file}: {error.strerror}"]) from None
    if data is None:
        raise CalendarFileRefused([f"{file} is larger than {MAX_BYTES} bytes"])
    return parse_days(data)


def parse_days(data: bytes) -> list[Entry]:
    """The special days in the bytes of a file; see :func:`read_days`."""
    text = _text(data)
    wrong: list[tuple[int, str]] = []
    reader = _ics if text.lstrip().upper().startswith("BEGIN:VCALENDAR") else _csv
    found = list(reader(text, wrong))
    entries = _agreed(found, wrong)
    if wrong:
        wrong.sort()
        more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        named = [f"line {line}: {why}" for line, why in wrong[:SHOWN]]
        raise CalendarFileRefused(named + more, wrong)
    if not entries:
        raise CalendarFileRefused(["there is no day in it"])
    if len(entries) > MAX_DAYS:
        raise CalendarFileRefused([f"it has more than {MAX_DAYS} days"])
    return entries


def _text(data: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text.replace("\r\n", "\n").replace("\r", "\n")
    raise CalendarFileRefused(["it is no text in UTF-8 or GB18030"])


def _agreed(found: list[_Found], wrong: list[tuple[int, str]]) -> list[Entry]:
    """One entry a day; what contradicts an earlier line is noted as wrong."""
    first: dict[date, _Found] = {}
    for one in found:
        before = first.setdefault(one.entry.day, one)
        if before.entry.hours != one.entry.hours:
            said = f"{one.entry.hours}, but line {before.line} says {before.entry.hours}"
            wrong.append((one.line, f"{one.entry.day} is {said}"))
    return [first[day].entry for day in sorted(first)]


def day_of(text: str) -> date:
    """A date as people write it; raises :class:`Wrong`."""
    found = _DATE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        return date(int(found[1]), int(found[3]), int(found[4]))
    except ValueError:
        raise Wrong(f"{text.strip()!r} is no date such as 2026-10-01") from None


# -- CSV ------------------------------------------------------------------------------------------


def _csv(text: str, wrong: list[tuple[int, str]]) -> Iterator[_Found]:
    rows = csv.reader(io.StringIO(text), strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for row in rows:
            begin, line = line, rows.line_num + 1
            if not any(cell.strip() for cell in row) or row[0].lstrip().startswith("#"):
                continue
            if columns is None:
                columns = _columns(row, begin)
                continue
            try:
                yield _Found(begin, _row(columns, row))
            except (Wrong, InvalidValue) as error:
                wrong.append((begin, str(error)))
    except csv.Error as error:
        wrong.append((line, f"is no CSV: {error}"))


def _columns(row: list[str], line: int) -> list[str]:
    columns = [COLUMNS.get(cell.strip().lower(), "") for cell in row]
    for needed in ("day", "hours", "reason"):
        if columns.count(needed) != 1:
            why = "the header must be date,hours,reason (or 日期,时间,原因)"
            raise CalendarFileRefused([f"line {line}: {why}"], [(line, why)])
    return columns


def _row(columns: list[str], row: list[str]) -> Entry:
    if len(row) > len(columns):
        raise Wrong("has more cells than the header; put several hours apart with ;")
    cells = dict(zip(columns, row + [""] * (len(columns) - len(row)), strict=True))
    return checked_entry(day_of(cells["day"]), hours_of(cells["hours"]), cells["reason"])


def hours_of(text: str) -> str:
    """Hours as people write them (休, 班, 8:30-12:00;13:30-17:00), as AstDB has them where they are
    some; what is none comes back as it can be told."""
    text = text.strip()
    if word := WORDS.get(text.lower()):
        return word
    parts = [part.strip() for part in re.split(r"[;；,，、]", text)]
    return ",".join("-".join(_clock(clock) for clock in re.split(r"[-–~～]", p)) for p in parts)


def _clock(text: str) -> str:
    found = re.fullmatch(r"(\d{1,2})[:：](\d{2})", text.strip(), re.ASCII)
    return f"{int(found[1]):02d}{found[2]}" if found else text.strip()


# -- ICS ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Event:
    """A VEVENT: its properties with their parameters, and the line of each."""

    line: int
    values: dict[str, tuple[int, dict[str, str], str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return self.values[name][2] if name in self.values else ""


def _ics(text: str, wrong: list[tuple[int, str]]) -> Iterator[_Found]:
    timed: defaultdict[date, list[tuple[int, str, str]]] = defaultdict(list)
    for event in _events(text, wrong):
        if event.text("STATUS").upper() == "CANCELLED":
            continue
        try:
            if _is_whole_days(event):
                yield from _whole_days(event)
            else:
                day, window = _timed(event)
                timed[day].append((event.line, window, _title(event)))
        except (Wrong, InvalidValue) as error:
            wrong.append((_line_of(event), str(error)))
    for day, parts in timed.items():
        line = parts[-1][0]
        hours = ",".join(sorted({window for _, window, _ in parts}))
        reasons = dict.fromkeys(title for _, _, title in parts if title)
        try:
            yield _Found(line, checked_entry(day, hours, " / ".join(reasons)))
        except InvalidValue as error:
            wrong.append((line, str(error)))


def _events(text: str, wrong: list[tuple[int, str]]) -> Iterator[_Event]:
    stack: list[str] = []
    event: _Event | None = None
    last = 1
    for line, content in _unfolded(text):
        last = line
        head, colon, value = _split(content)
        if not colon:
            wrong.append((line, "is no line of a calendar (NAME:value)"))
            continue
        name, *parameters = head.split(";")
        name = name.upper()
        if name == "BEGIN":
            stack.append(value.strip().upper())
            if stack == ["VCALENDAR", "VEVENT"]:
                event = _Event(line)
        elif name == "END":
            if not stack or stack.pop() != value.strip().upper():
                wrong.append((line, f"END:{value} ends what was not begun"))
                return
            if event is not None and stack == ["VCALENDAR"]:
                yield event
                event = None
        elif event is not None and stack == ["VCALENDAR", "VEVENT"]:
            if name in event.values and name.startswith("DT") and name != "DTSTAMP":
                wrong.append((line, f"the event has more than one {name}"))
            pairs = (one.partition("=") for one in parameters)
            event.values[name] = line, {k.upper(): v.strip('"') for k, _, v in pairs}, value
    if stack:
        wrong.append((last, f"the file ends inside of {stack[-1]}"))


def _split(content: str) -> tuple[str, str, str]:
    """Name with parameters, colon, value; a colon in a quoted parameter does not count."""
    found = re.match(r'((?:[^":]|"[^"]*")*)(:)(.*)', content, re.DOTALL)
    return (found[1], found[2], found[3]) if found else (content, "", "")


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first physical one."""
    begin, held = 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        if raw[:1] in (" ", "\t") and begin:
            held += raw[1:]
            continue
        if held.strip():
            yield begin, held
        begin, held = number, raw
    if held.strip():
        yield begin, held


def _line_of(event: _Event) -> int:
    return event.values["DTSTART"][0] if "DTSTART" in event.values else event.line


def _is_whole_days(event: _Event) -> bool:
    for name in ("RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"):
        if name in event.values:
            raise Wrong(f"the event repeats ({name}); write each day as an event of its own")
    if "DTSTART" not in event.values:
        raise Wrong("the event has no DTSTART")
    _, parameters, value = event.values["DTSTART"]
    return parameters.get("VALUE", "").upper() == "DATE" or "T" not in value.upper()


def _whole_days(event: _Event) -> Iterator[_Found]:
    line, _, value = event.values["DTSTART"]
    first = _ics_day(value)
    end = first + timedelta(days=1)
    if "DTEND" in event.values:
        end = _ics_day(event.text("DTEND"))
    elif "DURATION" in event.values:
        end = first + _duration(event.text("DURATION"))
    count = (end - first).days
    if not 1 <= count <= MAX_SPAN_DAYS:
        raise Wrong(f"the event ends {count} days after {first}; it may last 1 to {MAX_SPAN_DAYS}")
    title = _title(event)
    hours = WORK if WORKED.search(title) else CLOSED
    for number in range(count):
        yield _Found(line, checked_entry(first + timedelta(days=number), hours, title))


def _timed(event: _Event) -> tuple[date, str]:
    begin = _ics_moment(event, "DTSTART")
    if "DTEND" in event.values:
        end = _ics_moment(event, "DTEND")
    elif "DURATION" in event.values:
        end = begin + _duration(event.text("DURATION"))
    else:
        raise Wrong("the event has no end (DTEND or DURATION)")
    if end <= begin:
        raise Wrong(f"the event ends at {end:%F %H:%M}, which is not after {begin:%F %H:%M}")
    if begin.second or end.second:
        raise Wrong("hours are whole minutes")
    midnight = end.time() == datetime.min.time() and end.date() == begin.date() + timedelta(days=1)
    if end.date() != begin.date() and not midnight:
        raise Wrong("the event goes over midnight; write one for each day")
    return begin.date(), f"{begin:%H%M}-{'2400' if midnight else f'{end:%H%M}'}"


def _ics_day(value: str) -> date:
    if not re.fullmatch(r"\d{8}", value.strip(), re.ASCII):
        raise Wrong(f"{value.strip()!r} is no date such as 20261001")
    return day_of(value)


def _ics_moment(event: _Event, name: str) -> datetime:
    _, parameters, value = event.values[name]
    found = re.fullmatch(r"(\d{8}T\d{6})(Z?)", value.strip().upper(), re.ASCII)
    try:
        if found is None:
            raise ValueError
        plain = datetime.strptime(found[1], "%Y%m%dT%H%M%S")
    except ValueError:
        raise Wrong(f"{value.strip()!r} is no time such as 20261001T083000") from None
    zone = SHANGHAI
    if found[2]:
        zone = ZoneInfo("UTC")
    elif "TZID" in parameters:
        try:
            zone = ZoneInfo(parameters["TZID"])
        except (ZoneInfoNotFoundError, ValueError):
            raise Wrong(f"{parameters['TZID']!r} is no time zone that is known here") from None
    return plain.replace(tzinfo=zone).astimezone(SHANGHAI)


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text.strip().upper())
    if found is None or not any(found.groups()):
        raise Wrong(f"{text.strip()!r} is no duration such as PT2H")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return timedelta(days=7 * weeks + days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise Wrong(f"{text.strip()!r} is too long") from None


def _title(event: _Event) -> str:
    text = event.text("SUMMARY")
    return re.sub(r"\\([\\;,nN])", lambda m: " " if m[1] in "nN" else m[1], text).strip()
