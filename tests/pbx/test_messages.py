"""Messages on a real PBX: the keys, what is kept, what the service makes of it, calling back."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from telephony.demo.scenes import tone_share
from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PhoneFactory,
    being_recorded,
    recordings,
    set_hours,
    wait_until,
)

FIRST_HZ, AGAIN_HZ = 600.0, 1100.0
LONG_ENOUGH = 44 + 16 * 1500
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
    """The citizen speaks (a tone) for a second and a half; returns the file."""
    at(pbx, number, "Record ")
    [file] = [one for one in being_recorded(pbx) if one in recordings(pbx)][-1:]
    call.play_tone(hertz)
    wait_until(lambda: file.stat().st_size > LONG_ENOUGH, "the recording grows", 8)
    return file


def facts(pbx: PrivatePbx, kind: str, number: str) -> list[Facts]:
    """What the dialplan noted of this kind about calls of this citizen, the last one last."""
    found = []
    for line in pbx.cel_file.read_text(errors="replace").splitlines():
        noted = re.search(rf'"{kind}","\{{""extra"":""(.*?)""', line)
        if noted and f"PJSIP/{number}-" in line:
            found.append({name: value[0] for name, value in parse_qs(noted[1]).items()})
    return found


def test_given_a_holiday_when_the_keys_are_pressed_then_heard_spoken_again_and_another_number(
    closed: PrivatePbx, phone: PhoneFactory
) -> None:
    number = CITIZENS[0]
    call = phone(number).call(LINE)
    call.wait_answered(5)
    at(closed, number, "hotline/holiday&hotline/month-")
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
    fact = facts(closed, "HOTLINE_MESSAGE", number)[-1]
    assert (fact["kept"], fact["status"], fact["why"]) == ("yes", "DTMF", "day")
    assert fact["callback"] == "04212990001"
    assert first.name == f"{fact['id']}.wav"
    assert int(fact["ms"]) == (first.stat().st_size - 44) // 16
    assert tone_share(first, AGAIN_HZ) > 0.5
    assert tone_share(first, FIRST_HZ) < 0.1
