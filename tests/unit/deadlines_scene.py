"""A record, a clock, and services that keep its deadlines."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from telephony.calendar.book import CalendarBook
from telephony.cases.book import CaseBook
from telephony.cases.dispatch import Dispatches
from telephony.cases.store import CASES, CaseStore, micros_of
from telephony.cases.work import WORK, work_fact
from telephony.cel.rows import Fact
from telephony.database import Database
from telephony.deadlines.book import DEADLINES, DeadlineBook
from telephony.deadlines.keeper import DeadlineKeeper
from telephony.deadlines.notes import News
from telephony.deadlines.sources import MatterHours, WaitingCitizens
from telephony.deadlines.teller import DeadlineTeller
from telephony.models import CaseRecord
from telephony.office_hours import SHANGHAI
from telephony.record import queries
from telephony.responsibility import GENESIS
from telephony.settings import Settings, load_settings
from tests.empty_record import empty_record

CASE = "20261124-1795482000.0"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def settings_of(**deadlines: Any) -> Settings:
    return load_settings(
        agents=[{"id": "8001", "department": "民意服务中心"}],
        deadlines={
            "supervisors": ["boss@example.org"],
            "heads": {"公安局指挥中心": ["head@example.org"]},
            "holders": {"110": ["duty@example.org"]},
            **deadlines,
        },
        mail={"host": "127.0.0.1", "sender": "hotline@example.org"},
        platforms=[
            {
                "id": "city",
                "url": "http://127.0.0.1:1/",
                "secrets": ["x" * 32],
                "numbers": False,
                "kinds": ["deadline.reminder", "deadline.escalated"],
            },
            {"id": "deaf", "url": "http://127.0.0.1:1/", "secrets": ["y" * 32]},
        ],
    )


@dataclass
class Scene:
    """A record, a clock, and services that keep its deadlines."""

    database: Database
    settings: Settings
    now: datetime
    told: list[News] = field(default_factory=list)
    on_told: Callable[[], None] = lambda: None

    def hear(self, news: Sequence[News]) -> None:
        self.told += news
        self.on_told()

    def keeper(self, settings: Settings | None = None) -> DeadlineKeeper:
        """A service that has just started."""
        used = settings or self.settings
        book = DeadlineBook(
            self.database,
            used,
            DeadlineTeller(used),
            limits=MatterHours(),
            replies=WaitingCitizens(),
        )
        return DeadlineKeeper(
            book,
            CalendarBook(self.database, used),
            used,
            tell=self.hear,
            clock=lambda: self.now,
        )

    @property
    def book(self) -> CaseBook:
        return CaseBook(self.database, self.settings, Dispatches(self.database, self.settings))

    async def add(self, case: str = CASE, when: str = "2026-11-24T09:00", **row: Any) -> None:
        """A case that nobody has taken."""
        made = CaseRecord(
            case_id=case,
            pbx="pbx1",
            opened_at=at(when),
            caller="13804210001",
            state="open",
            entries=0,
            head=GENESIS,
            due_pending=True,
        )
        async with self.database.writing() as connection:
            await connection.execute(insert(CASES).values({**made.model_dump(), **row}))

    async def note(self, when: str, what: str, /, of: str = CASE, **values: str) -> None:
        """Something that is noted of a case, at that time."""
        store = CaseStore(self.database, "pbx1")
        fact = Fact(micros_of(at(when)), what, {"case": of, **values}, of.partition("-")[2])
        async with self.database.writing() as connection:
            await store.note(connection, of, fact)

    async def work(self, when: str, event: str, case: str = CASE, by: str = "110") -> None:
        values = work_fact(case, event, f"at {when}", by)
        del values["case"]
        await self.note(when, WORK, case, **values)

    async def handed_over(self, case: str = CASE) -> None:
        """Taken at 9, offered to 110 at 9:30, accepted at 10 on 24 November."""
        await self.note("2026-11-24T09:00", "TAKEN", case, agent="8001", leg="1795482000.1")
        name = f"{case}-d1"
        offer = {"id": name, "desk": "110", "by": "8001", "kind": "dispatch"}
        await self.note("2026-11-24T09:30", "OFFERED", case, **offer)
        await self.note("2026-11-24T10:00", "ACCEPTED", case, id=name, desk="110")

    async def events(self, case: str = CASE) -> list[tuple[str, str | None]]:
        """What deadlines left in the ledger: event and who was told."""
        entries = await queries.ledger(self.database, case)
        return [
            (one["event"], one["to"])
            for one in entries
            if one["event"] in ("reminded", "escalated")
        ]

    async def rows(self, source: Any) -> list[dict[str, Any]]:
        async with self.database.reading() as connection:
            return [dict(row) for row in (await connection.execute(select(source))).mappings()]

    async def running(self, case: str = CASE) -> dict[str, datetime]:
        rows = await self.rows(DEADLINES)
        return {
            row["key"]: row["due_at"]
            for row in rows
            if row["case_id"] == case and row["ended_at"] is None
        }


@pytest.fixture
def both(database: Database) -> Scene:
    """On SQLite and on PostgreSQL."""
    return Scene(database, settings_of(), at("2026-11-24T10:30"))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """On SQLite, for what the databases do alike."""
    made = await asyncio.to_thread(empty_record, tmp_path.parent)
    shutil.copy(made, tmp_path / "record.sqlite")
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    yield Scene(database, settings_of(), at("2026-11-24T10:30"))
    await database.close()


def steps(news: Sequence[News]) -> list[str]:
    return [one.step for one in news]
