"""A day of recorded calls, the recorder that reads it, and the record that comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from telephony.cases.store import table
from telephony.database import Database
from telephony.models import CelRecord
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.recorder import Recorder
from telephony.settings import Settings
from tests.unit.cel_samples import NAMES, REPLAY

AGENTS = [{"id": "8001", "department": "车管窗口"}, {"id": "8002"}, {"id": "8003"}]
DAY = b"".join((REPLAY / f"cel_{name}.csv").read_bytes() for name in NAMES if name != "crash")


def make(database: Database, folder: Path) -> Recorder:
    settings = Settings.model_validate(
        {"pbx": {"cel_file": folder / "Master.csv"}, "agents": AGENTS, "database_url": "sqlite://"}
    )
    return Recorder(settings, database)


async def record(database: Database) -> dict[str, Any]:
    """All that is on record, in a form that can be compared."""
    legs = await queries.list_legs(database, queries.LegFilter(), limit=500)
    cases = await queries.list_cases(database, queries.CaseFilter(), limit=500)
    handovers = await queries.list_handovers(database, queries.HandoverFilter(), limit=500)
    async with database.reading() as connection:
        query = select(func.count()).select_from(table(CelRecord))
        rows = (await connection.execute(query)).scalar_one()
    ledgers = {one["case"]: await queries.ledger(database, one["case"]) for one in cases.items}
    assert (await verify_ledger(database)).problems == []
    return {
        "rows": rows,
        "legs": {leg["uniqueid"]: leg for leg in legs.items},
        "cases": {one["case"]: one for one in cases.items},
        "handovers": handovers.items,
        "ledger": {
            case: [(entry["event"], entry["by"], entry["responsible"]) for entry in entries]
            for case, entries in ledgers.items()
        },
    }


@pytest.fixture
async def whole(tmp_path: Path) -> dict[str, Any]:
    """The record of the day when nothing goes wrong."""
    database = Database(f"sqlite:///{tmp_path}/whole/record.sqlite")
    await database.migrate()
    (tmp_path / "whole" / "Master.csv").write_bytes(DAY)
    await make(database, tmp_path / "whole").catch_up()
    found = await record(database)
    await database.close()
    return found


def same(got: dict[str, Any], whole: dict[str, Any]) -> None:
    assert got["rows"] == whole["rows"]
    assert got["legs"].keys() == whole["legs"].keys()
    for uniqueid, leg in got["legs"].items():
        assert leg == whole["legs"][uniqueid]
    assert got["ledger"] == whole["ledger"]
    assert got["handovers"] == whole["handovers"]
    assert got["cases"] == whole["cases"]
