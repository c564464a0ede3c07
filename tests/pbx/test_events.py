"""Live events of real calls: what is told, how soon, and that nobody misses anything."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import pytest

from telephony.ami_client import AmiClient, Event
from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from tests.pbx.events_scene import assert_true, cutter, follower, served, watcher
from tests.pbx.follower import Follower
from tests.pbx.scene import CITIZENS, LINE, PhoneFactory, Talk, sign_in, wait_until
from tests.pbx.served import whole_case
from tests.pbx.test_live_calls import Watcher

__all__ = ["cutter", "follower", "served", "watcher"]  # fixtures

pytestmark = pytest.mark.pbx


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
