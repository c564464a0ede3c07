"""Sound files that retention deletes: only those, and none is lost or left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from telephony.database import Database
from telephony.retention import sounds
from telephony.retention.subjects import (
    MESSAGES,
)
from tests.unit.retention_scene import LATER, TRANSFER, book_of, count, day

__all__ = ["day"]  # fixtures


async def test_given_sound_that_is_old_then_its_file_goes_but_no_other(
    day: Database, tmp_path: Path
) -> None:
    recordings, sounds = tmp_path / "recordings", tmp_path / "messages"
    for folder in (recordings, sounds):
        folder.mkdir()
    other = "20261124-1795497300.1"
    old = [f"{TRANSFER}~1.1.wav", f"{other}~2.2.wav", "mine.wav", f"{other}~2.3.txt"]
    for name in old:
        (recordings / name).write_bytes(b"RIFF")
        os.utime(recordings / name, (1, 1))
    (recordings / f"{other}~new.wav").write_bytes(b"RIFF")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    common = {"pbx": "pbx1", "kind": "message", "at": at, "why": "day", "sound_state": "ok"}
    rows = [
        {**common, "id": str(number), "name": f"{case}-m1", "case_id": case, "tries": 0}
        | {"state": state, "file": f"{number}.wav"}
        for number, (case, state) in enumerate(
            [(TRANSFER, "answered"), (other, "answered"), (other + "0", "open")]
        )
    ]
    for row in rows:
        (sounds / str(row["file"])).write_bytes(b"RIFF")
    async with day.writing() as connection:
        await connection.execute(insert(MESSAGES), rows)
    days: dict[str, Any] = {"recordings_days": 1, "messages_days": 1}
    book = book_of(day, **days, recording=recordings, messages=sounds)
    await book.hold(case=TRANSFER, reason="诉讼", until=None, who="x")
    now = datetime.now(UTC)
    dry = await book.run(dry=True, now=now)
    assert len(list(recordings.iterdir())) == 5
    done = await book.run(now=now)
    for outcomes in (dry, done):
        assert [(one.what, one.count, one.held) for one in outcomes] == [
            ("messages", 1, 1),
            ("recordings", 1, 1),
        ]
    kept = sorted(one.name for one in recordings.iterdir())
    assert kept == sorted([*(one for one in old if "2.2" not in one), f"{other}~new.wav"])
    assert sorted(one.name for one in sounds.iterdir()) == ["0.wav", "2.wav"]
    assert await count(day, MESSAGES, MESSAGES.c.id.in_(("0", "1", "2"))) == 2


async def test_given_a_run_that_breaks_off_then_no_sound_is_lost_and_none_is_left(
    day: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    common = {"pbx": "pbx1", "kind": "message", "at": at, "why": "day", "sound_state": "ok"}
    rows = [
        {**common, "id": name, "name": name, "case_id": TRANSFER, "tries": 0}
        | {"state": "answered", "file": f"{name}.wav"}
        for name in ("a", "b")
    ]
    async with day.writing() as connection:
        await connection.execute(insert(MESSAGES), rows)
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    book = book_of(day, messages_days=1, messages=tmp_path)

    def breaks(_entry: Any) -> str:
        raise RuntimeError("no disk")

    def sounds() -> list[str]:
        return sorted(one.name for one in tmp_path.glob("*.wav*"))

    with monkeypatch.context() as broken:
        broken.setattr("telephony.retention.book.deletion_hash", breaks)
        with pytest.raises(RuntimeError, match="no disk"):
            await book.run(now=LATER)
    assert await count(day, MESSAGES, MESSAGES.c.id.in_(("a", "b"))) == 2
    # They are there again before anything else is done, and a hold that came meanwhile keeps them.
    hold = await book.hold(case=TRANSFER, reason="诉讼", until=None, who="x")
    await book.run(now=LATER)
    assert sounds() == ["a.wav", "b.wav"]
    await book.release(hold["id"], reason="终结", who="x")
    with monkeypatch.context() as broken:
        broken.setattr("telephony.retention.sounds.Path.unlink", breaks)
        with pytest.raises(RuntimeError, match="no disk"):
            await book.run(now=LATER)
    assert await count(day, MESSAGES, MESSAGES.c.id.in_(("a", "b"))) == 0
    await book.run(now=LATER)
    assert sounds() == []


async def test_given_two_runs_at_once_then_the_second_takes_no_sound_of_the_first_for_a_left_one(
    day: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"pbx": "pbx1", "kind": "message", "at": at, "why": "day", "sound_state": "ok"}
    row |= {"id": "a", "name": "a", "case_id": TRANSFER, "tries": 0, "state": "answered"}
    async with day.writing() as connection:
        await connection.execute(insert(MESSAGES), [row | {"file": "a.wav"}])
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    put_aside, reached, goes_on = sounds.put_aside, asyncio.Event(), asyncio.Event()

    async def slowly(files: Sequence[Path]) -> None:
        await put_aside(files)
        reached.set()
        await goes_on.wait()

    monkeypatch.setattr(sounds, "put_aside", slowly)
    first, second = (
        asyncio.create_task(book_of(day, messages_days=1, messages=tmp_path).run(now=LATER))
        for _ in range(2)
    )
    await reached.wait()
    asyncio.get_running_loop().call_later(0.3, goes_on.set)  # time for the other one to look
    done = await asyncio.gather(first, second)
    assert sum(one.count for outcomes in done for one in outcomes) >= 1
    left = await asyncio.to_thread(lambda: list(tmp_path.glob("*.wav*")))
    assert left == []
