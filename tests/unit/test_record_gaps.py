"""Rows that are missing leave a gap on record; what is only late, moved or packed leaves none."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from api.app import create_app
from telephony.cel import disk as cel_disk
from telephony.cel.rows import CelRow
from telephony.cel.unread import contents, packed_away
from telephony.checkup.gaps import check_gaps
from telephony.checkup.model import Patient
from telephony.checkup.record import check_disk
from telephony.database import Database, migrate
from telephony.legs.gaps import SerialWatch, gaps_of_call
from telephony.record.gap_store import list_gaps
from telephony.record.settings import MB, RecordWatch
from telephony.service import Service
from telephony.settings import Settings, Token
from tests.unit.cel_samples import REPLAY, row
from tests.unit.test_recorder import DAY, make, record, same

LINES = DAY.splitlines(True)
CRASH = (REPLAY / "cel_crash.csv").read_bytes()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables: making them takes a while."""
    made = tmp_path_factory.mktemp("empty") / "record.sqlite"
    migrate(f"sqlite:///{made}")
    return made


@pytest.fixture
async def one(empty: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with our tables."""
    shutil.copy(empty, tmp_path / "record.sqlite")
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    yield database
    await database.close()


async def gaps(database: Database) -> list[dict[str, Any]]:
    return (await list_gaps(database, limit=500)).items


async def kinds(database: Database) -> list[str]:
    return sorted({gap["why"] for gap in await gaps(database)})


async def of_files(database: Database) -> list[str]:
    """Without those that the samples have among themselves: they are of several PBXs."""
    return [why for why in await kinds(database) if why not in ("channels-missing", "pbx-stopped")]


# --- packed files


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("suffix", PACKERS)
async def test_given_rotated_files_that_are_packed_then_no_row_is_lost_and_none_is_there_twice(
    one: Database, empty: Path, tmp_path: Path, suffix: str
) -> None:
    shutil.copy(empty, tmp_path / "whole.sqlite")
    whole = Database(f"sqlite:///{tmp_path}/whole.sqlite")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "Master.csv").write_bytes(DAY)
    await make(whole, tmp_path / "all").catch_up()
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(LINES[:100]))
    recorder = make(one, tmp_path)
    await recorder.catch_up()
    # Rotated and packed while the service is away: one that was read in part, one never read.
    pack = PACKERS[suffix]
    (tmp_path / f"Master.csv.2.{suffix}").write_bytes(pack(b"".join(LINES[:180])))
    (tmp_path / f"Master.csv.1.{suffix}").write_bytes(pack(b"".join(LINES[180:300])))
    os.utime(tmp_path / f"Master.csv.2.{suffix}", (2e9, 2e9))
    os.utime(tmp_path / f"Master.csv.1.{suffix}", (2e9 + 1, 2e9 + 1))
    file.write_bytes(b"".join(LINES[300:]))
    assert await make(one, tmp_path).catch_up() == len(LINES) - 100
    same(await record(one), await record(whole))
    assert await make(one, tmp_path).catch_up() == 0
    assert await of_files(one) == []
    await whole.close()


async def test_given_a_packed_file_of_many_batches_then_it_is_read_once_through(
    one: Database, tmp_path: Path
) -> None:
    rows = [line.replace(b"1795", f"17{95 + n}".encode()) for n in range(4) for line in LINES]
    text = b"".join(rows)
    assert len(text) > 5 * 65536
    file = tmp_path / "Master.csv"
    file.write_bytes(rows[0])
    recorder = make(one, tmp_path)
    await recorder.catch_up()
    (tmp_path / "Master.csv.1.gz").write_bytes(gzip.compress(text))
    file.write_bytes(b"".join(LINES[:1]).replace(b"1795", b"1799"))
    assert await recorder.catch_up() == len(rows)
    assert recorder.lag.bytes == 0


async def test_given_a_damaged_packed_file_then_a_gap_says_so_unless_it_is_being_packed(
    one: Database, tmp_path: Path
) -> None:
    packed = tmp_path / "Master.csv.1.gz"
    packed.write_bytes(gzip.compress(b"".join(LINES[:300]))[:-3000])
    (tmp_path / "Master.csv").write_bytes(LINES[0])
    await make(one, tmp_path).catch_up()
    assert await kinds(one) == []  # young: somebody may just be writing it
    (tmp_path / "Master.csv").write_bytes(b"".join(LINES[300:]))
    old = datetime.now(UTC).timestamp() - 3600
    os.utime(packed, (old, old))
    await make(one, tmp_path).catch_up()
    assert "file-unreadable" in await kinds(one)
    (found,) = [gap for gap in await gaps(one) if gap["why"] == "file-unreadable"]
    assert found["detail"].startswith("Master.csv.1.gz")


def zst(size: int | None) -> bytes:
    """How a file of zstd begins that holds so many bytes."""
    frame = b"\xa4" + size.to_bytes(4, "little") if size is not None else b"\x04\x58"
    return b"\x28\xb5\x2f\xfd" + frame + b"\0" * 20


@pytest.mark.parametrize(
    ("unread", "why"), [(0, []), (7, ["file-unreadable"]), (None, ["file-unreadable"])]
)
async def test_given_a_file_that_zstd_has_packed_then_it_is_a_gap_only_where_rows_were_left(
    one: Database, tmp_path: Path, unread: int | None, why: list[str]
) -> None:
    file = tmp_path / "Master.csv"
    text = b"".join(LINES[:100])
    file.write_bytes(text)
    await make(one, tmp_path).catch_up()
    packed = tmp_path / "Master.csv.1.zst"
    packed.write_bytes(zst(None if unread is None else len(text) + unread))
    file.write_bytes(b"".join(LINES[100:]))
    await make(one, tmp_path).catch_up()
    assert await of_files(one) == why
    if why:
        (found,) = [gap for gap in await gaps(one) if gap["why"] == "file-unreadable"]
        assert found["detail"].startswith("Master.csv.1.zst is not read here: unpack it")


@pytest.mark.parametrize("size", [7, 300, 70_000, 2**33])
def test_given_the_size_in_any_width_then_it_is_read_from_the_frame(
    tmp_path: Path, size: int
) -> None:
    width, flag = next((w, f) for f, w in enumerate((1, 2, 4, 8)) if size < 256**w + 256 * (w == 2))
    field = (size - 256 * (width == 2)).to_bytes(width, "little")
    file = tmp_path / "x.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd" + bytes([flag << 6 | 0x20]) + field)
    assert contents(file) == size
    file.write_bytes(b"no zstd at all")
    assert contents(file) is None


def test_given_a_packed_file_that_cannot_be_opened_then_it_holds_nobody_up(tmp_path: Path) -> None:
    packed = tmp_path / "Master.csv.1.zst"
    packed.mkdir()  # as good as one of another user's: root, who tests, may open everything
    found = packed_away(tmp_path / "Master.csv", 100, 0.0)
    assert found is not None
    assert (found.path, found.is_whole) == (packed, False)


# --- files that are gone or became shorter


async def test_given_the_file_replaced_and_nowhere_to_be_found_then_a_gap_says_from_when_until_when(
    one: Database, tmp_path: Path
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(LINES[:200]))
    before = datetime.now(UTC)
    recorder = make(one, tmp_path)
    await recorder.catch_up()
    file.write_bytes(b"".join(LINES[300:]))
    await recorder.catch_up()
    (found,) = [gap for gap in await gaps(one) if gap["why"] == "file-missing"]
    assert found["from"] >= before - timedelta(seconds=1)
    assert found["to"] >= found["from"]
    # Found again by the next start, or by another service: still one.
    await make(one, tmp_path).catch_up()
    assert [gap["why"] for gap in await gaps(one)].count("file-missing") == 1


async def test_given_a_file_that_became_shorter_then_a_gap_says_so(
    one: Database, tmp_path: Path
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(LINES[:200]))
    await make(one, tmp_path).catch_up()
    file.write_bytes(b"".join(LINES[:150]))
    await make(one, tmp_path).catch_up()
    assert await of_files(one) == ["file-cut-short"]


async def test_given_half_a_line_at_the_end_of_a_rotated_file_then_it_is_kept_and_a_gap_says_so(
    one: Database, tmp_path: Path
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(LINES[:100]) + LINES[100][:60])
    recorder = make(one, tmp_path)
    assert await recorder.catch_up() == 100
    assert recorder.lag.bytes == 60
    file.rename(tmp_path / "Master.csv.1")
    file.write_bytes(b"".join(LINES[101:110]))
    assert await recorder.catch_up() == 9
    assert recorder.broken == 1
    assert recorder.lag.bytes == 0
    (found,) = [gap for gap in await gaps(one) if gap["why"] == "row-broken"]
    assert found["detail"] == f"Master.csv.1 at byte {sum(map(len, LINES[:100]))}"


# --- rows that are missing inside calls


def without(event: bytes, nth: int = 0) -> bytes:
    """The day without one row of this kind."""
    places = [at for at, line in enumerate(LINES) if line.startswith(b'"' + event)]
    return b"".join(line for at, line in enumerate(LINES) if at != places[nth])


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
    for one in rows:
        watch.feed(one)
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
    for one in late:
        watch.feed(one)
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


# --- how people see it


async def test_given_gaps_then_supervisors_list_them_page_by_page_and_agents_may_not(
    one: Database, tmp_path: Path
) -> None:
    (tmp_path / "Master.csv").write_bytes(CRASH + b"1,2\n3,4\n5,6\n")
    await make(one, tmp_path).catch_up()
    tokens = [
        Token.model_validate({"name": role, "role": role, "token": f"{role}-token-of-the-tests"})
        for role in ("supervisor", "admin")
    ]
    settings = Settings.model_validate(
        {"database_url": f"sqlite:///{tmp_path}/record.sqlite", "tokens": tokens}
    )
    service = Service(settings)
    transport = httpx.ASGITransport(app=create_app(service))
    headers = {"Authorization": "Bearer supervisor-token-of-the-tests"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api/api/v1", headers=headers
    ) as client:
        whole = (await client.get("/gaps")).json()["items"]
        assert sorted(gap["why"] for gap in whole) == ["pbx-stopped", *["row-broken"] * 3]
        pages, cursor = [], None
        while True:
            parameters = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/gaps", params=parameters)).json()
            pages += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        assert pages == whole
        only = (await client.get("/gaps", params={"why": "pbx-stopped"})).json()["items"]
        assert [gap["key"] for gap in only] == ["1795497831.0"]
        assert (await client.get("/gaps", params={"why": "bad-luck"})).status_code == 422
        assert (await client.get("/gaps", params={"cursor": "x"})).status_code == 422
    await service.database.close()


def test_given_little_room_then_it_is_measured_and_each_change_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [3000 * MB]

    class Usage:
        @property
        def free(self) -> int:
            return free[0]

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage())
    monkeypatch.setattr(cel_disk, "LOOK_EVERY_S", 0.0)
    watch = cel_disk.DiskWatch("pbx9", tmp_path, RecordWatch(disk_warning_mb=1000))
    states = []
    with capture_logs() as logs:
        for now in (3000, 900, 800, 150, 2000):
            free[0] = now * MB
            watch.look()
            states.append(watch.state)
            assert cel_disk.FREE.labels("pbx9")._value.get() == now * MB
    assert states == ["ok", "warning", "warning", "alarm", "ok"]
    assert [log["event"] for log in logs] == ["cel-disk-warning", "cel-disk-alarm", "cel-disk-ok"]


def test_given_an_alarm_above_the_warning_then_the_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="would never warn"):
        RecordWatch(disk_warning_mb=100, disk_alarm_mb=200)


async def test_given_gaps_and_little_room_then_the_doctor_says_so_by_the_limits_of_the_settings(
    one: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes((REPLAY / "cel_local_only.csv").read_bytes())
    recorder = make(one, tmp_path)
    await recorder.catch_up()

    def patient(warning_mb: int = 2048, alarm_mb: int = 200) -> Patient:
        return Patient(
            Settings.model_validate(
                {
                    "pbx": {"cel_file": file},
                    "database_url": f"sqlite:///{tmp_path}/record.sqlite",
                    "record": {"disk_warning_mb": warning_mb, "disk_alarm_mb": alarm_mb},
                }
            )
        )

    assert (await check_gaps(patient())).state == "ok"
    with file.open("ab") as target:
        target.write(b"no row\n")
    await recorder.catch_up()
    found = await check_gaps(patient())
    assert found.state == "warning"
    assert found.found.startswith("1 row-broken in the last 7 days")
    room = shutil.disk_usage(tmp_path)._replace(free=500 * MB)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    states = [(await check_disk(patient(*limits))).state for limits in ((400, 200), (600, 400))]
    states.append((await check_disk(patient(900, 600))).state)
    assert states == ["ok", "warning", "wrong"]
