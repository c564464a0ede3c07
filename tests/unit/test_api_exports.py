"""Large exports over HTTP: asked for, written by a worker, fetched in parts, taken back."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import insert, select, update

from telephony.bulk import jobs
from telephony.bulk.jobs import EXPORTS
from telephony.errors import DatabaseUnavailable
from telephony.record.store import LEGS
from telephony.settings import Token
from tests.unit.api_fixtures import TOKENS, Running, running
from tests.unit.test_api_record import COUNT, leg

API = "/api/v1/exports"
AUDITOR = "auditor-token-of-the-tests"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    folder = tmp_path / "exports"
    async with running(tmp_path, exports={"folder": folder, "keep_free_mb": 0}) as run:
        async with run.service.database.writing() as connection:
            await connection.execute(insert(LEGS), [leg(number) for number in range(COUNT)])
        yield run


async def ask(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(API, json={"what": "legs", **body})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{API}/{job['id']}"
    return job


async def settled(client: httpx.AsyncClient, job: str, *, state: str = "done") -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = (await client.get(f"{API}/{job}")).json()
            if found["state"] not in ("queued", "running"):
                assert found["state"] == state, found
                return found
            await asyncio.sleep(0.05)


def files(run: Running) -> list[Path]:
    return sorted(run.service.settings.exports.folder.glob("*/*/*"))


async def test_given_an_export_when_done_then_its_file_is_fetched_in_parts(run: Running) -> None:
    filters = {"agent": "8001", "from": "2026-11-24T00:00:00+08:00"}
    async with run.as_("supervisor") as client:
        job = await ask(client, filters=filters, columns=["uniqueid", "caller"], headings="zh")
        assert (job["state"], job["file"], job["whole"]) == ("queued", None, True)
        early = await client.get(f"{API}/{job['id']}/file")
        assert (early.status_code, early.json()["code"]) == (409, "export-not-ready")
        done = await settled(client, job["id"])
        assert done["rows"] == done["rows_done"] == COUNT // 2
        whole = await client.get(done["file"])
        assert whole.headers["content-type"] == "text/csv; charset=utf-8"
        assert done["name"].startswith("通话-2026")
        assert "filename*=utf-8''%E9%80%9A%E8%AF%9D-2026" in whole.headers["content-disposition"]
        assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
        rows = list(csv.DictReader(io.StringIO(whole.text)))
        assert list(rows[0]) == ["话路号", "来电号码"]
        assert [row["话路号"] for row in rows] == [leg(n)["uniqueid"] for n in range(1, COUNT, 2)]
        parts = b""
        etag = whole.headers["etag"]
        while len(parts) < done["bytes"]:
            span = {"Range": f"bytes={len(parts)}-{len(parts) + 99}", "If-Range": etag}
            part = await client.get(done["file"], headers=span)
            assert part.status_code == 206
            parts += part.content
        assert parts == whole.content
        beyond = await client.get(done["file"], headers={"Range": f"bytes={len(parts)}-"})
        assert (beyond.status_code, beyond.json()["code"]) == (416, "range-not-there")
        assert beyond.headers["content-range"] == f"bytes */{len(parts)}"
        assert beyond.headers["content-type"] == "application/problem+json"
        odd = await client.get(done["file"], headers={"Range": "bytes=x-y"})
        assert (odd.status_code, odd.json()["code"]) == (400, "range-invalid")
        changed = {"Range": "bytes=0-9", "If-Range": '"another"'}
        assert (await client.get(done["file"], headers=changed)).status_code == 200
        listed = (await client.get(API, params={"limit": 1})).json()
        assert [one["id"] for one in listed["items"]] == [job["id"]]
    async with run.as_("admin") as client:
        looks = (await client.get("/api/v1/audit")).json()["items"]
        assert looks[-1]["what"] == "legs-export"
        assert "agent=8001" in looks[-1]["which"]
        assert {one["what"] for one in looks[:-1]} == {"export-file"}


async def test_given_formats_and_who_may_not_see_numbers_then_they_are_masked(
    tmp_path: Path,
) -> None:
    auditor = {"name": "auditor", "role": "supervisor", "token": AUDITOR, "sees_numbers": False}
    folder = tmp_path / "exports"
    async with running(tmp_path, exports={"folder": folder, "keep_free_mb": 0}) as run:
        ours = run.service.settings.tokens
        tokens = [*ours, Token.model_validate(auditor)]
        settings = run.service.settings.model_copy(update={"tokens": tokens})
        run.service.settings = settings
        from api.app import create_app

        async with run.service.database.writing() as connection:
            await connection.execute(insert(LEGS), [leg(number) for number in range(COUNT)])
        transport = httpx.ASGITransport(app=create_app(run.service))

        def client(token: str) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {token}"}
            return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)

        async with client(AUDITOR) as auditing, client(TOKENS["supervisor"]) as other:
            number = leg(3)["caller"]
            job = await ask(auditing, format="xlsx", filters={"caller": number})
            assert number not in str(job)
            done = await settled(auditing, job["id"])
            book = await auditing.get(done["file"])
            (tmp_path / "x.xlsx").write_bytes(book.content)
            sheet = CalamineWorkbook.from_path(str(tmp_path / "x.xlsx")).get_sheet_by_index(0)
            rows = sheet.to_python()
            assert len(rows) == 2
            assert number not in str(rows)
            assert "139****0003" in str(rows)
            # Whoever did not ask for it does not get it; nor does one who may not see the numbers.
            assert (await other.get(done["file"])).status_code == 403
            assert (await other.delete(f"{API}/{job['id']}")).status_code == 403
            whole = await ask(other)
            await settled(other, whole["id"])
            async with run.service.database.writing() as connection:
                mine = update(EXPORTS).where(EXPORTS.c.id == whole["id"])
                await connection.execute(mine.values(asked_by="auditor"))
            assert (await auditing.get(f"{API}/{whole['id']}/file")).status_code == 403


async def test_given_an_export_that_is_taken_back_then_nothing_is_left(run: Running) -> None:
    async with run.as_("supervisor") as client:
        done = await settled(client, (await ask(client))["id"])
        assert len(files(run)) == 1
        running_one = await ask(client, format="xlsx")
        for job in (done, running_one):
            assert (await client.delete(f"{API}/{job['id']}")).status_code == 204
            assert (await client.delete(f"{API}/{job['id']}")).status_code == 204
            gone = await client.get(f"{API}/{job['id']}/file")
            assert (gone.status_code, gone.json()["code"]) == (410, "export-gone")
        again = await settled(client, (await ask(client))["id"])
        assert [file.parent.parent.name for file in files(run)] == [again["id"]]
        for path in (f"{API}/nothing", f"{API}/nothing/file"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "export-not-found")


async def test_given_a_file_that_was_there_long_enough_then_it_expires(run: Running) -> None:
    async with run.as_("supervisor") as client:
        done = await settled(client, (await ask(client))["id"])
        async with run.service.database.writing() as connection:
            await connection.execute(update(EXPORTS).values(expires_at=jobs._now()))
        await ask(client, columns=["pbx"])  # whatever wakes it
        async with asyncio.timeout(10):
            while True:
                if (await client.get(f"{API}/{done['id']}")).json()["state"] == "expired":
                    break
                await asyncio.sleep(0.05)
        assert done["id"] not in {file.parent.parent.name for file in files(run)}


async def test_given_a_disk_without_room_then_the_job_says_so(run: Running) -> None:
    run.service.settings.exports.keep_free_mb = 10**9
    async with run.as_("supervisor") as client:
        failed = await settled(client, (await ask(client))["id"], state="failed")
    assert failed["code"] == "export-disk-full"
    assert "MB" in failed["detail"]
    assert files(run) == []


async def test_given_a_worker_that_was_lost_then_the_job_is_done_again_and_given_up_in_the_end(
    run: Running,
) -> None:
    await run.service.exports.stop()
    async with run.as_("supervisor") as client:
        first, second = [(await ask(client))["id"] for _ in range(2)]
        long_ago = jobs._now() - timedelta(seconds=jobs.SILENT_S + 1)
        lost = {"state": "running", "beat_at": long_ago}
        async with run.service.database.writing() as connection:
            for job, attempts in ((first, 1), (second, jobs.MAX_ATTEMPTS)):
                here = update(EXPORTS).where(EXPORTS.c.id == job)
                await connection.execute(here.values(attempts=attempts, **lost))
        run.service.exports.start()
        await settled(client, first)
        given_up = await settled(client, second, state="failed")
        assert given_up["code"] == "export-given-up"


async def test_given_a_service_that_stops_meanwhile_then_the_job_waits_for_the_next(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    listen = jobs.ExportJobs._listen

    async def slow(self: Any, *arguments: Any) -> bool:
        begun.set()
        await asyncio.sleep(30)
        return await listen(self, *arguments)

    monkeypatch.setattr(jobs.ExportJobs, "_listen", slow)
    async with run.as_("supervisor") as client:
        job = await ask(client)
        await asyncio.wait_for(begun.wait(), 10)
        await run.service.exports.stop()
        monkeypatch.setattr(jobs.ExportJobs, "_listen", listen)
        async with run.service.database.reading() as connection:
            query = select(EXPORTS.c.state, EXPORTS.c.attempts).where(EXPORTS.c.id == job["id"])
            assert tuple((await connection.execute(query)).one()) == ("queued", 0)
        assert files(run) == []
        run.service.exports.start()
        await settled(client, job["id"])


async def test_given_a_service_that_was_taken_for_lost_then_it_harms_no_file_of_the_other(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = run.service.exports
    listen = jobs.ExportJobs._listen

    async def lost_meanwhile(self: Any, process: Any, job: Any, order: bytes) -> bool:
        if job["attempts"] > 1:
            return await listen(self, process, job, order)
        long_ago = jobs._now() - timedelta(seconds=jobs.SILENT_S + 1)
        async with run.service.database.writing() as connection:
            await connection.execute(update(EXPORTS).values(beat_at=long_ago))
        other = jobs.ExportJobs(run.service.database, run.service.settings)
        again = await other._claim()
        assert again is not None
        await other._run(again)
        return await listen(self, process, job, order)

    monkeypatch.setattr(jobs.ExportJobs, "_listen", lost_meanwhile)
    async with run.as_("supervisor") as client:
        done = await settled(client, (await ask(client))["id"])
        await exports.stop()  # the one that was lost has ended as well
        assert [file.parent.name for file in files(run)] == ["2"]
        assert len((await client.get(done["file"])).content) == done["bytes"]


async def test_given_no_database_when_the_service_stops_then_it_stops(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def slow(*_arguments: Any) -> bool:
        begun.set()
        await asyncio.sleep(30)
        return False

    async def away(*_arguments: Any, **_values: Any) -> bool:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(jobs.ExportJobs, "_listen", slow)
    async with run.as_("supervisor") as client:
        await ask(client)
        await asyncio.wait_for(begun.wait(), 10)
        monkeypatch.setattr(jobs.ExportJobs, "_change", away)
        await asyncio.wait_for(run.service.exports.stop(), 10)
    assert files(run) == []


async def test_given_files_that_nobody_took_away_then_they_are_swept_up(run: Running) -> None:
    folder = run.service.settings.exports.folder
    async with run.as_("supervisor") as client:
        kept, gone = [await settled(client, (await ask(client))["id"]) for _ in range(2)]
        async with run.service.database.writing() as connection:
            over = update(EXPORTS).where(EXPORTS.c.id == gone["id"])
            await connection.execute(over.values(state="expired"))  # by another service
        (folder / "notes").mkdir()
        await run.service.exports._sweep()
    assert sorted(one.name for one in folder.iterdir()) == sorted([kept["id"], "notes"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"what": "calls"}, "body"),
        ({"what": "legs", "columns": ["nothing"]}, "body.legs.columns.0"),
        ({"what": "legs", "columns": ["pbx", "pbx"]}, "body.legs.columns"),
        ({"what": "cases", "filters": {"agent": "8001"}}, "body.cases.filters.agent"),
        ({"what": "legs", "format": "pdf"}, "body.legs.format"),
        ({"what": "ledger", "filters": {"from": "20261124"}}, "body.ledger.filters.from"),
    ],
)
async def test_given_what_makes_no_sense_then_it_is_refused(
    run: Running, body: dict[str, Any], field: str
) -> None:
    async with run.as_("supervisor") as client:
        answer = await client.post(API, json=body)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_given_the_small_way_then_columns_and_headings_are_chosen(run: Running) -> None:
    async with run.as_("supervisor") as client:
        query = {"columns": "caller,started_at", "headings": "en", "bom": "true", "agent": "8001"}
        answer = await client.get("/api/v1/legs/export", params=query)
        assert answer.text.startswith("\ufeffCaller,Started (China time)\r\n\t13900000001,2026-11-")
        wrong = await client.get("/api/v1/legs/export", params={"columns": "caller,nothing"})
        assert wrong.status_code == 422
