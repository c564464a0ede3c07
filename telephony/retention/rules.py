"""What may be deleted when, what is kept whatever the rules say, and the ledger of it (pure).

| setting               | deleted so many days after | unless                                  |
| --------------------- | -------------------------- | --------------------------------------- |
| `cel_days`            | the PBX wrote the row      | of a case, call or caller that is held  |
| `legs_days`           | the leg began              | likewise, or it goes on                 |
| `cases_days`          | the case was closed        | held, or another platform waits for news |
| `unclosed_cases_days` | the last entry of its ledger | likewise                              |
| `messages_days`       | it was left                | held, or nobody has answered it         |
| `recordings_days`     | it was made                | of a case that is held                  |
| `audit_days`          | the look it tells of       | of a case, call or caller that is held  |
| `order_messages_days` | it was received            | of a case that is held                  |

With the PBX's rows go the lines of its file that were no rows, so many days after the file was read
last. What the audit log tells and such a line are held where what is held stands in their text.

A case goes with its details, its hand-overs, its ledger and the calls that were attached to it. A
held case holds those too. What was deleted is an entry of the ledger of deletions, in the same
transaction. Each entry carries the hash of the one before, so a change or a gap shows; for cases it
covers how each one's ledger ended, so what a backup or a print-out holds can be proven.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

import orjson

from telephony.responsibility import GENESIS, Problem

if TYPE_CHECKING:
    from telephony.bulk.settings import Retention

Subject = Literal[
    "messages",
    "recordings",
    "cases",
    "unclosed_cases",
    "legs",
    "cel",
    "broken_rows",
    "audit",
    "order_messages",
]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
"""In the order in which they are deleted."""
_SETTING: Mapping[Subject, str] = {"broken_rows": "cel"}
"""The setting of a subject that has none of its own name."""
DELETIONS_LEDGER = "deletions"
"""What stands in place of a case in a problem of the ledger of deletions."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A subject that is deleted after so many days."""

    subject: Subject
    days: int

    @property
    def what(self) -> str:
        """Its name in the ledger of deletions."""
        return "cases" if self.subject == "unclosed_cases" else self.subject

    @property
    def name(self) -> str:
        """The setting as it stood."""
        return f"{_setting(self.subject)}={self.days}"

    def before(self, now: datetime) -> datetime:
        """What is older than this is deleted."""
        return now - timedelta(days=self.days)


def rules(settings: Retention) -> list[Rule]:
    """The rules that are set, in the order in which they are applied."""
    days = {subject: getattr(settings, _setting(subject)) for subject in SUBJECTS}
    return [Rule(subject, count) for subject, count in days.items() if count is not None]


def _setting(subject: Subject) -> str:
    return f"{_SETTING.get(subject, subject)}_days"


@dataclass(slots=True)
class Held:
    """What legal holds keep: cases, calls (linkedids and channels), and callers' numbers."""

    cases: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)

    def keeps(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of any table belongs to something that is held."""
        answer = row.get("answer") or {}
        case_names = (row.get("case_id"), row.get("merged_into"), answer.get("case"))
        calls = (row.get("linkedid"), row.get("uniqueid"))
        numbers = (row.get("caller"), row.get("caller_e164"), row.get("number_key"))
        return (
            not self.cases.isdisjoint(case_names)
            or not self.calls.isdisjoint(calls)
            or not self.numbers.isdisjoint(numbers)
            or self._stands_in(row.get("line") or row.get("which") or "")
        )

    def _stands_in(self, text: str) -> bool:
        return any(one in text for one in (*self.cases, *self.calls, *self.numbers))


def digest_of(lines: Iterable[bytes]) -> str:
    """SHA-256 over lines, whatever their order."""
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()


def line_of(row: Mapping[str, Any]) -> bytes:
    """A row as it is digested."""
    return orjson.dumps(dict(row), option=orjson.OPT_SORT_KEYS, default=str)


def head_line(case: str, entries: int, head: str) -> bytes:
    """A deleted case as it is digested: its head covers its whole ledger."""
    return f"{case} {entries} {head}".encode()


def deletion_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256 over all other fields of an entry of the ledger of deletions."""
    names = ("number", "at", "what", "rule", "oldest", "newest", "count", "digest", "previous")
    values = [
        int(value.timestamp() * 1_000_000) if isinstance(value, datetime) else value
        for value in (entry[name] for name in names)
    ]
    return hashlib.sha256(orjson.dumps(values)).hexdigest()


def verify_deletions(
    entries: Iterable[Mapping[str, Any]], heads: Mapping[int, list[bytes]]
) -> Iterator[Problem]:
    """Every entry of the ledger of deletions that was changed, and every gap.

    ``heads``: of each entry about cases, what :func:`head_line` says of them.
    """
    number, previous = 0, GENESIS
    for entry in entries:
        number += 1
        if entry["number"] != number:
            yield Problem(DELETIONS_LEDGER, number, f"missing: entry {entry['number']} follows")
            number = entry["number"]
        elif entry["previous"] != previous:
            yield Problem(DELETIONS_LEDGER, number, "does not follow from the entry before it")
        if deletion_hash(entry) != entry["hash"]:
            yield Problem(DELETIONS_LEDGER, number, "was changed after it was written")
        if entry["what"] == "cases" and digest_of(heads.get(number, [])) != entry["digest"]:
            yield Problem(DELETIONS_LEDGER, number, "the list of its cases was changed")
        previous = entry["hash"]
