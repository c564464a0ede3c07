#!/usr/bin/env python3
"""Make the placeholder prompts, the tone and the music on hold of ``dialplans/sounds``.

    .venv/bin/python scripts/make_prompts.py            # what is missing
    .venv/bin/python scripts/make_prompts.py --again    # all, your own recordings too
    .venv/bin/python scripts/make_prompts.py --check    # do table and files agree?

Speech comes from espeak-ng: Mandarin from toned pinyin, because the voice that reads Chinese
characters mixes English into digits. What Asterisk plays is 8 kHz mono 16-bit WAV.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]
"""Samples between -1 and 1."""

SOUNDS = Path(__file__).resolve().parent.parent / "dialplans" / "sounds"
RATE = 8000
VOICES = {"zh": "cmn-latn-pinyin", "en": "en-us"}
WORDS_PER_MINUTE = {"zh": 190, "en": 160}
BAND_HZ = (200.0, 3500.0)
SPEECH_DBFS = -20.0
PEAK = 0.7
SILENCE = 0.01
PAUSE_S = 0.08
LANGUAGES = tuple(VOICES)
TONE = "beep"
HOLD = Path("moh") / "hotline-hold.wav"


class PromptError(Exception):
    """The prompts cannot be made; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One sentence that the hotline says, in the languages it says it in."""

    name: str
    chinese: str
    pinyin: str
    english: str

    def text(self, language: str) -> str:
        """What the voice of this language reads."""
        return self.pinyin if language == "zh" else self.english


def load_table(sounds: Path) -> list[Prompt]:
    """The prompts of ``prompts.toml``; raises :class:`PromptError` for a table that is wrong."""
    path = sounds / "prompts.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        prompts = [Prompt(name=name, **entry) for name, entry in table.items()]
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise PromptError(f"{path}: {error}") from error
    for prompt in prompts:
        characters = sum(character.isalpha() for character in prompt.chinese)
        syllables = prompt.pinyin.split()
        if characters != len(syllables):
            raise PromptError(
                f"{path}: {prompt.name} has {characters} characters but {len(syllables)} syllables"
            )
        for syllable in syllables:
            if syllable.rstrip(",.")[-1:] not in {"1", "2", "3", "4", "5"}:
                raise PromptError(f"{path}: {prompt.name}: {syllable!r} ends in no tone 1 to 5")
    return prompts


def speak(text: str, language: str) -> Sound:
    """Read a text aloud with espeak-ng and make it fit for the telephone."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise PromptError("espeak-ng is missing; install it: sudo apt-get install espeak-ng")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "speech.wav"
        speed = str(WORDS_PER_MINUTE[language])
        command = [program, "-v", VOICES[language], "-s", speed, "-w", str(path), "--", text]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not path.is_file():
            raise PromptError(f"espeak-ng failed ({done.stderr.strip()}) at: {text}")
        samples, rate = read_wav(path)
    return levelled(trimmed(for_telephone(samples, rate)))


def for_telephone(samples: Sound, rate: int) -> Sound:
    """Bring a sound to 8 kHz and to what a telephone passes, in one step over its spectrum."""
    whole = np.concatenate([samples, np.zeros(-len(samples) % rate)])  # whole seconds: exact ratio
    spectrum = np.fft.rfft(whole)[: len(whole) * RATE // rate // 2 + 1]
    frequency = np.arange(len(spectrum)) * rate / len(whole)
    low, high = BAND_HZ
    rise = np.clip((frequency - low / 2) / (low / 2), 0, 1)
    fall = np.clip((RATE / 2 - frequency) / (RATE / 2 - high), 0, 1)
    sound: Sound = np.fft.irfft(spectrum * rise * fall, len(whole) * RATE // rate)
    return sound * (RATE / rate)


def trimmed(samples: Sound) -> Sound:
    """Cut the silence at both ends, but for a short pause."""
    loud = np.flatnonzero(np.abs(samples) > SILENCE * np.abs(samples).max(initial=0))
    if not len(loud):
        raise PromptError("espeak-ng gave silence; is its data package installed?")
    pause = np.zeros(round(PAUSE_S * RATE))
    return np.concatenate([pause, samples[loud[0] : loud[-1] + 1], pause])


def levelled(samples: Sound) -> Sound:
    """The level of speech on a telephone line, and no peak that clips."""
    effective = np.sqrt(np.mean(samples**2))
    gain = float(min(10 ** (SPEECH_DBFS / 20) / effective, PEAK / np.abs(samples).max()))
    return samples * gain


def tone() -> Sound:
    """The tone after which a message is recorded: 800 Hz for a quarter of a second."""
    time = np.arange(RATE // 4) / RATE
    edge = np.clip(np.minimum(time, time[-1] - time) / 0.01, 0, 1)
    sound: Sound = 0.3 * edge * np.sin(2 * np.pi * 800 * time)
    return sound


def hold_music() -> Sound:
    """Twelve quiet seconds of three slow chords, whose end runs into their beginning."""
    length = 12 * RATE
    time = np.arange(length) / RATE
    chords = ((261.6, 329.6, 392.0), (220.0, 329.6, 440.0), (349.2, 440.0, 523.2))
    music = np.zeros(length)
    for number, chord in enumerate(chords):
        away = np.abs((time - 2 - 4 * number + 6) % 12 - 6)  # seconds from the chord's middle
        swell = np.cos(np.clip(away / 4, 0, 1) * np.pi / 2) ** 2
        for frequency in chord:
            whole = round(frequency * 12) / 12  # whole turns in twelve seconds: no click
            phase = 2 * np.pi * whole * time
            music += swell * (np.sin(phase) + 0.25 * np.sin(2 * phase))
    return music * float(0.08 / np.abs(music).max())


def read_wav(path: Path) -> tuple[Sound, int]:
    """The samples of a mono 16-bit WAV file and their rate."""
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise PromptError(f"{path} is not mono with 16 bits")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples.astype(np.float64) / 32768, file.getframerate()


def write_wav(path: Path, samples: Sound) -> None:
    """Write 8 kHz mono 16-bit WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def names(prompts: list[Prompt]) -> Iterator[Path]:
    """Every file that the table asks for, below the directory of sounds."""
    for language in LANGUAGES:
        for name in (*(prompt.name for prompt in prompts), TONE):
            yield Path(language) / "hotline" / f"{name}.wav"
    yield HOLD


def make(sounds: Path, *, again: bool) -> list[Path]:
    """Make what is missing (or everything) and return the files that were written."""
    prompts = load_table(sounds)
    by_name = {prompt.name: prompt for prompt in prompts}
    made = []
    for path in names(prompts):
        if (sounds / path).exists() and not again:
            continue
        if path == HOLD:
            samples = hold_music()
        elif path.stem == TONE:
            samples = tone()
        else:
            language = path.parts[0]
            samples = speak(by_name[path.stem].text(language), language)
        write_wav(sounds / path, samples)
        made.append(path)
    return made


def check(sounds: Path) -> list[str]:
    """What is wrong with the files, a sentence each: missing, not in the table, format, silence."""
    wanted = set(names(load_table(sounds)))
    there = {path.relative_to(sounds) for path in sounds.rglob("*.wav")}
    wrong = [f"{path}: missing; scripts/make_prompts.py makes it" for path in wanted - there]
    wrong += [f"{path}: no such prompt in prompts.toml" for path in there - wanted]
    for path in wanted & there:
        try:
            samples, rate = read_wav(sounds / path)
        except (PromptError, wave.Error, EOFError) as error:
            wrong.append(f"{path}: {error}; wanted is 8 kHz mono 16-bit WAV")
            continue
        if rate != RATE:
            wrong.append(f"{path}: {rate} Hz; wanted is 8 kHz mono 16-bit WAV")
        if np.abs(samples).max(initial=0) < SILENCE:
            wrong.append(f"{path}: silent")
    return sorted(wrong)


def main() -> int:
    """Exit status 0: made, or all in order; 1: not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare the table and the files")
    parser.add_argument("--again", action="store_true", help="make files anew that are there")
    parser.add_argument("--sounds", type=Path, default=SOUNDS, help="the directory of sounds")
    options = parser.parse_args()
    try:
        if not options.check:
            for path in make(options.sounds, again=options.again):
                sys.stdout.write(f"made {path}\n")
        wrong = check(options.sounds)
    except PromptError as error:
        wrong = [str(error)]
    for line in wrong:
        sys.stderr.write(line + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
