"""A day of recorded calls of which one case is closed, and how much of it is left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from telephony.cases.book import CaseBook
from telephony.cases.dispatch import Dispatches
from telephony.cases.work import Actor
from telephony.database import Database
from telephony.retention.book import RetentionBook
from telephony.settings import Settings
from tests.unit.day_of_calls import DAY, make

TRANSFER = "20261124-1795497294.19"
CALLER = "13812345678"
BOSS = Actor("值班长", is_senior=True)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def day(database: Database, tmp_path: Path) -> Database:
    """A database with a day of recorded calls, of which one case is closed."""
    (tmp_path / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path).catch_up()
    settings = Settings(database_url="sqlite://")
    book = CaseBook(database, settings, Dispatches(database, settings))
    await book.act(TRANSFER, "close", actor=BOSS)
    return database


def book_of(database: Database, **days: Any) -> RetentionBook:
    folders: dict[str, Any] = {
        name: {"folder": days.pop(name)} for name in ("recording", "messages") if name in days
    }
    told: dict[str, Any] = {"retention": {"batch": 3, **days}, **folders}
    told["database_url"] = "sqlite://"
    return RetentionBook(database, Settings.model_validate(told))


async def count(database: Database, source: Any, *where: Any) -> int:
    async with database.reading() as connection:
        query = select(func.count()).select_from(source).where(*where)
        return int((await connection.execute(query)).scalar_one())
