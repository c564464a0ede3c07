"""Calls of citizens who leave a message or are missed, as the recorder writes them."""

from __future__ import annotations

import wave
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from telephony.calendar.book import CalendarBook
from telephony.cases.store import CallState, CaseStore
from telephony.cel.rows import Fact
from telephony.database import Database
from telephony.legs.model import Leg
from telephony.messages.book import (
    MessageBook,
    MessageFilter,
)
from telephony.messages.store import MessageStore
from telephony.settings import Settings

CITIZEN, OTHER = "13804210001", "13904215678"
SECOND = 1_000_000
BEGUN = int(datetime(2026, 11, 23, 2, 0, tzinfo=UTC).timestamp()) * SECOND  # Monday, 10:00


def settings_with(**values: Any) -> Settings:
    agents = [{"id": one} for one in ("8001", "8002")]
    return Settings.model_validate({"agents": agents, "database_url": "sqlite://", **values})


def call(
    number: str | None = CITIZEN,
    *,
    at: int = 0,
    waits: int = 30,
    facts: tuple[tuple[str, dict[str, str]], ...] = (),
    over: bool = True,
    line: str = "04212800122",
) -> CallState:
    """A citizen's call that began ``at`` seconds after the beginning; facts follow at once."""
    start = BEGUN + at * SECOND
    uniqueid = f"{start // SECOND}.1"
    case = f"20261123-{uniqueid}"
    ended = start + waits * SECOND if over else None
    leg = Leg(
        *("pbx1", uniqueid, [uniqueid], [f"PJSIP/trunk-{at}"], uniqueid, start),
        state="complete" if over else "open",
        case=case,
        role="citizen",
        party=number,
        caller=number,
        started=start,
        answered=start,
        ended=ended,
    )
    told = [Fact(start, "CASE", {"case": case, "line": line}, uniqueid)]
    for place, (kind, values) in enumerate(facts, 1):
        own = {"case": case} | ({"id": f"{case}-m1"} if kind == "MESSAGE" else {})
        told.append(Fact(start + place * SECOND, kind, own | values, uniqueid))
    return CallState([leg], told, over)


def left(**values: str) -> tuple[str, dict[str, str]]:
    base = {"number": CITIZEN, "callback": CITIZEN, "kept": "yes", "ms": "5000", "why": "hours"}
    return "MESSAGE", base | values


def back(outcome: str, number: str, n: int) -> tuple[str, dict[str, str]]:
    return "CALLBACK_ENDED", {"id": f"cb{n}", "number": number, "agent": "8001", "outcome": outcome}


async def write(database: Database, *calls: CallState) -> None:
    async with database.writing() as connection:
        await CaseStore(database, "pbx1").write(connection, calls)
        await MessageStore(database, "pbx1", 3).write(connection, calls)


@pytest.fixture
def book(database: Database) -> MessageBook:
    settings = settings_with()
    return MessageBook(database, settings, CalendarBook(database, settings))


async def rows(book: MessageBook, **filters: Any) -> list[dict[str, Any]]:
    return (await book.page(MessageFilter(**filters), limit=100)).items


def sound(file: Path, seconds: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(b"\1\2" * round(8000 * seconds))
    return file
