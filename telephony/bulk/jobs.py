"""Large exports as jobs: asked for, written by a process of their own, fetched, and gone again.

| state     | is                                                            |
| --------- | ------------------------------------------------------------- |
| queued    | waits for its turn: one at a time                             |
| running   | a worker writes it; without a sign of it for a minute: queued |
| done      | the file is there until it expires                            |
| failed    | `code` and `detail` say why; no file                          |
| cancelled | somebody took it back, or the file away                       |
| expired   | the file was there long enough                                |

Jobs are rows, so a service that is started again goes on with what was asked for.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import structlog
from sqlalchemy import and_, insert, or_, select, update

from telephony import logs
from telephony.background import end, woken
from telephony.bulk import parquet
from telephony.bulk.models import ExportRecord
from telephony.bulk.tables import Spec, spec_of
from telephony.cases.store import parts, table
from telephony.errors import DatabaseUnavailable, HotlineError, NotFound, WrongState
from telephony.record.query_parts import Page, Row, page_of, storable

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from telephony.database import Database
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

EXPORTS = table(ExportRecord)
LOOK_S = 30.0
RETRY_S = 5.0
SILENT_S = 60.0
"""A worker tells something every second; after so long without a word it is gone."""
MAX_ATTEMPTS = 3
OVER = ("failed", "cancelled", "expired")
"""States in which there is no file."""
_ID = re.compile(r"[0-9a-f]{32}")
_MEGA = 1_000_000


class ExportNotFound(NotFound):
    """No export with this id was asked for."""

    code = "export-not-found"
    title = "No such export"


class ExportNotReady(WrongState):
    """The export has no file yet, or will have none; ``extra['state']`` says which."""

    code = "export-not-ready"
    title = "The export has no file"


class ExportGone(HotlineError):
    """The export's file was there and is not any more."""

    code = "export-gone"
    status = 410
    title = "The export's file is gone"


class ExportJobs:
    """The exports of this service; :meth:`start` begins to work through them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._folder = settings.exports.folder
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._running: tuple[str, Process] | None = None

    def start(self) -> None:
        """Begin with what waits."""
        self._task = asyncio.create_task(self._work(), name="exports")

    async def stop(self) -> None:
        """Stop; what was being written is begun again at the next start."""
        await end(self._task)

    async def ask(self, spec: Spec, *, who: str, role: str) -> Row:
        """Take an export in. Raises :class:`telephony.bulk.parquet.ParquetMissing`,
        :class:`InvalidValue` for an unknown column, :class:`DatabaseUnavailable`."""
        _ = spec.chosen
        if spec.format == "parquet":
            parquet.check_installed()
        job = {"id": uuid4().hex, **spec.to_dict(), "asked_at": _now(), "asked_by": who}
        job |= {"role": role, "state": "queued", "attempts": 0, "rows_done": 0}
        async with self._database.writing() as connection:
            await connection.execute(insert(EXPORTS), [job])
        self._due.set()
        return await self.get(job["id"])

    async def get(self, job: str) -> Row:
        """One export; raises :class:`ExportNotFound`, :class:`DatabaseUnavailable`."""
        query = select(EXPORTS).where(EXPORTS.c.id == storable(job))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise ExportNotFound(f"no export {job!r} was asked for")
        return dict(row)

    async def page(self, *, limit: int = 50, cursor: str | None = None) -> Page:
        """Exports, newest first. Raises :class:`InvalidCursor`, :class:`DatabaseUnavailable`."""
        key = (EXPORTS.c.asked_at, EXPORTS.c.id)
        return await page_of(self._database, select(EXPORTS), key, limit, cursor, dict)

    async def cancel(self, job: str) -> None:
        """Take an export back, or its file away; done twice it is done once.

        Raises :class:`ExportNotFound`, :class:`DatabaseUnavailable`.
        """
        found = await self.get(job)
        states = ("queued", "running", "done")
        if not await self._change(job, states, state="cancelled", done_at=_now()):
            return
        if self._running is not None and self._running[0] == job:
            with suppress(ProcessLookupError):  # it has just ended by itself
                self._running[1].kill()
        elif found["state"] != "queued":
            await self._clear(job)

    def file_of(self, job: Row) -> Path:
        """The file of an export; raises :class:`ExportNotReady`, :class:`ExportGone`."""
        if job["state"] in ("cancelled", "expired"):
            raise ExportGone(f"export {job['id']} is {job['state']}; ask for it again")
        if job["state"] != "done":
            detail = job["detail"] or "look again later"
            raise ExportNotReady(
                f"export {job['id']} is {job['state']}: {detail}", state=job["state"]
            )
        file = self._target(job)
        if not file.is_file():
            raise ExportGone(f"the file of export {job['id']} is not there; ask for it again")
        return file

    def _target(self, job: Row) -> Path:
        """Its file: each attempt has its own, as one that was given up for lost may go on."""
        return self._folder / str(job["id"]) / str(job["attempts"]) / f"export.{job['format']}"

    async def _work(self) -> None:
        while True:
            wait_s = LOOK_S
            try:
                await self._expire()
                await self._sweep()
                while (job := await self._claim()) is not None:
                    await self._run(job)
            except DatabaseUnavailable:
                wait_s = RETRY_S
            except Exception as error:  # noqa: BLE001 - the next export is worked on, whatever it was
                logs.unexpected(log, "exports stopped for a moment", error)
                wait_s = RETRY_S
            await woken(self._due, wait_s)

    async def _claim(self) -> Row | None:
        """The next export, which is ours from now on."""
        silent = _now() - timedelta(seconds=SILENT_S)
        lost = and_(EXPORTS.c.state == "running", EXPORTS.c.beat_at < silent)
        waiting = or_(EXPORTS.c.state == "queued", lost)
        query = select(EXPORTS).where(waiting).order_by(EXPORTS.c.asked_at).limit(1)
        async with self._database.writing() as connection:
            row = (
                (await connection.execute(query.with_for_update(skip_locked=True)))
                .mappings()
                .first()
            )
            if row is None:
                return None
            attempts = row["attempts"] + 1
            changes: Row = {"state": "running", "attempts": attempts, "beat_at": _now()}
            if attempts > MAX_ATTEMPTS:
                changes = _failed("export-given-up", f"its worker was lost {MAX_ATTEMPTS} times")
            here = EXPORTS.c.id == row["id"]
            await connection.execute(update(EXPORTS).where(here).values(changes))
        return dict(row) | changes if changes["state"] == "running" else await self._claim()

    async def _run(self, job: Row) -> None:
        """Let a worker write it, and note what it says."""
        name = str(job["id"])
        target = self._target(job)
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            told = f"{self._folder} cannot be written: {error.strerror}"
            await self._note(job, **_failed("export-not-writable", told))
            return
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "telephony.bulk.worker"), stdin=PIPE, stdout=PIPE
        )
        self._running = (name, process)
        kept = False
        try:
            kept = await self._listen(process, job, self._order(job, target))
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.kill()  # before another service begins
            with suppress(DatabaseUnavailable):  # then it is taken for lost later on
                await asyncio.shield(self._note(job, state="queued", attempts=job["attempts"] - 1))
            raise
        finally:
            self._running = None
            if process.returncode is None:
                process.kill()
            await process.wait()
            if not kept:
                await asyncio.to_thread(_remove, target.parent)

    def _order(self, job: Row, target: Path) -> bytes:
        line = self._settings.line
        order = {
            "url": self._database.url.render_as_string(hide_password=False),
            "area_code": line.area_code,
            "country_code": line.country_code,
            "spec": spec_of(job).to_dict(),
            "target": str(target.absolute()),
            "keep_free": self._settings.exports.keep_free_mb * _MEGA,
        }
        return orjson.dumps(order) + b"\n"

    async def _listen(self, process: Process, job: Row, order: bytes) -> bool:
        """Note how far it is until it ends; whether there is a file now."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order)
        process.stdin.close()
        async for line in process.stdout:
            told: dict[str, Any] = orjson.loads(line)
            if "error" in told:
                await self._note(job, **_failed(told["error"], told["detail"]))
                return False
            if "written" in told:
                until = _now() + timedelta(hours=self._settings.exports.keep_h)
                done = {"state": "done", "done_at": _now(), "expires_at": until}
                found = told["written"]
                rows = {"rows": found["rows"], "rows_done": found["rows"]}
                more = {"bytes": found["bytes"], "digest": found["digest"]}
                return await self._note(job, **done, **rows, **more)
            seen = {"rows": told["rows"], "rows_done": told["done"], "beat_at": _now()}
            if not await self._note(job, **seen):
                return False  # it was taken back, or another service took it for lost
        detail = f"its worker ended with status {await process.wait()}; the log says more"
        await self._note(job, **_failed("export-failed", detail))
        return False

    async def _note(self, job: Row, **values: Any) -> bool:
        """Change an export whose worker is ours; whether it still is."""
        mine = EXPORTS.c.attempts == job["attempts"]
        return await self._change(str(job["id"]), ("running",), mine, **values)

    async def _change(
        self, job: str, states: tuple[str, ...], *more: ColumnElement[bool], **values: Any
    ) -> bool:
        """Change an export that is in one of these states; whether it was."""
        here = and_(EXPORTS.c.id == job, EXPORTS.c.state.in_(states), *more)
        async with self._database.writing() as connection:
            done = await connection.execute(update(EXPORTS).where(here).values(values))
        return done.rowcount == 1

    async def _expire(self) -> None:
        """Files that were there long enough."""
        old = and_(EXPORTS.c.state == "done", EXPORTS.c.expires_at <= _now())
        async with self._database.reading() as connection:
            names = list((await connection.execute(select(EXPORTS.c.id).where(old))).scalars())
        for name in names:
            if await self._change(name, ("done",), state="expired"):
                await self._clear(name)

    async def _sweep(self) -> None:
        """What no worker took away: it was killed, or is another service's, with its own folder."""
        names = await asyncio.to_thread(_names, self._folder)
        for part in parts(names):
            over = and_(EXPORTS.c.id.in_(part), EXPORTS.c.state.in_(OVER))
            async with self._database.reading() as connection:
                old = (await connection.execute(select(EXPORTS.c.id).where(over))).scalars().all()
            for name in old:
                await self._clear(name)

    async def _clear(self, job: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / job, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    """The folders of exports; others are none of ours."""
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if _ID.fullmatch(one.name))


def _remove(attempt: Path) -> None:
    """What an attempt has left, and the folder of its export unless another one uses it."""
    shutil.rmtree(attempt, ignore_errors=True)
    with suppress(OSError):
        attempt.parent.rmdir()


def _failed(code: str, detail: str) -> Row:
    return {"state": "failed", "code": code, "detail": detail, "done_at": _now()}


def _now() -> datetime:
    return datetime.now(UTC)
