"""What a person does with the sound of a call: speak, listen, press keys, tell tones apart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from telephony.sip.errors import SoftphoneError

if TYPE_CHECKING:
    from telephony.sip.media import Heard, RtpStream


class CallSound:
    """The half of a call that is sound; mixed into :class:`SoftCall`."""

    stream: RtpStream

    def send_dtmf(self, digits: str, *, tone_ms: int = 100, gap_ms: int = 80) -> None:
        """Press keys (``0-9 * # A-D``) as RFC 4733 events; returns when the last has been sent.

        Times are in milliseconds, rounded to 20. Raises :class:`SoftphoneError` for a key that
        does not exist, a side that takes none, or a call that ends meanwhile.
        """
        last = self.stream.press_keys(digits, tone_ms, gap_ms)
        patience_s = len(digits) * (tone_ms + gap_ms + 80) / 1000 + 5
        if not last.done.wait(patience_s) or not last.sent:
            raise SoftphoneError(f"the keys {digits} were not sent: the call is over or on hold")

    def play_tone(self, frequency_hz: float | None) -> None:
        """Play a tone (whole Hz) until changed; None is silence. Sound flows in either case."""
        self.stream.play_tone(frequency_hz)

    def mute(self, on: bool = True) -> None:
        """Send silence whatever is said or played."""
        self.stream.muted = on

    def hears(self, frequency_hz: float, *, window_s: float = 0.3) -> float:
        """The share (0 to 1) of the energy received in the last ``window_s`` at a frequency.

        0.0 when nothing, or only silence, came. Tones should lie 100 Hz or more apart.
        """
        return self.stream.hears(frequency_hz, window_s)

    def level_db(self, *, window_s: float = 0.3) -> float:
        """How loud the other side is now: 0 dB is the loudest there is, -90 is nothing at all."""
        return self.stream.level_db(window_s)

    def wait_hears(
        self, frequency_hz: float, timeout: float = 5.0, threshold: float = 0.5
    ) -> float:
        """Wait until a tone is heard; returns the ``time.monotonic()`` of its first packet.

        A tone that sounds already counts from now. Two packets (40 ms) in a row make it sure.
        Raises TimeoutError.
        """
        began = time.monotonic()

        def first_heard() -> float | None:
            for stretch in self.stream.heard_since(began, frequency_hz, threshold):
                if stretch.end - stretch.start > 0.03:
                    return stretch.start
            return None

        found = self.stream.wait_until(first_heard, timeout)
        if found is None:
            raise TimeoutError(f"no tone of {frequency_hz:g} Hz was heard in {timeout:g} s")
        return found

    def wait_silent(
        self, frequency_hz: float, timeout: float = 5.0, threshold: float = 0.2, for_s: float = 0.1
    ) -> float:
        """Wait until a tone has not been heard for ``for_s``; returns the moment it stopped.

        No sound at all is silence too. Raises TimeoutError.
        """
        began = time.monotonic()

        def stopped() -> float | None:
            now = time.monotonic()
            stretches = self.stream.heard_since(began - for_s, frequency_hz, threshold)
            end = stretches[-1].end if stretches else began
            return end if now - end >= for_s else None

        found = self.stream.wait_until(stopped, timeout)
        if found is None:
            raise TimeoutError(f"the tone of {frequency_hz:g} Hz went on for {timeout:g} s")
        return found

    def heard_since(
        self, since: float, frequency_hz: float, *, threshold: float = 0.5
    ) -> list[Heard]:
        """Every stretch since a ``time.monotonic()`` in which the tone was heard, to 20 ms.

        Reaches back one minute; works after the call has ended as well.
        """
        return self.stream.heard_since(since, frequency_hz, threshold)

    def longest_gap_s(
        self,
        frequency_hz: float,
        since: float,
        until: float | None = None,
        *,
        threshold: float = 0.5,
    ) -> float:
        """The longest time between two moments in which the tone was not heard, in seconds."""
        until = time.monotonic() if until is None else until
        longest, last = 0.0, since
        for stretch in self.heard_since(since, frequency_hz, threshold=threshold):
            if stretch.start >= until:
                break
            longest = max(longest, stretch.start - last)
            last = stretch.end
        return max(longest, until - last)

    @property
    def packets_received(self) -> int:
        """How many packets of sound have come."""
        return self.stream.packet_count

    @property
    def first_packet_at(self) -> float | None:
        """When the first packet of sound came (``time.monotonic()``)."""
        return self.stream.first_packet_at

    @property
    def last_packet_at(self) -> float | None:
        """When the latest packet of sound came (``time.monotonic()``)."""
        return self.stream.last_packet_at

    def write_audio(self, data: bytes) -> None:
        """Speak, in pyVoIP's format: 8000 unsigned 8-bit samples a second (128 is silence)."""
        samples = (np.frombuffer(data, dtype=np.uint8).astype(np.int16) - 128) << 8
        self.stream.write_pcm(samples.tobytes())

    def read_audio(self, length: int = 160, blocking: bool = True) -> bytes:
        """Listen, in pyVoIP's format; silence where nothing came.

        ``blocking`` waits for sound at most as long as the sound asked for lasts; pyVoIP waited
        for ever while the other side was silent.
        """
        samples = np.frombuffer(self.stream.read_pcm(length, blocking=blocking), dtype=np.int16)
        return ((samples >> 8) + 128).astype(np.uint8).tobytes()

    def write_pcm(self, samples: bytes) -> None:
        """Speak, as 16-bit samples of this machine's byte order, 8000 a second."""
        self.stream.write_pcm(samples)

    def read_pcm(self, samples: int = 160, *, blocking: bool = True) -> bytes:
        """Listen, as 16-bit samples; else like :meth:`read_audio`."""
        return self.stream.read_pcm(samples, blocking=blocking)
