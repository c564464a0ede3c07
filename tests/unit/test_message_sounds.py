"""Sounds of messages: heard over HTTP, missing, cut off, unreadable, or left by a crash."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from telephony.calendar.book import CalendarBook
from telephony.database import Database
from telephony.legs.model import moment
from telephony.messages.book import (
    MessageBook,
    MessageFilter,
    SoundNotFound,
)
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.voicemail import LEGS, examine
from tests.unit.api_fixtures import AGENT_8001, Running, running, told
from tests.unit.citizens_waiting import (
    BEGUN,
    CITIZEN,
    OTHER,
    SECOND,
    book,
    call,
    left,
    rows,
    settings_with,
    sound,
    write,
)

__all__ = ["book"]  # fixtures


def test_given_sounds_then_what_is_missing_cut_or_no_sound_is_told(tmp_path: Path) -> None:
    whole = sound(tmp_path / "whole.wav", 2)
    found = examine(whole, 2.0)
    assert (found.state, found.length_s) == ("ok", 2.0)
    assert found.sha256 is not None
    assert examine(tmp_path / "none.wav", 2.0).state == "missing"
    assert examine(whole, 3.0).state == "damaged"
    whole.write_bytes(whole.read_bytes()[:-8000])
    cut = examine(whole, 2.0)
    assert (cut.state, cut.length_s) == ("damaged", 1.5)
    assert cut.sha256 != found.sha256
    whole.write_bytes(b"")
    assert examine(whole, 2.0).state == "damaged"


async def test_given_messages_over_http_then_heard_jumped_in_masked_audited_and_bad_ones_told(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "messages"
    async with running(tmp_path, messages={"folder": folder, "lamp": True}) as run:
        old = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp()) - BEGUN // SECOND
        good, bad = call(at=old, facts=(left(),)), call(OTHER, at=old + 60, facts=(left(),))
        file = sound(folder / f"{good.facts[-1].values['id']}.wav", 5)
        await write(run.service.database, good, bad)
        run.service.voicemail.poke()
        missing, fine = await _looked_at(run)
        assert (fine["sound"], missing["sound"], fine["length_s"]) == ("ok", "missing", 5.0)
        ledger = await queries.ledger(run.service.database, missing["case"])
        assert [one["detail"] for one in ledger] == ["5.0 s", "its sound is missing"]
        assert (await verify_ledger(run.service.database)).problems == []
        await _heard_over_http(run, fine["id"], missing["id"], file.read_bytes())
        await _shared_over_http(run, fine["id"])


async def test_given_a_crash_of_the_pbx_while_a_message_is_spoken_then_its_file_is_a_message(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "messages"
    crashed, going_on = call(), call(OTHER, at=100, over=False)
    files = [
        sound(folder / f"{one.legs[0].case}-m1.wav", 3) for one in (crashed, going_on, call(at=200))
    ]
    cut = bytearray(files[0].read_bytes())
    cut[4:8] = cut[40:44] = bytes(4)  # Asterisk writes the length into the head when it closes it
    files[0].write_bytes(cut)
    for file in files:
        os.utime(file, (BEGUN / SECOND, BEGUN / SECOND))
    async with running(tmp_path, messages={"folder": folder}) as run:
        database = run.service.database
        async with database.writing() as connection:
            leg = going_on.legs[0]
            row: dict[str, Any] = {
                "pbx": "pbx1",
                "uniqueid": leg.uniqueid,
                "linkedid": leg.uniqueid,
                "state": "open",
            }
            row |= {"epoch": 0, "at": moment(leg.first_at), "case_id": leg.case}
            empty: dict[str, list[str]] = {"channels": [], "channel_names": [], "segments": []}
            await connection.execute(insert(LEGS), [row | empty])
        await write(database, crashed, going_on)
        run.service.voicemail._adopted_at = None
        run.service.voicemail.poke()
        async with asyncio.timeout(10):
            while True:
                found = (await run.service.messages.page(MessageFilter(), limit=9)).items
                if len(found) == 2 and all(one["sound"] != "unchecked" for one in found):
                    break
                await asyncio.sleep(0.02)
        states = {(one["kind"], one["why"], one["state"], one["number"]) for one in found}
        assert states == {
            ("message", "cut-off", "open", CITIZEN),
            ("missed", "queue", "served", CITIZEN),
        }
        [message] = [one for one in found if one["kind"] == "message"]
        assert message["sound"] == "damaged"
        ledger = await queries.ledger(database, message["case"])
        assert [one["detail"] for one in ledger] == ["its sound is damaged"]


async def test_given_a_sound_that_cannot_be_read_then_the_others_are_looked_at(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "messages"
    async with running(tmp_path, messages={"folder": folder}) as run:
        bad, good = call(facts=(left(),)), call(OTHER, at=100, facts=(left(),))
        (folder / f"{bad.facts[-1].values['id']}.wav").mkdir(parents=True)
        sound(folder / f"{good.facts[-1].values['id']}.wav", 5)
        await write(run.service.database, bad, good)
        run.service.voicemail.poke()
        async with asyncio.timeout(10):
            while True:
                found = (await run.service.messages.page(MessageFilter(), limit=9)).items
                if any(one["sound"] == "ok" for one in found):
                    break
                await asyncio.sleep(0.02)
        assert [one["sound"] for one in found] == ["ok", "unchecked"]


async def _looked_at(run: Running) -> list[dict[str, Any]]:
    """Both messages once their sound was looked at, and the lamp shows them."""
    async with run.as_("supervisor") as client, asyncio.timeout(10):
        while True:
            items: list[dict[str, Any]] = (await client.get("/api/v1/messages")).json()["items"]
            asked = [one for one in run.simulated.actions if one["Action"] == "Originate"]
            lit = any(one.get("Variable") == "NEW=2" for one in asked)
            if lit and all(one["sound"] != "unchecked" for one in items):
                return items
            await asyncio.sleep(0.02)


async def _heard_over_http(run: Running, fine: str, missing: str, content: bytes) -> None:
    async with run.as_("agent") as client:
        address = f"/api/v1/messages/{fine}/sound"
        whole = await client.get(address)
        assert (whole.status_code, whole.content) == (200, content)
        part = await client.get(address, headers={"Range": "bytes=44-99"})
        assert (part.status_code, part.content) == (206, content[44:100])
        beyond = await client.get(address, headers={"Range": f"bytes={len(content)}-"})
        assert (beyond.status_code, beyond.json()["code"]) == (416, "range-not-there")
        for wrong, code in ((missing, "sound-not-found"), ("2e2e", "message-not-found")):
            refused = await client.get(f"/api/v1/messages/{wrong}/sound")
            assert (refused.status_code, refused.json()["code"]) == (404, code)
        seen = (await client.get(f"/api/v1/messages/{fine}")).json()
        assert (seen["heard_by"], seen["number"]) == ("agent", "138****0001")
    async with run.as_("admin") as client:
        entries = (await client.get("/api/v1/audit")).json()["items"]
        assert {("message-sound", fine), ("message-sound", fine)} <= {
            (one["what"], one["which"]) for one in entries
        }


async def _shared_over_http(run: Running, message: str) -> None:
    address = f"/api/v1/messages/{message}"
    async with run.client(AGENT_8001) as first, run.as_("supervisor") as boss:
        taken = await first.post(f"{address}/take")
        assert (taken.json()["holder"], taken.json()["number"]) == ("8001", CITIZEN)
        again = await boss.post(f"{address}/take", json={"agent": "8002"})
        assert (again.status_code, again.json()["code"]) == (409, "message-held")
        assert again.json()["holder"] == "8001"
        assert (await first.post(f"{address}/take", json={"agent": "8002"})).status_code == 403
        off = await first.post(f"{address}/call-back")
        assert (off.status_code, off.json()["code"]) == (409, "callbacks-off")
        given = await first.post(f"{address}/give", json={"agent": "8002"})
        assert given.json()["holder"] == "8002"
        assert (await first.post(f"{address}/return")).status_code == 403
        assert (await boss.post(f"{address}/return")).json()["holder"] is None
        waiting = (await boss.get("/api/v1/callbacks")).json()["items"]
        assert [one["kind"] for one in waiting] == ["message", "message"]
        done = await first.post(f"{address}/answered", json={"result": "已答复"})
        assert (done.json()["state"], done.json()["result"]) == ("answered", "已答复")
        assert (await first.post(f"{address}/take")).status_code == 409
        assert len((await boss.get("/api/v1/callbacks")).json()["items"]) == 1
        await told(run)


async def test_given_a_name_on_record_that_leads_elsewhere_then_no_other_file_is_opened(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "secret.wav").write_bytes(b"secret")
    settings = settings_with(messages={"folder": tmp_path / "messages"})
    book = MessageBook(database, settings, CalendarBook(database, settings))
    (tmp_path / "messages").mkdir()
    await write(database, call(facts=(left(id="../secret"),)))
    [row] = await rows(book)
    with pytest.raises(SoundNotFound):
        await book.sound(row["id"])
