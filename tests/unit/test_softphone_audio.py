"""Microphone and speaker, where there are some and where there are none."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from telephony.sip.audio import NoSound, SoundDevice
from telephony.sip.sound import CallSound


class PortAudioError(Exception):
    pass


class FakeStream:
    """Stands for PortAudio's stream: a test calls its callback."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.closed = False

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def exchange(self, spoken: bytes) -> bytes:
        played = bytearray(len(spoken))
        self.options["callback"](spoken, memoryview(played), len(spoken) // 2, None, None)
        return bytes(played)


class FakeCall(CallSound):
    def __init__(self) -> None:
        self.spoken = b""

    def write_pcm(self, samples: bytes) -> None:
        self.spoken += samples

    def read_pcm(self, samples: int = 160, *, blocking: bool = True) -> bytes:
        assert not blocking  # the sound card does not wait
        return b"\x01\x02" * samples


def _install(monkeypatch: pytest.MonkeyPatch, stream: Any) -> None:
    module = types.SimpleNamespace(RawStream=stream, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", module)


def test_given_devices_when_a_call_is_connected_then_it_has_microphone_and_speaker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[FakeStream] = []

    def stream(**options: Any) -> FakeStream:
        made.append(FakeStream(**options))
        return made[-1]

    _install(monkeypatch, stream)
    device, call = SoundDevice(), FakeCall()
    assert (made[0].options["samplerate"], made[0].options["dtype"]) == (8000, "int16")
    assert made[0].exchange(b"ab" * 160) == bytes(320)  # nobody is connected
    device.connect(call)
    assert made[0].exchange(b"ab" * 160) == b"\x01\x02" * 160
    assert call.spoken == b"ab" * 160
    device.connect(None)
    made[0].exchange(b"cd" * 160)
    assert call.spoken == b"ab" * 160
    device.close()
    assert made[0].closed


def test_given_no_device_when_opened_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(**_: Any) -> FakeStream:
        raise PortAudioError("Error querying device -1")

    _install(monkeypatch, stream)
    with pytest.raises(NoSound, match="no microphone or speaker can be opened: Error querying"):
        SoundDevice()


def test_given_no_package_when_opened_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(NoSound, match="not installed"):
        SoundDevice()


def test_given_no_library_when_opened_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(NoSound, match="libportaudio2"):
        SoundDevice()
