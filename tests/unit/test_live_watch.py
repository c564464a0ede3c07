"""What the live feed says of calls, queues and agents is what is."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from telephony.call_control import CallControl
from telephony.live.shapes import Shape, agent_shape, call_shape, queue_shape
from telephony.live.watch import SPACING_S, LiveWatch
from tests.unit.live_messages import Message, waiting
from tests.unit.simulated_pbx import SimChannel, SimulatedPbx


class Watching:
    """A client that only knows what the feed said, beside the live pictures themselves."""

    def __init__(self, simulated: SimulatedPbx, control: CallControl, watch: LiveWatch) -> None:
        self.simulated = simulated
        self._control = control
        self._subscriber = watch.single_feed.subscribe()
        self.calls: dict[str, Shape] = {}
        self.agents: dict[str, Shape] = {}
        self.queues: dict[str, Shape] = {}
        self.handovers: list[Shape] = []
        self.frames: list[Message] = []

    async def told(self) -> None:
        """Return when all that the PBX said before has been published."""
        await self._control.pbx.get_var(None, "EPOCH")
        await asyncio.sleep(2 * SPACING_S)
        for message in waiting(self._subscriber):
            self.frames.append(message)
            self._take(message)

    def _take(self, message: Message) -> None:
        if message["type"] == "snapshot":
            self.calls, self.agents, self.queues = {}, {}, {}
        for gone in message.get("calls_gone", ()):
            del self.calls[gone]  # an end that nobody had been told the beginning of is an error
        self.calls.update({one["id"]: one for one in message.get("calls", ())})
        self.agents.update({one["id"]: one for one in message.get("agents", ())})
        self.queues.update({one["queue"]: one for one in message.get("queues", ())})
        self.handovers += message.get("handovers", [])
        for gone in message.get("agents_gone", ()):
            del self.agents[gone]

    def assert_true(self) -> None:
        """What was told is what the live pictures show."""
        control = self._control
        now = control.calls.calls()
        assert self.calls == plain({one.id: call_shape(one, "pbx1") for one in now})
        agents = control.live_agents.agents()
        assert self.agents == plain({one.id: agent_shape(one) for one in agents})
        queues = control.live_agents.queues()
        assert self.queues == plain({one.name: queue_shape(one) for one in queues})


def plain(shapes: dict[str, Shape]) -> dict[str, Shape]:
    found: dict[str, Shape] = json.loads(
        json.dumps(shapes, default=lambda moment: moment.isoformat().replace("+00:00", "Z"))
    )
    return found


@asynccontextmanager
async def watching() -> AsyncIterator[Watching]:
    async with SimulatedPbx() as simulated:
        control = CallControl(simulated.settings())
        watch = LiveWatch(control.pbx, control.calls, control.live_agents)
        await control.start()
        try:
            await control.client.wait_up(5)
            yield Watching(simulated, control, watch)
        finally:
            watch.close()
            await control.stop()


@pytest.fixture
async def watch() -> AsyncIterator[Watching]:
    async with watching() as watch:
        yield watch


async def test_given_a_burst_of_events_then_few_frames_tell_it(watch: Watching) -> None:
    for number in range(50):
        citizen = watch.simulated.citizen(f"139000000{number:02}")
        watch.simulated.talk(citizen)
    await watch.told()
    watch.assert_true()
    assert len(watch.calls) == 50
    assert len(watch.frames) <= 6, "50 calls, some 700 events"


async def test_given_an_agent_signs_in_rests_and_telephones_then_the_state_follows(
    watch: Watching,
) -> None:
    def member(event: str, status: int, paused: str = "0", reason: str = "") -> None:
        watch.simulated.emit(
            event,
            {
                "Queue": "hotline",
                "MemberName": "8002",
                "Interface": "PJSIP/8002",
                "Status": str(status),
                "Paused": paused,
                "PausedReason": reason,
            },
        )

    async def state() -> tuple[str, bool, str | None]:
        await watch.told()
        watch.assert_true()
        agent = watch.agents["8002"]
        return agent["state"], agent["signed_in"], agent["reason"]

    assert await state() == ("signed-out", False, None)
    member("QueueMemberAdded", 1)
    assert await state() == ("ready", True, None)
    member("QueueMemberStatus", 6)
    assert await state() == ("ringing", True, None)
    member("QueueMemberStatus", 2)
    since = (await state(), watch.agents["8002"]["since"])[1]
    member("QueueMemberPause", 2, "1", "午餐")
    assert await state() == ("talking", True, "午餐")
    assert watch.agents["8002"]["since"] == since
    member("QueueMemberStatus", 1, "1", "午餐")
    assert await state() == ("paused", True, "午餐")
    assert watch.agents["8002"]["since"] > since
    member("QueueMemberStatus", 5, "0")
    assert await state() == ("away", True, None)
    member("QueueMemberRemoved", 5)
    assert await state() == ("signed-out", False, None)


async def test_given_a_pbx_that_does_not_tell_its_queues_then_no_change_waits() -> None:
    async with SimulatedPbx() as simulated:
        simulated.refused["QueueStatus"] = "Permission denied"
        control = CallControl(simulated.settings())
        watch = LiveWatch(control.pbx, control.calls, control.live_agents)
        await control.start()
        try:
            await control.client.wait_up(5)
            for _ in range(20):
                citizen = simulated.citizen()
                agent = simulated.talk(citizen)
                simulated.offered(citizen, "110", by="8001", kind="one-key")
                simulated.hangup(agent, citizen)
            await control.pbx.get_var(None, "EPOCH")
            assert control.calls.calls() == []
            assert watch.feed.state == "pbx-down"
            assert not watch.waits
        finally:
            watch.close()
            await control.stop()


async def test_given_a_member_who_is_no_agent_of_ours_then_shown_while_signed_in(
    watch: Watching,
) -> None:
    headers = {"Queue": "hotline", "MemberName": "9", "Interface": "PJSIP/9", "Status": "1"}
    watch.simulated.emit("QueueMemberAdded", headers)
    await watch.told()
    assert watch.agents["9"]["state"] == "ready"
    watch.simulated.emit("QueueMemberRemoved", headers)
    await watch.told()
    assert "9" not in watch.agents
    watch.assert_true()


async def test_given_callers_join_and_leave_then_positions_are_those_of_the_queue(
    watch: Watching,
) -> None:
    simulated = watch.simulated
    citizens = [simulated.citizen(f"1390000000{number}") for number in range(3)]

    def join(channel: SimChannel, position: int) -> None:
        simulated.tell("QueueCallerJoin", channel, Queue="hotline", Position=str(position))

    async def order() -> list[str]:
        await watch.told()
        watch.assert_true()
        callers = watch.queues["hotline"]["callers"]
        assert [one["position"] for one in callers] == list(range(1, len(callers) + 1))
        return [one["call"] for one in callers]

    join(citizens[0], 2)  # behind the one who waited when we came
    join(citizens[1], 3)
    join(citizens[2], 1)  # comes back from a desk: goes first
    ids = [one.uniqueid for one in citizens]
    assert await order() == [ids[2], "1.1", ids[0], ids[1]]
    simulated.tell("QueueCallerAbandon", citizens[0], Queue="hotline", Position="3")
    simulated.tell("QueueCallerLeave", citizens[0], Queue="hotline", Position="3")
    assert await order() == [ids[2], "1.1", ids[1]]
    simulated.unqueue(citizens[2])
    assert await order() == ["1.1", ids[1]]


async def test_given_the_outcome_comes_after_the_citizen_has_gone_then_it_is_told(
    watch: Watching,
) -> None:
    simulated = watch.simulated
    citizen = simulated.citizen()
    local = simulated.new("Local/110@hotline-third", like=citizen)
    handover = simulated.offered(citizen, "110", by="8001", kind="three-way")
    simulated.hangup(citizen)
    simulated.fact(local, "HOTLINE_ENDED", id=handover, desk="110", outcome="caller_gone")
    simulated.hangup(local)
    await watch.told()
    begun, ended = watch.handovers
    assert (begun["event"], begun["call"]) == ("begun", citizen.uniqueid)
    assert (ended["event"], ended["call"], ended["outcome"]) == ("ended", None, "caller_gone")
    assert watch.calls == {}


class Chaos:
    """Anything that may happen on a PBX, in any order, from a seed."""

    def __init__(self, simulated: SimulatedPbx, seed: int) -> None:
        self._pbx = simulated
        self._choice = random.Random(seed)

    def step(self) -> None:
        deeds: list[Callable[[], object]] = [
            self._come,
            self._talk,
            self._ring,
            self._mix,
            self._part,
            self._offer,
            self._end,
            self._go,
            self._go,
            self._retie,
        ]
        self._choice.choice(deeds)()

    def _any(self) -> SimChannel | None:
        channels = list(self._pbx.channels.values())
        return self._choice.choice(channels) if channels else None

    def _come(self) -> None:
        self._pbx.citizen(f"139{self._choice.randrange(10**8):08}")

    def _talk(self) -> None:
        channel = self._any()
        if channel and channel.account and not channel.bridge:
            self._pbx.talk(channel, self._choice.choice(["PJSIP/8001", "PJSIP/8002"]))

    def _ring(self) -> None:
        device = self._choice.choice(["PJSIP/110", "Local/110@x", "PJSIP/other"])
        self._pbx.new(device, like=self._any() if self._choice.random() < 0.7 else None)

    def _mix(self) -> None:
        channel, other = self._any(), self._any()
        if channel and other and not channel.bridge:
            self._pbx.enter_bridge(channel, other.bridge or "room")

    def _part(self) -> None:
        channel = self._any()
        if channel and channel.bridge:
            self._pbx.leave_bridge(channel)

    def _offer(self) -> None:
        channel = self._any()
        if channel and channel.account:
            self._pbx.offered(channel, "110", by="8001", kind="one-key")

    def _end(self) -> None:
        channel = self._any()
        if channel and channel.account:
            kind = self._choice.choice(["HOTLINE_ENDED", "HOTLINE_ACCEPTED"])
            leg = self._any()
            self._pbx.fact(
                channel,
                kind,
                id=f"{channel.account}-h1",
                desk="110",
                leg=leg.uniqueid if leg else "",
            )

    def _go(self) -> None:
        channel = self._any()
        if channel:
            self._pbx.hangup(channel)

    def _retie(self) -> None:
        channel, other = self._any(), self._any()
        if channel and other:
            channel.linkedid = other.linkedid
            self._pbx.account(channel, self._choice.choice([other.account, channel.account]))


@pytest.mark.parametrize("seed", range(8))
async def test_given_anything_happens_then_what_was_told_is_what_is(
    watch: Watching, seed: int
) -> None:
    chaos = Chaos(watch.simulated, seed)
    for _ in range(25):
        for _ in range(chaos._choice.randint(1, 12)):
            chaos.step()
        await watch.told()
        watch.assert_true()
    assert sum(len(one.get("calls", ())) for one in watch.frames) > 20
    watch.simulated.hangup(*watch.simulated.channels.values())
    await watch.told()
    assert watch.calls == {}
