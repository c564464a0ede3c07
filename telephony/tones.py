"""Tones and how to measure them, and the two codings of telephone sound (pure).

A phone that plays 440 Hz is heard by whoever is connected to it, so who hears whom can be
proven by measuring. Sound here is 8000 samples a second, as on every telephone line.
Sources: ITU-T G.711 (the codings), RFC 3551 section 6 (their RTP payload types 0 and 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 8000
PACKET_SAMPLES = 160
"""One packet is 20 ms of sound."""

PCMU = 0
PCMA = 8

Samples = npt.NDArray[np.int16]
Powers = npt.NDArray[np.float64]

TONE_PEAK = 8000
"""About 12 dB below full scale: two of them can be mixed in a conference without clipping."""

SILENCE_DB = -90.0

_AUDIBLE_POWER = 60.0**2 / 2
"""Quieter than a tone of peak 60 (-55 dB) is silence: coding noise, not somebody's tone."""


def _decode_pcmu() -> Samples:
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _decode_pcma() -> Samples:
    code = np.arange(256) ^ 0x55
    segment = (code >> 4) & 7
    magnitude = ((code & 0x0F) << 4) + np.where(segment == 0, 8, 0x108)
    magnitude = magnitude << np.maximum(segment - 1, 0)
    samples: Samples = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)
    return samples


def _encode(decoded: Samples) -> npt.NDArray[np.uint8]:
    """For each 16-bit sample (as unsigned index) the code whose value is nearest."""
    # Backwards, so that of the two zeros of PCMU the usual one (0xFF) is taken.
    values, first = np.unique(decoded[::-1].astype(np.int32), return_index=True)
    codes = (255 - first).astype(np.uint8)
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    middles = (values[:-1] + values[1:]) / 2
    nearest: npt.NDArray[np.uint8] = codes[np.searchsorted(middles, samples)]
    return nearest


_DECODED = {PCMU: _decode_pcmu(), PCMA: _decode_pcma()}
_ENCODED = {law: _encode(values) for law, values in _DECODED.items()}


def encode(samples: Samples, law: int) -> bytes:
    """Code 16-bit samples as PCMU (0) or PCMA (8), one byte a sample."""
    return _ENCODED[law][samples.view(np.uint16)].tobytes()


def decode(payload: bytes, law: int) -> Samples:
    """Decode PCMU (0) or PCMA (8) bytes to 16-bit samples."""
    samples: Samples = _DECODED[law][np.frombuffer(payload, dtype=np.uint8)]
    return samples


@lru_cache(maxsize=256)
def tone_second(frequency_hz: int, law: int) -> bytes:
    """One second of a tone, coded, plus one packet so that any phase can be cut from it.

    A whole number of Hz repeats exactly after a second, so the tone never clicks.
    """
    n = np.arange(SAMPLE_RATE + PACKET_SAMPLES)
    wave = TONE_PEAK * np.sin(2 * np.pi * frequency_hz * n / SAMPLE_RATE)
    return encode(np.round(wave).astype(np.int16), law)


@lru_cache(maxsize=4)
def silence_packet(law: int) -> bytes:
    """A packet of silence: sent whenever there is nothing to say, so that RTP always flows."""
    return encode(np.zeros(PACKET_SAMPLES, dtype=np.int16), law)


@lru_cache(maxsize=256)
def _probe(frequency_hz: float, length: int) -> tuple[npt.NDArray[np.complex128], Powers]:
    window = np.hanning(length + 1)[:length]
    turn = np.exp(-2j * np.pi * frequency_hz * np.arange(length) / SAMPLE_RATE)
    return window * turn, window


def tone_shares(blocks: npt.NDArray[np.int16], frequency_hz: float) -> tuple[Powers, Powers]:
    """Per block (a row): the power at one frequency, and the power of everything.

    A Goertzel filter with a Hann window: its bandwidth is ±2 / block length, so ±100 Hz for
    blocks of 20 ms and ±50 Hz for 40 ms; tones further apart than that do not disturb.
    """
    probe, window = _probe(float(frequency_hz), blocks.shape[1])
    sound = blocks.astype(np.float64)
    at_frequency = 2 * np.abs(sound @ probe) ** 2 / window.sum() ** 2
    everything = (sound * window) ** 2 @ np.ones(blocks.shape[1]) / (window @ window)
    return at_frequency, everything


def share_at(samples: Samples, frequency_hz: float, *, block_samples: int = 320) -> float:
    """The share (0 to 1) of the energy of a stretch of sound that lies at one frequency.

    Blocks are summed by power, so a jump of phase (a lost packet) does no harm. Silence has no
    share of anything: 0.
    """
    block_samples = min(block_samples, len(samples))
    if block_samples < PACKET_SAMPLES:
        return 0.0
    usable = len(samples) // block_samples * block_samples
    power, everything = tone_shares(samples[-usable:].reshape(-1, block_samples), frequency_hz)
    if everything.mean() < _AUDIBLE_POWER:
        return 0.0
    return min(1.0, float(power.sum() / everything.sum()))


def level_db(samples: Samples) -> float:
    """How loud it is, in dB below a full-scale tone; :data:`SILENCE_DB` for nothing at all."""
    power = float(np.mean(samples.astype(np.float64) ** 2)) if len(samples) else 0.0
    return max(SILENCE_DB, 10 * float(np.log10(max(power, 1e-9) / (32767.0**2 / 2))))


def packets_with_tone(
    packets: Sequence[tuple[int, bytes]], frequency_hz: float, threshold: float
) -> npt.NDArray[np.bool_]:
    """For each packet (payload type, payload): is at least this share of it the tone?"""
    if not packets:
        return np.zeros(0, dtype=np.bool_)
    blocks = np.empty((len(packets), PACKET_SAMPLES), dtype=np.int16)
    for row, (law, payload) in enumerate(packets):
        whole = payload[:PACKET_SAMPLES].ljust(PACKET_SAMPLES, silence_packet(law)[:1])
        blocks[row] = decode(whole, law)
    power, everything = tone_shares(blocks, frequency_hz)
    return (everything >= _AUDIBLE_POWER) & (power >= threshold * everything)
