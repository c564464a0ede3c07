"""What the PBX noted around a call: parked, fetched, listened to, recorded, held (pure).

Facts of our dialplan, besides those of hand-overs. ``leg`` is always a channel's uniqueid.

| fact      | values                                | said by                                      |
| -------- | ------------------------------------ | -------------------------------------------- |
| HOLD      | case, leg, by, how                    | dialplan (aside), or the service (phone)     |
| UNHOLD    | case, leg, by, how                    | likewise                                     |
| PARKED    | case, slot, by, leg                   | dialplan; leg and by: who parked             |
| FETCHED   | case, slot, agent, leg                | dialplan; leg and agent: who has the citizen |
| MONITOR   | case, what, who, mode, to, leg        | dialplan; what: started, stopped; leg: who's |
| RECORDING | case, what, recording, leg, by        | dialplan; what: started, paused, resumed     |

Messages, and what is wrong with their sound (MESSAGE, SOUND), are described in
:mod:`telephony.messages.rules`.

A phone's own hold is told by AMI alone (CEL has no row for it), so it is on record only when the
service ran; what it means for a leg is worked out in :mod:`telephony.legs.hold`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from telephony.cel.rows import Fact
from telephony.messages.rules import is_message, length_ms

AuditEvent = Literal["parked", "fetched", "monitored", "recorded", "message"]

KINDS = frozenset({"PARKED", "FETCHED", "MONITOR", "RECORDING", "MESSAGE", "SOUND"})
"""Facts that go into a case's ledger without moving who answers for it."""


def is_noted(fact: Fact) -> bool:
    """Whether it goes into the ledger: of messages only those that somebody can listen to."""
    return fact.kind in KINDS and (fact.kind != "MESSAGE" or is_message(fact))


class Audit(NamedTuple):
    """The part of a ledger entry that such a fact says."""

    event: AuditEvent
    key: str
    by: str | None
    to: str | None
    detail: str | None


def audit(fact: Fact) -> Audit:
    """The ledger's words for a fact of :data:`KINDS`."""
    values = fact.values
    leg = values.get("leg") or fact.uniqueid
    slot = f"place {values.get('slot', '')}"
    match fact.kind:
        case "PARKED":
            return Audit("parked", f"parked:{leg}:{fact.at}", values.get("by") or None, None, slot)
        case "FETCHED":
            by = values.get("agent") or None
            return Audit("fetched", f"fetched:{leg}", by, None, slot)
        case "MONITOR":
            what, mode = values.get("what", ""), values.get("mode", "")
            by, to = values.get("who") or None, values.get("to") or None
            return Audit("monitored", f"monitor:{leg}:{what}", by, to, f"{mode} {what}")
        case "MESSAGE":
            detail = f"{length_ms(fact) / 1000:.1f} s"
            return Audit("message", f"message:{values.get('id', leg)}", None, None, detail)
        case "SOUND":
            detail = f"its sound is {values.get('state', 'missing')}"
            return Audit("message", f"sound:{values.get('id', leg)}", None, None, detail)
        case _:
            what, name = values.get("what", ""), values.get("recording", "")
            by = values.get("by") or None
            key = f"recording:{name}:{what}:{fact.at}"
            return Audit("recorded", key, by, None, f"{what} {name}")
