"""How a cell must come out: against the table, and nothing may be left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

from telephony.cel.rows import CelRow
from telephony.softphone import CallState, SoftCall, Softphone
from tests.handovers.floor import RING_S, Floor, Seat
from tests.handovers.record import assert_legs, channels, hand_overs, open_channels
from tests.handovers.senses import MIXED, PATIENCE_S, eventually, hears

if TYPE_CHECKING:
    from tests.handovers.table import Outcome
    from tests.handovers.ways import Way


class Judged:
    """What a cell's people did, held against the table and what the PBX wrote."""

    floor: Floor
    seat: Seat
    way: Way
    case: str
    citizen: SoftCall
    agent: SoftCall
    agent_phone: Softphone
    target: SoftCall | None
    second: SoftCall | None
    next: SoftCall
    agent_hz: float
    hook: Callable[[str], None]
    dialled: list[SoftCall]
    _gone: set[str]
    _since: int
    _calls_before: Counter[str]
    _asking: bool
    _kinds: set[str]
    _citizen_hz: float
    _target_hz: float
    http: Callable[..., httpx.Response]

    def resume(self) -> None:
        """What the agent does to talk again with the citizen who is back."""
        raise NotImplementedError

    def together(self, other: SoftCall, tone: float, share: float = 0.5) -> None:
        """The citizen and this other party hear each other."""
        hears(self.citizen, tone, share)
        hears(other, self._citizen_hz, share)

    def agent_rung(self) -> SoftCall:
        """The agent's phone rings for the citizen who is back; the agent answers."""
        call = self.agent_phone.wait_for_call(PATIENCE_S)
        call.answer()
        call.play_tone(self.agent_hz)
        self.agent = call
        return call

    def come_out(self, expected: tuple[Outcome, ...]) -> None:
        """Check outcome and end against the table, let everybody hang up, check what is left."""
        outcome = self._decided(expected)
        getattr(self, f"_end_{outcome.end}")()
        self.hook("decided")
        # And so it stays. A phone that was rung has been answered now.
        getattr(self, f"_end_{'agent' if outcome.end == 'phone' else outcome.end}")()
        self._hang_up()
        self._all_ended()
        self._nothing_left()
        came = self._outcomes()
        ends = [one for one in expected if one.end == outcome.end and one.outcomes == came]
        assert ends, f"in the end the record says {came}, the table {outcome}"

    def _rows(self) -> list[CelRow]:
        return self.floor.record.rows(self._since)

    def _all_decided(self) -> bool:
        return all(one.outcomes for one in hand_overs(self._rows(), self.case))

    def _outcomes(self) -> tuple[str, ...]:
        found = hand_overs(self._rows(), self.case)
        wrong = [one for one in found if len(one.outcomes) != 1]
        assert not wrong, f"hand-overs without exactly one outcome: {wrong}"
        kinds = {one.kind for one in found} - self._kinds
        assert not kinds, f"pressed as {kinds}"
        return tuple(one.outcomes[0] for one in found)

    def _decided(self, expected: tuple[Outcome, ...]) -> Outcome:
        deadline = time.monotonic() + PATIENCE_S + RING_S
        while True:
            found = hand_overs(self._rows(), self.case)
            came = tuple(" ".join(one.outcomes) for one in found)
            for one in expected:
                if came == one.outcomes and self._is_so(one):
                    return one
            assert time.monotonic() < deadline, f"the record says {found}, the table {expected}"
            time.sleep(0.1)

    def _is_so(self, outcome: Outcome) -> bool:
        """Of several that are right: with nobody left the citizen's call is over, and where the
        agent's phone was to ring it rings (until then the record may not have been written)."""
        if outcome.end == "phone" and all(one is self.agent for one in self.agent_phone.calls):
            return False
        return (outcome.end == "nobody") == (self.citizen.state is CallState.ENDED)

    def _end_agent(self) -> None:
        self.resume()
        self.together(self.agent, self.agent_hz)
        ringing = [one for one in self.agent_phone.calls if one is not self.agent]
        assert not ringing, "the agent's phone rang, though the agent had waited"

    def _end_phone(self) -> None:
        self.agent_rung()
        self.together(self.agent, self.agent_hz)

    def _end_target(self) -> None:
        assert self.target is not None
        self.together(self.target, self._target_hz)
        if self.way.agent_meanwhile != "talks":
            assert self.agent.wait_ended(PATIENCE_S) == 200

    def _end_room(self) -> None:
        assert self.target is not None
        self.together(self.target, self._target_hz, MIXED)
        self.together(self.agent, self.agent_hz, MIXED)
        hears(self.target, self.agent_hz, MIXED)
        hears(self.agent, self._target_hz, MIXED)

    def _end_next(self) -> None:
        self.together(self.next, self.agent_hz)

    def _end_nobody(self) -> None:
        """Everybody's call is over without anybody's doing (checked for all cells)."""

    def _hang_up(self) -> None:
        """The citizen hangs up; who is left of a three-way call, does so then."""
        self.citizen.hangup()
        # So are two who speak with each other only.
        if self._asking:
            self.agent.hangup()
        if self.second is not None:
            self.second.hangup()
        # Two of a three-way call may go on talking: that is theirs to end.
        if self.target is not None and self.way.agent_meanwhile == "talks":
            self.target.hangup()

    def _my_calls(self) -> list[SoftCall]:
        mine = list(self.dialled)
        for who in self.seat.roles:
            mine += self.floor.calls.get(who, [])[self._calls_before[who] :]
        return mine

    def _all_ended(self) -> None:
        for call in self._my_calls():
            code = call.wait_ended(PATIENCE_S)
            talked = call.answered_at is not None and call.phone.username not in self._gone
            assert not talked or code == 200, f"{call.phone.username} ended with {code}"

    def _nothing_left(self) -> None:
        phones = frozenset(self.seat.roles)
        left: dict[str, str] = {}

        def gone() -> bool:
            nonlocal left
            left = open_channels(self._rows(), self.case, phones)
            return not left

        with suppress(AssertionError):
            eventually(gone, "nothing is left")
        assert not left, f"channels that are left on the PBX: {left}"
        rows = self._rows()
        there = channels(rows, self.case, phones)
        calls = Counter(call.phone.username for call in self._my_calls())
        roles = dict(self.seat.roles)
        for who in self._gone:  # rung without being there: no phone can count that
            calls[who] = sum(name.startswith(f"PJSIP/{who}-") for name in there.values())
        # A number dialled when the citizen had gone is an ordinary call.
        apart = self.second is not None and not hand_overs(rows, self.case)
        assert_legs(self.floor.record.legs(rows), there, self.case, roles, calls, apart=apart)

    def stored(self) -> None:
        """The service has the whole case on record, as the PBX wrote it."""
        rows = self._rows()
        mine = {leg.uniqueid for leg in self.floor.record.legs(rows) if leg.case == self.case}
        wanted = [(one.id, one.outcomes[0]) for one in hand_overs(rows, self.case)]
        seen: object = None

        def whole() -> bool:
            nonlocal seen
            answer = self.http("GET", f"/cases/{self.case}")
            if answer.status_code != 200:
                seen = answer.status_code
                return False
            case = answer.json()
            legs = {leg["uniqueid"] for leg in case["legs"] if leg["state"] == "complete"}
            states = [(one["id"], one["state"]) for one in case["handovers"]]
            seen = legs, states
            return legs == mine and states == wanted

        with suppress(AssertionError):
            eventually(whole, "the case is whole", every_s=0.2)
        assert whole(), f"the service has {seen}, the PBX wrote {mine} {wanted}"
