"""CEL tables of other systems, as their databases print and export them."""

from __future__ import annotations

import csv
import io
import random
from zoneinfo import ZoneInfo

import pytest

from telephony.call_legs import Leg, build_legs
from telephony.cel.sort import read_cel

COLUMNS = (
    *("eventtype", "eventtime", "cid_name", "cid_num", "exten", "context", "channame"),
    *("uniqueid", "linkedid", "extra"),
)
CALLER, CALLEE = "SIP/trunk-0000001c", "SIP/1002-0000001d"
FIRST, SECOND = "1700000000.28", "1700000001.29"
BRIDGE = '{"bridge_id":"0de77b8c","bridge_technology":"simple_bridge"}'
GONE = '{"hangupcause":16,"hangupsource":"SIP/1002-0000001d","dialstatus":""}'
# 2023-11-15 06:13:20 in Shanghai is 1700000000.
ROWS = [
    ("CHAN_START", "06:13:20", "1002", "from-pstn", CALLER, FIRST, ""),
    ("APP_START", "06:13:20", "s", "user", CALLER, FIRST, ""),
    ("CHAN_START", "06:13:21", "s", "inside", CALLEE, SECOND, ""),
    ("ANSWER", "06:13:26", "s", "inside", CALLEE, SECOND, ""),
    ("ANSWER", "06:13:26", "s", "user", CALLER, FIRST, ""),
    ("BRIDGE_ENTER", "06:13:26", "s", "inside", CALLEE, SECOND, BRIDGE),
    ("BRIDGE_ENTER", "06:13:26", "s", "user", CALLER, FIRST, BRIDGE),
    ("BRIDGE_EXIT", "06:13:36", "s", "inside", CALLEE, SECOND, BRIDGE),
    ("HANGUP", "06:13:36", "s", "inside", CALLEE, SECOND, GONE),
    ("CHAN_END", "06:13:36", "s", "inside", CALLEE, SECOND, ""),
    ("BRIDGE_EXIT", "06:13:36", "s", "user", CALLER, FIRST, BRIDGE),
    ("HANGUP", "06:13:36", "s", "user", CALLER, FIRST, GONE),
    ("CHAN_END", "06:13:36", "s", "user", CALLER, FIRST, ""),
    ("LINKEDID_END", "06:13:36", "s", "user", CALLER, FIRST, ""),
]


def fields(*, epoch: bool = False, nothing: str = "") -> list[list[str]]:
    found = []
    for event, clock, exten, context, channel, uniqueid, extra in ROWS:
        minutes, seconds = clock.split(":")[1:]
        at = f"2023-11-15 {clock}"
        if epoch:
            at = str(1_700_000_000 + (int(minutes) - 13) * 60 + int(seconds) - 20)
        name, number = ("", "") if channel == CALLEE else ("Wang", "13800000000")
        row = [event, at, name or nothing, number or nothing, exten, context, channel, uniqueid]
        found.append([*row, FIRST, extra or nothing])
    return found


def separated(rows: list[list[str]], delimiter: str) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([list(COLUMNS), *rows])
    return out.getvalue()


def psql(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    rule = "+".join("-" * (width + 2) for width in widths)
    lines = [
        "|".join(f" {cell.ljust(width)} " for cell, width in zip(row, widths, strict=True))
        for row in [list(COLUMNS), *rows]
    ]
    return "\n".join([lines[0], rule, *lines[1:], f"({len(rows)} rows)", ""])


def mysql(rows: list[list[str]]) -> str:
    body = psql(rows).splitlines()[:-1]
    rule = f"+{body[1]}+"
    lines = [f"|{line}|" for line in (body[0], *body[2:])]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])


def read(text: str) -> list[Leg]:
    def no_bad(line: int, reason: str) -> None:
        raise AssertionError(f"line {line}: {reason}")

    lines = iter(text.splitlines(keepends=True))
    rows = read_cel(lines, no_bad, zone=ZoneInfo("Asia/Shanghai"))
    return sorted(build_legs(rows, pbx="other"), key=lambda leg: leg.first_at)


def check(text: str) -> None:
    citizen, agent = read(text)
    assert (citizen.uniqueid, agent.uniqueid) == (FIRST, SECOND)
    assert (citizen.role, citizen.party, agent.role) == ("citizen", "13800000000", "agent")
    assert (citizen.started, citizen.ended) == (1_700_000_000_000_000, 1_700_000_016_000_000)
    assert (agent.ring_s, agent.talk_s, citizen.talk_s, citizen.hold_s) == (5.0, 10.0, 10.0, None)
    assert citizen.hung_up_by == agent.hung_up_by == SECOND
    assert {citizen.cause_text, agent.cause_text} == {"normal clearing"}
    assert [part.others for part in agent.segments] == [(FIRST,)]
    assert {citizen.state, agent.state} == {"complete"}


@pytest.mark.parametrize("form", ["csv", "semicolons", "tsv", "psql", "mysql"])
@pytest.mark.parametrize("order", ["oldest first", "newest first"])
@pytest.mark.parametrize("epoch", [False, True])
def test_given_a_table_of_another_system_then_its_legs_are_read(
    form: str, order: str, epoch: bool
) -> None:
    rows = fields(epoch=epoch, nothing={"tsv": "\\N", "mysql": "NULL"}.get(form, ""))
    if order == "newest first":
        rows.reverse()
    match form:
        case "psql":
            text = psql(rows)
        case "mysql":
            text = mysql(rows)
        case _:
            text = separated(rows, {"csv": ",", "semicolons": ";", "tsv": "\t"}[form])
    check(text)


def test_given_rows_of_whole_seconds_in_no_order_then_an_id_decides() -> None:
    rows = [[*row, str(number)] for number, row in enumerate(fields())]
    random.Random(3).shuffle(rows)
    out = io.StringIO(newline="")
    csv.writer(out).writerows([[*COLUMNS, "id"], *rows])
    check(out.getvalue())


def test_given_broken_lines_in_a_table_then_they_are_named_and_the_rest_is_read() -> None:
    lines = psql(fields()).splitlines(keepends=True)
    lines.insert(5, "half a | line\n")
    bad: list[int] = []
    rows = read_cel(
        iter(lines), lambda line, reason: bad.append(line), zone=ZoneInfo("Asia/Shanghai")
    )
    assert len(list(build_legs(rows))) == 2
    assert bad == [6]
