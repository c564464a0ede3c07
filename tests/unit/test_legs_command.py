"""``hotline legs|cases|ledger``: what goes in, what comes out, exit statuses."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner, Result

from telephony import audit
from telephony.bulk.tables import TABLES
from telephony.cel.rows import OUR_COLUMNS
from telephony.cli import app
from telephony.database import Database
from tests.unit.cel_samples import REPLAY
from tests.unit.day_of_calls import DAY, make

HEADER = ",".join(OUR_COLUMNS).encode() + b"\n"
TRANSFER = (REPLAY / "cel_transfer.csv").read_bytes()


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def built(file: Path, *more: str) -> list[dict[str, Any]]:
    result = run("legs", "build", str(file), *more)
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_given_a_cel_file_then_its_legs_are_printed(tmp_path: Path) -> None:
    file = tmp_path / "cel.csv"
    file.write_bytes(HEADER + TRANSFER)
    found = built(file, "--pbx", "chaoyang")
    assert [(leg["role"], leg["party"], leg["pbx"]) for leg in found] == [
        ("citizen", "13812345678", "chaoyang"),
        ("agent", "8001", "chaoyang"),
        ("target", "110", "chaoyang"),
    ]
    assert built(file)[0]["pbx"] is None
    citizen = found[0]
    assert citizen["started_at"] == "2026-11-24T05:14:54.358012+00:00"
    assert citizen["hold_s"] is None
    assert citizen["cause_text"] == "normal clearing"
    assert citizen["segments"][0]["with"] == [found[1]["uniqueid"]]
    assert set(citizen["segments"][0]) == {"with", "from", "to"}


def test_given_any_order_columns_and_times_then_the_legs_are_the_same(tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv"
    plain.write_bytes(HEADER + TRANSFER)
    rows = list(csv.DictReader(plain.read_text().splitlines()))
    names = ["extra_column", "id", *(name for name in OUR_COLUMNS if name != "cid_ani")]
    for number, row in enumerate(rows):
        row |= {"id": str(number), "extra_column": "?"}
        seconds, micros = row["eventtime"].split(".")
        row["eventtime"] = (
            f"2026-11-24 13:{int(seconds) % 3600 // 60:02}:{int(seconds) % 60:02}.{micros}"
        )
    random.Random(1).shuffle(rows)
    foreign = tmp_path / "foreign.csv"
    with foreign.open("w", newline="") as target:
        writer = csv.DictWriter(target, names, extrasaction="ignore", delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert built(foreign, "--tz", "Asia/Shanghai") == built(plain)


def test_given_whole_seconds_then_the_order_of_the_file_decides(tmp_path: Path) -> None:
    rows = list(csv.reader(TRANSFER.decode().splitlines()))
    for row in rows:
        row[1] = row[1].partition(".")[0]
    file = tmp_path / "seconds.csv"
    with file.open("w", newline="") as target:
        csv.writer(target).writerows([OUR_COLUMNS, *rows])
    assert [leg["talk_s"] for leg in built(file)] == [2.0, 1.0, 1.0]


def test_given_standard_input_then_it_is_read() -> None:
    result = run("legs", "build", "-", stdin=b"\xef\xbb\xbf" + HEADER + TRANSFER)
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 3


def test_given_a_header_and_nothing_else_then_there_are_no_legs(tmp_path: Path) -> None:
    file = tmp_path / "cel.csv"
    file.write_bytes(HEADER)
    assert built(file) == []


def test_given_broken_rows_then_they_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    lines = TRANSFER.splitlines(True)
    lines.insert(2, b"a,b,c\n")
    lines.insert(5, b'"open quote,\n')
    lines.insert(9, lines[9].replace(b"1795", b"yesterday ", 1))
    lines.append(lines[3][:60])  # half a line at the end
    file = tmp_path / "cel.csv"
    file.write_bytes(HEADER + b"".join(lines))
    result = run("legs", "build", str(file))
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)) == 3
    for number in (4, 7, 11, len(lines) + 1):
        assert f"line {number}: " in result.stderr
    assert "4 broken rows" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b,c\n1,2,3\n", "lacks the CEL columns eventtype"),
        (b"eventtype,eventtime,uniqueid,linkedid\n", "column channame"),
        (TRANSFER, "--no-header"),
        (b"\x00\xff\n", "lacks"),
    ],
)
def test_given_no_cel_header_then_one_line_says_so(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "cel.csv"
    file.write_bytes(content)
    result = run("legs", "build", str(file))
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_given_our_own_file_without_header_then_it_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(TRANSFER)
    assert len(built(file, "--no-header")) == 3


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_given_a_packed_file_then_it_is_read_as_it_is(tmp_path: Path, source: str) -> None:
    packed = gzip.compress(HEADER + TRANSFER)
    if source == "stdin":
        result = run("legs", "build", "-", stdin=packed)
        assert result.exit_code == 0
        assert len(json.loads(result.stdout)) == 3
        return
    file = tmp_path / "Master.csv.1.gz"
    file.write_bytes(packed)
    assert len(built(file)) == 3


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_given_a_broken_packed_file_then_one_line_says_so(tmp_path: Path, damage: str) -> None:
    packed = gzip.compress(HEADER + TRANSFER)
    file = tmp_path / "Master.csv.gz"
    file.write_bytes(packed[:-40] if damage == "cut" else packed[:-5] + b"?????")
    result = run("legs", "build", str(file))
    assert result.exit_code == 1
    assert "cel-file-unreadable" in result.stderr
    assert result.stderr.count("\n") == 1


def test_given_a_full_disk_then_one_line_says_so(tmp_path: Path) -> None:
    file = tmp_path / "cel.csv"
    file.write_bytes(HEADER + TRANSFER)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "telephony.cli", "legs", "build", str(file)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "output-failed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_given_no_such_file_or_zone_then_the_status_tells_which(tmp_path: Path) -> None:
    missing = run("legs", "build", str(tmp_path / "none.csv"))
    assert missing.exit_code == 1
    assert "cannot be read" in missing.stderr
    assert run("legs", "build", str(tmp_path)).exit_code == 1
    assert run("legs", "build", "-", "--tz", "Mars/Base", stdin=b"").exit_code == 2
    assert run("legs", "build").exit_code == 2


@pytest.fixture
async def day(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database with a day of recorded calls, named in the settings."""
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    monkeypatch.setenv("HOTLINE_DATABASE_URL", database.url.render_as_string(False))
    monkeypatch.chdir(tmp_path)
    return database


def test_given_legs_on_record_then_they_are_listed_and_exported(
    day: Database, tmp_path: Path
) -> None:
    listed = json.loads(run("legs", "list", "--agent", "8001", "--limit", "2", "--json").stdout)
    assert [leg["party"] for leg in listed["items"]] == ["8001", "8001"]
    again = run("legs", "list", "--agent", "8001", "--cursor", listed["next"], "--json")
    first = json.loads(again.stdout)["items"][0]
    assert first["started_at"] < listed["items"][1]["started_at"]
    assert "13812345678" in run("legs", "list", "--from", "2026-11-24").stdout
    target = tmp_path / "legs.csv"
    assert run("legs", "export", "-o", str(target), "--role", "target").exit_code == 0
    assert len(target.read_text().splitlines()) > 2
    assert run("legs", "export").stdout.startswith("pbx,uniqueid,")


def test_given_formats_then_each_table_is_exported_and_the_audit_log_says_so(
    day: Database, tmp_path: Path
) -> None:
    for what, table in TABLES.items():
        target = tmp_path / f"{what}.xlsx"
        result = run(what, "export", "-o", str(target), "--headings", "zh", "--from", "2026-11-01")
        assert result.exit_code == 0, result.stderr
        (sheet,) = CalamineWorkbook.from_path(str(target)).sheet_names
        assert sheet == table.zh
    found = run("cases", "export", "--columns", "case,caller", "--bom", "--state", "taken")
    assert found.stdout.startswith("\ufeffcase,caller\n")
    assert run("legs", "export", "--format", "parquet").exit_code == 2
    assert run("legs", "export", "--headings", "fr").exit_code == 2
    wrong = run("legs", "export", "--columns", "pbx,nothing", "-o", str(tmp_path / "x.csv"))
    assert (wrong.exit_code, (tmp_path / "x.csv").exists()) == (1, False)
    assert "nothing" in wrong.stderr

    async def looks() -> list[str]:
        database = Database(day.url.render_as_string(False))
        page = await audit.entries(database, limit=500)
        await database.close()
        return [one["what"] for one in reversed(page.items) if one["role"] == "command"]

    assert asyncio.run(looks())[:4] == [f"{what}-export" for what in TABLES]


def test_given_cases_on_record_then_they_are_listed_and_shown(day: Database) -> None:
    listed = json.loads(run("cases", "--owner", "110", "--json").stdout)
    (case,) = [one["case"] for one in listed["items"]]
    assert "accepted" in run("cases", case).stdout
    assert json.loads(run("cases", case, "--json").stdout)["ledger"][0]["event"] == "taken"
    assert run("cases", "20261124-0.0").exit_code == 1


def test_given_a_ledger_as_it_was_written_then_verify_says_so(day: Database) -> None:
    result = run("ledger", "verify", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["ok"] is True


def test_given_a_wrong_cursor_or_time_then_one_line_says_so(day: Database) -> None:
    wrong = run("legs", "list", "--cursor", "x")
    assert wrong.exit_code == 1
    assert "cursor" in wrong.stderr
    assert run("legs", "list", "--from", "yesterday").exit_code == 2
