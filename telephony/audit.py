"""Who saw a citizen's number whole, when, and where: the log of unmasked look-ups.

Also what other platforms were told of citizens, what of theirs was refused, and what admins decided
about messages to them.

One case, leg or hand-over that is looked up, each list that is asked for by a citizen's number, and
each export, is an entry before it is shown; if it cannot be written, nothing is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import uuid4

from sqlalchemy import func, insert, or_, select

from telephony.cases.store import table
from telephony.masking import mask_typed
from telephony.models import AuditRecord
from telephony.record.query_parts import Page, Row, between, equal, page_of, where

if TYPE_CHECKING:
    from telephony.database import Database

AUDIT = table(AuditRecord)
What = Literal[
    "case",
    "story",
    "recording",
    "leg",
    "handover",
    "caller",
    "legs-export",
    "topics",
    "cases-export",
    "ledger-export",
    "handovers-export",
    "export-file",
    "order-sent",
    "deadline-sent",
    "order-refused",
    "message-retry",
    "message-skip",
    "message",
    "message-sound",
    "sign-in",
    "sign-in-failed",
    "sign-in-locked",
    "sign-out",
    "password",
    "person-added",
    "person-changed",
    "sessions-ended",
    "calendar-import",
    "calendar-day",
    "matters-import",
    "matters-restore",
    "dialplan-load",
    "dialplan-rollback",
]


async def note(database: Database, *, who: str, role: str, what: What, which: str) -> None:
    """Write an entry. Raises :class:`DatabaseUnavailable`."""
    async with database.writing() as connection:
        await connection.execute(insert(AUDIT), [entry_of(who, role, what, which)])


def entry_of(who: str, role: str, what: What, which: str) -> Row:
    """An entry, for whoever writes it in a transaction of their own."""
    entry = {"id": uuid4().hex, "at": datetime.now(UTC), "who": who, "role": role}
    return entry | {"what": what, "which": which}


async def note_at_most(
    database: Database, entry: Row, most: int, *, since: datetime
) -> datetime | None:
    """Write an entry unless its writer has ``most`` of its kind since then.

    None when it was written; else when the first of them was. Who asks many times at once is
    counted one after the other, also by several services. Raises :class:`DatabaseUnavailable`.
    """
    found = select(func.count(), func.min(AUDIT.c.at)).where(
        AUDIT.c.at >= since, AUDIT.c.who == entry["who"], AUDIT.c.what == entry["what"]
    )
    async with database.writing() as connection:
        if not database.is_sqlite:  # which has one writer at a time
            whose = f"audit {entry['what']} {entry['who']}"
            await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(whose))))
        count, first = (await connection.execute(found)).one()
        if first is not None and count >= most:
            return cast("datetime", first)
        await connection.execute(insert(AUDIT), [entry])
    return None


def in_words(filters: Mapping[str, Any]) -> str:
    """The filters of an export; a number that was asked for is masked."""
    return "&".join(
        f"{name}={mask_typed(str(value)) if name == 'caller' else value}"
        for name, value in filters.items()
    )


async def entries(
    database: Database,
    *,
    who: str | None = None,
    which: str | None = None,
    what: What | None = None,
    text: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Entries, newest first; ``text`` stands in ``who`` or ``which``.

    Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`.
    """
    conditions = [
        *equal(AuditRecord, who=who, which=which, what=what),
        *between(AUDIT.c.at, since, until),
    ]
    if text:
        inside = (AUDIT.c.who, AUDIT.c.which)
        conditions.append(or_(*(one.icontains(text, autoescape=True) for one in inside)))
    query = where(select(*AUDIT.c, AUDIT.c.at.label("_at")), conditions)
    return await page_of(database, query, (AUDIT.c.at, AUDIT.c.id), limit, cursor, _entry)


def _entry(row: Row) -> Row:
    return {name: row[name] for name in ("id", "at", "who", "role", "what", "which")}
