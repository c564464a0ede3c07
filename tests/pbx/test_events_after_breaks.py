"""What goes on when the service or its link dies in the middle of a hand-over."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from telephony.demo.stage import Service
from telephony.softphone import SoftCall
from tests.handovers.sweep import seed
from tests.pbx.events_scene import Wire, assert_true, cutter, follower, served, watcher
from tests.pbx.follower import Follower
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk
from tests.pbx.served import whole_case
from tests.pbx.test_live_calls import Watcher

__all__ = ["cutter", "follower", "served", "watcher"]  # fixtures

pytestmark = pytest.mark.pbx

DESK = "118"
"""Rings for long enough that a service can come back meanwhile, and must press 1 to accept."""


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
