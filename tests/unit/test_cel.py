"""Reading CEL: every flavour of columns and times; broken lines take no other with them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from telephony.cel.rows import (
    OUR_COLUMNS,
    BadRow,
    CelHeaderError,
    Clock,
    Layout,
    our_layout,
    read_fact,
    read_lines,
)
from tests.unit.cel_samples import recorded, row

NOON = 1_795_496_400_000_000


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1795496400.123456", NOON + 123_456),
        ("1795496400", NOON),
        ("1795496400.5", NOON + 500_000),
        ("2026-11-24 05:00:00.123456", NOON + 123_456),
        ("2026-11-24 05:00:00", NOON),
        ("2026-11-24T05:00:00.25Z", NOON + 250_000),
        ("2026-11-24 13:00:00+08:00", NOON),
        ("2026-11-24 05:00:00.123+00", NOON + 123_000),
    ],
)
def test_given_any_form_of_time_then_it_is_read_exactly(text: str, micros: int) -> None:
    assert Clock()(text) == micros


def test_given_a_zone_then_times_without_one_are_in_it() -> None:
    shanghai = Clock(ZoneInfo("Asia/Shanghai"))
    assert shanghai("2026-11-24 13:00:00") == NOON
    assert shanghai("1795496400") == NOON


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01 00:00:00", "2026-11-24 05:00:99", "9" * 30, "-5", "1e9"]
)
def test_given_no_time_then_the_reason_names_it(text: str) -> None:
    with pytest.raises(BadRow, match="eventtime"):
        Clock()(text)


@pytest.mark.parametrize(
    "header",
    [
        "eventtype,eventtime,cid_name,cid_num,exten,context,channame,uniqueid,linkedid,peer",
        "linkedid,uniqueid,peer,channame,context,exten,num,name,eventtime,eventtype",
        "id,EventType,EventTime,cidnum,Extension,Context,Channel,UniqueID,LinkedID,BridgePeer",
    ],
)
def test_given_another_flavour_then_the_columns_are_found(header: str) -> None:
    names = header.split(",")
    layout = Layout(names)
    values = {"event": "4", "time": "1795496400", "chan": "SIP/a-1"}
    fields = []
    for name in (one.lower() for one in names):
        match name:
            case "eventtype" | "eventtime":
                fields.append(values[name.removeprefix("event").replace("type", "event")])
            case "channame" | "channel":
                fields.append(values["chan"])
            case _:
                fields.append(name)
    read = layout.row(fields)
    assert (read.event, read.channel, read.uniqueid) == ("ANSWER", "SIP/a-1", "uniqueid")
    assert read.num in ("cid_num", "num", "cidnum")
    assert read.extra == ""


def test_given_missing_columns_then_they_are_named() -> None:
    with pytest.raises(CelHeaderError, match="channame, linkedid"):
        Layout(["eventtype", "eventtime", "uniqueid"])


def test_given_our_own_row_then_the_fact_is_read() -> None:
    facts = [fact for one in recorded("transfer") if (fact := read_fact(one)) is not None]
    assert [fact.kind for fact in facts] == ["CASE", "OFFERED", "ACCEPTED"]
    assert facts[1].values["desk"] == "110"
    assert facts[2].values["leg"] == "1795497295.21"


@pytest.mark.parametrize("extra", ["", "{", "[]", '{"extra": 5}', "a=b&&=", '{"other": "a=b"}'])
def test_given_a_strange_fact_then_it_is_read_without_an_error(extra: str) -> None:
    fact = read_fact(row(0, "USER_DEFINED", "PJSIP/a-1", "1.1", fact="HOTLINE_X", extra=extra))
    assert fact is not None
    assert fact.kind == "X"


def test_given_broken_lines_then_they_are_named_and_the_rest_is_read() -> None:
    good = ",".join(["x"] * 20) + "\n"
    lines = [good, '"never closed,\n', good, "\n", '"two\n', 'lines"' + ",y" * 19 + "\n", good]
    bad: list[int] = []
    layout = our_layout()
    read = list(read_lines(lines, layout, lambda line, reason: bad.append(line)))
    assert [number for number, fields in read if len(fields) == 20 and fields[0] == "x"] == [
        1,
        3,
        7,
    ]
    assert 2 in bad


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (["x"] * 3, "3 fields"),
        (["", "1795496400", *["x"] * 18], "eventtype is empty"),
        (["ANSWER", "1795496400", *["x"] * 12, "", *["x"] * 5], "uniqueid is empty"),
    ],
)
def test_given_a_row_that_cannot_be_used_then_the_reason_says_why(
    fields: list[str], reason: str
) -> None:
    assert OUR_COLUMNS[14] == "uniqueid"
    with pytest.raises(BadRow, match=reason):
        our_layout().row(fields)
