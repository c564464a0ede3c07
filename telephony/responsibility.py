"""Who answers for a case (首接负责制): pure rules over an append-only ledger.

| what the PBX noted                  | entry        | who answers for the case then             |
| ----------------------------------- | ------------ | ----------------------------------------- |
| an agent took the call              | taken        | that agent, if nobody did: first contact  |
| offered to a desk                   | offered      | as before                                 |
| it came to us handed over           | taken, offered | the other side: first contact           |
| our agent answered that             | accepted     | that agent                                |
| the desk accepted                   | accepted     | the desk                                  |
| the desk joined a three-way call    | undecided    | as before                                 |
| in the three-way call, a desk said it takes the case | accepted | that desk                 |
| ... or it is undecided              | undecided    | who did before that three-way call        |
| ... said too late: another side has accepted it since, or it is closed | undecided | as before |
| declined                            | declined     | as before                                 |
| not answered                        | unanswered   | as before                                 |
| busy, unreachable, failed, caller gone | failed    | as before                                 |
| the agent took it back              | withdrawn    | as before                                 |
| parked, fetched                     | parked, fetched | as before                              |
| a supervisor listens, has listened  | monitored    | as before                                 |
| recording began, paused, went on    | recorded     | as before                                 |
| a message was left; its sound is bad | message     | as before                                 |
| a message was taken, given on, given back, answered | message | as before                      |
| a deadline is near, or has passed   | reminded, escalated | as before                          |
| a person, outside of a call: :mod:`telephony.cases.work` | edited, returned, ... | there |

Responsibility moves only when somebody takes it. Every entry carries the hash of the one before
it in its case, so a change or a gap shows (:func:`verify`). An entry is itself by its ``key``
(``taken:<leg>``, ``offered:<hand-over>``, ``outcome:<hand-over>``): the same facts seen again
append nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from telephony.around.calls import KINDS, AuditEvent, audit, is_noted
from telephony.cases.work import EVENTS, WORK, WorkEvent, responsible_after
from telephony.cel.rows import Fact
from telephony.legs.model import Leg

Event = (
    Literal[
        "taken", "offered", "accepted", "undecided", "declined", "unanswered", "failed", "withdrawn"
    ]
    | AuditEvent
    | WorkEvent
)
HandoverState = str

OUTCOMES: Mapping[str, Event] = {
    "declined": "declined",
    "unanswered": "unanswered",
    "busy": "failed",
    "unreachable": "failed",
    "failed": "failed",
    "caller_gone": "failed",
    "cancelled": "withdrawn",
    "closed": "unanswered",
}
"""Outcome of a hand-over that was not accepted -> entry of the ledger."""

GENESIS = "0" * 64
"""What stands as the hash before the first entry of a case."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger of a case; ``at`` in microseconds since 1970."""

    case: str
    number: int
    key: str
    at: int
    event: str
    by: str | None
    to: str | None
    responsible: str | None
    leg: str | None
    handover: str | None
    detail: str | None
    previous: str
    hash: str = ""

    def computed_hash(self) -> str:
        """SHA-256 over all other fields, as lower-case hexadecimal."""
        fields = [
            *(self.case, self.number, self.key, self.at, self.event, self.by, self.to),
            *(self.responsible, self.leg, self.handover, self.detail, self.previous),
        ]
        return hashlib.sha256(orjson.dumps(fields)).hexdigest()


@dataclass(slots=True)
class Handover:
    """A case offered to another side. Times in microseconds since 1970; None is unknown."""

    id: str
    case: str
    first_at: int
    desk: str | None = None
    by: str | None = None
    kind: str | None = None
    reason: str | None = None
    caller: str | None = None
    state: HandoverState = "offered"
    offered: int | None = None
    decided: int | None = None
    leg: str | None = None
    route: int = 1
    cause: int | None = None
    returned_to: str | None = None
    returned: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A place where the ledger is not as it was written."""

    case: str
    number: int
    reason: str


def first_contact(legs: Sequence[Leg], case: str) -> tuple[Leg, int] | None:
    """Who took the call first, where the dialplan did not note it: the first answered leg in a
    bridge with the citizen, and since when (microseconds)."""
    by_key = {leg.uniqueid: leg for leg in legs}
    met = [
        (part.start, other)
        for leg in legs
        if leg.role == "citizen" and leg.case == case
        for part in leg.segments
        for other in part.others
        if by_key[other].role != "citizen" and by_key[other].answered is not None
    ]
    if not met:
        return None
    since, other = min(met)
    return by_key[other], since


HANDOVER_FACTS = frozenset({"HANDED", "OFFERED", "ROUTE", "ACCEPTED", "TAKEN", "ENDED", "RETURNED"})
"""What tells of a hand-over. HANDED: another side's to us; TAKEN with its id: our answer to it."""
JOINED = "joined a three-way call"
"""The detail of a hand-over to a third party that came into the room."""
INCOMING = "incoming"
"""The kind of a hand-over to us."""


def handovers(facts: Iterable[Fact], entries: Iterable[Entry] = ()) -> dict[str, Handover]:
    """The hand-overs that these facts tell of.

    One outcome of each counts: the one that is in the ledger (``entries``), whatever comes after it
    or turns out to have been before; else the first.
    """
    found: dict[str, Handover] = {}
    facts = sorted(facts, key=lambda one: one.at)
    counts = _outcomes(facts, entries)
    for fact in facts:
        name, values = fact.values.get("id", ""), fact.values
        if not name or fact.kind not in HANDOVER_FACTS:
            continue
        case = values.get("case") or name.rpartition("-h")[0]
        one = found.setdefault(name, Handover(name, case, fact.at))
        one.desk = one.desk or values.get("desk") or None
        if fact.kind in ("OFFERED", "HANDED"):
            if one.offered is None:
                one.offered = fact.at
            kind = INCOMING if fact.kind == "HANDED" else values.get("kind") or None
            one.by, one.kind = values.get("by") or None, kind
            one.reason, one.caller = values.get("reason") or None, values.get("caller") or None
        elif fact.kind == "ROUTE":
            one.route = _number(values.get("route")) or one.route
        elif fact.kind == "RETURNED":
            one.returned_to, one.returned = values.get("to") or None, fact.at
        elif fact is counts[name]:
            one.decided = fact.at
            one.leg = values.get("leg") or None
            one.cause = _number(values.get("cause"))
            accepted = fact.kind in ("ACCEPTED", "TAKEN")
            one.state = "accepted" if accepted else values.get("outcome") or "failed"
    return found


def _outcomes(facts: Iterable[Fact], entries: Iterable[Entry]) -> dict[str, Fact]:
    """Of each hand-over the fact that decided it."""
    settled = {one.key.removeprefix("outcome:"): one.at for one in entries}
    found: dict[str, Fact] = {}
    for fact in facts:
        name = fact.values.get("id", "")
        if fact.kind in ("ACCEPTED", "TAKEN", "ENDED") and name:
            first = found.setdefault(name, fact)
            if fact.at == settled.get(name) != first.at:
                found[name] = fact
    return found


def new_entries(case: str, existing: Sequence[Entry], facts: Iterable[Fact]) -> list[Entry]:
    """Entries that these facts add to the ledger of a case; none when all are in it already.

    ``existing``: the ledger so far, in its order. ``facts``: of this case, in any order.
    """
    mine = sorted((one for one in facts if one.values.get("case") == case), key=lambda f: f.at)
    facts = [part for fact in mine for part in _parts(fact)]
    kinds = {one.handover: one.detail for one in existing if one.event == "offered"}
    kinds |= {
        one.values.get("id"): one.values.get("kind") for one in facts if one.kind == "OFFERED"
    }
    known = {one.key for one in existing}
    last = existing[-1] if existing else None
    added: list[Entry] = []
    for fact in facts:
        entry = _entry(case, fact, kinds, last)
        if entry is not None and fact.kind == "DECIDED":
            entry = _room_entry(entry, [*existing, *added])
        if entry is None or entry.key in known:
            continue
        entry = replace(entry, hash=entry.computed_hash())
        known.add(entry.key)
        added.append(entry)
        last = entry
    return added


def _parts(fact: Fact) -> tuple[Fact, ...]:
    """A hand-over to us is two entries: their first contact, and their offer."""
    if fact.kind != "HANDED":
        return (fact,)
    offer = {**fact.values, "kind": INCOMING}
    return fact._replace(kind="CONTACTED"), fact._replace(kind="OFFERED", values=offer)


def _entry(
    case: str, fact: Fact, kinds: Mapping[str | None, str | None], last: Entry | None
) -> Entry | None:
    values = fact.values
    name, desk = values.get("id") or None, values.get("desk") or None
    responsible = last.responsible if last is not None else None
    by, to, leg, detail = values.get("by") or None, desk, values.get("leg") or None, None
    event: str
    match fact.kind:
        case "CONTACTED":
            event, to, key, responsible = "taken", None, f"contacted:{name}", responsible or by
            theirs = values.get("their")
            detail = f"first contact, their case {theirs}" if theirs else "first contact"
        case "TAKEN" if name is not None:
            by, to = None, values.get("agent") or None
            event, key, responsible = "accepted", f"outcome:{name}", to or responsible
        case "TAKEN":
            event, by, to = "taken", values.get("agent") or None, None
            key, responsible = f"taken:{leg or fact.uniqueid}", responsible or by
            detail = values.get("detail") or None
        case "OFFERED":
            event, key, detail = "offered", f"offered:{name}", values.get("kind") or None
        case "ACCEPTED" if "three-way" in (kinds.get(name), values.get("way")):
            event, key, detail = "undecided", f"outcome:{name}", JOINED
        case "ACCEPTED":
            event, key, responsible = "accepted", f"outcome:{name}", desk or responsible
        case "DECIDED":
            # The last word of a three-way call counts, so each is an entry of its own.
            name, key = values.get("room") or None, f"decided:{fact.uniqueid}"
            if values.get("outcome") == "taken":
                event, responsible, detail = "accepted", desk or responsible, "takes it (three-way)"
            else:
                event, to, detail = "undecided", None, "stays with the first contact"
        case "ENDED":
            outcome = values.get("outcome", "failed")
            event, key = OUTCOMES.get(outcome, "failed"), f"outcome:{name}"
            cause = values.get("cause")
            detail = f"{outcome}, cause {cause}" if cause else outcome
            detail = f"{detail}: {values['said']}" if values.get("said") else detail
        case kind if kind == WORK and values.get("event") in EVENTS and values.get("key"):
            event, key, to = values["event"], values["key"], values.get("to") or None
            detail, responsible = values.get("detail") or None, responsible_after(fact, responsible)
        case _ if is_noted(fact):
            event, key, by, to, detail = audit(fact)
            name = None
        case _:
            return None
    if name is None and fact.kind not in ("TAKEN", WORK) and fact.kind not in KINDS:
        return None
    number = last.number + 1 if last is not None else 1
    previous = last.hash if last is not None else GENESIS
    return Entry(
        case, number, key, fact.at, event, by, to, responsible, leg, name, detail, previous
    )


def room_began(room: str) -> int:
    """When a three-way call began, in seconds since 1970, by its name; 0 where it does not say."""
    digits = room.rpartition("-r")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def later_side(entries: Sequence[Entry], room: str) -> str | None:
    """Who came to answer for the case by another way after this three-way call began, if any."""
    began = room_began(room)
    after = (began + 1) * 1_000_000  # its name has whole seconds
    for entry in reversed(entries):
        moves = entry.event in ("accepted", "returned") and not entry.key.startswith("decided:")
        if began and moves and entry.at >= after:
            return entry.responsible
    return None


def _room_entry(entry: Entry, entries: Sequence[Entry]) -> Entry:
    """A decision of a three-way call, as far as it still counts."""
    later = later_side(entries, entry.handover or "")
    if later is not None or case_state(entries) in ("closed", "merged"):
        before = entries[-1].responsible if entries else None
        return replace(entry, event="undecided", responsible=before, detail="said too late")
    if entry.event == "undecided":
        return replace(entry, responsible=_before_room(entries, entry.handover))
    return entry


def _before_room(entries: Sequence[Entry], room: str | None) -> str | None:
    """Who answered for the case before anything was decided in this three-way call."""
    responsible = None
    for entry in entries:
        decided = entry.key.startswith("decided:")
        if decided and entry.handover == room:
            continue
        if decided or entry.event in ("accepted", "returned") or responsible is None:
            responsible = entry.responsible
    return responsible


def case_state(entries: Sequence[Entry]) -> str:
    """``open``: nobody took it; ``taken``: the first contact has it; ``handed_over``; ``closed``;
    ``merged``: its call belongs to another case."""
    ends = [one.event for one in entries if one.event in ("merged", "closed", "reopened")]
    if "merged" in ends:
        return "merged"
    if ends and ends[-1] == "closed":
        return "closed"
    # Of several decisions in one three-way call the last one counts; a return undoes its own.
    last = {
        one.handover: one.event
        for one in entries
        if one.event in ("accepted", "undecided", "returned")
    }
    if "accepted" in last.values():
        return "handed_over"
    return "taken" if any(one.event == "taken" for one in entries) else "open"


def verify(entries: Iterable[Entry], heads: Mapping[str, tuple[int, str]]) -> Iterator[Problem]:
    """Every entry that was changed, and every gap.

    ``entries``: case by case, each in its order. ``heads``: how many entries each case had when
    it was last written and the hash of the last, which shows entries missing at the end.
    """
    case, number, previous = "", 0, GENESIS
    ends: dict[str, tuple[int, str]] = {}
    for entry in entries:
        if entry.case != case:
            case, number, previous = entry.case, 0, GENESIS
        number += 1
        if entry.number != number:
            yield Problem(case, number, f"missing: entry {entry.number} follows")
            number = entry.number
        elif entry.previous != previous:
            yield Problem(case, number, "does not follow from the entry before it")
        if entry.computed_hash() != entry.hash:
            yield Problem(case, number, "was changed after it was written")
        previous = entry.hash
        ends[case] = (number, entry.hash)
    for name, (count, head) in heads.items():
        found, found_head = ends.get(name, (0, GENESIS))
        if found < count:
            yield Problem(name, found + 1, f"missing: the case had {count} entries")
        elif found > count:
            yield Problem(name, count + 1, "was not written by this service")
        elif found_head != head:
            yield Problem(name, found, "is not the entry that was written last")


def _number(text: str | None) -> int | None:
    short = text is not None and text.isascii() and text.isdigit() and len(text) <= 4
    return int(text or 0) if short else None
