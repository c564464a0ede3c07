"""By when somebody must act on a case, in working time, and who hears when nobody does (pure).

| deadline    | begins when                                   | ends when                              | who holds it               |
| ----------- | --------------------------------------------- | -------------------------------------- | -------------------------- |
| acceptance  | a case is offered to a desk                   | that offer has an outcome              | the desk it is offered to  |
| feedback    | somebody else answers for the case (taken, accepted, returned), or it is reopened | feedback is given; somebody else answers for it | who answers for it |
| message     | the citizen has left a message                | it is answered, or given up (:mod:`telephony.messages.rules`); feedback | who took it, who answers for the case, or the line |
| missed_call | the citizen's call ended, nobody had answered | likewise                               | likewise                   |

Closing a case, or merging it into another, ends all of its deadlines.

| step          | when                          | entry     | who is told                      |
| ------------- | ----------------------------- | --------- | -------------------------------- |
| remind        | ``remind_before`` it is due; half-way of a shorter limit | reminded | who holds it |
| escalate      | it is due                     | escalated | the supervisors                  |
| escalate_head | ``head_after`` it was due     | escalated | the head of the holder's department |

Each step is done once for a deadline; what an outage has delayed is done as soon as it ends.
"""  # noqa: E501 - a table is read by its rows

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from telephony.office_hours import LOOK_AHEAD_DAYS, SHANGHAI, Calendar, in_shanghai

if TYPE_CHECKING:
    from telephony.responsibility import Entry

Kind = Literal["acceptance", "feedback", "message", "missed_call"]
Step = Literal["remind", "escalate", "escalate_head"]
KINDS: tuple[Kind, ...] = ("acceptance", "feedback", "message", "missed_call")
STEPS: tuple[Step, ...] = ("remind", "escalate", "escalate_head")
ENTRIES: Mapping[Step, str] = {
    "remind": "reminded",
    "escalate": "escalated",
    "escalate_head": "escalated",
}
"""The entry of the ledger that a step is."""

_OVER = frozenset({"closed", "merged"})
_LENGTH = re.compile(r"([0-9]+)(d|h|min)")
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Length:
    """A length of working time: whole working days, or minutes of open hours."""

    days: int = 0
    minutes: int = 0

    @classmethod
    def parse(cls, text: str) -> Length:
        """``2d``, ``4h`` or ``90min``; raises :class:`ValueError`."""
        found = _LENGTH.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not like 2d, 4h or 90min")
        number = int(found[1])
        if found[2] == "d":
            return cls(days=number)
        return cls(minutes=number * 60 if found[2] == "h" else number)


@dataclass(frozen=True, slots=True)
class Rules:
    """How long who has; ``unfiled``: also for calls of which nobody has said what they are."""

    acceptance: Length
    feedback: Length
    reply: Length
    remind_before: Length
    head_after: Length
    feedback_by_kind: Mapping[str, Length] = field(default_factory=dict)
    unfiled: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """A citizen who waits for an answer: a message or a missed call, and who has taken it on."""

    name: str
    kind: Literal["message", "missed_call"]
    since: datetime
    holder: str | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What is known of a case, as far as its deadlines depend on it.

    ``kind``: 咨询, 建议, 求助, 表扬, 投诉, or None. ``feedback_h``: the limit of its matter, in
    working hours. ``line``: the number of the line called, which holds what nobody has taken.
    """

    entries: Sequence[Entry]
    line: str
    kind: str | None = None
    is_filed: bool = False
    feedback_h: float | None = None
    replies: Sequence[Reply] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A deadline without its times: from when until when it runs, and who holds it."""

    key: str
    kind: Kind
    holder: str
    since: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Deadline:
    """By when somebody must act, and when who is told of it."""

    key: str
    kind: Kind
    holder: str
    since: datetime
    remind: datetime
    due: datetime
    head: datetime
    ended: datetime | None = None

    def at(self, step: Step) -> datetime:
        """When a step is to be done."""
        return {"remind": self.remind, "escalate": self.due, "escalate_head": self.head}[step]


def deadlines(facts: CaseFacts, rules: Rules, calendar: Calendar) -> list[Deadline]:
    """All deadlines that a case has or had."""
    return [_timed(span, facts, rules, calendar) for span in spans(facts, rules)]


def spans(facts: CaseFacts, rules: Rules) -> Iterator[Span]:
    """What runs or ran for a case; the table of this module."""
    yield from _acceptances(facts.entries)
    for span, began in _feedbacks(facts.entries):
        if rules.unfiled or facts.is_filed or began != "taken":
            yield span
    owner = facts.entries[-1].responsible if facts.entries else None
    for one in facts.replies:
        ends = [end for end in (one.ended, _settled(facts.entries, one.since)) if end is not None]
        holder = one.holder or owner or facts.line
        name = f"{one.kind}:{one.name}"
        yield Span(name, one.kind, holder, one.since, min(ends, default=None))


def next_step(deadline: Deadline, done: Collection[Step]) -> Step | None:
    """What is to be done next about a deadline that runs; None when all is done or it has ended."""
    if deadline.ended is not None:
        return None
    return next((step for step in STEPS if step not in done), None)


def _acceptances(entries: Sequence[Entry]) -> Iterator[Span]:
    for place, entry in enumerate(entries):
        if entry.event != "offered" or entry.handover is None:
            continue
        later = entries[place + 1 :]
        ends = [one for one in later if one.event in _OVER or one.handover == entry.handover]
        ended = _moment(ends[0]) if ends else None
        name = f"acceptance:{entry.handover}"
        yield Span(name, "acceptance", entry.to or "", _moment(entry), ended)


def _feedbacks(entries: Sequence[Entry]) -> Iterator[tuple[Span, str]]:
    """Each with the event that began it."""
    owner: str | None = None
    began: Entry | None = None
    over = False
    for entry in entries:
        anew = entry.event == "reopened" or entry.responsible != owner
        if began is not None and (anew or entry.event == "feedback" or entry.event in _OVER):
            yield _feedback(began, owner, _moment(entry)), began.event
            began = None
        over = entry.event in _OVER or (over and entry.event != "reopened")
        owner = entry.responsible
        if anew and owner and not over:
            began = entry
    if began is not None:
        yield _feedback(began, owner, None), began.event


def _feedback(began: Entry, owner: str | None, ended: datetime | None) -> Span:
    return Span(f"feedback:{began.number}", "feedback", owner or "", _moment(began), ended)


def _settled(entries: Sequence[Entry], since: datetime) -> datetime | None:
    """When the citizen first had feedback after that, or the case was over."""
    ends = (one for one in entries if one.event == "feedback" or one.event in _OVER)
    return next((_moment(one) for one in ends if _moment(one) >= since), None)


def _timed(span: Span, facts: CaseFacts, rules: Rules, calendar: Calendar) -> Deadline:
    due = after(calendar, span.since, _limit(span.kind, facts, rules))
    lead = timedelta(minutes=rules.remind_before.minutes)
    whole = working_time(calendar, span.since, due)
    remind = before(calendar, due, min(lead, whole / 2))
    head = after(calendar, due, rules.head_after)
    return Deadline(span.key, span.kind, span.holder, span.since, remind, due, head, span.ended)


def _limit(kind: Kind, facts: CaseFacts, rules: Rules) -> Length:
    match kind:
        case "acceptance":
            return rules.acceptance
        case "message" | "missed_call":
            return rules.reply
    if facts.feedback_h is not None:
        return Length(minutes=max(1, round(facts.feedback_h * 60)))
    return rules.feedback_by_kind.get(facts.kind or "", rules.feedback)


# -- working time -------------------------------------------------------------------------------


def after(calendar: Calendar, moment: datetime, length: Length) -> datetime:
    """When so much working time has passed since a moment.

    A calendar that has not so much of it within 400 days gives the end of those.
    """
    if length.days:
        found = calendar.add_working_days(moment, length.days)
    else:
        found = calendar.add_working_time(moment, timedelta(minutes=length.minutes))
    return found or moment + timedelta(days=LOOK_AHEAD_DAYS)


def before(calendar: Calendar, moment: datetime, length: timedelta) -> datetime:
    """From when on there is just so much working time left until a moment."""
    for begin, end in _windows_back(calendar, moment):
        if end - begin >= length:
            return end - length
        length -= end - begin
    return moment


def working_time(calendar: Calendar, since: datetime, until: datetime) -> timedelta:
    """How much working time lies between two moments."""
    whole = timedelta()
    for begin, end in _windows_back(calendar, until):
        if end <= since:
            break
        whole += end - max(begin, in_shanghai(since))
    return whole


def _windows_back(calendar: Calendar, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The open hours before a moment, the latest first."""
    here = in_shanghai(moment)
    midnight = datetime(here.year, here.month, here.day, tzinfo=SHANGHAI)
    for number in range(LOOK_AHEAD_DAYS + 1):
        day = midnight - timedelta(days=number)
        for window in reversed(calendar.day(day.date()).windows):
            begin = day + timedelta(minutes=window.opens)
            end = min(day + timedelta(minutes=window.closes), here)
            if begin < end:
                yield begin, end


def _moment(entry: Entry) -> datetime:
    return _EPOCH + entry.at * _MICROSECOND


_EPOCH = datetime.fromtimestamp(0, SHANGHAI)
