"""Tones are told apart, and coded sound is what the standard says."""

from __future__ import annotations

import audioop

import numpy as np
import pytest

from telephony import tones
from telephony.tones import PCMA, PCMU, SAMPLE_RATE


def _wave(*parts: tuple[float, float], seconds: float = 0.3) -> tones.Samples:
    n = np.arange(int(SAMPLE_RATE * seconds))
    total = sum(peak * np.sin(2 * np.pi * hz * n / SAMPLE_RATE + 0.7) for hz, peak in parts)
    return np.asarray(total).round().astype(np.int16)


@pytest.mark.parametrize(("law", "name"), [(PCMU, "ulaw"), (PCMA, "alaw")])
def test_given_every_code_when_decoded_then_it_is_what_g711_says(law: int, name: str) -> None:
    codes = bytes(range(256))
    expected = np.frombuffer(getattr(audioop, f"{name}2lin")(codes, 2), dtype=np.int16)
    assert np.array_equal(tones.decode(codes, law), expected)


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_given_any_sample_when_coded_then_the_nearest_code_is_taken(law: int) -> None:
    samples = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    back = tones.decode(tones.encode(samples, law), law)
    values = np.unique(tones.decode(bytes(range(256)), law)).astype(np.int32)
    error = np.abs(back.astype(np.int32) - samples)
    nearest = np.abs(values[None, :] - samples[::97, None].astype(np.int32)).min(axis=1)
    assert np.array_equal(error[::97], nearest)


def test_given_silence_when_coded_then_the_usual_zero_is_sent() -> None:
    assert tones.silence_packet(PCMU) == b"\xff" * 160
    assert set(tones.silence_packet(PCMA)) <= {0xD5, 0x55}


def test_given_a_tone_when_measured_then_it_is_all_at_its_own_frequency() -> None:
    sound = _wave((440, 8000))
    assert tones.share_at(sound, 440) > 0.98
    assert tones.share_at(sound, 540) < 0.01
    assert tones.share_at(sound, 1000) < 0.01


def test_given_two_tones_when_measured_then_each_has_its_share() -> None:
    sound = _wave((440, 8000), (700, 4000))
    assert tones.share_at(sound, 440) == pytest.approx(0.8, abs=0.02)
    assert tones.share_at(sound, 700) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("peak", [0, 20])
def test_given_near_silence_when_measured_then_no_tone_is_heard(peak: int) -> None:
    assert tones.share_at(_wave((440, peak)), 440) == 0.0


def test_given_less_than_a_packet_when_measured_then_nothing_is_claimed() -> None:
    assert tones.share_at(_wave((440, 8000))[:100], 440) == 0.0


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_given_a_generated_tone_when_cut_at_any_phase_then_it_goes_on_without_a_click(
    law: int,
) -> None:
    second = tones.tone_second(440, law)
    assert second[SAMPLE_RATE:] == second[: len(second) - SAMPLE_RATE]
    assert tones.share_at(tones.decode(second, law), 440) > 0.97


def test_given_packets_when_searched_then_only_those_with_the_tone_are_named() -> None:
    second = tones.tone_second(440, PCMU)
    quiet = tones.silence_packet(PCMU)
    other = tones.tone_second(800, PCMU)[:160]
    packets = [(PCMU, second[:160]), (PCMU, quiet), (PCMU, other), (PCMU, second[160:320])]
    assert list(tones.packets_with_tone(packets, 440, 0.5)) == [True, False, False, True]
    assert list(tones.packets_with_tone([], 440, 0.5)) == []
