"""The sound of one call: RTP out every 20 ms, RTP in, telephone keys, and what was heard when.

Sources: RFC 3550 (RTP), RFC 4733 (keys as telephone-events).
"""

from __future__ import annotations

import secrets
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pyVoIP.RTP import PayloadType, RTPClient, TransmitType

from telephony import tones
from telephony.sip.errors import SoftphoneError
from telephony.sip.loop import BEAT_S, PhoneLoop
from telephony.tones import PACKET_SAMPLES, PCMA, PCMU, SAMPLE_RATE

KEYS = "0123456789*#ABCD"
REMEMBERED_PACKETS = 60 * 50
"""A minute of received sound can be asked about afterwards."""
_UNPLAYED_PACKETS = 25
_END_REPEATS = 3
_HEADER = struct.Struct("!BBHII")
_SO_TIMESTAMPNS = 35 if sys.platform == "linux" else 0
"""The kernel notes when a packet came, so that a busy machine does not show as a gap."""
_TIMESPEC = struct.Struct("@qq")


class Packet(NamedTuple):
    """A received packet of sound: when it came (``time.monotonic``), its coding, its bytes."""

    at: float
    law: int
    payload: bytes


class Heard(NamedTuple):
    """A stretch in which a tone was heard, by the arrival of its first and last packet.

    Times are those of ``time.monotonic()``; ``end`` is when the last packet had been played.
    """

    start: float
    end: float


@dataclass(slots=True)
class PressedKey:
    """A key on its way; ``done`` is set when it and its pause are over, or the call is."""

    event: int
    beats: int
    gap_beats: int
    done: threading.Event
    elapsed: int = 0

    @property
    def sent(self) -> bool:
        """Its end has been sent; a call that ends in the pause after it changes nothing."""
        return self.elapsed >= self.beats


class RtpStream(RTPClient):
    """The sound of one call, both ways; threads may call everything."""

    def __init__(self, loop: PhoneLoop, sock: socket.socket) -> None:
        ours = {PCMU: PayloadType.PCMU, PCMA: PayloadType.PCMA, 101: PayloadType.EVENT}
        ip, port = sock.getsockname()
        super().__init__(ours, ip, port, "", 0, TransmitType.SENDRECV)
        self.loop = loop
        self.sin = self.sout = sock
        sock.setblocking(False)
        if _SO_TIMESTAMPNS:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.law = PCMU
        self.event_payload: int | None = None
        self.sending = False
        self.muted = False
        self.outSequence = secrets.randbelow(1 << 15)
        self.outTimestamp = secrets.randbits(31)
        self.outSSRC = secrets.randbits(32)
        self.changed = threading.Condition()
        self.packets: deque[Packet] = deque(maxlen=REMEMBERED_PACKETS)
        self.packet_count = 0
        self.first_packet_at: float | None = None
        self.last_packet_at: float | None = None
        self._unplayed: deque[Packet] = deque(maxlen=_UNPLAYED_PACKETS)
        self._rest = b""
        self._waiting = 0
        self._came_at = 0.0
        self._microphone = bytearray()
        self._tone_hz: int | None = None
        self._phase = 0
        self._keys: deque[PressedKey] = deque()
        self._last_event_timestamp: int | None = None
        self._started = False

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, and keep the beat."""
        if not self._started:
            self._started = True
            self.loop.watch(self.sin, self.recv)
            self.loop.add_beat(self.trans)

    def connect(self, address: str, port: int, law: int, event_payload: int | None) -> None:
        """Where the sound goes from now on, and in which coding."""
        self.outIP, self.outPort = address, port
        self.law, self.event_payload = law, event_payload
        if event_payload is not None:
            self.assoc[event_payload] = PayloadType.EVENT

    def stop(self) -> None:
        """Stop sound both ways and give the port back; what was heard can still be asked."""
        with self.changed:
            if not self.NSD:
                return
            self.NSD = False
            self.sending = False
            for key in self._keys:
                key.done.set()
            self._keys.clear()
            self.changed.notify_all()
        if self._started:
            self.loop.remove_beat(self.trans)
            self.loop.unwatch_and_close(self.sin)
        else:
            self.sin.close()

    # -- out -------------------------------------------------------------------------------

    def play_tone(self, frequency_hz: float | None) -> None:
        """Play a tone (to whole Hz, up to 3900) until changed; None is silence."""
        if frequency_hz is not None and not 1 <= frequency_hz <= 3900:
            raise SoftphoneError(f"a tone of {frequency_hz} Hz does not pass a telephone line")
        self._tone_hz = None if frequency_hz is None else round(frequency_hz)

    def write_pcm(self, samples: bytes) -> None:
        """Sound of a microphone: 16-bit samples of this machine's byte order, 8000 a second.

        At most half a second waits to be sent; older sound is dropped, so delay never builds up.
        """
        with self.changed:
            self._microphone += samples
            del self._microphone[: max(0, len(self._microphone) - SAMPLE_RATE)]

    def press_keys(self, digits: str, tone_ms: int, gap_ms: int) -> PressedKey:
        """Queue keys to be sent; returns the last one, to wait for."""
        if self.event_payload is None:
            raise SoftphoneError("the other side does not take keys as RFC 4733 events")
        unknown = set(digits.upper()) - set(KEYS)
        if unknown or not digits:
            raise SoftphoneError(f"no such key: {''.join(sorted(unknown)) or '(none)'}")
        beats, gap = max(2, round(tone_ms / 20)), max(1, round(gap_ms / 20))
        keys = [PressedKey(KEYS.index(d), beats, gap, threading.Event()) for d in digits.upper()]
        with self.changed:
            if not self.NSD:
                raise SoftphoneError("the call is over")
            self._keys.extend(keys)
        return keys[-1]

    def trans(self, beats: int = 1) -> None:
        """One beat: a packet of a key, of the microphone, of the tone, or of silence."""
        if not self.NSD:
            return
        self.outTimestamp = (self.outTimestamp + beats * PACKET_SAMPLES) & 0xFFFFFFFF
        if not self.sending or not self.outPort:
            return
        key = self._key_now()
        if key is not None:
            self._send_key(key)
            return
        self._send(self.law, self.outTimestamp, self._sound(), marker=False)

    def _key_now(self) -> PressedKey | None:
        """The key that is down in this beat; None in the pause after it."""
        with self.changed:
            if not self._keys:
                return None
            key = self._keys[0]
            key.elapsed += 1
            if key.elapsed <= key.beats:
                return key
            if key.elapsed >= key.beats + key.gap_beats:
                self._keys.popleft().done.set()
            return None

    def _send_key(self, key: PressedKey) -> None:
        """RFC 4733 section 2.5: one timestamp for the whole key, the end said three times."""
        if key.elapsed == 1:
            self._key_timestamp = self.outTimestamp
        ends = key.elapsed == key.beats
        body = struct.pack("!BBH", key.event, 0x8A if ends else 10, key.elapsed * PACKET_SAMPLES)
        for _ in range(_END_REPEATS if ends else 1):
            first = key.elapsed == 1
            self._send(self.event_payload or 101, self._key_timestamp, body, marker=first)

    def _sound(self) -> bytes:
        if self.muted:
            return tones.silence_packet(self.law)
        if len(self._microphone) >= 2 * PACKET_SAMPLES:
            with self.changed:
                taken = bytes(self._microphone[: 2 * PACKET_SAMPLES])
                del self._microphone[: 2 * PACKET_SAMPLES]
            return tones.encode(np.frombuffer(taken, dtype=np.int16), self.law)
        if self._tone_hz is None:
            return tones.silence_packet(self.law)
        start = self._phase
        self._phase = (start + PACKET_SAMPLES) % SAMPLE_RATE
        return tones.tone_second(self._tone_hz, self.law)[start : start + PACKET_SAMPLES]

    def _send(self, payload_type: int, timestamp: int, body: bytes, *, marker: bool) -> None:
        self.outSequence = (self.outSequence + 1) & 0xFFFF
        second = payload_type | (0x80 if marker else 0)
        header = _HEADER.pack(0x80, second, self.outSequence, timestamp, self.outSSRC)
        try:
            self.sout.sendto(header + body, (self.outIP, self.outPort))
        except OSError:
            if self.NSD:
                raise

    # -- in --------------------------------------------------------------------------------

    def recv(self) -> None:
        """Take in what came."""
        for _ in range(64):
            try:
                data, notes, _, source = self.sin.recvmsg(2048, 64)
            except BlockingIOError:
                return
            except OSError:
                if self.NSD:
                    raise
                return
            if len(data) > _HEADER.size and source[0] == self.outIP:
                self._came_at = _arrival(notes)
                self.parse_packet(data)

    def parse_packet(self, packet: bytes) -> None:
        """One RTP packet: sound, a key, or something we did not ask for (dropped)."""
        first, second, _, timestamp, _ = _HEADER.unpack_from(packet)
        start = _HEADER.size + 4 * (first & 0x0F)
        if first >> 6 != 2:
            return
        if first & 0x10 and len(packet) >= start + 4:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        padding = packet[-1] if first & 0x20 else 0
        payload = packet[start : len(packet) - padding]
        payload_type = second & 0x7F
        kind = self.assoc.get(payload_type)
        if not payload or kind is None:
            return
        if kind is PayloadType.EVENT:
            self._key_received(payload[0], timestamp)
        else:
            self._sound_received(Packet(self._came_at, payload_type, payload))

    def _sound_received(self, packet: Packet) -> None:
        with self.changed:
            self.packets.append(packet)
            self._unplayed.append(packet)
            self.packet_count += 1
            self.last_packet_at = packet.at
            if self.first_packet_at is None:
                self.first_packet_at = packet.at
            if self._waiting:
                self.changed.notify_all()

    def _key_received(self, event: int, timestamp: int) -> None:
        # All packets of one key bear one timestamp; any of them may be the first to arrive.
        if timestamp != self._last_event_timestamp and event < len(KEYS):
            self._last_event_timestamp = timestamp
            if self.dtmf is not None:
                self.dtmf(KEYS[event])

    def read_pcm(self, samples: int = PACKET_SAMPLES, *, blocking: bool = True) -> bytes:
        """Sound for a speaker: 16-bit samples; silence where none came.

        With ``blocking`` it waits for sound, at most as long as the sound asked for lasts.
        """
        wanted = 2 * samples
        patience = samples / SAMPLE_RATE + BEAT_S if blocking else 0
        deadline = time.monotonic() + patience
        with self.changed:
            self._waiting += 1
            try:
                while len(self._rest) < wanted:
                    if self._unplayed:
                        packet = self._unplayed.popleft()
                        self._rest += tones.decode(packet.payload, packet.law).tobytes()
                    elif not self.NSD or not self.changed.wait(deadline - time.monotonic()):
                        break
            finally:
                self._waiting -= 1
            taken, self._rest = self._rest[:wanted], self._rest[wanted:]
        return taken.ljust(wanted, b"\0")

    # -- what was heard --------------------------------------------------------------------

    def hears(self, frequency_hz: float, window_s: float) -> float:
        """The tone's share (0 to 1) of the energy received within the last ``window_s``."""
        since = time.monotonic() - window_s
        recent = self._packets_since(since)
        if not recent:
            return 0.0
        sound = np.concatenate([tones.decode(packet.payload, packet.law) for packet in recent])
        return tones.share_at(sound, frequency_hz)

    def level_db(self, window_s: float) -> float:
        """How loud the sound received within the last ``window_s`` was: 0 is the loudest."""
        recent = self._packets_since(time.monotonic() - window_s)
        if not recent:
            return tones.SILENCE_DB
        sound = np.concatenate([tones.decode(packet.payload, packet.law) for packet in recent])
        return tones.level_db(sound)

    def heard_since(self, since: float, frequency_hz: float, threshold: float) -> list[Heard]:
        """Every stretch since then in which the tone was heard, to 20 ms."""
        packets = self._packets_since(since)
        flags = tones.packets_with_tone(
            [(packet.law, packet.payload) for packet in packets], frequency_hz, threshold
        )
        stretches: list[Heard] = []
        for packet, heard in zip(packets, flags, strict=True):
            if not heard:
                continue
            end = packet.at + BEAT_S
            if stretches and packet.at - stretches[-1].end < BEAT_S:
                stretches[-1] = Heard(stretches[-1].start, end)
            else:
                stretches.append(Heard(packet.at, end))
        return stretches

    def _packets_since(self, since: float) -> list[Packet]:
        with self.changed:
            newest_first = []
            for packet in reversed(self.packets):
                if packet.at < since:
                    break
                newest_first.append(packet)
        return newest_first[::-1]

    def wait_until(self, condition: Callable[[], float | None], timeout: float) -> float | None:
        """Check a condition with every packet (and every 20 ms when none come), until true."""
        deadline = time.monotonic() + timeout
        with self.changed:
            self._waiting += 1
            try:
                while True:
                    found = condition()
                    left = deadline - time.monotonic()
                    if found is not None or left <= 0:
                        return found
                    self.changed.wait(min(left, BEAT_S))
            finally:
                self._waiting -= 1


def _arrival(notes: list[tuple[int, int, bytes]]) -> float:
    now = time.monotonic()
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            age: float = time.time() - seconds - nanoseconds * 1e-9
            return now - max(0.0, age)
    return now


def bind_rtp(ip: str, ports: tuple[int, int] | None) -> socket.socket:
    """A socket on a free port, from a range if one is given; raises :class:`SoftphoneError`."""
    candidates = [0] if ports is None else range(ports[0], ports[1] + 1)
    for port in candidates:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind((ip, port))
        except OSError:
            sock.close()
            continue
        return sock
    where = "any port" if ports is None else f"ports {ports[0]} to {ports[1]}"
    raise SoftphoneError(f"no free port for sound on {ip} ({where}); end a call or widen the range")
