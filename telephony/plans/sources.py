"""Dialplans on disk, as a check takes them: the files named, what they include, what stands beside.

Names are paths as they were given; what an include brings is looked for as Asterisk does, below the
folder of the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from telephony.plans.findings import Finding

BESIDE = (
    "modules.conf",
    "features.conf",
    "queues.conf",
    "confbridge.conf",
    "pjsip.conf",
    "pjsip_wizard.conf",
    "sorcery.conf",
    "res_parking.conf",
    "voicemail.conf",
    "hotline/features.conf",
    "hotline/queues.conf",
    "hotline/confbridge.conf",
)
"""Other configuration that names contexts, modules or endpoints, if it is there."""
ROOT_SIGNS = ("asterisk.conf", "extensions.conf", "hotline/extensions")


@dataclass(slots=True)
class Sources:
    """Files by name, which of them come first, and what could not be read."""

    texts: dict[str, str] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    """For each root the folder below which its includes are."""

    def resolve(self, where: str, what: str) -> list[tuple[str, str]]:
        """What an include brings: a path or a pattern, below the configuration's folder."""
        folder = next(
            (root for root in self.folders.values() if root in Path(where).absolute().parents),
            Path(where).absolute().parent,
        )
        found = []
        for path in sorted(_glob(folder, what)):
            text = self.read(path)
            if text is not None:
                found.append((str(path), text))
        return found

    def read(self, path: Path) -> str | None:
        """The text of a file; what keeps it from being read is a finding."""
        name = str(path)
        if name not in self.texts:
            try:
                data = path.read_bytes()
            except OSError as error:
                values = {"reason": error.strerror or str(error)}
                self.findings.append(Finding("unreadable", name, 0, values))
                return None
            try:
                self.texts[name] = data.decode("utf-8-sig" if data[:1] == b"\xef" else "utf-8")
            except UnicodeDecodeError as error:
                line = data[: error.start].count(b"\n") + 1
                self.findings.append(Finding("not-utf8", name, line))
                self.texts[name] = data.decode("utf-8", "replace")
        return self.texts[name]


def gather(paths: Sequence[Path], folder: Path | None = None) -> Sources:
    """Read what is named. ``folder``: the PBX's configuration folder (default: found by its files).

    What cannot be read is a finding, and the rest is checked.
    """
    sources = Sources()
    for path in paths:
        root = folder or _folder_of(path)
        sources.folders[str(path)] = root.absolute()
        if sources.read(path) is not None:
            sources.roots.append(str(path))
        for name in BESIDE:
            if (root / name).is_file() and root / name != path:
                sources.read(root / name)
    return sources


def beside_on_disk(etc: Path | None) -> dict[str, str]:
    """What the PBX's own configuration folder says of modules and endpoints, if it is reachable."""
    sources = Sources()
    for name in BESIDE:
        if etc is not None and "/" not in name and (etc / name).is_file():
            sources.read(etc / name)
    return sources.texts


def _folder_of(path: Path) -> Path:
    """The configuration folder that a file belongs to: the nearest that looks like one."""
    for folder in path.absolute().parents:
        if any((folder / sign).exists() for sign in ROOT_SIGNS):
            return folder
    return path.parent


def _glob(folder: Path, what: str) -> list[Path]:
    whole = Path(what)
    if whole.is_absolute():
        base, pattern = Path(whole.anchor), str(whole.relative_to(whole.anchor))
    else:
        base, pattern = folder, what
    if not any(sign in pattern for sign in "*?["):
        path = base / pattern
        return [path] if path.is_file() else []
    try:
        return [path for path in base.glob(pattern) if path.is_file()]
    except (OSError, ValueError):
        return []
