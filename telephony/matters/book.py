"""The directory of matters in the database: every import is a version, and none is ever changed.

The newest version counts. Taking an earlier one up again makes a new version that is like it, so
the order of versions is the order of time, and a case's matter stays what it was when it was
chosen. The newest is kept in memory for searches; what other processes import is taken up within
:data:`REFRESH_S`, and at once where a case's matter is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import delete, func, insert, select, text

from telephony import logs
from telephony.cases.store import CASES, table, upsert
from telephony.errors import CaseNotFound, DatabaseUnavailable, HotlineError, NotFound
from telephony.matters.files import MatterFileRefused, Read
from telephony.matters.models import CaseMatter, MatterRecord, MatterVersion
from telephony.matters.rules import Desks, Difference, Matter, difference
from telephony.matters.search import Directory, normal, with_sounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

REFRESH_S = 10.0
"""How often it is looked whether another process has imported, in seconds."""
RETRY_S = 2.0
MATTERS, VERSIONS, OF_CASES = map(table, (MatterRecord, MatterVersion, CaseMatter))
_ITS_MATTER = (MATTERS.c.version == OF_CASES.c.version) & (MATTERS.c.code == OF_CASES.c.code)


class MatterUnknown(HotlineError):
    """A matter that is not in the directory; ``extra['nearest']`` names those most like it."""

    code = "matter-unknown"
    status = 422
    title = "No such matter in the directory"


class MatterNotFound(NotFound):
    """No matter of the directory has this code."""

    code = "matter-not-found"
    title = "No such matter"


class MatterVersionNotFound(NotFound):
    """The directory was never at this version."""

    code = "matter-version-not-found"
    title = "No such version of the directory"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the directory: when, by whom, from which file."""

    version: int
    imported_at: datetime
    imported_by: str
    source: str
    matters: int
    restored_from: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What an import did, or would do: ``version`` is the newest afterwards, None in a preview.

    ``kept``: codes of matters whose rows were wrong and which stay as they were.
    """

    difference: Difference
    version: int | None
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A matter, and the version of the directory that it was found in."""

    matter: Matter
    version: int

    @property
    def key(self) -> tuple[int, str]:
        return self.version, self.matter.code


@dataclass(frozen=True, slots=True)
class CaseMatterNow:
    """Who has a case, and its matter in the version that was chosen (None: none, or free text)."""

    case: str
    owner: str | None
    matter: Matter | None
    version: int | None


def desks_of(settings: Settings) -> Desks:
    """Whom matters can name by these settings."""
    known = [*(desk.id for desk in settings.desks), *(group.id for group in settings.groups)]
    names = settings.matters
    return Desks(frozenset(known), names.alarm_desk, names.service_desk)


class MatterBook:
    """The directory of matters; every method that asks raises :class:`DatabaseUnavailable`."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self.desks = desks_of(settings)
        self.directory = Directory()
        """The newest version, as far as this process knows."""

    # -- reading --------------------------------------------------------------------------------

    async def refresh(self) -> Directory:
        """The newest version, read anew if it is another one."""
        async with self._database.reading() as connection:
            return await self.current(connection)

    async def current(self, connection: AsyncConnection) -> Directory:
        """The newest version as this transaction sees it; kept in memory from now on."""
        newest = await connection.scalar(select(func.max(VERSIONS.c.version))) or 0
        if newest != self.directory.version:
            matters = await self._read(connection, newest)
            self.directory = await self._indexed(matters, newest)
        return self.directory

    async def keep(self) -> None:
        """Refresh until cancelled; while the database is away, what was known stays."""
        while True:
            wait = REFRESH_S
            try:
                await self.refresh()
            except DatabaseUnavailable as error:
                wait = RETRY_S
                log.info("the directory of matters cannot be read yet", reason=error.detail)
            except Exception as error:  # noqa: BLE001 - calls go on without it
                logs.unexpected(log, "the directory of matters cannot be read", error)
            await asyncio.sleep(wait)

    async def versions(self) -> list[Version]:
        """All versions, the newest first."""
        async with self._database.reading() as connection:
            asked = select(VERSIONS).order_by(VERSIONS.c.version.desc())
            rows = (await connection.execute(asked)).mappings().all()
        return [Version(**row) for row in rows]

    async def matters_of(self, version: int) -> list[Matter]:
        """The matters of a version; raises :class:`MatterVersionNotFound`."""
        async with self._database.reading() as connection:
            await self._must_be(connection, version)
            return await self._read(connection, version)

    # -- writing --------------------------------------------------------------------------------

    async def take(
        self, read: Read, *, source: str, by: str, skip_broken: bool = False, dry_run: bool = False
    ) -> Taken:
        """Make what was read from a file the directory; the same again makes no new version.

        ``skip_broken``: take the rows that are right; a matter whose row is wrong stays as it was.
        Without it one wrong row is enough for :class:`MatterFileRefused`, but for ``dry_run``,
        which only says what would change.
        """
        if read.broken and not (skip_broken or dry_run):
            raise MatterFileRefused(read.broken, read.rows)
        spoken = await asyncio.to_thread(with_sounds, read.matters)
        async with self._database.writing() as connection:
            before = await self._locked(connection)
            kept = _kept(before.matters, read) if read.broken else []
            after = [*spoken, *kept]
            if not after:
                raise MatterFileRefused(read.broken, read.rows)
            found = difference(before.matters, after)
            codes = tuple(one.code for one in kept)
            if dry_run:
                return Taken(found, None, codes)
            if found.is_none:
                return Taken(found, before.version, codes)
            version = await self._write(connection, before.version + 1, after, source, by)
        self.directory = await self._indexed(after, version)
        return Taken(found, version, codes)

    async def restore(self, version: int, *, by: str) -> Taken:
        """Take an earlier version up again, as a new one; raises :class:`MatterVersionNotFound`.

        Where the newest is like it already nothing changes.
        """
        async with self._database.writing() as connection:
            before = await self._locked(connection)
            source = await self._must_be(connection, version)
            after = await self._read(connection, version)
            found = difference(before.matters, after)
            if found.is_none:
                return Taken(found, before.version)
            new = before.version + 1
            await self._write(connection, new, after, source, by, restored_from=version)
        self.directory = await self._indexed(after, new)
        return Taken(found, new)

    # -- cases ----------------------------------------------------------------------------------

    async def find(self, connection: AsyncConnection, name: str) -> Chosen | None:
        """The matter that a case is to have, by code or name, in the newest version.

        None where no directory is loaded: then a matter is any word. Raises
        :class:`MatterUnknown`.
        """
        chosen = await self.known(connection, name)
        directory = self.directory
        if chosen is not None or not directory.is_loaded:
            return chosen
        nearest = ", ".join(one.name for one in directory.nearest(name))
        hint = f"; did you mean: {nearest}" if nearest else "; look it up in the directory"
        raise MatterUnknown(f"the directory has no matter {name!r}{hint}", nearest=nearest)

    async def known(self, connection: AsyncConnection, name: str) -> Chosen | None:
        """The matter of the newest version with this code or name, or None."""
        directory = await self.current(connection)
        found = directory.get(name)
        return Chosen(found, directory.version) if found is not None else None

    async def note(
        self, connection: AsyncConnection, case: str, chosen: Chosen | None, *, by: str
    ) -> None:
        """Keep the matter of a case, in the version that it was chosen from; None: it has none."""
        if chosen is None:
            await connection.execute(delete(OF_CASES).where(OF_CASES.c.case_id == case))
            return
        row = {"case_id": case, "version": chosen.version, "code": chosen.matter.code}
        row |= {"set_at": datetime.now(UTC), "set_by": by}
        await connection.execute(upsert(self._database, OF_CASES), [row])

    async def noted(self, connection: AsyncConnection, case: str) -> tuple[int, str] | None:
        """Version and code of the matter of a case; None: none, or free text."""
        asked = select(OF_CASES.c.version, OF_CASES.c.code).where(OF_CASES.c.case_id == case)
        row = (await connection.execute(asked)).first()
        return (row.version, row.code) if row is not None else None

    async def of_case(self, case: str) -> CaseMatterNow:
        """The matter of a case, and who has the case; raises :class:`CaseNotFound`."""
        found = (await self.of_cases([case])).get(case)
        if found is None:
            raise CaseNotFound(f"no case {case!r} is on record")
        return found

    async def of_cases(self, cases: Sequence[str]) -> dict[str, CaseMatterNow]:
        """The same of those of these cases that are on record."""
        chosen = CASES.outerjoin(OF_CASES, CASES.c.case_id == OF_CASES.c.case_id)
        chosen = chosen.outerjoin(MATTERS, _ITS_MATTER)
        asked = select(CASES.c.case_id.label("case"), CASES.c.owner, MATTERS).select_from(chosen)
        async with self._database.reading() as connection:
            answer = await connection.execute(asked.where(CASES.c.case_id.in_(cases)))
            rows = answer.mappings().all()
        return {
            row["case"]: CaseMatterNow(
                row["case"],
                row["owner"],
                _matter(dict(row)) if row["code"] is not None else None,
                row["version"],
            )
            for row in rows
        }

    # -- parts ----------------------------------------------------------------------------------

    @staticmethod
    async def _indexed(matters: Sequence[Matter], version: int) -> Directory:
        # Beside the event loop: for thousands of matters it takes a tenth of a second.
        return await asyncio.to_thread(Directory, matters, version=version)

    async def _locked(self, connection: AsyncConnection) -> Directory:
        """The newest version, to which nobody else adds one meanwhile."""
        if not self._database.is_sqlite:  # SQLite's write lock is held already
            await connection.execute(text("LOCK TABLE matter_versions IN EXCLUSIVE MODE"))
        return await self.current(connection)

    async def _must_be(self, connection: AsyncConnection, version: int) -> str:
        asked = select(VERSIONS.c.source).where(VERSIONS.c.version == version)
        source: str | None = await connection.scalar(asked)
        if source is None:
            raise MatterVersionNotFound(f"the directory has no version {version}")
        return source

    async def _read(self, connection: AsyncConnection, version: int) -> list[Matter]:
        asked = select(MATTERS).where(MATTERS.c.version == version).order_by(MATTERS.c.position)
        return [_matter(dict(row)) for row in (await connection.execute(asked)).mappings()]

    async def _write(
        self,
        connection: AsyncConnection,
        version: int,
        matters: Sequence[Matter],
        source: str,
        by: str,
        restored_from: int | None = None,
    ) -> int:
        head = Version(version, datetime.now(UTC), by, source, len(matters), restored_from)
        await connection.execute(insert(VERSIONS), [asdict(head)])
        rows = [
            asdict(one) | {"version": version, "position": place}
            for place, one in enumerate(matters)
        ]
        await connection.execute(insert(MATTERS), rows)
        return version


def _kept(before: Sequence[Matter], read: Read) -> list[Matter]:
    """The matters whose rows are wrong, as they were; no code and no name is there twice."""
    taken = {one.code for one in read.matters} | {normal(one.name) for one in read.matters}
    broken = {one.code for one in read.broken}
    return [
        one
        for one in before
        if one.code in broken and one.code not in taken and normal(one.name) not in taken
    ]


_LISTS = ("keywords", "sounds")


def _matter(row: Mapping[str, Any]) -> Matter:
    values = {name: row[name] for name in Matter.__slots__}
    return Matter(**values | {name: tuple(values[name]) for name in _LISTS})
