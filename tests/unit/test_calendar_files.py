"""Calendar files: all right, or refused with line and reason and nothing taken."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calendar.book import CalendarBook, Entry
from telephony.calendar.files import MAX_BYTES, parse_days, read_days
from telephony.database import Database
from telephony.errors import CalendarFileRefused, InvalidValue, SpecialDayNotFound
from telephony.settings import Line, Settings

CSV = """date,hours,reason
# what is written after this is for people
2027-02-05,closed,春节
2027/2/21,work,补班

20270222,08:30-12:00;13:30-17:00,"盘点, 下午"
2027-12-31,0900–1200,
"""
CSV_DAYS = [
    Entry(date(2027, 2, 5), "closed", "春节"),
    Entry(date(2027, 2, 21), "work", "补班"),
    Entry(date(2027, 2, 22), "0830-1200,1330-1700", "盘点, 下午"),
    Entry(date(2027, 12, 31), "0900-1200", ""),
]

ICS = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VTIMEZONE
TZID:Asia/Shanghai
BEGIN:STANDARD
DTSTART:19700101T000000
RRULE:FREQ=YEARLY
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20270205
DTEND;VALUE=DATE:20270208
SUMMARY:春节\\, 休
BEGIN:VALARM
DTSTART:nonsense
END:VALARM
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20270221
SUMMARY:春节 补
 班
END:VEVENT
BEGIN:VEVENT
DTSTART;TZID="Asia/Shanghai":20270301T133000
DTEND;TZID="Asia/Shanghai":20270301T170000
SUMMARY:下午
END:VEVENT
BEGIN:VEVENT
DTSTART:20270301T003000Z
DURATION:PT3H30M
SUMMARY:上午
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20270401
STATUS:CANCELLED
END:VEVENT
END:VCALENDAR
"""


def refused(text: str | bytes) -> list[str]:
    with pytest.raises(CalendarFileRefused) as caught:
        parse_days(text if isinstance(text, bytes) else text.encode())
    return caught.value.lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_given_a_csv_file_when_read_then_its_days(encoding: str, end: str) -> None:
    assert parse_days(CSV.replace("–", "-").replace("\n", end).encode(encoding)) == CSV_DAYS
    chinese = CSV.replace("date,hours,reason", "日期,时间,原因").replace("closed", "休")
    assert parse_days(chinese.encode(encoding)) == CSV_DAYS


def test_given_an_ics_file_when_read_then_whole_days_and_windows() -> None:
    assert parse_days(ICS.replace("\n", "\r\n").encode()) == [
        Entry(date(2027, 2, 5), "closed", "春节, 休"),
        Entry(date(2027, 2, 6), "closed", "春节, 休"),
        Entry(date(2027, 2, 7), "closed", "春节, 休"),
        Entry(date(2027, 2, 21), "work", "春节 补班"),
        Entry(date(2027, 3, 1), "0830-1200,1330-1700", "下午 / 上午"),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2027-02-29,closed,", "'2027-02-29' is no date"),
        ("2027-2/3,closed,", "is no date"),
        ("1.10.2027,closed,", "is no date"),
        ("1827-02-03,closed,", "the year must be 2000 to 2100"),
        ("2027-02-03,,", "is not like 0830-1700"),
        ("2027-02-03,maybe,", "'maybe' is not like 0830-1700"),
        ("2027-02-03,17:00-08:30,", "1700 is not before 0830"),
        ("2027-02-03,08:30-12:00;11:00-17:00,", "does not come after"),
        ("2027-02-03,08:30-12:00,13:00-17:00,x", "more cells than the header"),
        ("2027-02-03,closed," + "长" * 101, "at most 100 characters"),
        ('2027-02-03,closed,"one\x0btwo"', "one line"),
        ("2027-02-05,work,", "2027-02-05 is work, but line 2 says closed"),
        ("2027-02-05,08:30-17:00,", "2027-02-05 is 0830-1700, but line 2 says closed"),
        ('2027-02-03,closed,"open', "is no CSV"),
    ],
)
def test_given_a_wrong_row_when_read_then_refused_with_line_and_reason(
    row: str, reason: str
) -> None:
    (line,) = refused(f"date,hours,reason\n2027-02-05,closed,春节\n{row}\n")
    assert line.startswith("line 3: ")
    assert reason in line


def test_given_several_mistakes_when_read_then_each_is_named_up_to_twenty() -> None:
    rows = "".join(f"2027-13-{number:02d},closed,\n" for number in range(1, 31))
    lines = refused("date,hours,reason\n" + rows)
    assert len(lines) == 21
    assert lines[0].startswith("line 2: ")
    assert lines[-1] == "and 10 more"


def event(*lines: str) -> str:
    return "\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""])


@pytest.mark.parametrize(
    ("lines", "at", "reason"),
    [
        (["SUMMARY:x"], 2, "has no DTSTART"),
        (["DTSTART;VALUE=DATE:20270230"], 3, "is no date"),
        (["DTSTART;VALUE=DATE:2027-02-03"], 3, "is no date"),
        (["DTSTART;VALUE=DATE:20270205", "DTEND;VALUE=DATE:20270205"], 3, "ends 0 days after"),
        (["DTSTART;VALUE=DATE:20270205", "DTEND;VALUE=DATE:20280205"], 3, "it may last 1 to 31"),
        (["DTSTART;VALUE=DATE:20270205", "RRULE:FREQ=YEARLY"], 3, "repeats (RRULE)"),
        (["DTSTART:20270205T083000", "DTEND:20270205T080000"], 3, "is not after"),
        (["DTSTART:20270205T083000", "DTEND:20270206T080000"], 3, "over midnight"),
        (["DTSTART:20270205T083000"], 3, "has no end"),
        (["DTSTART:20270205T083000", "DURATION:P"], 3, "is no duration"),
        (["DTSTART:20270205T253000", "DURATION:PT1H"], 3, "is no time"),
        (["DTSTART:20270205T083001", "DURATION:PT1H"], 3, "whole minutes"),
        (["DTSTART;TZID=Mars/Base:20270205T083000", "DURATION:PT1H"], 3, "no time zone"),
        (["DTSTART;VALUE=DATE:20270205", "nonsense"], 4, "is no line of a calendar"),
        (["DTSTART;VALUE=DATE:20270205", "DTSTART;VALUE=DATE:20270206"], 4, "more than one"),
        (["END:VCALENDAR"], 3, "ends what was not begun"),
    ],
)
def test_given_a_wrong_event_when_read_then_refused_with_line_and_reason(
    lines: list[str], at: int, reason: str
) -> None:
    found = refused(event(*lines))
    assert found[0].startswith(f"line {at}: "), found
    assert reason in found[0]


def test_given_events_that_contradict_when_read_then_refused() -> None:
    closed = event("DTSTART;VALUE=DATE:20270205", "SUMMARY:休")
    worked = event("DTSTART;VALUE=DATE:20270205", "SUMMARY:班")
    both = closed.replace("END:VCALENDAR\n", "") + worked.replace("BEGIN:VCALENDAR\n", "")
    assert refused(both) == ["line 7: 2027-02-05 is work, but line 3 says closed"]
    half = event("DTSTART:20270205T083000", "DURATION:PT4H")
    other = event("DTSTART:20270205T120000", "DURATION:PT4H")
    overlap = half.replace("END:VCALENDAR\n", "") + other.replace("BEGIN:VCALENDAR\n", "")
    assert "does not come after" in refused(overlap)[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there is no day in it"),
        (b"date,hours,reason\n", "there is no day in it"),
        (b"day,what\n", "the header must be date,hours,reason"),
        (b"date,date,hours,reason\n", "the header must be"),
        (b"\x89PNG\r\n\x1a\n\0\0", "it is no text"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20270205\n", "ends inside of VEVENT"),
    ],
)
def test_given_what_is_no_calendar_when_read_then_refused(data: bytes, reason: str) -> None:
    assert reason in refused(data)[0]


def test_given_no_file_or_one_too_large_when_read_then_refused(tmp_path: Path) -> None:
    with pytest.raises(CalendarFileRefused, match="No such file"):
        read_days(tmp_path / "none.csv")
    (tmp_path / "large.csv").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(CalendarFileRefused, match="larger than"):
        read_days(tmp_path / "large.csv")


@given(
    st.one_of(st.binary(), st.text().map(str.encode), st.text().map(lambda t: (ICS + t).encode()))
)
def test_given_any_bytes_when_read_then_days_or_refused_and_nothing_else(data: bytes) -> None:
    lines: list[str] = []
    entries: list[Entry] = []
    try:
        entries = parse_days(data)
    except CalendarFileRefused as error:
        lines = error.lines
    assert bool(lines) is not bool(entries)
    assert len({one.day for one in entries}) == len(entries)


# -- what is stored -------------------------------------------------------------------------------


@pytest.fixture
def book(database: Database) -> CalendarBook:
    return CalendarBook(database, Settings())


async def test_given_a_file_when_stored_twice_then_nothing_changes_and_a_change_is_one(
    book: CalendarBook,
) -> None:
    first = await book.store(CSV_DAYS, by="tests")
    assert (first.added, first.changed, first.unchanged) == (4, 0, 0)
    again = await book.store(CSV_DAYS, by="tests")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 4)
    other = await book.store([Entry(date(2027, 2, 5), "work", "改")], by="tests")
    assert (other.added, other.changed, other.unchanged) == (0, 1, 0)
    calendar = await book.calendar()
    assert calendar.day(date(2027, 2, 5)).works
    assert calendar.day(date(2027, 2, 5)).why == "special"
    assert calendar.is_provisional(2027)


async def test_given_a_years_schedule_when_declared_then_it_is_provisional_no_more(
    book: CalendarBook,
) -> None:
    with pytest.raises(InvalidValue, match="no day of 2028"):
        await book.store(CSV_DAYS, by="tests", declares=2028)
    assert not (await book.calendar()).special  # nothing was taken
    await book.store(CSV_DAYS, by="tests", declares=2027)
    calendar = await book.calendar()
    assert not calendar.is_provisional(2027)
    assert calendar.is_provisional(2028)
    assert not calendar.day(date(2027, 2, 5)).works
    assert calendar.day(date(2027, 2, 21)).works  # a Sunday
    assert calendar.day(date(2027, 10, 1)).works  # the file does not name it


async def test_given_a_day_when_set_and_removed_then_the_calendar_is_as_before(
    book: CalendarBook,
) -> None:
    before = await book.calendar()
    day = date(2026, 10, 1)
    await book.set_day(day, "0900-1200", "值班", by="tests")
    assert (await book.calendar()).day(day).works
    await book.remove_day(day)
    assert await book.calendar() == before
    with pytest.raises(SpecialDayNotFound):
        await book.remove_day(day)
    for hours, reason in (("noon", ""), ("closed", "a\nb"), ("closed", "x" * 101)):
        with pytest.raises(InvalidValue):
            await book.set_day(day, hours, reason, by="tests")
    assert await book.calendar() == before


async def test_given_two_lines_when_one_has_a_special_day_then_the_other_has_not(
    database: Database,
) -> None:
    other = Settings(line=Line(number="12345678", opens="09:00", closes="18:00"))
    await CalendarBook(database, Settings()).set_day(date(2026, 10, 8), "closed", "", by="tests")
    assert (await CalendarBook(database, other).calendar()).day(date(2026, 10, 8)).works
