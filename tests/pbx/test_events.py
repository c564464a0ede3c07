"""Live events of real calls, and what goes on when the service or its link dies in the middle."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from telephony.ami_client import AmiClient, Event
from telephony.demo import stage
from telephony.demo.stage import Service
from telephony.live.shapes import call_shape
from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.handovers.sweep import seed
from tests.pbx.follower import Follower
from tests.pbx.scene import CITIZENS, LINE, PhoneFactory, Talk, sign_in, wait_until
from tests.pbx.served import service_settings, serving, whole_case
from tests.pbx.test_live_calls import Watcher
from tests.pbx.test_service import Cutter

pytestmark = pytest.mark.pbx

DESK = "118"
"""Rings for long enough that a service can come back meanwhile, and must press 1 to accept."""


class Wire(Cutter):
    """One that can also fall silent: nothing comes through any more, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._flows = threading.Event()
        self._flows.set()
        super().__init__(port)

    def block(self) -> None:
        self._flows.clear()

    def mend(self) -> None:
        super().cut()  # what was held up is lost
        self._flows.set()
        super().mend()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:  # type: ignore[override]
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def cutter(pbx: PrivatePbx) -> Iterator[Wire]:
    with closing(Wire(pbx.settings.pbx.ami_port)) as one:
        yield one
        one.mend()


@pytest.fixture
def served(
    pbx: PrivatePbx, cutter: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service, whose link to the PBX can be cut; it may start as slowly as the machine is."""
    monkeypatch.setattr(stage, "SERVICE_START_LIMIT_S", 60.0)
    with serving(service_settings(pbx, tmp_path, cutter.port), tmp_path) as one:
        yield one


@pytest.fixture
def follower(served: Service) -> Iterator[Follower]:
    one = Follower(served)
    one.sees(lambda: one.state == "up", "the first picture")
    yield one
    one.close()


@pytest.fixture
def watcher(pbx: PrivatePbx) -> Iterator[Watcher]:
    watcher = Watcher(pbx)
    yield watcher
    watcher.close()


class Break:
    """What dies: the service (killed or stopped), or its link to the PBX."""

    def __init__(self, how: str, service: Service, cutter: Wire, follower: Follower) -> None:
        self._how, self._service, self._cutter = how, service, cutter
        self._follower = follower
        self._began = 0

    def begin(self) -> None:
        self._began = len(self._follower.frames)
        match self._how:
            case "killed":
                self._service.kill()
            case "stopped":
                self._service.stop()
            case "link cut":
                cut = time.monotonic()
                self._cutter.cut()
                self._follower.sees(lambda: self._follower.state == "pbx-down", "told at once")
                assert time.monotonic() - cut < 1

            case "link silent":
                self._cutter.block()
                self._follower.sees(lambda: self._follower.state == "pbx-down", "noticed", 20)

    def end(self) -> None:
        """It is back, and whoever watches has a picture that was made afterwards."""
        if self._how.startswith("link"):
            self._cutter.mend()
        else:
            self._service.start()
        self._follower.sees(
            lambda: any(one["type"] == "snapshot" for one in self._follower.frames[self._began :]),
            "a fresh picture",
            20,
        )
        assert self._follower.state == "up"


DEATHS = ("killed", "link cut")
"""A service that is stopped leaves the PBX as one that is killed does; one test shows it."""


def deaths(*more: str) -> list[str]:
    """All ways to die with ``SWEEP_ALL``, else one by the seed of the run."""
    ways = [*DEATHS, *more]
    if os.environ.get("SWEEP_ALL"):
        return ways
    return [random.Random(f"{seed()} {more}").choice(ways)]


def anew(watcher: Watcher) -> dict[str, dict[str, Any]]:
    """The calls as a fresh Status tells them, in the shape that is sent."""
    shapes = [call_shape(call, "pbx1") for call in watcher.calls_anew()]
    text = json.dumps(shapes, default=lambda at: at.isoformat().replace("+00:00", "Z"))
    return {one["id"]: in_order(one) for one in json.loads(text)}


def in_order(call: dict[str, Any]) -> dict[str, Any]:
    """A call with its parties in one order: Asterisk lists channels in any."""
    return call | {"parties": sorted(call["parties"], key=lambda party: str(party["uniqueid"]))}


def assert_true(follower: Follower, watcher: Watcher, state: str) -> dict[str, Any]:
    """One call in this state; what was told, asked over HTTP and asked of the PBX is the same."""
    follower.sees(lambda: follower.call_states() == [state], f"one call, {state}")

    def told() -> dict[str, dict[str, Any]]:
        return {one: in_order(call) for one, call in follower.calls.items()}

    follower.sees(lambda: told() == anew(watcher), "the picture is that of a fresh Status")
    shown = follower._service.get("/calls")["items"]
    assert {call["id"]: in_order(call) for call in shown} == told()
    (call,) = follower.calls.values()
    return call


def offer(service: Service, follower: Follower, key: str) -> tuple[dict[str, Any], str]:
    """Press a key on the call that talks; returns the call and the hand-over's id."""
    follower.sees(lambda: follower.call_states() == ["talking"], "the call talks")
    (call,) = follower.calls.values()
    answer = service.post(f"/calls/{call['id']}/{key}", {"desk": DESK, "reason": "有人受伤"})
    assert answer.status_code == 202, answer.text
    return call, answer.json()["id"]


def accept(ringing: SoftCall) -> None:
    ringing.answer()
    ringing.send_dtmf("1")
    ringing.play_tone(Talk.TARGET_HZ)


def test_given_a_floor_when_a_citizen_calls_and_is_handed_over_then_all_of_it_is_told(
    pbx: PrivatePbx, phone: PhoneFactory, follower: Follower, watcher: Watcher, served: Service
) -> None:
    agent, desk = phone("8001"), phone("110")
    assert follower.agents["8001"]["state"] == "signed-out"
    sign_in(agent, pbx)
    follower.sees(lambda: follower.agents["8001"]["state"] == "ready", "the agent is ready")
    pbx.console("queue pause member PJSIP/8001 queue hotline reason lunch")
    follower.sees(
        lambda: (
            (follower.agents["8001"]["state"], follower.agents["8001"]["reason"])
            == ("paused", "lunch")
        ),
        "the agent rests",
    )
    citizen = phone(CITIZENS[0]).call(LINE)
    follower.sees(lambda: follower.queues.get("hotline", {}).get("callers"), "a caller waits", 15)
    (waiting,) = follower.queues["hotline"]["callers"]
    assert (waiting["caller"], waiting["position"]) == (CITIZENS[0], 1)
    assert waiting["call"] in follower.calls
    pbx.console("queue unpause member PJSIP/8001 queue hotline")
    incoming = agent.wait_for_call(15)
    follower.sees(lambda: follower.agents["8001"]["state"] == "ringing", "the agent's phone rings")
    assert_true(follower, watcher, "ringing")
    incoming.answer()
    citizen.wait_answered(5)
    follower.sees(lambda: follower.agents["8001"]["state"] == "talking", "the agent talks")
    follower.sees(lambda: not follower.queues["hotline"]["callers"], "nobody waits")
    call = assert_true(follower, watcher, "talking")

    incoming.send_dtmf("*1")
    ringing = desk.wait_for_call(5)
    running = assert_true(follower, watcher, "handing-over")["handover"]
    assert (running["desk"], running["by"], running["kind"]) == ("110", "8001", "one-key")
    ringing.deny(486)
    first = running["id"]
    follower.sees(lambda: follower.outcomes() == [(first, "busy")], "the outcome")
    assert_true(follower, watcher, "talking")

    incoming.send_dtmf("*1")
    desk.wait_for_call(5).answer()
    follower.sees(lambda: len(follower.outcomes()) == 2, "the second outcome")
    assert follower.outcomes()[1][1] == "accepted"
    assert_true(follower, watcher, "talking")
    follower.sees(lambda: follower.agents["8001"]["state"] == "ready", "the agent is free")
    citizen.hangup()
    follower.sees(lambda: not follower.calls, "the call has ended")
    whole_case(served, call["case"])
    steps = [(one["event"], one["id"]) for one in follower.handovers]
    second = follower.outcomes()[1][0]
    wanted = [("begun", first), ("ended", first), ("returned", first), ("begun", second)]
    assert [one for one in steps if one[0] != "answered"] == [*wanted, ("ended", second)]


STEPS = {"HOTLINE_OFFERED": "begun", "HOTLINE_ENDED": "ended", "HOTLINE_RETURNED": "returned"}


class Clock:
    """When events of hand-overs come over a plain AMI link, beside the service."""

    def __init__(self) -> None:
        self.arrived: dict[tuple[str, str], float] = {}

    def hear(self, event: Event) -> None:
        name = STEPS.get(event.get("Kind"))
        if name is not None:
            (number,) = parse_qs(event.get("Facts"))["id"]
            self.arrived[name, number] = time.monotonic()


def test_given_events_of_the_pbx_then_their_frames_come_within_100_ms(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, follower: Follower, watcher: Watcher
) -> None:
    clock, desk = Clock(), phone("110")

    async def listen() -> AmiClient:
        client = AmiClient.from_settings(pbx.settings.pbx, events={"UserEvent"})
        client.add_event_listener(clock.hear, {"UserEvent"})
        await client.start()
        await client.wait_up(5)
        return client

    client = watcher._run(listen())
    try:
        for number in range(1, 6):
            talk.agent.send_dtmf("*1")
            desk.wait_for_call(5).deny(486)
            follower.sees_outcomes(number)
            talk.assert_together()
        wait_until(lambda: len(clock.arrived) == 15, "every event came")
    finally:
        watcher._run(client.stop())
    follower.sees(lambda: len(follower.arrived) == 15, "every step was told")
    later = sorted(follower.arrived[step] - clock.arrived[step] for step in clock.arrived)
    assert later[len(later) // 2] < 0.05
    assert later[-1] < 0.1, later
    talk.citizen.hangup()


@pytest.mark.parametrize("how", deaths("stopped", "link silent"))
@pytest.mark.parametrize("outcome", ["accepted", "declined"])
def test_given_the_desk_rings_when_it_dies_and_is_back_then_the_hand_over_ends_right(
    phone: PhoneFactory,
    talk: Talk,
    served: Service,
    cutter: Wire,
    follower: Follower,
    watcher: Watcher,
    how: str,
    outcome: str,
) -> None:
    desk = phone(DESK)
    call, handover = offer(served, follower, "transfer")
    ringing = desk.wait_for_call(5)
    dies = Break(how, served, cutter, follower)
    dies.begin()
    dies.end()
    running = assert_true(follower, watcher, "handing-over")["handover"]
    assert running == {
        "id": handover,
        "desk": DESK,
        "by": "8001",
        "kind": "one-key",
        "reason": "有人受伤",
        "state": "offered",
    }
    again = served.post(f"/calls/{call['id']}/transfer", {"desk": "110"})
    assert (again.status_code, again.json()["code"]) == (409, "handover-running")
    if outcome == "accepted":
        accept(ringing)
        talk.citizen.wait_hears(Talk.TARGET_HZ, 8)
        assert talk.agent.wait_ended(3) == 200
    else:
        ringing.deny(603)
        talk.assert_together()
    follower.sees(lambda: follower.outcomes() == [(handover, outcome)], "the outcome")
    assert_true(follower, watcher, "talking")
    talk.citizen.hangup()
    follower.sees(lambda: not follower.calls, "the call has ended")
    case = whole_case(served, call["case"])
    assert [(one["id"], one["state"]) for one in case["handovers"]] == [(handover, outcome)]
    assert case["owner"] == (DESK if outcome == "accepted" else "8001")


def answered(talk: Talk, ringing: SoftCall) -> str:
    accept(ringing)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 8)
    return "accepted"


def refused(talk: Talk, ringing: SoftCall) -> str:
    ringing.deny(486)
    talk.assert_together()
    return "busy"


def left(talk: Talk, ringing: SoftCall) -> str:
    talk.citizen.hangup()
    ringing.wait_ended(5)
    return "caller_gone"


@pytest.mark.parametrize("how", deaths())
@pytest.mark.parametrize("meanwhile", [answered, refused, left])
def test_given_the_desk_rings_when_it_ends_while_nobody_watches_then_it_is_recorded_right(
    phone: PhoneFactory,
    talk: Talk,
    served: Service,
    cutter: Wire,
    follower: Follower,
    watcher: Watcher,
    how: str,
    meanwhile: Callable[[Talk, SoftCall], str],
) -> None:
    desk = phone(DESK)
    call, handover = offer(served, follower, "transfer")
    ringing = desk.wait_for_call(5)
    dies = Break(how, served, cutter, follower)
    dies.begin()
    outcome = meanwhile(talk, ringing)
    dies.end()
    if outcome != "caller_gone":
        assert assert_true(follower, watcher, "talking")["handover"] is None
        talk.citizen.hangup()
    follower.sees(lambda: not follower.calls, "the call has ended")
    case = whole_case(served, call["case"])
    assert [(one["id"], one["state"]) for one in case["handovers"]] == [(handover, outcome)]
    assert case["owner"] == (DESK if outcome == "accepted" else "8001")


@pytest.mark.parametrize("how", deaths())
def test_given_the_desk_has_accepted_when_it_dies_and_is_back_then_the_desk_has_the_call(
    phone: PhoneFactory,
    talk: Talk,
    served: Service,
    cutter: Wire,
    follower: Follower,
    watcher: Watcher,
    how: str,
) -> None:
    desk = phone(DESK)
    call, handover = offer(served, follower, "transfer")
    ringing = desk.wait_for_call(5)
    accept(ringing)
    follower.sees(lambda: follower.outcomes() == [(handover, "accepted")], "the outcome", 10)
    dies = Break(how, served, cutter, follower)
    dies.begin()
    dies.end()
    now = assert_true(follower, watcher, "talking")
    assert now["handover"] is None
    assert sorted((one["role"], one["party"]) for one in now["parties"]) == [
        ("citizen", CITIZENS[0]),
        ("target", DESK),
    ]
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    # What goes on can be worked with: the desk hands over to the next.
    next_desk = phone("110")
    again = served.post(f"/calls/{call['id']}/transfer", {"desk": "110"})
    assert again.status_code == 202, again.text
    next_desk.wait_for_call(5).deny(486)
    follower.sees(lambda: (again.json()["id"], "busy") in follower.outcomes(), "the outcome")
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    talk.citizen.hangup()
    case = whole_case(served, call["case"])
    assert [one["state"] for one in case["handovers"]] == ["accepted", "busy"]
    assert case["owner"] == DESK


@pytest.mark.parametrize("how", deaths())
def test_given_a_third_party_rings_when_it_dies_and_is_back_then_it_is_taken_up(
    phone: PhoneFactory,
    talk: Talk,
    served: Service,
    cutter: Wire,
    follower: Follower,
    watcher: Watcher,
    how: str,
) -> None:
    third = phone(DESK)
    call, handover = offer(served, follower, "conference")
    ringing = third.wait_for_call(5)
    dies = Break(how, served, cutter, follower)
    dies.begin()
    talk.assert_together()
    dies.end()
    running = assert_true(follower, watcher, "handing-over")["handover"]
    assert (running["id"], running["desk"], running["by"]) == (handover, DESK, "8001")
    assert (running["kind"], running["reason"]) == ("three-way", "有人受伤")
    accept(ringing)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 8, threshold=0.25)
    follower.sees(lambda: follower.outcomes() == [(handover, "accepted")], "the outcome")
    assert_true(follower, watcher, "three-way")
    talk.agent.hangup()
    assert_true(follower, watcher, "talking")
    talk.citizen.hangup()
    follower.sees(lambda: not follower.calls, "the call has ended")
    case = whole_case(served, call["case"])
    assert [(one["id"], one["state"]) for one in case["handovers"]] == [(handover, "accepted")]


@pytest.mark.parametrize("how", deaths())
def test_given_a_three_way_call_when_it_dies_and_is_back_then_all_three_are_there(
    phone: PhoneFactory,
    talk: Talk,
    served: Service,
    cutter: Wire,
    follower: Follower,
    watcher: Watcher,
    how: str,
) -> None:
    third = phone(DESK)
    call, handover = offer(served, follower, "conference")
    ringing = third.wait_for_call(5)
    accept(ringing)
    follower.sees(lambda: follower.call_states() == ["three-way"], "three talk", 10)
    dies = Break(how, served, cutter, follower)
    dies.begin()
    talk.agent.wait_hears(Talk.TARGET_HZ, 4, threshold=0.25)
    dies.end()
    now = assert_true(follower, watcher, "three-way")
    assert sorted((one["role"], one["party"], one["with_citizen"]) for one in now["parties"]) == [
        ("agent", "8001", True),
        ("citizen", CITIZENS[0], False),
        ("target", DESK, True),
    ]
    talk.agent.hangup()
    after = assert_true(follower, watcher, "talking")
    assert {one["party"] for one in after["parties"]} == {CITIZENS[0], DESK}
    talk.citizen.hangup()
    follower.sees(lambda: not follower.calls, "the call has ended")
    case = whole_case(served, call["case"])
    assert [(one["id"], one["state"]) for one in case["handovers"]] == [(handover, "accepted")]
    assert len(case["legs"]) == 3


def test_given_a_watcher_whose_network_is_lost_when_it_is_back_then_it_has_missed_nothing(
    phone: PhoneFactory, talk: Talk, served: Service, follower: Follower, watcher: Watcher
) -> None:
    desk = phone("110")
    follower.sees(lambda: follower.call_states() == ["talking"], "the call talks")
    pictures = sum(one["type"] == "snapshot" for one in follower.frames)
    for number in range(1, 4):
        follower.hang_up()
        talk.agent.send_dtmf("*1")
        follower.hang_up()
        desk.wait_for_call(5).deny(486)
        follower.hang_up()
        talk.assert_together()
        follower.sees_outcomes(number, 10)
    assert [one["event"] for one in follower.handovers] == ["begun", "ended", "returned"] * 3
    assert sum(one["type"] == "snapshot" for one in follower.frames) == pictures
    assert_true(follower, watcher, "talking")
    talk.citizen.hangup()


def test_given_the_service_stops_then_who_watches_is_told_so(
    served: Service, follower: Follower
) -> None:
    epoch = follower.epoch
    served.stop()
    wait_until(lambda: follower.ends, "the connection has ended")
    assert follower.ends[0] == 1001
    served.start()
    follower.sees(lambda: follower.epoch != epoch, "the feed of another life", 10)
