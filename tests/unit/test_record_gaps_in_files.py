"""CEL files that were packed, replaced, cut or damaged: a gap only where rows were lost."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from telephony.cel.unread import contents, packed_away
from telephony.database import Database
from tests.unit.day_of_calls import DAY, make, record, same
from tests.unit.gaps_scene import gaps, kinds, of_files, one

__all__ = ["one"]  # fixtures

LINES = DAY.splitlines(True)


# --- packed files


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("suffix", PACKERS)
async def test_given_rotated_files_that_are_packed_then_no_row_is_lost_and_none_is_there_twice(
    one: Database, sqlite_template: Path, tmp_path: Path, suffix: str
) -> None:
    shutil.copy(sqlite_template, tmp_path / "whole.sqlite")
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
