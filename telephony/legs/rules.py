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
from collections.abc import Set
from functools import lru_cache
from operator import attrgetter

from telephony.cel.rows import Fact
from telephony.legs.channels import LISTENING, MAILBOXES, Call, Channel
from telephony.legs.folding import Folding
from telephony.legs.hold import hold_seconds
from telephony.legs.model import Directory, Leg, seconds
from telephony.legs.offers import Offer, offer_for, offers_of
from telephony.legs.talk import segments_of

CASE = re.compile(r"\d{8}-\S*\d+\.\d+")
"""Our case numbers: the day and the citizen's uniqueid; other account codes are no case."""


@lru_cache(maxsize=8192)
def is_case(account: str) -> bool:
    """Whether an account code is a case number of ours."""
    return CASE.fullmatch(account) is not None


OUTCOMES = {17: "busy", 18: "unanswered", 19: "unanswered", 20: "unreachable", 21: "declined"}
"""Q.850 cause -> outcome of a hand-over."""


NORMAL_CLEARING = 16

STAFF = frozenset(("agent", "target", "supervisor"))
OUTLIVED_US = 1_000_000
"""Who goes on for so long after another's end was not ended by it."""


def legs_of_call(
    call: Call, pbx: str, directory: Directory, lost: Set[str]
) -> tuple[list[Leg], list[Fact]]:
    """The legs of a call, the first to begin first, and the facts noted in it.

    ``call``: its rows, read. ``lost``: uniqueids of channels that were cut off.
    """
    assembly = _Assembly(call, pbx, directory, lost)
    return assembly.legs(), assembly.facts


_in_order = attrgetter("first_at", "uniqueid")


class _Assembly:
    def __init__(self, call: Call, pbx: str, directory: Directory, lost: Set[str]) -> None:
        self.call = call
        self.facts = call.facts
        self.folding = Folding(call)
        self.pbx = pbx
        self.directory = directory
        self.lost = lost
        self.heads: dict[str, Channel] = {}  # leg -> the channel that names it
        self.lasts: dict[str, Channel] = {}  # leg that ended -> its channel that ended last
        self.result: dict[str, Leg] = {}

    def legs(self) -> list[Leg]:
        people = self._gather()
        for key, leg in self.result.items():
            self._times(leg, people[key])
            leg.party = self._party(self.heads[key])
        for key, segments in segments_of(self.call, self.folding).items():
            self.result[key].segments = segments
        self._cases()
        if self.call.attended:
            self.facts = [*self.facts, *self._attended()]
        ordered = sorted(self.result.values(), key=_in_order)
        self._roles(ordered)
        for leg in ordered:
            if leg.ended is not None:
                self._talk(leg)
                if self.lasts[leg.uniqueid].source:
                    self._hung_up_by(leg)
        self._callers(ordered)
        hold_seconds(self.call, self.folding, self.result)
        return ordered

    def _gather(self) -> dict[str, list[Channel]]:
        """The legs, still empty; returns the channels of each that its times come from."""
        channels, leg_of, result = self.call.channels, self.folding.leg_of, self.result
        people: dict[str, list[Channel]] = {}
        for uniqueid, channel in channels.items():
            key = leg_of[uniqueid]
            leg = result.get(key)
            if leg is None:
                head = self.heads[key] = channels[key]
                leg = result[key] = Leg(self.pbx, key, [], [], head.linkedid, head.first_at)
                people[key] = []
            leg.channels.append(uniqueid)
            leg.channel_names += channel.names
            if uniqueid == key or not (channel.is_local or channel.is_pseudo):
                people[key].append(channel)
        return people

    def _times(self, leg: Leg, channels: list[Channel]) -> None:
        if len(channels) == 1:  # nearly always
            self._times_of(leg, channels[0])
            return
        started = answered = last = None
        ended = over = True
        for one in channels:
            if one.started is not None and (started is None or one.started < started):
                started = one.started
            if one.answered is not None and (answered is None or one.answered < answered):
                answered = one.answered
            if one.ended is None:
                ended = False
                over = over and self._is_gone(one)
            elif last is None or last.ended is None or one.ended > last.ended:
                last = one
        leg.started, leg.answered = started, answered
        if ended and last is not None:
            self.lasts[leg.uniqueid] = last
            leg.ended, leg.cause = last.ended, last.cause
            leg.state = "cut_off" if started is None else "complete"
        elif over:
            leg.state = "cut_off"

    def _times_of(self, leg: Leg, channel: Channel) -> None:
        leg.started, leg.answered = channel.started, channel.answered
        if channel.ended is not None:
            self.lasts[leg.uniqueid] = channel
            leg.ended, leg.cause = channel.ended, channel.cause
            leg.state = "cut_off" if channel.started is None else "complete"
        elif self._is_gone(channel):
            leg.state = "cut_off"

    def _is_gone(self, channel: Channel) -> bool:
        """Whether it is known to be over, though no row says when it ended."""
        return channel.linkedid in self.call.ended_linkedids or channel.uniqueid in self.lost

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
        if not leg.segments and leg.answered is not None and not self.call.saw_bridges:
            others = [one for one in self.result.values() if one is not leg and one.answered]
            if others:  # two were answered and no row says whether they talked
                return
        total = 0
        for part in leg.segments:
            if part.end is None:
                return
            total += part.end - part.start
        leg.talk_s = seconds(total)

    def _hung_up_by(self, leg: Leg) -> None:
        source = self.lasts[leg.uniqueid].source
        for channel in self.call.channels.values():
            if source in channel.names:
                leg.hung_up_by = self.folding.leg_of[channel.uniqueid]
                if leg.segments and leg.cause != NORMAL_CLEARING:
                    self._own_cause(leg)
                return

    def _own_cause(self, leg: Leg) -> None:
        """Asterisk leaves a cause on the legs that go on: of a hand-over that failed, or of a phone
        that went without a word (44, 27 …) while they talked with it.

        When one of the people in the call hangs up after that, it is a normal end.
        """
        tried = {
            fact.values.get("cause"): fact.at
            for fact in self.facts
            if fact.kind == "ENDED" and fact.values.get("case") == leg.case
        }
        at = tried.get(str(leg.cause))
        if (at is not None and leg.segments[-1].start >= at) or self._is_left_over(leg):
            leg.cause = NORMAL_CLEARING

    def _is_left_over(self, leg: Leg) -> bool:
        """Whether its cause is that of somebody whom the one who hung up had talked with before."""
        who = self.result[leg.hung_up_by or leg.uniqueid]
        gone = [self.result[one] for one in {one for part in who.segments for one in part.others}]
        return leg.ended is not None and any(
            one.cause == leg.cause
            and one.ended is not None
            and one.ended + OUTLIVED_US <= leg.ended
            for one in gone
        )

    # --- cases, roles, callers

    def _cases(self) -> None:
        channels, legs = self.call.channels, self.result.values()
        for fact in self.facts:
            if fact.kind == "CASE":
                case = fact.values.get("case")
                leg = self.result.get(self.folding.leg_of[fact.uniqueid])
                if case and leg is not None:
                    leg.case = case
        by_linkedid: dict[str, str] = {}
        unknown = []
        for leg in legs:
            if leg.case is None:
                for one in leg.channels:
                    account = channels[one].account
                    if account and is_case(account):
                        leg.case = account
                        break
            if leg.case is None:
                unknown.append(leg)
            else:
                by_linkedid.setdefault(leg.linkedid, leg.case)
        if unknown and by_linkedid:
            cases = set(by_linkedid.values())
            only = cases.pop() if len(cases) == 1 else None
            for leg in unknown:
                leg.case = by_linkedid.get(leg.linkedid, only)

    def _attended(self) -> list[Fact]:
        """A phone's own attended transfer, where the desk was not dialled through our dialplan.

        Else the dialplan has noted it, from the moment the desk began to ring.
        """
        noted = {
            fact.values.get("case")
            for fact in self.facts
            if fact.kind == "OFFERED" and fact.values.get("kind") == "attended"
        }
        facts = []
        began = {self.folding.leg_of[fact.uniqueid] for fact in self.facts if fact.kind == "CASE"}
        for number, one in enumerate(self.call.attended, 1):
            by, citizen, target = (
                self.result.get(self.folding.leg_of.get(uniqueid, ""))
                for uniqueid in (one.by, one.transferee, one.target)
            )
            if citizen is None or target is None or target is citizen:
                continue
            if target.uniqueid in began:  # joined from the call with the desk
                citizen, target = target, citizen
            if citizen.case is None or citizen.case in noted:
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

    def _roles(self, ordered: list[Leg]) -> None:
        offers = offers_of(self.facts)
        self._noted_roles()
        for key, leg in self.result.items():
            if leg.role is None:
                self._role(leg, self.heads[key], offers)
        if not self.directory.devices and not any(one.kind == "TAKEN" for one in self.facts):
            self._roles_by_shape(ordered)
        parties = self.directory.parties
        for key, leg in self.result.items():
            if leg.role is None and self.heads[key].outgoing and self._from_queue(leg):
                leg.role = "agent"
            if parties and leg.party is not None and leg.role in STAFF:
                known = parties.get(leg.party)
                leg.department = known.department if known is not None else None

    def _from_queue(self, leg: Leg) -> bool:
        return any("AppQueue" in self.call.channels[one].apps for one in leg.channels)

    def _noted_roles(self) -> None:
        for fact in self.facts:
            if fact.kind == "CASE":
                leg = self.result.get(self.folding.leg_of[fact.uniqueid])
                if leg is not None:
                    leg.role = "citizen"
            elif fact.kind == "CALLBACK":
                leg = self.result.get(self.folding.leg_of.get(fact.values.get("citizen", ""), ""))
                if leg is not None:
                    leg.role, leg.party = "citizen", fact.values.get("number") or leg.party
            elif fact.kind in ("TAKEN", "ACCEPTED", "FETCHED", "MONITOR"):
                key = self.folding.leg_of.get(fact.values.get("leg", ""))
                leg = self.result.get(key) if key is not None else None
                if leg is None or leg.role == "citizen":
                    continue
                if fact.kind == "MONITOR":
                    leg.role, leg.party = "supervisor", fact.values.get("who") or leg.party
                elif fact.kind in ("TAKEN", "FETCHED"):
                    if leg.role is None:
                        leg.role, leg.party = "agent", fact.values.get("agent") or leg.party
                else:
                    leg.role, leg.party = "target", fact.values.get("desk") or leg.party
                    leg.handover = fact.values.get("id") or None

    def _role(self, leg: Leg, head: Channel, offers: list[Offer]) -> None:
        devices = self.directory.devices
        known = devices.get(head.device) if devices and head.is_real else None
        offer = offer_for(leg, offers) if offers and head.outgoing and head.is_real else None
        if offer is not None and (known is None or known.id == offer.desk):
            leg.role, leg.party, leg.handover = "target", offer.desk, offer.id
        elif head.apps and not LISTENING.isdisjoint(head.apps):
            leg.role = "supervisor"
        elif known is not None:
            leg.role, leg.party = known.role, known.id
        elif not head.outgoing and head.context == self.directory.trunk_context and head.is_real:
            leg.role = "citizen"
        elif not head.is_real and not MAILBOXES.isdisjoint(
            app for one in leg.channels for app in self.call.channels[one].apps
        ):
            leg.role = "mailbox"

    def _roles_by_shape(self, ordered: list[Leg]) -> None:
        for citizen in ordered:
            head = self.heads[citizen.uniqueid]
            began = head.first_linkedid == head.uniqueid and head.started is not None
            ours = head.context.startswith("hotline-")  # staff dial in there, to sign in or out
            if citizen.role is None and began and not ours and not head.outgoing and head.is_real:
                citizen.role = "citizen"
            if citizen.role == "citizen":
                self._called_by_shape(citizen, ordered)

    def _called_by_shape(self, citizen: Leg, ordered: list[Leg]) -> None:
        heads = self.heads
        first: tuple[int, str] | None = None
        heard: set[str] = set()
        for part in citizen.segments:
            for other in part.others:
                heard.add(other)
                if heads[other].outgoing and (first is None or (part.start, other) < first):
                    first = (part.start, other)
        if first is None:
            return
        since, device = first[0], heads[first[1]].device
        for leg in ordered:
            head = heads[leg.uniqueid]
            if leg.role is not None or not head.outgoing:
                continue
            if leg.linkedid != citizen.linkedid and leg.uniqueid not in heard:
                continue
            if head.device == device:
                leg.role = "agent"
            elif leg.first_at >= since:
                leg.role = "target"

    def _callers(self, legs: list[Leg]) -> None:
        """The citizen's number on every leg of the citizen's call."""
        citizens = [leg for leg in legs if leg.role == "citizen"]
        if len(citizens) == 1:
            for leg in legs:
                leg.caller = citizens[0].party
            return
        for leg in legs if citizens else ():
            mine = [
                one
                for one in citizens
                if (one.case is not None and one.case == leg.case) or one is leg
            ]
            mine = mine or [one for one in citizens if one.linkedid == leg.linkedid]
            if mine:
                leg.caller = mine[0].party
