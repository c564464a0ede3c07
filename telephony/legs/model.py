"""What a leg is, and the directory that says whose device a channel belongs to (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from telephony.settings import Settings

LegRole = Literal["citizen", "agent", "target", "supervisor", "mailbox"]
LegState = Literal["complete", "open", "cut_off"]

# ITU-T Q.850 with Asterisk's additions (include/asterisk/causes.h), in words for people.
CAUSES = {
    1: "number not assigned",
    2: "no route to the network",
    3: "no route to the destination",
    5: "misdialled trunk prefix",
    6: "channel not acceptable",
    7: "call given on an established channel",
    16: "normal clearing",
    17: "busy",
    18: "no answer from the device",
    19: "no answer",
    20: "subscriber absent",
    21: "declined",
    22: "number changed",
    23: "redirected to a new destination",
    26: "answered elsewhere",
    27: "destination out of order",
    28: "number format not valid",
    29: "facility rejected",
    30: "response to a status enquiry",
    31: "normal, unspecified",
    34: "no circuit available",
    38: "network out of order",
    41: "temporary failure",
    42: "switching equipment congestion",
    43: "access information discarded",
    44: "requested channel not available",
    50: "facility not subscribed",
    52: "outgoing calls barred",
    54: "incoming calls barred",
    57: "bearer capability not authorised",
    58: "bearer capability not available",
    65: "bearer capability not implemented",
    66: "channel type not implemented",
    69: "facility not implemented",
    81: "call reference not valid",
    88: "incompatible destination",
    95: "message not valid",
    96: "mandatory element missing",
    97: "message type unknown",
    98: "message does not fit the call state",
    99: "information element unknown",
    100: "information element not valid",
    101: "message in the wrong state",
    102: "recovery on timer expiry",
    103: "mandatory element length error",
    111: "protocol error",
    127: "interworking",
}


@dataclass(frozen=True, slots=True)
class Party:
    """Whom a device belongs to: an agent or a desk."""

    role: LegRole
    id: str
    department: str | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """Who is who on the PBX. Without one, roles come from our dialplan's rows or the call's shape.

    ``devices``: channel name without its serial (``PJSIP/8001``) -> party; ``parties``: agent or
    desk id -> party; ``trunk_context``: where citizens' calls enter the dialplan.
    """

    devices: Mapping[str, Party] = field(default_factory=dict)
    parties: Mapping[str, Party] = field(default_factory=dict)
    trunk_context: str = "hotline-trunk"

    @classmethod
    def from_settings(cls, settings: Settings) -> Directory:
        """The directory that the settings describe."""
        parties: dict[str, Party] = {}
        devices: dict[str, Party] = {}
        for desk in settings.desks:
            parties[desk.id] = Party("target", desk.id, desk.department or None)
            for dial in (desk.dial, desk.dial_backup):
                for device in _devices(dial):
                    devices[device] = parties[desk.id]
        for agent in settings.agents:
            parties[agent.id] = Party("agent", agent.id, agent.department or None)
            for device in _devices("&".join(agent.dials)):
                devices[device] = parties[agent.id]
        return cls(devices, parties, settings.trunk_context)


def _devices(dial: str | None) -> list[str]:
    """Devices a dial string rings; what goes over a shared trunk (``PJSIP/110@trunk``) is none."""
    return [part for part in (dial or "").split("&") if "@" not in part and part.count("/") == 1]


@dataclass(slots=True)
class Segment:
    """A stretch of a leg during which it was in a bridge with the same other legs."""

    others: tuple[str, ...]  # uniqueids of the legs
    start: int  # microseconds since 1970
    end: int | None  # None: not over, or its end is not on record


@dataclass(slots=True)
class Leg:
    """One party's part in a call. Times in microseconds since 1970; None is unknown."""

    pbx: str
    uniqueid: str
    channels: list[str]
    channel_names: list[str]
    linkedid: str
    first_at: int
    state: LegState = "open"
    case: str | None = None
    role: LegRole | None = None
    party: str | None = None
    caller: str | None = None
    department: str | None = None
    started: int | None = None
    answered: int | None = None
    ended: int | None = None
    talk_s: float | None = None
    hold_s: float | None = None
    cause: int | None = None
    hung_up_by: str | None = None
    handover: str | None = None
    segments: list[Segment] = field(default_factory=list)

    @property
    def ring_s(self) -> float | None:
        """Seconds from start to answer, or to the end of a call that nobody answered."""
        until = self.ended if self.answered is None else self.answered
        if self.started is None or until is None:
            return None
        return seconds(until - self.started)

    @property
    def agent(self) -> str | None:
        """The agent whose leg this is."""
        return self.party if self.role == "agent" else None

    @property
    def cause_text(self) -> str | None:
        """The hang-up cause in words."""
        return None if self.cause is None else CAUSES.get(self.cause, f"cause {self.cause}")

    def to_dict(self) -> dict[str, Any]:
        """The leg as ``hotline legs build`` and the HTTP interface show it."""
        return {
            "pbx": self.pbx or None,
            "uniqueid": self.uniqueid,
            "channels": self.channels,
            "channel_names": self.channel_names,
            "linkedid": self.linkedid,
            "case": self.case,
            "role": self.role,
            "party": self.party,
            "caller": self.caller,
            "agent": self.agent,
            "department": self.department,
            "started_at": iso(self.started),
            "answered_at": iso(self.answered),
            "ended_at": iso(self.ended),
            "ring_s": self.ring_s,
            "talk_s": self.talk_s,
            "hold_s": self.hold_s,
            "cause": self.cause,
            "cause_text": self.cause_text,
            "hung_up_by": self.hung_up_by,
            "state": self.state,
            "handover": self.handover,
            "segments": self.segments_json(),
        }

    def segments_json(self) -> list[dict[str, Any]]:
        """The segments as they are stored and shown."""
        return [
            {"with": list(part.others), "from": iso(part.start), "to": iso(part.end)}
            for part in self.segments
        ]


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int) -> datetime:
    """Microseconds since 1970 as a moment, exactly."""
    return EPOCH + timedelta(microseconds=micros)


def iso(micros: int | None) -> str | None:
    """ISO 8601 with zone, microseconds always written."""
    if micros is None:
        return None
    second, fraction = divmod(micros, 1_000_000)
    return f"{iso_second(second)}.{fraction:06d}+00:00"


@lru_cache(maxsize=4096)
def iso_second(second: int) -> str:
    """A second since 1970 as date and time, UTC: a call's times are of few seconds."""
    return moment(second * 1_000_000).isoformat()[:19]


def seconds(micros: int) -> float:
    """Seconds with three decimals; never below zero."""
    return round(micros / 1_000_000, 3) if micros > 0 else 0.0


def epoch_of(uniqueid: str) -> int:
    """The second in which the channel was made, from its uniqueid; 0 where it has none."""
    made, _, counter = uniqueid.rpartition(".")
    if len(made) == 10 and made.isdecimal() and counter.isdecimal():  # nearly always
        return int(made)
    found = re.search(r"(\d{9,11})\.\d+$", uniqueid)
    return int(found[1]) if found is not None else 0
