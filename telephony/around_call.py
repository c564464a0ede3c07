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

A phone's own hold is told by AMI alone (CEL has no row for it), so it is on record only when the
service ran; what it means for a leg is worked out in :mod:`telephony.legs.hold`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from telephony.cel import Fact

AuditEvent = Literal["parked", "fetched", "monitored", "recorded"]

KINDS = frozenset({"PARKED", "FETCHED", "MONITOR", "RECORDING"})
"""Facts that go into a case's ledger without moving who answers for it."""


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
        case _:
            what, name = values.get("what", ""), values.get("recording", "")
            by = values.get("by") or None
            key = f"recording:{name}:{what}:{fact.at}"
            return Audit("recorded", key, by, None, f"{what} {name}")
