"""One call -> its legs (pure): roles, parties, who talked with whom, how it ended.

**Roles**, by the first rule that fits: what our dialplan noted (``HOTLINE_…``); a call that came
in through the trunk context is a citizen's; whose device it is, by the directory; the device that
was called while a hand-over was offered is its target; a channel that runs ChanSpy is a
supervisor's. Where nobody noted who took the call and there is no directory, the call is read
by its shape: the channel that began it is the citizen, the first party called that talked with the
citizen the agent, a party called after that a target. Whom a queue rang in vain is an agent.
All else stays unknown (None).

**State**: ``complete`` has its start and its end on record; ``cut_off`` lacks one of them and is
known to be over (the PBX restarted, or its linkedid ended); ``open`` has no end yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from telephony.cel import CelRow, Fact
from telephony.legs.channels import LISTENING, MAILBOXES, Call, Channel
from telephony.legs.folding import Folding
from telephony.legs.model import Directory, Leg, seconds
from telephony.legs.talk import segments_of

CASE = re.compile(r"\d{8}-\S*\d+\.\d+")
"""Our case numbers: the day and the citizen's uniqueid; other account codes are no case."""


OUTCOMES = {17: "busy", 18: "unanswered", 19: "unanswered", 20: "unreachable", 21: "declined"}
"""Q.850 cause -> outcome of a hand-over."""


NORMAL_CLEARING = 16


@dataclass(slots=True)
class Offer:
    """A hand-over as far as its target's leg is concerned."""

    id: str
    case: str
    desk: str
    start: int
    end: int | None = None


def legs_of_call(
    rows: Iterable[CelRow], pbx: str, directory: Directory, lost: frozenset[str]
) -> tuple[list[Leg], list[Fact]]:
    """The legs of a call, the first to begin first, and the facts noted in it.

    ``rows``: all rows of the call in the order of time. ``lost``: uniqueids of channels that a
    restart of the PBX cut off.
    """
    call = Call(rows)
    folding = Folding(call)
    legs = _Assembly(call, folding, pbx, directory, lost).legs()
    return legs, call.facts


class _Assembly:
    def __init__(
        self, call: Call, folding: Folding, pbx: str, directory: Directory, lost: frozenset[str]
    ) -> None:
        self.call = call
        self.folding = folding
        self.pbx = pbx
        self.directory = directory
        self.lost = lost
        self.heads: dict[str, Channel] = {}  # leg -> the channel that names it
        self.result: dict[str, Leg] = {}

    def legs(self) -> list[Leg]:
        people: dict[str, list[Channel]] = {}
        for channel in self.call.channels.values():
            key = self.folding.leg_of[channel.uniqueid]
            leg = self.result.get(key)
            if leg is None:
                head = self.heads[key] = self.call.channels[key]
                leg = self.result[key] = Leg(self.pbx, key, [], [], head.linkedid, head.first_at)
            leg.channels.append(channel.uniqueid)
            leg.channel_names.extend(channel.names)
            if channel.uniqueid == key or not (channel.is_local or channel.is_pseudo):
                people.setdefault(key, []).append(channel)
        for key, leg in self.result.items():
            self._times(leg, people[key])
            leg.party = self._party(self.heads[key])
        for key, segments in segments_of(self.call, self.folding).items():
            self.result[key].segments = segments
        self._cases()
        self.call.facts += self._attended()
        self._roles()
        for leg in self.result.values():
            self._talk(leg)
            self._hung_up_by(leg, people[leg.uniqueid])
            self._own_cause(leg)
        self._callers()
        return sorted(self.result.values(), key=lambda leg: (leg.first_at, leg.uniqueid))

    def _times(self, leg: Leg, channels: list[Channel]) -> None:
        starts = [one.started for one in channels if one.started is not None]
        answers = [one.answered for one in channels if one.answered is not None]
        ends = [one.ended for one in channels if one.ended is not None]
        leg.started = min(starts, default=None)
        leg.answered = min(answers, default=None)
        if len(ends) == len(channels):
            leg.ended = max(ends)
            last = max(channels, key=lambda one: one.ended or 0)
            leg.cause = last.cause
            leg.state = "complete" if starts else "cut_off"
        elif all(self._is_over(one) for one in channels):
            leg.state = "cut_off"

    def _is_over(self, channel: Channel) -> bool:
        return channel.ended is not None or channel.gone or channel.uniqueid in self.lost

    def _party(self, head: Channel) -> str | None:
        """The number that called, or the device that was called."""
        if head.num and not head.outgoing:
            return head.num
        if not head.outgoing or not head.is_real:
            return None
        known = self.directory.devices.get(head.device)
        if known is not None:
            return known.id
        return head.device.rpartition("/")[2] or None

    def _talk(self, leg: Leg) -> None:
        """Seconds in bridges with other people; None where the record does not show it."""
        if leg.ended is None:
            return
        if any(part.end is None for part in leg.segments):
            return
        if not leg.segments and leg.answered is not None and not self.call.saw_bridges:
            others = [one for one in self.result.values() if one is not leg and one.answered]
            if others:  # two were answered and no row says whether they talked
                return
        total = 0
        for part in leg.segments:
            total += (part.end or 0) - part.start
        leg.talk_s = seconds(total)

    def _hung_up_by(self, leg: Leg, channels: list[Channel]) -> None:
        if leg.ended is None:
            return
        source = max(channels, key=lambda one: one.ended or 0).source
        for channel in self.call.channels.values() if source else ():
            if source in channel.names:
                leg.hung_up_by = self.folding.leg_of[channel.uniqueid]
                return

    def _own_cause(self, leg: Leg) -> None:
        """Asterisk leaves the cause of a hand-over that failed on the legs that then talk on.

        When one of the people in the call hangs up after that, it is a normal end.
        """
        if leg.hung_up_by is None or not leg.segments or leg.cause == NORMAL_CLEARING:
            return
        tried = {
            fact.values.get("cause"): fact.at
            for fact in self.call.facts
            if fact.kind == "ENDED" and fact.values.get("case") == leg.case
        }
        at = tried.get(str(leg.cause))
        if at is not None and leg.segments[-1].start >= at:
            leg.cause = NORMAL_CLEARING

    # --- cases, roles, callers

    def _cases(self) -> None:
        by_linkedid: dict[str, str] = {}
        for fact in self.call.facts:
            case = fact.values.get("case")
            leg = self.result.get(self.folding.leg_of[fact.uniqueid])
            if fact.kind == "CASE" and case and leg is not None:
                leg.case = case
        for leg in self.result.values():
            if leg.case is None:
                accounts = [self.call.channels[one].account for one in leg.channels]
                leg.case = next((one for one in accounts if CASE.fullmatch(one)), None)
            if leg.case is not None:
                by_linkedid.setdefault(leg.linkedid, leg.case)
        only = set(by_linkedid.values())
        for leg in self.result.values():
            if leg.case is None:
                leg.case = by_linkedid.get(leg.linkedid)
            if leg.case is None and len(only) == 1:
                leg.case = next(iter(only))

    def _attended(self) -> list[Fact]:
        """A phone's own attended transfer never meets our dialplan: its facts are made here."""
        facts = []
        began = {
            self.folding.leg_of[fact.uniqueid] for fact in self.call.facts if fact.kind == "CASE"
        }
        for number, one in enumerate(self.call.attended, 1):
            by, citizen, target = (
                self.result.get(self.folding.leg_of.get(uniqueid, ""))
                for uniqueid in (one.by, one.transferee, one.target)
            )
            if citizen is None or target is None or target is citizen:
                continue
            if target.uniqueid in began:  # joined from the call with the desk
                citizen, target = target, citizen
            if citizen.case is None:
                continue
            values = {"id": f"{citizen.case}-a{number}", "case": citizen.case}
            values |= {"desk": target.party or "", "by": (by and by.party) or ""}
            offer = {"kind": "attended", "caller": citizen.uniqueid}
            facts.append(Fact(one.at, "OFFERED", values | offer, one.by))
            if target.answered is not None:
                at = max(one.at, target.answered)
                facts.append(Fact(at, "ACCEPTED", values | {"leg": target.uniqueid}, one.by))
            elif target.ended is not None:
                outcome = OUTCOMES.get(target.cause or 0, "failed")
                ended = {"outcome": outcome, "cause": str(target.cause or "")}
                facts.append(Fact(target.ended, "ENDED", values | ended, one.by))
        return facts

    def _roles(self) -> None:
        offers = _offers(self.call.facts)
        self._noted_roles()
        for key, leg in self.result.items():
            if leg.role is None:
                self._role(leg, self.heads[key], offers)
        noted = any(fact.kind == "TAKEN" for fact in self.call.facts)
        if not noted and not self.directory.devices:
            self._roles_by_shape()
        for key, leg in self.result.items():
            if leg.role is None and self.heads[key].outgoing and self._from_queue(leg):
                leg.role = "agent"
        for leg in self.result.values():
            if leg.role in ("agent", "target", "supervisor") and leg.party is not None:
                known = self.directory.parties.get(leg.party)
                leg.department = known.department if known is not None else None

    def _from_queue(self, leg: Leg) -> bool:
        return any("AppQueue" in self.call.channels[one].apps for one in leg.channels)

    def _noted_roles(self) -> None:
        for fact in self.call.facts:
            if fact.kind == "CASE":
                leg = self.result.get(self.folding.leg_of[fact.uniqueid])
                if leg is not None:
                    leg.role = "citizen"
            elif fact.kind in ("TAKEN", "ACCEPTED"):
                key = self.folding.leg_of.get(fact.values.get("leg", ""))
                leg = self.result.get(key) if key is not None else None
                if leg is None or leg.role == "citizen":
                    continue
                if fact.kind == "TAKEN":
                    if leg.role is None:
                        leg.role, leg.party = "agent", fact.values.get("agent") or leg.party
                else:
                    leg.role, leg.party = "target", fact.values.get("desk") or leg.party
                    leg.handover = fact.values.get("id") or None

    def _role(self, leg: Leg, head: Channel, offers: list[Offer]) -> None:
        known = self.directory.devices.get(head.device) if head.is_real else None
        offer = _offer_for(leg, offers) if head.outgoing and head.is_real else None
        if offer is not None and (known is None or known.id == offer.desk):
            leg.role, leg.party, leg.handover = "target", offer.desk, offer.id
        elif not LISTENING.isdisjoint(head.apps):
            leg.role = "supervisor"
        elif known is not None:
            leg.role, leg.party = known.role, known.id
        elif not head.outgoing and head.context == self.directory.trunk_context and head.is_real:
            leg.role = "citizen"
        elif not head.is_real and not MAILBOXES.isdisjoint(
            app for one in leg.channels for app in self.call.channels[one].apps
        ):
            leg.role = "mailbox"

    def _roles_by_shape(self) -> None:
        ordered = sorted(self.result.values(), key=lambda leg: (leg.first_at, leg.uniqueid))
        for citizen in ordered:
            head = self.heads[citizen.uniqueid]
            began = head.first_linkedid == head.uniqueid and head.started is not None
            ours = head.context.startswith("hotline-")  # staff dial in there, to sign in or out
            if citizen.role is None and began and not ours and not head.outgoing and head.is_real:
                citizen.role = "citizen"
            if citizen.role == "citizen":
                self._called_by_shape(citizen, ordered)

    def _called_by_shape(self, citizen: Leg, ordered: list[Leg]) -> None:
        heard = {other for part in citizen.segments for other in part.others}
        called = [
            leg
            for leg in ordered
            if self.heads[leg.uniqueid].outgoing
            and (leg.linkedid == citizen.linkedid or leg.uniqueid in heard)
        ]
        talked = [
            (part.start, other)
            for part in citizen.segments
            for other in part.others
            if self.heads[other].outgoing
        ]
        if not talked:
            return
        since, first = min(talked)
        device = self.heads[first].device
        for leg in called:
            if leg.role is not None:
                continue
            if self.heads[leg.uniqueid].device == device:
                leg.role = "agent"
            elif leg.first_at >= since:
                leg.role = "target"

    def _callers(self) -> None:
        """The citizen's number on every leg of the citizen's call."""
        citizens = [leg for leg in self.result.values() if leg.role == "citizen"]
        for leg in self.result.values():
            mine = [
                one
                for one in citizens
                if (one.case is not None and one.case == leg.case) or one is leg
            ]
            mine = mine or [one for one in citizens if one.linkedid == leg.linkedid]
            if not mine and len(citizens) == 1:
                mine = citizens
            if mine:
                leg.caller = mine[0].party


def _offers(facts: list[Fact]) -> list[Offer]:
    offers: dict[str, Offer] = {}
    for fact in facts:
        name = fact.values.get("id", "")
        if fact.kind == "OFFERED" and name and name not in offers:
            offers[name] = Offer(
                name, fact.values.get("case", ""), fact.values.get("desk", ""), fact.at
            )
        elif fact.kind in ("ACCEPTED", "ENDED") and name in offers:
            offers[name].end = fact.at
    return list(offers.values())


def _offer_for(leg: Leg, offers: list[Offer]) -> Offer | None:
    for offer in offers:
        same = not offer.case or leg.case is None or leg.case == offer.case
        if (
            same
            and leg.first_at >= offer.start
            and (offer.end is None or leg.first_at <= offer.end)
        ):
            return offer
    return None
