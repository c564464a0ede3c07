"""Two lines on one PBX: each by its own hours and greetings, and each call's case says its line."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from telephony.calendar.push import AHEAD_DAYS
from telephony.demo.stage import Service
from telephony.doctor import examine
from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import (
    BRIEF_S,
    CITIZENS,
    LINE,
    SECOND_LINE,
    PhoneFactory,
    Talk,
    set_hours,
    sign_in,
    wait_until,
)
from tests.pbx.served import live_call, whole_case
from tests.pbx.test_messages import at, doing, facts, left

pytestmark = pytest.mark.pbx

SUFFIX = SECOND_LINE.suffix
FURTHER_NUMBER = SECOND_LINE.numbers[0]
FULL = {"first": "04212800122", "second": "04212800123"}


@pytest.fixture
def two_lines(pbx: PrivatePbx) -> Iterator[PrivatePbx]:
    """The PBX with a greeting of the second line's own; it forgets that line's hours afterwards."""
    sounds = pbx.places.data / "sounds" / "zh"
    own = sounds / "night"
    own.mkdir(mode=0o755, exist_ok=True)
    for name in ("closed", "closed-now"):
        shutil.copy(sounds / "hotline" / f"{name}.wav", own / f"{name}.wav")
    yield pbx
    for family in ("hotline-hours", "hotline-pushed", "hotline-shut"):
        pbx.console(f"database deltree {family}{SUFFIX if family != 'hotline-shut' else ''}")


def case_of(service: Service, line: str) -> dict[str, Any]:
    """The newest case of this line, when all of it is on record."""
    wait_until(lambda: service.get("/cases", line=line)["items"], "its case is on record", 10)
    return whole_case(service, service.get("/cases", line=line)["items"][0]["case"])


async def test_given_two_lines_when_dialled_at_the_same_moment_then_each_goes_by_its_own_hours(
    two_lines: PrivatePbx, service: Service, phone: PhoneFactory
) -> None:
    pbx = two_lines
    wait_until(lambda: days(pbx, SUFFIX) == AHEAD_DAYS == days(pbx, ""), "both are pushed", 15)
    set_hours(pbx, "0000-0001", SUFFIX)
    agent, first, second = phone("8001"), phone(CITIZENS[0]), phone(CITIZENS[1])
    await asyncio.to_thread(sign_in, agent, pbx)
    before = len(facts(pbx, "HOTLINE_MESSAGE", CITIZENS[1]))

    served, asked = first.call(LINE), second.call(FURTHER_NUMBER)
    ringing = await asyncio.to_thread(agent.wait_for_call, 10)
    assert "民意服务中心" in ringing.caller_name
    ringing.answer()
    served.wait_answered(5)
    # Its own greeting, and no word of a key to 110, which this line has not.
    await asyncio.to_thread(at, pbx, CITIZENS[1], "Record ")
    assert heard(pbx, CITIZENS[1]) == ["night/closed", "hotline/beep"]
    asked.hangup()
    served.hangup()
    noted = await asyncio.to_thread(left, pbx, CITIZENS[1], before)
    assert noted["why"] == "hours"

    took, told = await asyncio.to_thread(case_of, service, "2800122"), case_of(service, "night")
    assert (took["line"], took["first_contact"]) == (FULL["first"], "8001")
    assert (told["line"], told["first_contact"]) == (FULL["second"], None)
    assert told["case"] == noted["case"]
    assert [one["cause_text"] for one in told["legs"]] == ["normal clearing"]

    # Called back, the citizen sees the number that they had called.
    (left_one,) = [
        one["id"] for one in service.get("/messages")["items"] if one["case"] == told["case"]
    ]
    address = f"/messages/{left_one}"
    assert service.post(f"{address}/call-back", {"agent": "8001"}).status_code == 202
    mine = await asyncio.to_thread(agent.wait_for_call, 5)
    mine.answer()
    theirs = await asyncio.to_thread(second.wait_for_call, 5)
    assert theirs.caller_number == FULL["second"]
    theirs.deny(486)
    await asyncio.to_thread(mine.wait_ended, 8)

    # The other way round: the first is shut by hand, the second is open.
    set_hours(pbx, "0000-2400", SUFFIX)
    shut = service.http.post("/api/v1/calendar/closed", json={"until": "24:00", "line": LINE})
    assert shut.status_code == 200
    assert is_open(service, "night")
    assert not is_open(service, LINE)
    calendar = next(one for one in await examine(pbx.settings) if one.name == "calendar")
    assert f"line {LINE}: hours of" in calendar.found
    assert "closed by hand until" in calendar.found
    assert f"line {SECOND_LINE.number}: hours of" in calendar.found

    turned, served = first.call(LINE), second.call(SECOND_LINE.number)
    ringing = await asyncio.to_thread(agent.wait_for_call, 10)
    assert "夜间热线" in ringing.caller_name
    ringing.answer()
    served.wait_answered(5)
    await asyncio.to_thread(at, pbx, CITIZENS[0], "Record ")
    greeting = ["hotline/danger", "hotline/closed-now", "hotline/leave-message", "hotline/beep"]
    assert heard(pbx, CITIZENS[0]) == greeting
    turned.hangup()

    # Parked, and fetched by a colleague: their phone says too which line was called.
    call, other = await asyncio.to_thread(live_call, service), phone("8002")
    assert service.post(f"/calls/{call['id']}/park", {}).status_code == 200
    assert service.post(f"/calls/{call['id']}/fetch", {"agent": "8002"}).status_code == 202
    fetched = await asyncio.to_thread(other.wait_for_call, 5)
    assert "夜间热线" in fetched.caller_name
    fetched.answer()
    fetched.play_tone(Talk.TARGET_HZ)
    await asyncio.to_thread(served.wait_hears, Talk.TARGET_HZ, 5)
    served.hangup()
    await asyncio.to_thread(fetched.wait_ended, 5)
    assert service.http.delete("/api/v1/calendar/closed", params={"line": LINE}).status_code == 204


def test_given_a_line_without_a_key_to_110_when_0_is_pressed_then_the_message_begins(
    two_lines: PrivatePbx, phone: PhoneFactory
) -> None:
    set_hours(two_lines, "closed", SUFFIX)
    number = CITIZENS[2]
    call = phone(number).call(SECOND_LINE.number)
    call.wait_answered(BRIEF_S + 5)
    call.send_dtmf("0")
    at(two_lines, number, "Record ")
    assert doing(two_lines, number).endswith(",180,qk")
    call.send_dtmf("0")
    call.hangup()
    call.wait_ended(5)
    assert not facts(two_lines, "HOTLINE_OFFERED", number)


def days(pbx: PrivatePbx, suffix: str) -> int:
    said = pbx.console(f"database show hotline-hours{suffix}")
    return said.count(f"/hotline-hours{suffix}/")


def heard(pbx: PrivatePbx, number: str) -> list[str]:
    """What was played to this citizen in their newest call, one after the other."""
    steps = (pbx.places.log / "steps").read_text(errors="replace")
    played = re.findall(rf"<(PJSIP/{number}-\w+)> Playing '([^'.]+)", steps)
    return [prompt for channel, prompt in played if channel == played[-1][0]]


def is_open(service: Service, line: str) -> bool:
    found: bool = service.get("/calendar/now", line=line)["open"]
    return found
