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
from telephony.audit import AUDIT
from telephony.cases.store import CASES, LEDGER, parts, table
from telephony.deadlines.models import DeadlineRecord
from telephony.matters.models import CaseMatter
from telephony.messages.models import MessageRecord, MessageTry
from telephony.models import (
    BrokenRow,
    CaseDetails,
    CelPosition,
    CelRecord,
    HandoverRecord,
    LegRecord,
)
from telephony.orders.models import OrderMessageRecord, WorkOrderRecord
from telephony.orders.outbox_models import OutboxLane, OutboxRecord
from telephony.pbx_settings import folders, messages_folder
from telephony.retention import sounds
from telephony.retention.models import DeletedCase
from telephony.retention.rules import digest_of, head_line, line_of
from telephony.retention.sounds import SUFFIX

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.retention.rules import Subject
    from telephony.settings import Settings

Key = tuple[Any, ...]
CEL, LEGS, MESSAGES, TRIES = map(table, (CelRecord, LegRecord, MessageRecord, MessageTry))
DELETED_CASES, OUTBOX, LANES = map(table, (DeletedCase, OutboxRecord, OutboxLane))
BROKEN, POSITIONS, ORDER_MESSAGES = map(table, (BrokenRow, CelPosition, OrderMessageRecord))
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

    async def begin(self, connection: AsyncConnection) -> None:
        """Put right what an earlier run that broke off has left."""
        ...

    async def committed(self, found: Sequence[Candidate]) -> None:
        """Their transaction stands: what is no row goes now."""
        ...


class Plain:
    """What is nothing but rows."""

    async def begin(self, _connection: AsyncConnection) -> None:
        """Nothing is left over: a transaction leaves all or nothing."""

    async def committed(self, found: Sequence[Candidate]) -> None:
        """The rows are gone."""


class Rows(Plain):
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
        lock = lock and self._edited
        return await _oldest(connection, query, self._key, after, limit, lock=lock)

    async def delete(
        self, connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        await _delete(connection, self.source, [one.row for one in found])
        return digest_of(line_of(one.row) for one in found)


class BrokenRows(Plain):
    """Lines of the CEL file that were no rows: as old as the last time their file was read."""

    _key = (POSITIONS.c.seen_at, BROKEN.c.pbx, BROKEN.c.file, BROKEN.c.offset)

    async def old(
        self,
        connection: AsyncConnection,
        before: datetime,
        after: Key | None,
        limit: int,
        *,
        lock: bool = False,
    ) -> list[Candidate]:
        read = (POSITIONS.c.pbx == BROKEN.c.pbx) & (POSITIONS.c.file == BROKEN.c.file)
        query = select(BROKEN, POSITIONS.c.seen_at).join(POSITIONS, read)
        query = query.where(POSITIONS.c.seen_at < before)
        return await _oldest(connection, query, self._key, after, limit, lock=False)

    async def delete(
        self, connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        await _delete(connection, BROKEN, [one.row for one in found])
        return digest_of(line_of(one.row) for one in found)


class Messages(Rows):
    """Messages and their sound."""

    _edited = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(MESSAGES, "at", MESSAGES.c.state != "open")
        self._settings = settings

    async def begin(self, connection: AsyncConnection) -> None:
        left = await sounds.left(folders(self._settings, "messages"))
        known: set[str] = set()
        for part in parts(sorted({file.name for file in left})):
            query = select(MESSAGES.c.file).where(MESSAGES.c.file.in_(part))
            known.update((await connection.execute(query)).scalars())
        await sounds.put_back([file for file in left if file.name in known])
        await sounds.remove([file for file in left if file.name not in known])

    async def delete(
        self, connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        for part in parts([one.row["id"] for one in found]):
            await connection.execute(delete(TRIES).where(TRIES.c.message.in_(part)))
        digest = await super().delete(connection, found, deletion)
        await sounds.put_aside(self._files(found))
        return digest

    async def committed(self, found: Sequence[Candidate]) -> None:
        await sounds.remove(self._files(found))

    def _files(self, found: Sequence[Candidate]) -> list[Path]:
        files = []
        for one in found:
            folder = messages_folder(self._settings, one.row["pbx"])
            if folder is not None and one.row["file"] is not None:
                files.append(folder / Path(one.row["file"]).name)
        return files


class Cases(Plain):
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
        return await _oldest(connection, query, key, after, limit, lock=lock)

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
            # Letters about deadlines are of no case, so that they wait for no other.
            about = OUTBOX.c.case_id.is_(None) & OUTBOX.c.body["case"].as_string().in_(part)
            told = (OUTBOX.c.case_id.in_(part) | about, OUTBOX.c.state != "waiting")
            await connection.execute(delete(OUTBOX).where(*told))
            waits = exists().where(OUTBOX.c.case_id == LANES.c.case_id)
            await connection.execute(delete(LANES).where(LANES.c.case_id.in_(part), ~waits))
        rows = [
            {"case_id": case, "deletion": deletion, "entries": entries, "head": head}
            for case, entries, head in heads
        ]
        await connection.execute(insert(DELETED_CASES), rows)
        return digest_of(head_line(*one) for one in heads)


class Recordings:
    """Sound files, named by case and leg; a file with any other name is none of ours."""

    def __init__(self, within: Sequence[Path]) -> None:
        """``within``: the folders of all PBXs."""
        self._folders = within
        self._files: dict[Key, Path] = {}
        self._found: list[Candidate] | None = None

    async def begin(self, _connection: AsyncConnection) -> None:
        # Whether its deletion is on record nobody can tell by the file: it is deleted once more.
        await sounds.put_back(await sounds.left(self._folders))

    async def old(
        self,
        _connection: AsyncConnection,
        before: datetime,
        after: Key | None,
        limit: int,
        *,
        lock: bool = False,
    ) -> list[Candidate]:
        if self._found is None:  # looked through once: there may be hundreds of thousands
            found = [
                one
                for folder in self._folders
                for one in await asyncio.to_thread(self._older, folder, before)
            ]
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
                    self._files[key] = Path(entry.path)
        return found

    async def delete(
        self, _connection: AsyncConnection, found: Sequence[Candidate], deletion: int
    ) -> str:
        await sounds.put_aside([self._files[one.key] for one in found])
        return digest_of(line_of(one.row) for one in found)

    async def committed(self, found: Sequence[Candidate]) -> None:
        await sounds.remove([self._files[one.key] for one in found])


def deletables(settings: Settings) -> dict[Subject, Deletable]:
    """What each rule deletes."""
    return {
        "cel": Rows(CEL, "at"),
        "legs": Rows(LEGS, "at", LEGS.c.state != "open"),
        "cases": Cases(closed=True),
        "unclosed_cases": Cases(closed=False),
        "messages": Messages(settings),
        "recordings": Recordings(folders(settings, "recordings")),
        "broken_rows": BrokenRows(),
        "audit": Rows(AUDIT, "at"),
        "order_messages": Rows(ORDER_MESSAGES, "received_at"),
    }


def _locked(query: Select[Any]) -> Select[Any]:
    return query.with_for_update(skip_locked=True)


async def _oldest(
    connection: AsyncConnection,
    query: Select[Any],
    key: Sequence[ColumnElement[Any]],
    after: Key | None,
    limit: int,
    *,
    lock: bool,
) -> list[Candidate]:
    """What the query finds after this key, the oldest first; the key begins with the moment."""
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    query = query.order_by(*key).limit(limit)
    rows = await connection.execute(_locked(query) if lock else query)
    names = [str(column.key) for column in key]
    return [
        Candidate(tuple(row[name] for name in names), row[names[0]], dict(row))
        for row in rows.mappings()
    ]


async def _delete(
    connection: AsyncConnection, source: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Delete these rows by their keys."""
    keys = [column.name for column in source.primary_key]
    here = [source.c[name] == bindparam(f"key_{name}") for name in keys]
    values = [{f"key_{name}": row[name] for name in keys} for row in rows]
    await connection.execute(delete(source).where(*here), values)
