"""Three-way calls that are recorded (``room.record``): announced to all, tied to the case."""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from telephony.asterisk_program import find_asterisk
from telephony.demo.stage import Service
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx
from telephony.settings import Room
from telephony.softphone import SoftCall
from telephony.tones import share_at
from tests.pbx.scene import (
    CITIZENS,
    PASSWORD,
    PhoneFactory,
    Talk,
    brief_prompts,
    pbx_settings,
    wait_until,
)
from tests.pbx.served import live_call
from tests.pbx.test_three_way import KEY
from tests.pbx.test_three_way_keys import facts

pytestmark = pytest.mark.pbx
SECRET_HZ = 2100.0


@pytest.fixture(scope="module")
def shared_pbx() -> Iterator[PrivatePbx]:
    """A PBX of this module's own, on which three-way calls are recorded."""
    settings = pbx_settings().model_copy(update={"room": Room(record=True)})
    with tempfile.TemporaryDirectory(prefix="hotline-tests-") as name:
        Path(name).chmod(0o755)
        phones = [
            *(Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS),
            Phone("8004", PASSWORD, "hotline-agents"),
        ]
        with PrivatePbx(find_asterisk(), Path(name) / "root", settings, phones) as pbx:
            brief_prompts(pbx)
            pbx.console("logger add channel steps verbose(3),notice,warning,error")
            yield pbx


def share(file: Path, frequency_hz: float) -> float:
    """The tone's share of the energy of a sound file."""
    with wave.open(str(file)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
        return share_at(samples, frequency_hz)


def three_way(phone: PhoneFactory, talk: Talk) -> SoftCall:
    """Nobody says a word, so that what is heard is the announcement."""
    desk = phone("12345")
    talk.agent.send_dtmf(KEY)
    third = desk.wait_for_call(5)
    talk.citizen.play_tone(None)
    talk.agent.play_tone(None)
    talk.citizen.wait_silent(Talk.AGENT_HZ, 3)
    third.answer()
    everybody = (talk.citizen, talk.agent, third)
    heard: set[SoftCall] = set()

    def all_have_heard() -> bool:
        heard.update(one for one in everybody if one.level_db() > -40)
        return len(heard) == 3

    wait_until(all_have_heard, "everybody hears the announcement", 5)
    wait_until(lambda: max(one.level_db() for one in everybody) < -60, "it is over", 10)
    return third


def test_given_rooms_are_recorded_when_paused_then_that_part_is_not_in_the_file(
    phone: PhoneFactory, talk: Talk, service: Service, pbx: PrivatePbx
) -> None:
    case = live_call(service)["case"]
    third = three_way(phone, talk)
    path = f"/conferences/{case}"
    assert service.get(path)["recording"] == "on"
    talk.citizen.play_tone(Talk.CITIZEN_HZ)
    third.play_tone(Talk.TARGET_HZ)
    talk.agent.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.25)
    assert service.post(f"{path}/recording/pause", {}).json()["recording"] == "paused"
    assert service.post(f"{path}/recording/pause", {}).status_code == 200
    third.play_tone(SECRET_HZ)
    talk.agent.wait_hears(SECRET_HZ, 4, threshold=0.25)
    third.play_tone(Talk.TARGET_HZ)
    talk.agent.wait_silent(SECRET_HZ, 4)
    assert service.post(f"{path}/recording/resume", {}).json()["recording"] == "on"
    talk.citizen.play_tone(Talk.AGENT_HZ)  # something new, after the pause
    talk.agent.wait_hears(Talk.AGENT_HZ, 4, threshold=0.25)
    talk.citizen.hangup()
    third.hangup()
    assert talk.agent.wait_ended(5) == 200
    [fact] = facts(pbx, "HOTLINE_ROOM_RECORDED")
    assert f"case={case}&" in fact
    [file] = (pbx.places.spool / "monitor" / "hotline").glob("*.wav")
    assert f"file=hotline/{file.name}" in fact
    wait_until(lambda: share(file, Talk.AGENT_HZ) > 0.02, "the part after the pause is there")
    assert share(file, Talk.CITIZEN_HZ) > 0.02
    assert share(file, Talk.TARGET_HZ) > 0.02
    assert share(file, SECRET_HZ) < 0.002
