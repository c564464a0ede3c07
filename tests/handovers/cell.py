"""One cell while it is played: its people, and what they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import httpx

from telephony.errors import HotlineError
from telephony.softphone import SoftCall, Softphone
from tests.handovers.floor import PASSWORD, Floor, Seat, agent_token
from tests.handovers.judge import Judged
from tests.handovers.senses import (
    MIXED,
    PATIENCE_S,
    eventually,
    hears,
    hears_not,
    run_at_once,
)
from tests.pbx.scene import LINE

if TYPE_CHECKING:
    from tests.handovers.ways import Way

State = str
"""Where a hand-over is: talking (before the press), ringing, or decided."""


class Cell(Judged):
    """A citizen who talks with an agent, at a seat of the floor; the agent presses by ``way``."""

    def __init__(self, floor: Floor, seat: Seat, way: Way) -> None:
        self.floor = floor
        self.seat = seat
        self.way = way
        self.citizen: SoftCall
        self.agent: SoftCall
        self.agent_phone: Softphone
        """Who has the citizen and presses; in a chain that is a desk later on."""
        self.target: SoftCall | None = None
        """Who has taken the call."""
        self.second: SoftCall | None = None
        """The agent's second line, where this row has one."""
        self.joins = 1
        """How often the agent presses to join two lines."""
        self.next: SoftCall
        """The queue's next agent, who has it after all."""
        self.case = self.call_id = ""
        self.desk = seat.desks[0]
        """Whom the agent hands over to, where the column does not say it."""
        self.pressed: list[int] = []
        """What the presses were answered, as HTTP or SIP status; a key is answered nothing."""
        self.hook: Callable[[State], None] = lambda state: None
        """Told of each state as it is reached; the hand-over goes on when it returns."""
        self._gone: set[str] = set()
        self._since = 0
        self._began = ""
        self._calls_before: Counter[str] = Counter()
        self.dialled: list[SoftCall] = []
        """The calls that began at a phone of this seat."""
        self._asking = False
        """The target has answered, and speaks with the agent alone."""
        self._kinds = set(way.kinds)
        self._citizen_hz, self.agent_hz, self._target_hz = seat.tones

    # -- before the press ------------------------------------------------------------------

    def begin(self, *, fading: bool = False) -> None:
        """The citizen calls, the agent answers, both hear each other."""
        floor, seat = self.floor, self.seat
        self._began = datetime.now().strftime("%F %T")
        self._since = floor.record.place()
        agent = seat.fading if fading else seat.agent
        phones = (seat.citizen, agent, seat.other, *seat.desks)
        for who in phones:
            floor.phone(who)
        self._calls_before = Counter({who: len(floor.calls[who]) for who in floor.calls})
        self.agent_phone = floor.phone(agent)
        with floor.queue_lock:
            floor.join_queue(agent)
            self.citizen = floor.phone(seat.citizen).call(LINE)
            self.dialled.append(self.citizen)
            self.agent = self.agent_phone.wait_for_call(PATIENCE_S)
            self.agent.answer()
            self.citizen.wait_answered(PATIENCE_S)
            floor.leave_queue(agent)
        self.citizen.play_tone(self._citizen_hz)
        self.agent.play_tone(self.agent_hz)
        self.together(self.agent, self.agent_hz)
        eventually(self._on_record, "the case is on record")
        if self.way.needs_service:
            self.wait_talking()
        self.hook("talking")

    def _on_record(self) -> bool:
        found = self.floor.record.case_of(self.seat.citizen, self._since)
        self.case, self.call_id = found or ("", "")
        return found is not None

    def wait_talking(self) -> None:
        """Wait until the service shows that somebody talks with the citizen, and no hand-over."""

        def talking() -> bool:
            answer = self.http("GET", f"/calls/{self.call_id}")
            if answer.status_code != 200:
                return False
            call = answer.json()
            return call["state"] == "talking" and call["handover"] is None

        eventually(talking, f"call {self.call_id} is shown as talking")

    # -- what people do --------------------------------------------------------------------

    def http(
        self, method: str, path: str, body: object = None, token: str = PASSWORD
    ) -> httpx.Response:
        """Ask the service."""
        headers = {"Authorization": f"Bearer {token}"}
        client = self.floor.service.http
        return client.request(method, f"/api/v1{path}", json=body, headers=headers)

    def press(self, desk: str = "") -> None:
        """Hand over to a desk (the first one), as this row does; it must be taken."""
        if self.way.needs_service:
            self.wait_talking()
        status = self.press_anyhow(desk)
        assert status in (202, 0), f"the press was answered {status}"

    def press_anyhow(self, desk: str = "") -> int:
        """Press, whatever is answered."""
        status = self.way.press(self, desk or self.desk)
        self.pressed.append(status)
        assert status != 500, f"the press was answered {status}"
        return status

    def press_as_other(self, desk: str) -> int:
        """Another agent, who is not on this call, presses for it on their desk."""
        token = agent_token(self.seat.other).get_secret_value()
        return self.http(
            "POST", f"/calls/{self.call_id}/transfer", {"desk": desk}, token
        ).status_code

    def press_and(self, other: Callable[[], object], desk: str = "") -> None:
        """Press, and at the same moment something else happens."""
        if self.way.takes_time:
            self.press_anyhow(desk)
            other()
            return
        with ThreadPoolExecutor(1) as pool:
            pressing: Future[int] = pool.submit(self._press_if_still, desk)
            other()
            pressing.result(PATIENCE_S)

    def _press_if_still(self, desk: str) -> int:
        # The call may be over before the press is through.
        with suppress(HotlineError, TimeoutError):
            return self.press_anyhow(desk)
        return 0

    def ringing(self, desk: int = 0) -> SoftCall:
        """The desk's phone rings."""
        call = self.floor.phone(self.seat.desks[desk]).wait_for_call(PATIENCE_S)
        assert call.caller_number == self.seat.citizen
        self.hook("ringing")
        return call

    def answer(self, call: SoftCall) -> None:
        """A target answers and speaks."""
        call.answer()
        call.play_tone(self._target_hz)
        self.target = call
        self._asking = self.way.asks

    def take(self, call: SoftCall) -> None:
        """A target answers, and an agent who asks first does what brings it to the citizen."""
        self.answer(call)
        self.way.complete(self)
        self._asking = False

    def let_go(self) -> None:
        """The agent leaves without waiting for anything, as this row does."""
        self.way.let_go(self)
        self._asking = False

    def asked(self) -> str | None:
        """The hand-over whose target speaks with the agent, or None when it is decided already.

        Raises :class:`ConnectionError` or an error of ``httpx`` when the service is away.
        """
        found = ""

        def known() -> bool:
            nonlocal found
            answer = self.http("GET", f"/calls/{self.call_id}")
            if answer.status_code == 503:
                raise ConnectionError(answer.text)
            running = answer.json().get("handover") if answer.status_code == 200 else None
            found = running["id"] if running and running["state"] == "answered" else ""
            return bool(found) or self._all_decided()

        eventually(known, "the service knows that the target answered", every_s=0.05)
        return found or None

    def speak_with(self, line: SoftCall) -> None:
        """Agent (on this line) and target hear each other, and the citizen neither."""
        assert self.target is not None
        hears(line, self._target_hz, 0.5)
        hears(self.target, self.agent_hz, 0.5)
        for tone in (self.agent_hz, self._target_hz):
            hears_not(self.citizen, tone)

    def back(self) -> None:
        """After a failure: agent and citizen talk again, as is usual for this row."""
        if self.way.agent_meanwhile == "gone":
            self.agent_rung()
        self.way.resume(self)
        # Who talks on cannot hear that the try is over.
        eventually(self._all_decided, "the hand-over is decided")
        self.together(self.agent, self.agent_hz)

    def resume(self) -> None:
        """The agent has the citizen back, as this row does it."""
        self.way.resume(self)

    def vanish(self) -> None:
        """The agent's phone is gone without a word."""
        self._gone.add(self.agent_phone.username)
        self.agent_phone.vanish()

    def hand_on(self, desk: int) -> None:
        """In a chain: who has taken the call presses next, to the next desk; it is taken."""
        assert self.target is not None
        self.agent, self.agent_phone = self.target, self.target.phone
        self.agent.play_tone(self.agent_hz)
        self.press(self.seat.desks[desk])
        self.take(self.ringing(desk))

    def settle(self) -> None:
        """In a chain: the target is with the citizen, and nobody else is."""
        assert self.target is not None
        if self.way.agent_meanwhile == "talks":
            self.together(self.target, self._target_hz, MIXED)
            self.agent.hangup()
        self.together(self.target, self._target_hz)
        assert self.agent.wait_ended(PATIENCE_S) == 200

    def next_agent(self) -> None:
        """The queue rings the other agent, who answers."""
        call = self.floor.phone(self.seat.other).wait_for_call(2 * PATIENCE_S)
        call.answer()
        call.play_tone(self.agent_hz)
        self.floor.leave_queue(self.seat.other)
        self.next = call

    def press_twice(self) -> list[int]:
        """Two presses of the same key within 50 ms."""
        if self.way.needs_service:
            return run_at_once(self.press_anyhow, self.press_anyhow)
        return [self.way.press_twice(self, self.seat.desks[0])]

    def three_way(self, desk: int) -> None:
        """Call a desk in, over HTTP; all three hear each other."""
        self.wait_talking()
        self._kinds.add("three-way")
        body = {"desk": self.seat.desks[desk]}
        answer = self.http("POST", f"/calls/{self.call_id}/conference", body)
        assert answer.status_code == 202, answer.text
        self.answer(self.ringing(desk))
        self._asking = False
        self._end_room()

    def press_in_vain(self) -> None:
        """A press in a three-way call: it changes nothing. (What a phone dials is a call apart.)"""
        if not self.way.needs_service and self.way.asks:
            return
        status = self.press_anyhow()
        assert status == (409 if self.way.needs_service else status)
        self._end_room()
        assert not self.floor.phone(self.seat.desks[0]).calls

    def leave_three_way(self) -> None:
        """The third party leaves; citizen and agent are a call of two again."""
        assert self.target is not None
        self.target.hangup()
        self.together(self.agent, self.agent_hz, 0.8)

    def listen(self) -> SoftCall:
        """A supervisor's phone is connected to what the citizen says and hears."""
        who = self.seat.supervisor
        phone = self.floor.phone(who)
        # As a phone that may listen does; who may is no matter of this table.
        number = f"99{self.seat.number:02d}"
        self.floor.pbx.console(
            f"dialplan add extension {number},1,ChanSpy,PJSIP/{self.seat.citizen},qE "
            "into hotline-agents replace"
        )
        spy = phone.call(number)
        self.dialled.append(spy)
        spy.wait_answered(PATIENCE_S)
        hears(spy, self._citizen_hz, MIXED)
        hears(spy, self.agent_hz, MIXED)
        return spy

    def heard_by(self, spy: SoftCall) -> None:
        """The supervisor still hears the citizen.

        Not asked: the target too. ChanSpy now and then mixes one direction only after a new bridge.
        """
        hears(spy, self._citizen_hz, MIXED)

    def close(self) -> None:
        """Whatever happened: let go of every call, so that the seat is free for another cell."""
        for call in self._my_calls():
            call.hangup()
        for who in (self.seat.agent, self.seat.other, self.seat.fading):
            if who in self.floor.calls:
                self.floor.leave_queue(who)
        for who in self.seat.desks:
            self.floor.phone(who).auto_answer = "off"

    def story(self) -> str:
        """What the PBX did in this cell."""
        return self.floor.steps((f"PJSIP/{self.seat.citizen}-", self.case or "?"), self._began)
