"""Microphone and speaker of this machine for a softphone, through PortAudio (``sounddevice``)."""

from __future__ import annotations

import threading
from typing import Any

from telephony.sip.errors import SoftphoneError
from telephony.sip.sound import CallSound
from telephony.tones import PACKET_SAMPLES, SAMPLE_RATE


class NoSound(SoftphoneError):
    """This machine has no microphone or no speaker that can be used."""

    code = "phone-no-sound-device"
    title = "No microphone or speaker"


class SoundDevice:
    """One microphone and one speaker; whichever call is connected gets them.

    Raises :class:`NoSound` when PortAudio or a device is missing.
    """

    def __init__(self) -> None:
        try:
            import sounddevice
        except ImportError as error:
            raise NoSound("the package sounddevice is not installed (pip: .[audio])") from error
        except OSError as error:
            raise NoSound(f"{error} (Debian: apt install libportaudio2)") from error
        self._guard = threading.Lock()
        self._call: CallSound | None = None
        try:
            self._stream = sounddevice.RawStream(
                samplerate=SAMPLE_RATE,
                blocksize=PACKET_SAMPLES,
                channels=1,
                dtype="int16",
                callback=self._exchange,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise NoSound(f"no microphone or speaker can be opened: {error.args[0]}") from error

    def connect(self, call: CallSound | None) -> None:
        """Give microphone and speaker to a call, or to nobody."""
        with self._guard:
            self._call = call

    def close(self) -> None:
        """Let go of the devices."""
        self._stream.stop()
        self._stream.close()

    def _exchange(self, spoken: Any, played: Any, frames: int, _time: Any, _status: Any) -> None:
        with self._guard:
            call = self._call
        if call is None:
            played[:] = bytes(2 * frames)
        else:
            call.write_pcm(bytes(spoken))
            played[:] = call.read_pcm(frames, blocking=False)
