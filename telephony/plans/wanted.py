"""What would be loaded: the dialplan that the settings make, and the admin's own beside it.

Only files below ``hotline/`` of the PBX's configuration folder are ever written, and only contexts
that stand in them are ever changed. What the PBX reads once at its start (modules, CEL) or what
``render`` alone knows (the manager's user, where music lies) is not loaded this way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from telephony.dialplan import TEMPLATES, DialplanError, render
from telephony.plans.config_lines import read_lines
from telephony.plans.steps import SETTINGS, Steps, contexts_of, steps_of
from telephony.plans.versions import Files
from telephony.settings import Settings

EXTENSIONS = "hotline/extensions/"
CUSTOM = EXTENSIONS + "custom-"
"""The admin's own files get this before their name."""
RELOADS = {
    EXTENSIONS: "pbx_config",
    "hotline/features.conf": "features",
    "hotline/queues.conf": "app_queue",
    "hotline/confbridge.conf": "app_confbridge",
    "hotline/indications.conf": "indications",
}
"""What is loaded, and which module of Asterisk reads it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.conf")
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,79}")


class CustomRefused(DialplanError):
    """A dialplan of the admin's own that is not loaded as it stands; ``lines`` says where and why.

    Nothing is loaded then.
    """

    code = "dialplan-custom-refused"
    status = 422
    title = "A dialplan of your own cannot be loaded"

    def __init__(self, lines: list[str]) -> None:
        super().__init__("nothing was loaded: " + "; ".join(lines))
        self.lines = lines


def module_of(name: str) -> str | None:
    """The module of Asterisk that reads a file of ours; None for what is not loaded."""
    return next((module for start, module in RELOADS.items() if name.startswith(start)), None)


def custom_folder(settings: Settings) -> Path:
    """Where the admin's own dialplans lie."""
    return settings.dialplan.custom or TEMPLATES / "custom"


def wanted(settings: Settings) -> Files:
    """All files that would be loaded, by their path below the PBX's configuration folder.

    Raises :class:`~telephony.dialplan.DialplanError`, and :class:`CustomRefused` when a file of the
    admin's own would change more than contexts of its own.
    """
    ours = rendered(settings)
    taken = {*contexts_of(extension_steps(ours)), settings.trunk_context}
    return ours | custom_files(custom_folder(settings), taken)


def rendered(settings: Settings) -> Files:
    """What the settings make of it, without the admin's own."""
    # The manager's secret is in nothing that is loaded, so it need not be known for it.
    pbx = settings.pbx.model_copy(update={"ami_secret": SecretStr("not-needed")})
    files = render(settings.model_copy(update={"pbx": pbx}))
    return {name: text for name, text in files.items() if module_of(name)}


def extension_steps(files: Mapping[str, str], *, strict: bool = False) -> Steps:
    """The steps of those of the files that are dialplans; ``strict`` as of :func:`read_steps`."""
    dialplans = {k: text for k, text in files.items() if k.startswith(EXTENSIONS)}
    return steps_of(dialplans, strict=strict)


def custom_files(folder: Path, taken: set[str]) -> Files:
    """The admin's own dialplans, under the names that they get on the PBX.

    ``taken`` are the contexts of others. Raises :class:`CustomRefused` with a line for each reason.
    """
    found: Files = {}
    wrong: list[str] = []
    seen = dict.fromkeys(taken, "the hotline")
    for path in sorted(folder.glob("*.conf")) if folder.is_dir() else ():
        if path.name.startswith("."):
            # What an editor leaves beside; Asterisk would not take it either.
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            wrong.append(f"{path}: cannot be read as UTF-8 text: {error}")
            continue
        if not _NAME.fullmatch(path.name):
            wrong.append(f"{path}: name it with letters, digits, - and _ only, ending in .conf")
        wrong += [f"{path}:{line}: {why}" for line, why in refusals(text, path.name, seen)]
        found[CUSTOM + path.name] = text
    if wrong:
        raise CustomRefused(wrong)
    return found


def refusals(text: str, name: str, seen: dict[str, str]) -> list[tuple[int, str]]:
    """Why a file of the admin's own would touch what is not its own: line and reason.

    ``seen`` maps contexts to whose they are; those of this file are added.
    """
    wrong = []
    for line in read_lines(text):
        if line.key.startswith("#"):
            why = f"{line.key} is not taken: what it brings would be checked nowhere"
        elif line.key:
            if line.section or line.key.startswith("#"):
                continue
            why = "stands before the first [context]; put it into one"
        elif line.section.lower() in SETTINGS:
            why = f"[{line.section}] is of the whole PBX; put it into its own extensions.conf"
        elif not _CONTEXT.fullmatch(line.section):
            why = f"[{line.section}]: a context is letters, digits, - _ and . only"
        elif "+" in line.value:
            why = f"[{line.section}](+) adds to a context of somebody else; name a context anew"
        elif seen.setdefault(line.section, name) != name:
            why = f"[{line.section}] is of {seen[line.section]} already; choose another name"
        else:
            continue
        wrong.append((line.number, why))
    return wrong
