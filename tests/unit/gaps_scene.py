"""A database with our tables, and the gaps on its record."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telephony.database import Database
from telephony.record.gap_store import list_gaps
from tests.unit.cel_samples import REPLAY

CRASH = (REPLAY / "cel_crash.csv").read_bytes()


@pytest.fixture
async def one(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with our tables."""
    shutil.copy(sqlite_template, tmp_path / "record.sqlite")
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
