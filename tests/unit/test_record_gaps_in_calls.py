"""Rows that are missing inside calls, and channels without any row, leave a gap on record."""

from __future__ import annotations

from pathlib import Path

from telephony.cel.rows import CelRow
from telephony.database import Database
from telephony.legs.gaps import SerialWatch, gaps_of_call
from tests.unit.cel_samples import REPLAY, row
from tests.unit.day_of_calls import DAY, make, record
from tests.unit.gaps_scene import CRASH, gaps, kinds, of_files, one

__all__ = ["one"]  # fixtures


# --- rows that are missing inside calls


async def test_given_a_whole_day_then_there_is_no_gap(one: Database, tmp_path: Path) -> None:
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(one, tmp_path).catch_up()
    assert await of_files(one) == []


async def test_given_a_start_or_an_end_that_is_missing_then_the_call_is_named(
    database: Database, tmp_path: Path
) -> None:
    sample = (REPLAY / "cel_plain.csv").read_bytes().splitlines(True)
    start = next(at for at, line in enumerate(sample) if line.startswith(b'"CHAN_START"'))
    channel = sample[start].split(b'","')[14].decode()
    ends = [at for at, line in enumerate(sample) if line.split(b'"')[1] in (b"HANGUP", b"CHAN_END")]
    file = tmp_path / "Master.csv"
    left = [
        line
        for at, line in enumerate(sample)
        if at != start and not (at in ends and b'"1795497842.3"' in line)
    ]
    file.write_bytes(b"".join(left))
    await make(database, tmp_path).catch_up()
    found = {gap["why"]: gap for gap in await gaps(database)}
    assert found["no-start"]["key"] == channel
    assert found["no-start"]["calls"] == [channel]
    assert found["no-end"]["key"] == "1795497842.3"
    assert found["no-end"]["from"] <= found["no-end"]["to"]
    # The whole file turns up: nothing is missing any more.
    (tmp_path / "Master.csv.1").write_bytes(file.read_bytes())
    file.write_bytes(b"".join(sample))
    await make(database, tmp_path).catch_up()
    assert await kinds(database) == []


async def test_given_a_pbx_that_crashed_then_one_gap_names_the_calls_that_were_cut(
    one: Database, tmp_path: Path
) -> None:
    (tmp_path / "Master.csv").write_bytes(CRASH)
    await make(one, tmp_path).catch_up()
    (found,) = [gap for gap in await gaps(one) if gap["why"] == "pbx-stopped"]
    assert len(found["calls"]) == 2
    assert found["key"] == "1795497831.0"
    assert found["from"] < found["to"]
    legs = (await record(one))["legs"].values()
    cut = {leg["linkedid"] for leg in legs if leg["state"] == "cut_off"}
    assert set(found["calls"]) == cut


def test_given_a_late_row_then_only_what_is_still_missing_is_told() -> None:
    start = row(0, "CHAN_START", "PJSIP/8001-00000001", "1795000000.1")
    answer = row(1, "ANSWER", "PJSIP/8001-00000001", "1795000000.1")
    end = row(2, "CHAN_END", "PJSIP/8001-00000001", "1795000000.1")
    gone = row(2, "LINKEDID_END", "PJSIP/8001-00000001", "1795000000.1")
    why = [gap.why for gap in gaps_of_call([answer, gone], (), gone.at)]
    assert why == ["no-start", "no-end"]
    assert [gap.why for gap in gaps_of_call([start, answer, gone], (), gone.at)] == ["no-end"]
    assert gaps_of_call([start, answer, end, gone], (), gone.at) == []
    assert gaps_of_call([start, answer], (), gone.at) == []  # it goes on
    assert gaps_of_call([start, answer], {"1795000000.1"}, gone.at) == []  # the PBX stopped
    silent = gaps_of_call([start, answer], {"1795000000.1"}, answer.at + 25 * 3600 * 10**6)
    assert [gap.why for gap in silent] == ["no-end"]


# --- channels without any row


def starts(*serials: int, second: int = 0, counter: int = 0) -> list[CelRow]:
    """Starts of channels with these serials, two counters each (a Local channel in between)."""
    return [
        row(
            second + place,
            "CHAN_START",
            f"PJSIP/8001-{serial:08x}",
            f"{1_795_000_000 + second + place}.{counter + 2 * serial}",
        )
        for place, serial in enumerate(serials)
    ]


def watched(*rows: CelRow) -> SerialWatch:
    watch = SerialWatch()
    for each in rows:
        watch.feed(each)
    return watch


LATER = 1_795_000_000_000_000 + 10**9


def test_given_serials_in_a_row_then_no_channel_is_missing() -> None:
    assert watched(*starts(*range(5, 40))).found(LATER) == []


def test_given_serials_that_never_came_then_a_gap_says_how_many_and_when() -> None:
    rows = starts(1, 2, 7, 8)
    watch = watched(*rows)
    assert watch.found(rows[-1].at) == []  # they may be late
    (gap,) = watch.found(LATER)
    assert gap.detail == "4 channels, PJSIP 00000003 to 00000006"
    assert (gap.since, gap.until) == (rows[1].at, rows[2].at)
    assert watch.found(LATER) == []  # told once


def test_given_rows_that_come_late_then_the_hole_is_filled() -> None:
    first, second, *late, last = starts(1, 2, 3, 4, 5)
    watch = watched(first, second, last, *late)
    assert watch.found(LATER) == []
    watch = watched(first, second, last)
    (gap,) = watch.found(LATER)
    for each in late:
        watch.feed(each)
    assert watch.filled() == [gap]
    assert watch.filled() == []


def test_given_a_restart_then_serials_begin_anew_and_what_is_missing_of_its_beginning_is_told() -> (
    None
):
    before = starts(50, 51)
    assert watched(*before, *starts(0, 1, second=60)).found(LATER) == []
    (gap,) = watched(*before, *starts(3, 4, second=60)).found(LATER)
    assert gap.detail == "3 channels, PJSIP 00000000 to 00000002"


async def test_given_channels_without_any_row_then_the_gap_survives_a_restart_of_the_service(
    one: Database, tmp_path: Path
) -> None:
    def call(serial: int) -> bytes:
        sample = (REPLAY / "cel_local_only.csv").read_bytes()
        text = sample.replace(b"Local/s@play-00000007;1", f"PJSIP/1-{serial:08x}".encode())
        text = text.replace(b"Local/s@play-00000007;2", f"PJSIP/1-{serial + 1:08x}".encode())
        for old, new in ((b".59", serial), (b".60", serial + 1)):
            text = text.replace(b"1795497341" + old, f"{1_795_497_341 + serial}.{new}".encode())
        return text.replace(b'"1795497341.', f'"{1_795_497_341 + serial}.'.encode())

    file = tmp_path / "Master.csv"
    file.write_bytes(call(100))
    await make(one, tmp_path).catch_up()
    with file.open("ab") as target:
        target.write(call(140))
    await make(one, tmp_path).catch_up()  # another service: it knows where the first was
    with file.open("ab") as target:
        target.write(call(142) + call(144) + call(246))
    await make(one, tmp_path).catch_up()
    found = [gap["detail"] for gap in await gaps(one) if gap["why"] == "channels-missing"]
    assert "38 channels, PJSIP 00000066 to 0000008b" in found
