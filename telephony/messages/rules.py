"""Citizens whom nobody could answer: what the facts of a call say about them (pure).

| what happened                                        | is                                      |
| ---------------------------------------------------- | --------------------------------------- |
| a message was left, long enough                      | a message, at once                      |
| the disk filled up while it was spoken               | a message with what is there, or missed |
| too short a message, or none, and nobody took the call | a missed call when the call is over   |
| given up in the queue                                | a missed call when the call is over     |
| the PBX crashed while it was spoken                  | a message, when its file is found       |
| came to us from another side (incoming hand-over)    | theirs: no missed call                  |
| 110 took it (the danger key)                         | no missed call                          |

| fact    | values                                                                            |
| ------- | --------------------------------------------------------------------------------- |
| MESSAGE | id (<case>-m1), case, number, callback, kept, ms, status, why                     |
| SOUND   | id, case, state: ``missing`` or ``damaged``; noted by the service, not by the PBX |
| ALARM   | case, what (``message-not-taken``), id, spoken (ms)                               |

``kept``: ``yes``, ``short``, ``none``, ``failed``; ``callback``: where to call back, as it is
dialled; ``ms``: its length; ``status``: how it ended, as Record() says (``NONE``: it never began);
``why``: ``shut``, ``day``, ``hours`` or ``busy``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from telephony.cel.rows import Fact
    from telephony.legs.model import Leg
    from telephony.messages.settings import Messages
    from telephony.office_hours import Calendar

Kind = Literal["message", "missed"]

SHORTEST_MS = 1000
"""What is left of a message that could not be written whole counts from this length on."""
QUEUE = "queue"
"""Why a missed call was missed when the citizen gave up before any message was asked for."""
NOT_TAKEN = "not-taken"
"""Why, when a message could not be written."""
CUT_OFF = "cut-off"
"""Why, of a message that the PBX told nothing of: it crashed while it was spoken."""
VAIN = frozenset({"unanswered", "busy", "declined", "failed"})
"""Outcomes of a callback in which the citizen was called and not reached."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A citizen who waits for an answer. ``at`` in microseconds since 1970.

    ``number``: where to call back, as it is dialled; None where the citizen showed none.
    """

    name: str
    kind: Kind
    case: str
    caller: str | None
    number: str | None
    at: int
    why: str
    waited_s: float | None = None
    length_s: float | None = None
    file: str | None = None


def is_message(fact: Fact) -> bool:
    """Whether this fact tells of a message that somebody can listen to."""
    kept, length = fact.values.get("kept"), length_ms(fact)
    return fact.kind == "MESSAGE" and (
        kept == "yes" or (kept == "failed" and length >= SHORTEST_MS)
    )


def length_ms(fact: Fact) -> int:
    """The length that the PBX found, in milliseconds."""
    text = fact.values.get("ms", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def message_of(fact: Fact) -> Waiting | None:
    """The message that a fact tells of, or None."""
    values = fact.values
    name, case = values.get("id"), values.get("case")
    if not name or not case or not is_message(fact):
        return None
    caller = values.get("number") or None
    return Waiting(
        name=name,
        kind="message",
        case=case,
        caller=caller,
        number=values.get("callback") or caller,
        at=fact.at,
        why=values.get("why") or QUEUE,
        length_s=length_ms(fact) / 1000,
        file=f"{name}.wav",
    )


def missed_of(legs: Sequence[Leg], facts: Iterable[Fact]) -> list[Waiting]:
    """The missed calls among calls that are over: citizens whom nobody answered."""
    by_case: dict[str, list[Fact]] = {}
    for fact in facts:
        if case := fact.values.get("case"):
            by_case.setdefault(case, []).append(fact)
    found = (_missed(case, legs, mine) for case, mine in by_case.items())
    return [one for one in found if one is not None]


def _missed(case: str, legs: Sequence[Leg], facts: Sequence[Fact]) -> Waiting | None:
    kinds = {fact.kind for fact in facts}
    if "CASE" not in kinds or kinds & {"TAKEN", "ACCEPTED", "HANDED"}:
        return None
    told = [fact for fact in facts if fact.kind == "MESSAGE"]
    if any(is_message(fact) for fact in told):
        return None
    citizen = next((leg for leg in legs if leg.case == case and leg.role == "citizen"), None)
    if citizen is None:
        return None
    begun = citizen.started if citizen.started is not None else citizen.first_at
    at = citizen.ended if citizen.ended is not None else max(fact.at for fact in facts)
    last = told[-1].values if told else {}
    file = None
    if last.get("kept") == "short":
        file = f"{last.get('id')}.wav"
    why = NOT_TAKEN if last.get("kept") == "failed" else last.get("why") or QUEUE
    return Waiting(
        name=f"{case}-missed",
        kind="missed",
        case=case,
        caller=citizen.caller,
        number=last.get("callback") or citizen.caller,
        at=at,
        why=why,
        waited_s=round((at - begun) / 1_000_000, 3),
        length_s=length_ms(told[-1]) / 1000 if file else None,
        file=file,
    )


def due_at(calendar: Calendar, at: datetime, settings: Messages) -> datetime | None:
    """Until when a citizen who waits since ``at`` should have been called back."""
    return calendar.add_working_days(at, settings.due_days)


def next_try_at(
    calendar: Calendar, last_try_at: datetime | None, tries: int, settings: Messages
) -> datetime | None:
    """When to call again after this many tries in vain, in open hours; None: now."""
    if last_try_at is None or tries == 0:
        return None
    after = timedelta(minutes=settings.retry_after(tries))
    return calendar.add_working_time(last_try_at, after)
