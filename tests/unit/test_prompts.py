"""What the hotline says: table, files and dialplan agree, and every file can be heard."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOUNDS = ROOT / "dialplans" / "sounds"
TABLE = tomllib.loads((SOUNDS / "prompts.toml").read_text(encoding="utf-8"))
FILES = sorted(SOUNDS.rglob("*.wav"))
SPOKEN = [path for path in FILES if path.parent.name == "hotline" and path.stem != "beep"]


def name(path: Path) -> str:
    return str(path.relative_to(SOUNDS))


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768


def run_script(sounds: Path, *options: str, path: str | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_prompts.py"), "--sounds", sounds, *options],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path or "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SOUNDS, tmp_path / "sounds"))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_file_is_what_asterisk_plays_without_conversion(path: Path) -> None:
    with wave.open(str(path), "rb") as file:
        form = (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getcomptype())
    assert form == (8000, 1, 2, "NONE")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_there_is_a_file_for_each_line_of_the_table_and_no_other(language: str) -> None:
    there = {path.stem for path in (SOUNDS / language / "hotline").glob("*.wav")}
    assert there == {*TABLE, "beep"}


@pytest.mark.parametrize("path", SPOKEN, ids=name)
def test_speech_is_loud_enough_does_not_clip_and_lasts_as_long_as_its_text(path: Path) -> None:
    sound = samples(path)
    assert 0.03 < np.sqrt(np.mean(sound**2)) < 0.2
    assert np.abs(sound).max() < 0.95
    entry = TABLE[path.stem]
    # A word of one syllable takes as long as two in a sentence.
    english = max(2.0, len(entry["english"]) / 3)
    spoken = len(entry["pinyin"].split()) if path.parts[-3] == "zh" else english
    assert 0.1 < len(sound) / 8000 / spoken < 0.6, "seconds per syllable"


def test_the_tone_is_a_tone_and_no_speech() -> None:
    for language in ("zh", "en"):
        sound = samples(SOUNDS / language / "hotline" / "beep.wav")
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / 8000)
        assert 440 <= hertz[power.argmax()] <= 1000
        assert power[np.abs(hertz - hertz[power.argmax()]) < 30].sum() > 0.98 * power.sum()


def test_music_on_hold_is_quiet_never_stops_and_repeats_without_a_click() -> None:
    sound = samples(SOUNDS / "moh" / "hotline-hold.wav")
    assert 8 <= len(sound) / 8000 <= 12
    assert np.abs(sound).max() < 0.2
    assert np.sqrt(np.mean(sound.reshape(-1, 4000) ** 2, axis=1)).min() > 0.005
    steps = np.abs(np.diff(np.append(sound, sound[0])))
    assert steps[-1] <= steps[:-1].max()


def test_every_prompt_that_the_dialplan_plays_exists() -> None:
    prompt = re.compile(r'(?<!["/\w-])hotline/([a-z][a-z0-9-]*)')
    dialplans = [*ROOT.glob("dialplans/**/*.j2"), *ROOT.glob("dialplans/**/*.conf")]
    texts = [path.read_text("utf-8") for path in dialplans]
    played = {name for text in texts for name in prompt.findall(text)}
    # Greetings of which a line may have its own (dialplans/greetings.j2).
    played |= {name for text in texts for name in re.findall(r"greet\('\w+', '([\w-]+)'", text)}
    assert "welcome" in played
    assert played <= {*TABLE, "beep"}


def test_given_the_files_as_shipped_when_checked_then_all_is_in_order() -> None:
    assert run_script(SOUNDS, "--check") == (0, "")


def test_given_broken_files_when_checked_then_each_is_named_and_what_is_wrong(copy: Path) -> None:
    spoken = copy / "zh" / "hotline"
    (spoken / "welcome.wav").unlink()
    (spoken / "closed.wav").write_bytes(b"not a sound")
    (spoken / "greeting.wav").write_bytes((spoken / "goodbye.wav").read_bytes())
    with wave.open(str(spoken / "confirm.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 16000)
    status, output = run_script(copy, "--check")
    assert status == 1
    assert "zh/hotline/welcome.wav: missing" in output
    assert "zh/hotline/closed.wav: " in output
    assert "zh/hotline/greeting.wav: no such prompt" in output
    assert "zh/hotline/confirm.wav: 16000 Hz" in output
    assert "zh/hotline/confirm.wav: silent" in output


def test_given_a_recording_of_ones_own_when_made_again_then_only_what_is_missing_is_made(
    copy: Path,
) -> None:
    own = copy / "zh" / "hotline" / "welcome.wav"
    own.write_bytes((copy / "zh" / "hotline" / "goodbye.wav").read_bytes())
    before = own.read_bytes()
    (copy / "zh" / "hotline" / "beep.wav").unlink()
    assert run_script(copy) == (0, "made zh/hotline/beep.wav\n")
    assert own.read_bytes() == before


def test_given_no_espeak_when_speech_is_missing_then_it_says_what_to_install(copy: Path) -> None:
    (copy / "zh" / "hotline" / "welcome.wav").unlink()
    status, output = run_script(copy, path="/nonexistent")
    assert status == 1
    assert output == "espeak-ng is missing; install it: sudo apt-get install espeak-ng\n"


def test_given_a_syllable_too_few_when_checked_then_the_prompt_is_named(copy: Path) -> None:
    table = copy / "prompts.toml"
    table.write_text(table.read_text("utf-8").replace("yi3 jie1 ting1", "yi3 jie1", 1), "utf-8")
    status, output = run_script(copy, "--check")
    assert status == 1
    assert "characters but" in output
