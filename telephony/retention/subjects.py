"""What rules delete: which rows and files are old enough, and how they go."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    not_,
    select,
    tuple_,
)

from telephony.around.recording import NAME
from telephony.cases.store import CASES, LEDGER, parts, table
from telephony.deadlines.models import DeadlineRecord
from telephony.matters.models import CaseMatter
from telephony.messages.models import MessageRecord, MessageTry
from telephony.models import CaseDetails, CelRecord, HandoverRecord, LegRecord
from telephony.orders.models import WorkOrderRecord
from telephony.orders.outbox_models import OutboxRecord
from telephony.retention.models import DeletedCase
from telephony.retention.rules import digest_of, head_line, line_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.retention.rules import Subject
    from telephony.settings import Settings

SUFFIX = ".wav"
Key = tuple[Any, ...]
CEL, LEGS, MESSAGES, TRIES = map(table, (CelRecord, LegRecord, MessageRecord, MessageTry))
DELETED_CASES, OUTBOX = map(table, (DeletedCase, OutboxRecord))
OF_CASES = [
    table(one) for one in (CaseDetails, HandoverRecord, DeadlineRecord, CaseMatter, WorkOrderRecord)
] + [LEDGER]
"""What goes with a case."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that is old enough; ``row`` says to what it belongs."""

    key: Key
    at: datetime
    row: Mapping[str, Any]


class Deletable(Protocol):
    """A kind of thing that a rule deletes."""

    async def old(
        self,
        connection: AsyncConnection,
        before: datetime,
        after: Key | None,
        limit: int,
        *,
        lock: bool = False,
    ) -> list[Candidate]:
        """Those that are old enough, from the oldest on, after this key.

        ``lock``: nobody changes them until the transaction ends; what somebody is changing just
        now is left out.
        """
        ...

    async def delete(
        self, connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        """Delete them as this entry of the ledger of deletions; returns their digest."""
        ...


class Rows:
    """Rows of one table, by a moment in them."""

    _edited: ClassVar[bool] = False  # by people, so that they are locked before they go

    def __init__(self, source: Table, moment: str, *only: ColumnElement[bool]) -> None:
        self.source, self._moment, self._only = source, source.c[moment], only
        rest = [column for column in source.primary_key if column.name != moment]
        self._key = (self._moment, *rest)

    async def old(
        self,
        connection: AsyncConnection,
        before: datetime,
        after: Key | None,
        limit: int,
        *,
        lock: bool = False,
    ) -> list[Candidate]:
        query = select(self.source).where(self._moment < before, *self._only)
        if after is not None:
            query = query.where(tuple_(*self._key) > tuple_(*after))
        query = query.order_by(*self._key).limit(limit)
        rows = await connection.execute(_locked(query) if lock and self._edited else query)
        return [
            Candidate(
                tuple(row[column.name] for column in self._key), row[self._moment.name], dict(row)
            )
            for row in rows.mappings()
        ]

    async def delete(
        self, connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        await _delete(connection, self.source, [one.row for one in found])
        return digest_of(line_of(one.row) for one in found)


class Messages(Rows):
    """Messages and their sound."""

    _edited = True

    def __init__(self, folder: Path | None) -> None:
        super().__init__(MESSAGES, "at", MESSAGES.c.state != "open")
        self._folder = folder

    async def delete(
        self, connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        for part in parts([one.row["id"] for one in found]):
            await connection.execute(delete(TRIES).where(TRIES.c.message.in_(part)))
        digest = await super().delete(connection, found, deletion)
        if self._folder is not None:
            names = [one.row["file"] for one in found if one.row["file"] is not None]
            await asyncio.to_thread(_unlink, self._folder, names)
        return digest


class Cases:
    """Cases, each with all that goes with it and with the calls that were attached to it."""

    def __init__(self, *, closed: bool) -> None:
        waits = exists().where(OUTBOX.c.case_id == CASES.c.case_id, OUTBOX.c.state == "waiting")
        self._free = not_(waits)
        self._closed = closed

    async def old(
        self,
        connection: AsyncConnection,
        before: datetime,
        after: Key | None,
        limit: int,
        *,
        lock: bool = False,
    ) -> list[Candidate]:
        query = select(CASES).where(CASES.c.opened_at < before, self._is_over(before), self._free)
        key = (CASES.c.opened_at, CASES.c.case_id)
        if after is not None:
            query = query.where(tuple_(*key) > tuple_(*after))
        query = query.order_by(*key).limit(limit)
        rows = await connection.execute(_locked(query) if lock else query)
        return [
            Candidate((row["opened_at"], row["case_id"]), row["opened_at"], dict(row))
            for row in rows.mappings()
        ]

    def _is_over(self, before: datetime) -> ColumnElement[bool]:
        columns = CASES.c
        if self._closed:
            return and_(columns.state == "closed", columns.closed_at < before)
        last = select(func.max(LEDGER.c.at)).where(LEDGER.c.case_id == columns.case_id)
        since = func.coalesce(last.scalar_subquery(), columns.opened_at)
        return and_(columns.state.in_(("open", "taken", "handed_over")), since < before)

    async def delete(
        self, connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        heads: list[tuple[str, int, str]] = []
        columns = (CASES.c.case_id, CASES.c.entries, CASES.c.head)
        for part in parts([one.row["case_id"] for one in found]):
            mine = CASES.c.case_id.in_(part) | CASES.c.merged_into.in_(part)
            heads += [tuple(row) for row in await connection.execute(select(*columns).where(mine))]
        for part in parts([case for case, _, _ in heads]):
            for source in (*OF_CASES, CASES):
                await connection.execute(delete(source).where(source.c.case_id.in_(part)))
            # What was told of it, and what was given up; what waits still goes out.
            told = (OUTBOX.c.case_id.in_(part), OUTBOX.c.state != "waiting")
            await connection.execute(delete(OUTBOX).where(*told))
        rows = [
            {"case_id": case, "deletion": deletion, "entries": entries, "head": head}
            for case, entries, head in heads
        ]
        await connection.execute(insert(DELETED_CASES), rows)
        return digest_of(head_line(*one) for one in heads)


class Recordings:
    """Sound files, named by case and leg; a file with any other name is none of ours."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._found: list[Candidate] | None = None

    async def old(
        self,
        _connection: AsyncConnection,
        before: datetime,
        after: Key | None,
        limit: int,
        *,
        lock: bool = False,
    ) -> list[Candidate]:
        if self._folder is None:
            return []
        if self._found is None:  # looked through once: there may be hundreds of thousands
            found = await asyncio.to_thread(self._older, self._folder, before)
            self._found = sorted(found, key=lambda one: one.key)
        start = 0 if after is None else bisect_right(self._found, after, key=lambda one: one.key)
        return self._found[start : start + limit]

    def _older(self, folder: Path, before: datetime) -> list[Candidate]:
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                stem = entry.name.removesuffix(SUFFIX)
                name = NAME.fullmatch(stem) if stem != entry.name else None
                if name is None or not entry.is_file(follow_symlinks=False):
                    continue
                state = entry.stat(follow_symlinks=False)
                made = datetime.fromtimestamp(state.st_mtime, UTC)
                row = {"file": entry.name, "case_id": name[1], "bytes": state.st_size}
                key = (state.st_mtime_ns, entry.name)
                if made < before:
                    found.append(Candidate(key, made, row))
        return found

    async def delete(
        self, _connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        assert self._folder is not None
        await asyncio.to_thread(_unlink, self._folder, [one.row["file"] for one in found])
        return digest_of(line_of(one.row) for one in found)


def deletables(settings: Settings) -> dict[Subject, Deletable]:
    """What each rule deletes."""
    return {
        "cel": Rows(CEL, "at"),
        "legs": Rows(LEGS, "at", LEGS.c.state != "open"),
        "cases": Cases(closed=True),
        "unclosed_cases": Cases(closed=False),
        "messages": Messages(settings.messages.folder),
        "recordings": Recordings(settings.recording.folder),
    }


def _locked(query: Select[Any]) -> Select[Any]:
    return query.with_for_update(skip_locked=True)


def _unlink(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


async def _delete(
    connection: AsyncConnection, source: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Delete these rows by their keys."""
    keys = [column.name for column in source.primary_key]
    here = [source.c[name] == bindparam(f"key_{name}") for name in keys]
    values = [{f"key_{name}": row[name] for name in keys} for row in rows]
    await connection.execute(delete(source).where(*here), values)
