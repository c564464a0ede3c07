"""Messages and missed calls: what facts make of them, and what people do with them."""

from __future__ import annotations

import asyncio
import os
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from telephony.calendar.book import CalendarBook, calendar_of
from telephony.cases.store import CallState, CaseStore
from telephony.cel.rows import Fact
from telephony.database import Database
from telephony.errors import AgentNotFound, NotAllowed, WrongState
from telephony.legs.model import Leg, moment
from telephony.messages.book import (
    Hand,
    MessageBook,
    MessageFilter,
    MessageHeld,
    MessageNotFound,
    SoundNotFound,
)
from telephony.messages.rules import due_at, message_of, missed_of, next_try_at
from telephony.messages.settings import Messages
from telephony.messages.store import MessageStore
from telephony.record import queries
from telephony.record.ledger_check import verify_ledger
from telephony.settings import Line, Settings
from telephony.voicemail import LEGS, examine
from tests.unit.api_fixtures import AGENT_8001, Running, running, told

CITIZEN, OTHER = "13804210001", "13904215678"
SECOND = 1_000_000
BEGUN = int(datetime(2026, 11, 23, 2, 0, tzinfo=UTC).timestamp()) * SECOND  # Monday, 10:00
BOSS = Hand("boss", None, is_senior=True)


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


# -- rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "is_one"),
    [
        ({"kept": "yes"}, True),
        ({"kept": "failed", "ms": "4000"}, True),
        ({"kept": "failed", "ms": "0"}, False),
        ({"kept": "short", "ms": "400"}, False),
        ({"kept": "none", "ms": "0"}, False),
        ({"kept": "yes", "id": ""}, False),
    ],
)
def test_given_a_fact_then_it_is_a_message_only_when_somebody_can_listen_to_it(
    values: dict[str, str], is_one: bool
) -> None:
    state = call(facts=(left(**values),))
    found = message_of(state.facts[-1])
    assert (found is not None) == is_one
    if found is not None:
        assert (found.kind, found.number, found.file) == ("message", CITIZEN, f"{found.name}.wav")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ((), "queue"),
        ((left(kept="none", ms="0"),), "hours"),
        ((left(kept="short", ms="300"),), "hours"),
        ((left(kept="failed", ms="0"),), "not-taken"),
        ((left(),), None),
        ((("TAKEN", {"agent": "8001"}),), None),
        ((("ACCEPTED", {"id": "x", "desk": "110"}),), None),
        ((("HANDED", {"id": "x", "by": "110"}),), None),
    ],
)
def test_given_a_call_that_is_over_then_it_is_missed_only_when_nobody_answered(
    facts: tuple[tuple[str, dict[str, str]], ...], why: str | None
) -> None:
    state = call(facts=facts, waits=42)
    found = missed_of(state.legs, state.facts)
    assert [one.why for one in found] == ([] if why is None else [why])
    for one in found:
        assert (one.kind, one.number, one.waited_s) == ("missed", CITIZEN, 42.0)
        assert (one.file is None) == (why != "hours" or facts[0][1]["kept"] == "none")


def test_given_no_case_of_ours_then_nothing_is_missed() -> None:
    state = call()
    assert missed_of(state.legs, state.facts[1:]) == []


def test_given_a_friday_evening_then_due_on_monday_and_tried_again_in_open_hours() -> None:
    calendar, settings = calendar_of(Line()), Messages()
    friday = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)  # 20:30 in Shanghai
    due = due_at(calendar, friday, settings)
    assert due is not None
    assert due.isoformat() == "2026-11-30T17:00:00+08:00"
    assert next_try_at(calendar, None, 0, settings) is None
    again = next_try_at(calendar, friday, 1, settings)
    later = next_try_at(calendar, friday, 5, settings)
    assert again is not None
    assert later is not None
    assert again.isoformat() == "2026-11-30T09:00:00+08:00"
    assert later.isoformat() == "2026-11-30T10:30:00+08:00"


# -- on record ----------------------------------------------------------------------------------


async def test_given_facts_read_again_when_people_have_worked_then_each_is_there_once_untouched(
    database: Database, book: MessageBook
) -> None:
    calls = [call(facts=(left(),), over=False), call(OTHER, at=100)]
    await write(database, *calls)
    [message] = await rows(book, kind="message")
    await book.heard(message["id"], by="8002")
    await book.take(message["id"], "8001")
    calls[0] = call(facts=(left(),))
    for _ in range(2):
        await write(database, *calls)
    found = await rows(book)
    assert [(one["kind"], one["number"]) for one in found] == [
        ("missed", OTHER),
        ("message", CITIZEN),
    ]
    assert (found[1]["holder"], found[1]["heard_by"]) == ("8001", "8002")
    assert (found[0]["waited_s"], found[0]["sound"], found[1]["length_s"]) == (30.0, None, 5.0)
    ledger = await queries.ledger(database, found[1]["case"])
    assert [(one["event"], one["detail"]) for one in ledger] == [
        ("message", "5.0 s"),
        ("message", "taken"),
    ]
    assert (await verify_ledger(database)).problems == []


async def test_given_missed_calls_when_the_citizen_calls_again_and_is_served_then_they_fall_off(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(), call(at=100), call(OTHER, at=50))
    await write(database, call("+86 13804210001", at=200, facts=(("TAKEN", {"agent": "8002"}),)))
    waiting = (await book.waiting(limit=10)).items
    assert [one["number"] for one in waiting] == [OTHER]
    served = await rows(book, state="served")
    assert [one["closed_by"] for one in served] == ["8002", "8002"]
    # Missed again after that; and one that comes on record only after it was served.
    await write(database, call(at=300), call(at=150))
    waiting = (await book.waiting(limit=10)).items
    assert [(one["number"], one["calls"]) for one in waiting] == [(OTHER, 1), (CITIZEN, 1)]


async def test_given_many_who_wait_then_each_missed_number_once_and_the_oldest_first_by_pages(
    database: Database, book: MessageBook
) -> None:
    numbers = [f"1380421{number:04d}" for number in range(7)]
    calls = [
        call(one, at=1000 * turn + place) for turn in range(3) for place, one in enumerate(numbers)
    ]
    calls.append(call(numbers[0], at=5000, facts=(left(),)))
    await write(database, *calls)
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await book.waiting(limit=3, cursor=cursor)
        seen += page.items
        cursor = page.next
        if cursor is None:
            break
    assert [one["number"] for one in seen] == [*numbers, CITIZEN]
    assert [one["calls"] for one in seen] == [3] * 7 + [1]
    assert seen == sorted(seen, key=lambda one: one["at"])


async def test_given_calls_back_in_vain_when_three_then_given_up_and_each_is_counted_once(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(facts=(left(),)))
    [message] = await rows(book)
    for n, outcome in enumerate(("busy", "unanswered"), 1):
        tried = call("2800000", at=1000 * n, facts=(back(outcome, CITIZEN, n),))
        await write(database, tried)
        await write(database, tried)
        found = await book.get(message["id"])
        assert (found["tries"], found["last_outcome"], found["state"]) == (n, outcome, "open")
        assert found["next_try_at"] is not None
    await write(database, call("2800000", at=3000, facts=(back("declined", CITIZEN, 3),)))
    found = await book.get(message["id"])
    assert (found["tries"], found["state"], found["next_try_at"]) == (3, "given_up", None)
    assert [one["outcome"] for one in found["called"]] == ["busy", "unanswered", "declined"]
    with pytest.raises(WrongState):
        await book.take(message["id"], "8001")


# -- people -------------------------------------------------------------------------------------


async def test_given_two_agents_when_both_take_at_once_then_one_has_all_of_the_number(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(facts=(left(),)), call(at=100), call(OTHER, at=200))
    waiting = (await book.waiting(limit=10)).items
    assert [one["number"] for one in waiting] == [CITIZEN, CITIZEN, OTHER]
    took = await asyncio.gather(
        book.take(waiting[0]["id"], "8001"),
        book.take(waiting[1]["id"], "8002"),
        return_exceptions=True,
    )
    lost = [one for one in took if isinstance(one, MessageHeld)]
    assert sorted(map(type, took), key=str) == [bool, MessageHeld]
    holders = {one["holder"] for one in await rows(book) if one["number"] == CITIZEN}
    assert holders == {lost[0].extra["holder"]}
    assert await book.take(waiting[2]["id"], "8002")
    assert not await book.take(waiting[2]["id"], "8002")


async def test_given_a_message_then_only_its_holder_or_a_senior_gives_returns_or_answers_it(
    database: Database, book: MessageBook
) -> None:
    await write(database, call(facts=(left(),)), call(at=100))
    missed, message = await rows(book)
    first, second = Hand("first", "8001"), Hand("second", "8002")
    with pytest.raises(WrongState, match="take it first"):
        await book.give(message["id"], "8002", first)
    await book.take(message["id"], "8001")
    for act in (
        book.give(message["id"], "8002", second),
        book.give_back(message["id"], second),
        book.answered(message["id"], "完成", second),
    ):
        with pytest.raises(NotAllowed):
            await act
    with pytest.raises(AgentNotFound):
        await book.give(message["id"], "9999", first)
    with pytest.raises(MessageNotFound):
        await book.take("nothing", "8001")
    await book.give(message["id"], "8002", first)
    assert (await book.get(missed["id"]))["holder"] == "8002"
    await book.give_back(message["id"], BOSS)
    await book.answered(message["id"], "号码有误", first, outcome="wrong-number")
    for one in await rows(book):
        found = await book.get(one["id"])
        assert (found["state"], found["result"], found["closed_by"]) == (
            *("answered", "号码有误", "first"),
        )
        assert [each["outcome"] for each in found["called"]] == ["wrong-number"]
    assert (await book.waiting(limit=10)).items == []
    story = await queries.ledger(database, message["case"])
    done = [one for one in story if one["by"] is not None]
    assert [(one["event"], one["by"], one["to"], one["detail"]) for one in done] == [
        ("message", "8001", None, "taken"),
        ("message", "8001", "8002", "given"),
        ("message", BOSS.name, None, "given back"),
        ("message", "8001", None, "answered"),
    ]
    assert (await verify_ledger(database)).problems == []


# -- sound --------------------------------------------------------------------------------------


def sound(file: Path, seconds: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(b"\1\2" * round(8000 * seconds))
    return file


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
