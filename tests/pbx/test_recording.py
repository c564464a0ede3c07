"""Recording of ordinary calls: announced, whole after a hand-over, paused, heard by role only."""

from __future__ import annotations

import io
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydantic import SecretStr

from telephony.agent_settings import Callback
from telephony.around.settings import Recording
from telephony.asterisk_program import find_asterisk
from telephony.demo.stage import Service
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx
from telephony.settings import Token
from telephony.tones import SAMPLE_RATE, Samples
from tests.pbx.scene import CITIZENS, PASSWORD, PhoneFactory, Talk, pbx_settings, wait_until
from tests.pbx.served import live_call, service_settings, serving, whole_case
from tests.pbx.test_hold_park import case_now, kinds

pytestmark = pytest.mark.pbx

AGENT_TOKEN = "agent-token-of-the-recording-tests"
DEAF_TOKEN = "admin-token-that-may-hear-nothing"


@pytest.fixture(scope="module", params=[True, False], ids=["on", "until-transfer"])
def after_transfer(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def shared_pbx(after_transfer: bool) -> Iterator[PrivatePbx]:
    """A PBX that records every call."""
    with tempfile.TemporaryDirectory(prefix="hotline-tests-") as name:
        Path(name).chmod(0o755)
        settings = pbx_settings()
        recording = Recording(on=True, after_transfer=after_transfer)
        callback = Callback(dial="PJSIP/{number}", ring_s=3)
        settings = settings.model_copy(update={"recording": recording, "callback": callback})
        phones = [Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS]
        pbx = PrivatePbx(find_asterisk(), Path(name) / "root", settings, phones)
        with pbx:
            pbx.console("logger add channel steps verbose(3),notice,warning,error")
            yield pbx


def folder(pbx: PrivatePbx) -> Path:
    return pbx.places.spool / "monitor" / "hotline"


@pytest.fixture
def service(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Service]:
    recording = pbx.settings.recording.model_copy(update={"folder": folder(pbx)})
    tokens = [
        Token(name="tests", role="supervisor", token=SecretStr(PASSWORD), may_monitor=True),
        Token(name="deaf", role="admin", token=SecretStr(DEAF_TOKEN)),
        Token(name="8001", role="agent", token=SecretStr(AGENT_TOKEN), agent="8001"),
    ]
    settings = service_settings(pbx, tmp_path)
    settings = settings.model_copy(update={"recording": recording, "tokens": tokens})
    with serving(settings, tmp_path) as one:
        yield one


def samples(sound: bytes) -> Samples:
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def seconds_of(sound: Samples, hz: float) -> float:
    """For how long a tone is heard in it, in seconds: windows with a tenth of its energy there."""
    size = SAMPLE_RATE // 10
    count = len(sound) // size
    wave_form = np.exp(-2j * np.pi * hz * np.arange(size) / SAMPLE_RATE)
    heard = 0
    for part in sound[: count * size].reshape(count, size).astype(np.float64):
        energy = float(np.sum(part**2))
        share = 2 * abs(np.dot(part, wave_form)) ** 2 / size / energy if energy > 1e6 else 0.0
        heard += share > 0.1
    return heard / 10


def files_of(pbx: PrivatePbx, case: str, count: int = 1) -> list[Path]:
    """The recordings of a case, once they are whole; who began to talk first comes first."""

    def there() -> list[Path]:
        found = folder(pbx).glob(f"{case}~*.wav")
        return sorted(found, key=lambda file: float(file.stem.rpartition("~")[2]))

    wait_until(lambda: len(there()) == count, f"{count} recordings; there are {there()}")
    wait_until(lambda: _written(pbx), "Asterisk has written all of them")
    return there()


def _written(pbx: PrivatePbx) -> bool:
    """Whether MixMonitor has ended as often as it has begun."""
    told = (pbx.places.log / "steps").read_text(errors="replace")
    return told.count(" Begin MixMonitor ") == told.count(" End MixMonitor ") > 0


def test_given_recorded_call_when_handed_over_then_recording_is_whole_or_ends_by_the_setting(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, after_transfer: bool
) -> None:
    desk, case = phone("110"), case_now(pbx)
    assert "HOTLINE_RECORDING" in kinds(pbx, case)
    time.sleep(2)
    talk.agent.send_dtmf("*1")
    ringing = desk.wait_for_call(5)
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    began = time.monotonic()
    time.sleep(2)
    talk.citizen.hangup()
    talked = time.monotonic() - began
    assert ringing.wait_ended(3) == 200
    first, *others = (
        samples(file.read_bytes()) for file in files_of(pbx, case, 2 if after_transfer else 1)
    )
    for hz in (Talk.AGENT_HZ, Talk.CITIZEN_HZ):
        assert seconds_of(first, hz) >= 1.8
    assert seconds_of(first, Talk.TARGET_HZ) == 0
    for second in others:
        assert talked - 0.5 <= len(second) / SAMPLE_RATE <= talked + 1
        for hz in (Talk.TARGET_HZ, Talk.CITIZEN_HZ):
            assert talked - 0.5 <= seconds_of(second, hz) <= talked + 0.5
        assert seconds_of(second, Talk.AGENT_HZ) == 0


def test_given_recorded_calls_when_an_attended_desk_has_it_then_its_leg_is_recorded_by_the_setting(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, after_transfer: bool, service: Service
) -> None:
    live_call(service)
    desk, case = phone("110"), case_now(pbx)
    talk.agent.hold()
    second = phone("8001").call("110")
    ringing = desk.wait_for_call(5)
    ringing.answer()
    second.wait_answered(5)
    ringing.play_tone(Talk.TARGET_HZ)
    second.wait_hears(Talk.TARGET_HZ, 4)
    assert talk.agent.refer_to_call(second) == 202
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4)
    time.sleep(2)
    talk.citizen.hangup()
    assert ringing.wait_ended(3) == 200
    _, *others = files_of(pbx, case, 2 if after_transfer else 1)
    for file in others:
        for hz in (Talk.TARGET_HZ, Talk.CITIZEN_HZ):
            assert seconds_of(samples(file.read_bytes()), hz) >= 1.5


def test_given_recorded_calls_when_a_citizen_is_called_back_then_told_and_recorded(
    pbx: PrivatePbx, phone: PhoneFactory
) -> None:
    agent, citizen = phone("8001"), phone(CITIZENS[0])
    dialled = agent.call(f"*40{CITIZENS[0]}")
    ringing = citizen.wait_for_call(8)
    ringing.answer()
    # Told first, to the citizen alone; then the two are together.
    ringing.play_tone(Talk.CITIZEN_HZ)
    dialled.play_tone(Talk.AGENT_HZ)
    Talk(ringing, dialled).assert_together()
    noted = pbx.cel_file.read_text().rsplit("HOTLINE_CALLBACK", 1)[1]
    case = noted.split("case=", 1)[1].split("&", 1)[0]
    time.sleep(2)
    ringing.hangup()
    assert dialled.wait_ended(8) == 200
    [file] = files_of(pbx, case)
    for hz in (Talk.AGENT_HZ, Talk.CITIZEN_HZ):
        assert seconds_of(samples(file.read_bytes()), hz) >= 1.5


def test_given_recorded_call_when_target_refuses_then_the_agents_recording_goes_on(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk
) -> None:
    desk, case = phone("110"), case_now(pbx)
    talk.agent.send_dtmf("*1")
    desk.wait_for_call(5).deny(486)
    talk.assert_together()
    talk.citizen.play_tone(2500)
    talk.agent.wait_hears(2500, 4)
    time.sleep(2)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200
    sound = samples(files_of(pbx, case)[0].read_bytes())
    assert seconds_of(sound, 2500) >= 1.8
    assert seconds_of(sound, Talk.AGENT_HZ) >= 1.8


def test_given_recorded_call_when_paused_by_key_then_what_is_said_is_in_no_file(
    pbx: PrivatePbx, talk: Talk
) -> None:
    case = case_now(pbx)
    talk.agent.send_dtmf("#8")
    wait_until(lambda: kinds(pbx, case).count("HOTLINE_RECORDING") == 2, "paused")
    talk.citizen.play_tone(2100)
    talk.agent.wait_hears(2100, 4)
    time.sleep(1)
    talk.citizen.play_tone(Talk.CITIZEN_HZ)
    talk.assert_together()
    talk.agent.send_dtmf("#8")
    wait_until(lambda: kinds(pbx, case).count("HOTLINE_RECORDING") == 3, "goes on")
    talk.citizen.play_tone(2500)
    talk.agent.wait_hears(2500, 4)
    time.sleep(1)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200
    [file] = files_of(pbx, case)
    # MixMonitor writes what it still has after the call.
    whole = lambda: seconds_of(samples(file.read_bytes()), 2500) >= 0.8  # noqa: E731
    wait_until(whole, "what was said after the pause is in the file")
    assert seconds_of(samples(file.read_bytes()), 2100) == 0


def test_given_recorded_call_when_paused_over_http_then_heard_by_role_and_by_no_guess(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    call = live_call(service)
    path = f"/calls/{call['id']}/recording"
    assert service.post(f"{path}/resume", {}).status_code == 409
    paused = service.post(f"{path}/pause", {})
    assert paused.status_code == 200, paused.text
    assert service.post(f"{path}/pause", {}).status_code == 409
    talk.citizen.play_tone(2100)
    talk.agent.wait_hears(2100, 4)
    talk.citizen.play_tone(Talk.CITIZEN_HZ)
    talk.assert_together()
    assert service.post(f"{path}/resume", {}).status_code == 200
    time.sleep(1)
    talk.citizen.hangup()
    assert talk.agent.wait_ended(3) == 200
    case = whole_case(service, call["case"])
    details = [one["detail"].split()[0] for one in case["ledger"] if one["event"] == "recorded"]
    assert details == ["started", "paused", "resumed"]
    found = service.http.get("/api/v1/recordings", params={"case": call["case"]})
    [listed] = found.json()["items"]
    assert (listed["id"], listed["pauses"]) == (paused.json()["id"], 1)
    files_of(pbx, call["case"])
    address = f"/api/v1/recordings/{listed['id']}/sound"
    whole = service.http.get(address)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    sound = samples(whole.content)
    assert seconds_of(sound, 2100) == 0
    assert seconds_of(sound, Talk.AGENT_HZ) >= 0.5
    part = service.http.get(address, headers={"Range": "bytes=44-143"})
    assert (part.status_code, part.content) == (206, whole.content[44:144])
    assert service.http.get(address, headers={"Range": "bytes=99999999-"}).status_code == 416
    for token in (AGENT_TOKEN, DEAF_TOKEN):
        refused = service.http.get(address, headers={"Authorization": f"Bearer {token}"})
        assert refused.status_code == 403
    # Each hearing is on record, before it is heard.
    as_admin = {"Authorization": f"Bearer {DEAF_TOKEN}"}
    heard = service.http.get(
        "/api/v1/audit", params={"which": listed["id"]}, headers=as_admin
    ).json()["items"]
    assert [(one["who"], one["what"]) for one in heard] == [("tests", "recording")] * 3
    # A file that lies there is nobody's as long as it is not on record.
    (folder(pbx) / f"{call['case']}~1.1.wav").write_bytes(whole.content)
    for guess in (
        f"{call['case']}~1.1",
        "..%2F..%2Fetc%2Fpasswd",
        "..",
        "a~b",
        f"{listed['id']}%00",
    ):
        answer: httpx.Response = service.http.get(f"/api/v1/recordings/{guess}/sound")
        assert answer.status_code in (404, 422), guess
