"""`hotline outbox` and `hotline orders`: what an admin does, and a platform to try against."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from pathlib import Path

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from telephony.cli import app
from telephony.database import Database
from telephony.orders.outbox import Outbox, enqueue
from telephony.orders.signing import HEADER, sign
from tests.unit.order_receiving import SECRET
from tests.unit.test_commands_service import environment, start

MESSAGE = {"version": 1, "id": "m1", "kind": "order.closed", "case": "c", "sequence": 1}
MESSAGE |= {"at": "2026-11-24T08:30:00+08:00", "data": {"order": "1", "given_by": "sender"}}


@pytest.fixture
async def filled(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """An outbox with a message that was given up, one that waits for it, and one that arrived."""
    file = tmp_path / "record.sqlite"
    shutil.copy(sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    outbox = Outbox(database)
    async with database.writing() as connection:
        for case, key in (("c", "1"), ("c", "2"), ("d", "3")):
            to = {"destination": "p", "kind": "order.closed", "case_id": case}
            await enqueue(connection, **to, body={}, key=key)
    first, third = await outbox.claim("p", by="me", limit=9, lease_s=60)
    await outbox.given_up(first, by="me", error="HTTP 422 request-invalid")
    await outbox.delivered(third, by="me")
    monkeypatch.setenv("HOTLINE_DATABASE_URL", f"sqlite:///{file}")
    monkeypatch.chdir(tmp_path)
    return database


def said(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["outbox", *words])
    assert result.exit_code == status, result.output
    return result.output


async def test_given_messages_then_they_are_listed_sent_again_and_skipped(
    filled: Database,
) -> None:
    def run() -> None:
        page = json.loads(said("list", "--json"))
        states = {one["key"]: (one["id"], one["state"]) for one in page["items"]}
        dead, waiting = states["1"][0], states["2"][0]
        assert {key: state for key, (_, state) in states.items()} == {
            "1": "dead",
            "2": "waiting",
            "3": "delivered",
        }
        assert "HTTP 422 request-invalid" in said("list", "--state", "dead", "--case", "c")
        assert "once more" in said("retry", str(dead))
        assert "0 messages" in said("retry", "--dead", "--destination", "p")
        assert "not sent" in said("skip", str(dead), "--reason", "settled by phone")
        assert "skipped" in said("retry", str(dead), status=1)
        assert "no message 999" in said("skip", "999", "--reason", "x", status=1)
        said("retry", status=2)
        said("retry", str(waiting), "--dead", status=2)
        assert "settled by phone" in said("list", "--state", "skipped")

    await asyncio.to_thread(run)
    await filled.close()


async def test_given_a_receiver_as_a_process_then_it_takes_what_is_signed_once(
    tmp_path: Path,
) -> None:
    env = environment(tmp_path, None)
    words = ("orders", "receive", "--port", "0", "--secret", SECRET, "--store", "taken")
    process = await start(tmp_path, env, *words)
    assert process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        url = line.removeprefix("listening on ").strip()
        body, now = orjson.dumps(MESSAGE), int(time.time())
        async with httpx.AsyncClient(trust_env=False) as client:

            async def post(signature: str) -> tuple[int, str | None]:
                answer = await client.post(url, content=body, headers={HEADER: signature})
                return answer.status_code, answer.json().get("code")

            assert await post(sign(body, [SECRET], now)) == (200, None)
            assert await post(sign(body, [SECRET], now)) == (409, "order-replayed")
            assert await post(sign(body, [SECRET], now - 1)) == (200, None)
            assert await post(sign(body, ["another"], now)) == (401, "signature-wrong")
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0
    assert out.decode().count('"order.closed"') == 1
    assert "1 messages taken, 2 refused" in out.decode()
    assert [orjson.loads(one) for one in (tmp_path / "taken").read_bytes().splitlines()] == [
        MESSAGE
    ]


def test_given_the_format_then_its_schema_is_printed() -> None:
    result = CliRunner().invoke(app, ["orders", "schema"])
    assert result.exit_code == 0
    assert json.loads(result.output)["$id"] == "urn:hotline:work-order:1"
