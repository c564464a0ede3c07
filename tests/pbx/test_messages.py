"""Messages on a real PBX: the keys, what is kept, what the service makes of it, calling back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest

from telephony.demo.scenes import is_closed, tone_share
from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.settings import TIME_ZONE
from telephony.softphone import SoftCall
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PhoneFactory,
    Talk,
    begin_talk,
    being_recorded,
    set_hours,
    sign_in,
    wait_until,
)
from tests.pbx.served import service_settings, serving, whole_case

FIRST_HZ, AGAIN_HZ = 600.0, 1100.0
SPEAKS_S = 1.5
Facts = dict[str, str]


@pytest.fixture
def closed(pbx: PrivatePbx) -> PrivatePbx:
    """The PBX, closed all day."""
    set_hours(pbx, "closed")
    return pbx


def doing(pbx: PrivatePbx, number: str) -> str:
    """What the PBX does with this citizen's call now: application and its arguments."""
    lines = [line.split("!") for line in pbx.console("core show channels concise").splitlines()]
    mine = [line for line in lines if line[0].startswith(f"PJSIP/{number}-")]
    return f"{mine[0][5]} {mine[0][6]}" if mine else ""


def at(pbx: PrivatePbx, number: str, what: str, timeout: float = 8) -> None:
    """Wait until this citizen is there in the dialplan."""
    wait_until(lambda: what in doing(pbx, number), f"{what} for {number}", timeout)


def speaks(pbx: PrivatePbx, call: SoftCall, number: str, hertz: float) -> Path:
    """The citizen speaks (a tone) for a second and a half; returns the file.

    Asterisk writes to the file when it has four seconds of sound, so that tells nothing.
    """
    at(pbx, number, "Record ")
    wait_until(lambda: spoken_by(pbx, number), "its file is there")
    file = spoken_by(pbx, number)[-1]
    call.play_tone(hertz)
    until = time.monotonic() + SPEAKS_S
    wait_until(lambda: time.monotonic() > until, "enough was spoken")
    return file


def spoken_by(pbx: PrivatePbx, number: str) -> list[Path]:
    """The file into which this citizen speaks now."""
    lines = [line.split("!") for line in pbx.console("core show channels concise").splitlines()]
    mine = [line[-1] for line in lines if line[0].startswith(f"PJSIP/{number}-")]
    return [one for one in being_recorded(pbx) if any(f"-{who}-m" in one.name for who in mine)]


def left(pbx: PrivatePbx, number: str, before: int) -> Facts:
    """What was noted about the message of this citizen's call, the one after so many before."""
    wait_until(lambda: len(facts(pbx, "HOTLINE_MESSAGE", number)) > before, "it is noted")
    return facts(pbx, "HOTLINE_MESSAGE", number)[before]


def facts(pbx: PrivatePbx, kind: str, number: str) -> list[Facts]:
    """What the dialplan noted of this kind about calls of this citizen, the last one last."""
    found: list[Facts] = []
    if not pbx.cel_file.exists():  # it is made with the first call
        return found
    for line in pbx.cel_file.read_text(errors="replace").splitlines():
        noted = re.search(rf'"{kind}","\{{""extra"":""(.*?)""', line)
        if noted and f"PJSIP/{number}-" in line:
            found.append({name: value[0] for name, value in parse_qs(noted[1]).items()})
    return found


@pytest.fixture
def long_weekend(closed: PrivatePbx) -> Iterator[datetime]:
    """Closed today and tomorrow; the day on which the line opens again."""
    days = [datetime.now(ZoneInfo(TIME_ZONE)) + timedelta(days=number) for number in (1, 2)]
    for day, hours in zip(days, ("closed", "0900-1700"), strict=True):
        closed.console(f"database put hotline-hours {day:%Y%m%d} {hours}")
    yield days[1]
    for day in days:
        closed.console(f"database del hotline-hours {day:%Y%m%d}")


def test_given_a_holiday_when_the_keys_are_pressed_then_heard_spoken_again_and_another_number(
    closed: PrivatePbx, phone: PhoneFactory, long_weekend: datetime
) -> None:
    number, day = CITIZENS[0], long_weekend
    before = len(facts(closed, "HOTLINE_MESSAGE", number))
    call = phone(number).call(LINE)
    call.wait_answered(5)
    at(closed, number, f"hotline/holiday&hotline/month-{day.month}&hotline/day-{day.day},")
    call.send_dtmf("#")
    first = speaks(closed, call, number, FIRST_HZ)
    call.send_dtmf("#")
    at(closed, number, "message-review")
    call.play_tone(None)
    call.send_dtmf("1")
    call.wait_hears(FIRST_HZ, 5)
    call.send_dtmf("2")
    again = speaks(closed, call, number, AGAIN_HZ)
    assert again == first
    call.send_dtmf("#")
    at(closed, number, "message-review")
    call.send_dtmf("#")
    at(closed, number, "call-back-shown")
    call.send_dtmf("2")
    at(closed, number, "call-back-enter,")
    call.send_dtmf("99#")
    at(closed, number, "number-not-allowed")
    at(closed, number, "call-back-enter,")
    call.send_dtmf("04212990001#")
    at(closed, number, "call-back-entered&hotline/digit-0&hotline/digit-4")
    call.send_dtmf("#")
    call.wait_ended(8)
    fact = left(closed, number, before)
    assert (fact["kept"], fact["status"], fact["why"]) == ("yes", "DTMF", "day")
    assert fact["callback"] == "04212990001"
    assert first.name == f"{fact['id']}.wav"
    assert int(fact["ms"]) == (first.stat().st_size - 44) // 16
    assert SPEAKS_S * 1000 - 300 < int(fact["ms"]) < SPEAKS_S * 1000 + 1500
    assert tone_share(first, AGAIN_HZ) > 0.5
    assert tone_share(first, FIRST_HZ) < 0.1


@pytest.mark.parametrize(
    ("hours", "shut", "greeting"),
    [
        ("0000-2400", False, "hotline/queue-full,"),
        ("0000-0001,2358-2359", False, "hotline/closed,"),
        ("0000-2400", True, "hotline/closed-now,"),
    ],
)
def test_given_why_nobody_answers_when_called_then_the_greeting_says_so(
    pbx: PrivatePbx, phone: PhoneFactory, hours: str, shut: bool, greeting: str
) -> None:
    set_hours(pbx, hours)
    if shut:
        pbx.console(f"database put hotline-shut {LINE} {int(time.time()) + 60}")
    call = phone(CITIZENS[1]).call(LINE)
    call.wait_answered(5)
    at(pbx, CITIZENS[1], f"BackGround {greeting}")
    call.hangup()
    call.wait_ended(5)
    pbx.console(f"database del hotline-shut {LINE}")


def test_given_danger_when_0_is_pressed_then_110_and_back_to_the_message_when_it_is_busy(
    closed: PrivatePbx, phone: PhoneFactory
) -> None:
    number, desk = CITIZENS[1], phone("110")
    before = len(facts(closed, "HOTLINE_MESSAGE", number))
    call = phone(number).call(LINE)
    call.wait_answered(5)
    at(closed, number, "BackGround ")
    call.send_dtmf("0")
    ringing = desk.wait_for_call(5)
    assert ringing.caller_number == number
    ringing.deny(486)
    at(closed, number, "hotline/danger-failed")
    call.send_dtmf("#")
    file = speaks(closed, call, number, FIRST_HZ)
    call.send_dtmf("0")
    answered = desk.wait_for_call(5)
    answered.answer()
    answered.play_tone(Talk.TARGET_HZ)
    call.wait_hears(Talk.TARGET_HZ, 5)
    answered.wait_hears(FIRST_HZ, 5)
    call.hangup()
    answered.wait_ended(5)
    first, second = left(closed, number, before), left(closed, number, before + 1)
    assert (first["kept"], first["status"]) == ("none", "NONE")
    assert (second["kept"], second["status"], second["why"]) == ("yes", "OPERATOR", "busy")
    assert file.name == f"{second['id']}.wav"
    assert tone_share(file, FIRST_HZ) > 0.5
    offers = [
        one for one in facts(closed, "HOTLINE_OFFERED", number) if one["case"] == first["case"]
    ]
    assert [(one["kind"], one["desk"]) for one in offers] == [("danger", "110")] * 2
    # The second offer's answer is noted on the desk's own leg.
    assert f"id={offers[1]['id']}&case={first['case']}&desk=110&leg=" in closed.cel_file.read_text()


def test_given_a_folder_that_cannot_be_written_when_a_message_is_left_then_said_and_alarmed(
    closed: PrivatePbx, phone: PhoneFactory, service: Service
) -> None:
    number = CITIZENS[2]
    before = len(facts(closed, "HOTLINE_MESSAGE", number))
    folder = closed.places.spool / "hotline"
    mode = folder.stat().st_mode if folder.exists() else None
    aside = folder.with_name("hotline-aside")
    if mode is not None:
        folder.rename(aside)
    folder.write_bytes(b"no folder")
    try:
        call = phone(number).call(LINE)
        call.wait_answered(5)
        at(closed, number, "BackGround ")
        call.send_dtmf("#")
        at(closed, number, "message-failed")
        call.wait_ended(8)
    finally:
        folder.unlink()
        if mode is not None:
            aside.rename(folder)
    fact = left(closed, number, before)
    assert (fact["kept"], fact["status"]) == ("failed", "ERROR")
    [alarm] = [one for one in facts(closed, "HOTLINE_ALARM", number) if one["case"] == fact["case"]]
    assert (alarm["what"], alarm["id"]) == ("message-not-taken", fact["id"])
    row = waiting_for(service, fact["case"])
    assert (row["kind"], row["why"], row["number"]) == ("missed", "not-taken", number)
    metrics = service.http.get("/metrics").text
    assert "hotline_messages_not_taken 1.0" in metrics


def on_record(service: Service, case: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = service.get("/messages", case=case)["items"]
    return items


def waiting_for(service: Service, case: str) -> dict[str, Any]:
    """What waits for the citizen of this case, once it is on record."""
    wait_until(lambda: on_record(service, case), f"the message of {case} is on record")
    [row] = on_record(service, case)
    return row


def test_given_the_service_is_down_when_messages_are_left_then_cases_after_start_and_called_back(
    closed: PrivatePbx, phone: PhoneFactory, tmp_path: Path
) -> None:
    before = {one: len(facts(closed, "HOTLINE_MESSAGE", one)) for one in CITIZENS}
    whole, short, silent = CITIZENS
    calls = {one: phone(one).call(LINE) for one in CITIZENS}
    for one, call in calls.items():
        call.wait_answered(5)
        at(closed, one, "BackGround ")
    calls[silent].hangup()
    calls[short].send_dtmf("#")
    at(closed, short, "Record ")
    calls[short].send_dtmf("#")
    at(closed, short, "message-short")
    at(closed, short, "Record ")
    calls[short].hangup()
    calls[whole].send_dtmf("#")
    file = speaks(closed, calls[whole], whole, FIRST_HZ)
    calls[whole].hangup()
    told = {one: left(closed, one, before[one]) for one in CITIZENS}
    kept = [(told[one]["kept"], told[one]["status"]) for one in CITIZENS]
    assert kept == [("yes", "HANGUP"), ("short", "HANGUP"), ("none", "NONE")]
    assert is_closed(file)
    assert tone_share(file, FIRST_HZ) > 0.9
    with serving(service_settings(closed, tmp_path), tmp_path) as service:
        rows = {one: waiting_for(service, told[one]["case"]) for one in CITIZENS}
        assert [rows[one]["kind"] for one in CITIZENS] == ["message", "missed", "missed"]
        assert [rows[one]["number"] for one in CITIZENS] == list(CITIZENS)
        listed = service.get("/callbacks", limit=500)["items"]
        # Each number once among missed calls: perhaps as an older one.
        assert set(CITIZENS) <= {one["number"] for one in listed}
        message = rows[whole]["id"]
        lamp_goes_out_when_all_are_heard(service, phone, message, file)
        called_back_busy_then_reached(service, phone, message, told[whole]["case"])
        # Who called in vain calls again, and is served.
        set_hours(closed, "0000-2400")
        agent = phone("8001")
        sign_in(agent, closed)
        talk = begin_talk(phone(short), agent)
        talk.citizen.hangup()
        talk.agent.wait_ended(5)
        wait_until(
            lambda: on_record(service, told[short]["case"])[0]["state"] == "served", "it falls off"
        )


def lamp_goes_out_when_all_are_heard(
    service: Service, phone: PhoneFactory, message: str, file: Path
) -> None:
    agent = phone("8001")
    wait_until(lambda: agent.messages_waiting is True, "the lamp is lit")
    wait_until(
        lambda: service.get(f"/messages/{message}")["sound"] == "ok", "its sound was looked at"
    )
    for one in service.get("/messages", kind="message", state="open", limit=500)["items"]:
        answer = service.http.get(f"/api/v1/messages/{one['id']}/sound")
        assert answer.status_code == 200
        assert one["id"] != message or answer.content == file.read_bytes()
    wait_until(lambda: agent.messages_waiting is False, "the lamp goes out")


def came_to(service: Service, address: str, outcome: str) -> bool:
    return bool(service.get(address)["last_outcome"] == outcome)


def called_back_busy_then_reached(
    service: Service, phone: PhoneFactory, message: str, case: str
) -> None:
    agent, citizen = phone("8001"), phone(CITIZENS[0])
    address = f"/messages/{message}"
    for outcome in ("busy", "reached"):
        assert service.post(f"{address}/call-back", {"agent": "8001"}).status_code == 202
        mine = agent.wait_for_call(5)
        mine.answer()
        theirs = citizen.wait_for_call(5)
        assert theirs.caller_number == f"0421{LINE}"
        held = service.post(f"{address}/take", {"agent": "8002"})
        assert (held.status_code, held.json()["code"]) == (409, "message-held")
        if outcome == "busy":
            theirs.deny(486)
        else:
            again = service.post(f"{address}/call-back", {"agent": "8001"})
            assert again.status_code == 409
            theirs.answer()
            theirs.play_tone(Talk.CITIZEN_HZ)
            mine.wait_hears(Talk.CITIZEN_HZ, 5)
            theirs.hangup()
        mine.wait_ended(8)
        wait_until(partial(came_to, service, address, outcome), "its outcome", 5)
    done = service.post(f"{address}/answered", {"result": "已答复"})
    assert (done.json()["state"], done.json()["tries"]) == ("answered", 1)
    assert [one["outcome"] for one in done.json()["called"]] == ["busy", "reached"]
    found = whole_case(service, case)
    assert (found["first_contact"], found["owner"]) == ("8001", "8001")
    # Left, taken by who called back, spoken with on the second try, answered.
    events = [(one["event"], one["detail"]) for one in found["ledger"]]
    assert events[1:] == [("message", "taken"), ("taken", None), ("message", "answered")]
