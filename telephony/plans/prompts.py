"""Sounds that a dialplan plays, against those that there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from telephony.plans.calls import calls, is_computed, options, split
from telephony.plans.dialplan_lines import Plan, Step
from telephony.plans.findings import Finding

PLAYS = {
    "playback": 0,
    "background": 0,
    "controlplayback": 0,
    "read": 1,
    "readexten": 1,
    "queue": 3,
    "authenticate": 3,
    "saycountpl": 99,
}
"""Which argument names sounds."""

TONES = ("beep", "silence/")
"""Sounds without words, of no language."""

Exists = Callable[[str], bool | None]
"""Whether there is a sound of this name in every language in use; None: only in English."""


def sounds(step: Step) -> Iterator[str]:
    """Names of sounds that a step surely plays or may play, as far as they are known now."""
    for app, data, _ in calls(step):
        arguments = split(data)
        at = PLAYS.get(app.lower())
        if at is not None and len(arguments) > at:
            for name in split(arguments[at], "&"):
                if name.strip() and not is_computed(name):
                    yield name.strip()
        if app.lower() in ("dial", "page") and len(arguments) > 1:
            for letter, inside in (
                options(arguments[2 if app.lower() == "dial" else 1])
                if len(arguments) > (2 if app.lower() == "dial" else 1)
                else ()
            ):
                if letter == "A" and inside and not is_computed(inside):
                    yield inside.split(":")[0]


def check_prompts(plan: Plan, exists: Exists) -> list[Finding]:
    """Sounds that are not there: a caller hears nothing."""
    found = []
    for step in plan.steps():
        for name in sounds(step):
            if "://" in name:
                continue
            there = exists(name)
            if there is None and not name.startswith(TONES):
                found.append(Finding("prompt-language", step.file, step.line, {"name": name}))
            elif there is False:
                found.append(Finding("prompt-missing", step.file, step.line, {"name": name}))
    return found


class SoundFolders:
    """The folders that are searched for each language, in order; then without a language."""

    def __init__(self, languages: dict[str, list[Path]], english: list[Path]) -> None:
        self._languages = languages
        self._english = english
        self._known: dict[str, bool | None] = {}

    def __call__(self, name: str) -> bool | None:
        """Whether a caller of every language hears it; None: of some only in English."""
        if name not in self._known:
            missing = [
                language
                for language, folders in self._languages.items()
                if not any(_is_there(folder, name) for folder in folders)
            ]
            english = missing and all(
                language == "en" or any(_is_there(one, name) for one in self._english)
                for language in missing
            )
            self._known[name] = True if not missing else None if english else False
        return self._known[name]


def _is_there(folder: Path, name: str) -> bool:
    path = folder / name.lstrip("/") if not name.startswith("/") else Path(name)
    if not path.parent.is_dir():
        return False
    pattern = re.compile(re.escape(path.name) + r"\.\w+")
    return any(pattern.fullmatch(one.name) for one in path.parent.iterdir())
