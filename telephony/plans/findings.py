"""What may be wrong with a dialplan: each finding with its place, its code, what and why.

Codes are stable. The words stand in :data:`CODES`, in English and in Chinese.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from telephony.plans.finding_codes import CODES, Severity
from telephony.plans.hiding import hidden


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found in a file at a line (0: the file as a whole)."""

    code: str
    file: str
    line: int
    values: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return CODES[self.code].severity

    @property
    def what(self) -> str:
        """What stands there, in English."""
        return hidden(CODES[self.code].what.format(**self.values))

    @property
    def what_zh(self) -> str:
        """What stands there, in Chinese."""
        return hidden(CODES[self.code].what_zh.format(**self.values))

    @property
    def why(self) -> str:
        """What it means for a caller, in English."""
        return CODES[self.code].why

    @property
    def why_zh(self) -> str:
        """What it means for a caller, in Chinese."""
        return CODES[self.code].why_zh

    def as_json(self) -> dict[str, Any]:
        """As it is printed with ``--json`` and answered over HTTP."""
        names = ("file", "line", "code", "severity", "what", "why", "what_zh", "why_zh")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity} {self.code}: {self.what} ({self.why})"


class Findings:
    """All that was found, each thing once, in the order of files and lines."""

    def __init__(self, found: Iterable[Finding] = ()) -> None:
        seen: dict[tuple[str, int, str, tuple[tuple[str, str], ...]], Finding] = {}
        for one in found:
            seen.setdefault((one.file, one.line, one.code, (*sorted(one.values.items()),)), one)
        self._all = sorted(seen.values(), key=lambda one: (one.file, one.line, one.code))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def errors(self) -> list[Finding]:
        """What keeps the dialplan from being loaded."""
        return [one for one in self._all if one.severity == "error"]

    @property
    def ok(self) -> bool:
        """Whether it may be loaded: warnings and notes are no reason against it."""
        return not self.errors

    def count(self, severity: Severity) -> int:
        """How many there are of a severity."""
        return sum(one.severity == severity for one in self._all)

    def as_json(self) -> dict[str, Any]:
        """As it is printed with ``--json`` and answered over HTTP."""
        counts = {
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "notes": self.count("note"),
        }
        return {"ok": self.ok, **counts, "findings": [one.as_json() for one in self._all]}
