"""Watches the live pictures and puts what has changed into the feed.

Several events of the PBX make one frame: the first change is sent in the next turn of the event
loop, so that everything which came in the same packets is with it, and what follows within
:data:`SPACING_S` waits for the end of it. A change that comes to nothing is not sent.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from telephony import logs
from telephony.live.feed import Feed, LiveFeed
from telephony.live.shapes import Shape, agent_shape, call_shape, queue_shape

if TYPE_CHECKING:
    from telephony.live.agents import LiveAgents
    from telephony.live.joined import Outlet
    from telephony.live.model import Call
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx

log = structlog.get_logger(__name__)

SPACING_S = 0.02
"""The least time between two frames, in seconds: at most fifty a second, however many events."""


class LiveWatch:
    """Feeds what changes on one PBX to ``feed``."""

    def __init__(
        self,
        pbx: Pbx,
        calls: LiveCalls,
        agents: LiveAgents,
        nuisance: Callable[[str], Shape | None] = lambda _number: None,
        outlet: Outlet | None = None,
    ) -> None:
        """``nuisance`` gives the mark of a citizen's number; ``outlet``: this PBX's part of a feed
        of several."""
        self._pbx = pbx.name
        self._nuisance = nuisance
        self._live_calls, self._live_agents = calls, agents
        self.single_feed = LiveFeed(pbx.name, self._picture)
        """What is told when there is no ``outlet``."""
        self.feed: Feed = self.single_feed
        if outlet is not None:
            outlet.picture, self.feed = self._picture, outlet
        self._timer: asyncio.Handle | None = None
        self._not_before = 0.0
        self._forget()
        calls.on_touch, calls.on_handover = self._touch_call, self._note_handover
        agents.on_agent, agents.on_queue = self._touch_agent, self._touch_queue
        # After those of the pictures themselves: hooks run in the order they came.
        pbx.client.on_up(self._rebuilt)
        pbx.client.on_down(self._down)

    @property
    def waits(self) -> int:
        """How many changes wait for the next frame."""
        touched = (self._channels_touched, self._devices_touched, self._queues_touched)
        return sum(map(len, touched)) + len(self._handovers)

    def close(self) -> None:
        """End the feed for its clients: the service stops."""
        self._cancel()
        self.feed.close()

    # -- what was sent last ---------------------------------------------------------------------

    def _forget(self) -> None:
        self._calls: dict[str, Shape] = {}
        self._calls_of: defaultdict[str, set[str]] = defaultdict(set)
        self._agents: dict[str, Shape] = {}
        self._queues: dict[str, Shape] = {}
        self._forget_changes()

    def _forget_changes(self) -> None:
        self._channels_touched: dict[str, None] = {}
        self._devices_touched: dict[str, None] = {}
        self._queues_touched: dict[str, None] = {}
        self._handovers: list[Shape] = []

    def _picture(self) -> dict[str, Any]:
        return {
            "calls": list(self._calls.values()),
            "queues": list(self._queues.values()),
            "agents": list(self._agents.values()),
        }

    # -- what happens ---------------------------------------------------------------------------

    # Nothing is noted while there is no picture: the next one comes whole, and a PBX that tells its
    # calls but not its queues never gives one.

    def _touch_call(self, uniqueid: str) -> None:
        if self.feed.state == "up":
            self._channels_touched[uniqueid] = None
            self._soon()

    def _note_handover(self, news: Shape) -> None:
        if self.feed.state == "up":
            self._handovers.append(news)
            self._soon()

    def _touch_agent(self, device: str) -> None:
        if self.feed.state == "up":
            self._devices_touched[device] = None
            self._soon()

    def _touch_queue(self, queue: str) -> None:
        if self.feed.state == "up":
            self._queues_touched[queue] = None
            self._soon()

    def _soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = self._not_before - loop.time()
            self._timer = (
                loop.call_later(wait, self._flush) if wait > 0 else loop.call_soon(self._flush)
            )

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _down(self) -> None:
        self._cancel()
        self._forget()
        self.feed.down()

    def _rebuilt(self) -> None:
        self._cancel()
        self._forget()
        if not (self._live_calls.ready and self._live_agents.ready):
            self.feed.down()  # the PBX refuses to tell; who asks over HTTP gets a 503
            return
        for call in self._live_calls.calls():
            self._keep_call(self._shape(call))
        main = self._live_agents.main_device
        self._agents = {main(one.interface): agent_shape(one) for one in self._live_agents.agents()}
        self._queues = {one.name: queue_shape(one) for one in self._live_agents.queues()}
        self.feed.rebuilt()

    def _flush(self) -> None:
        self._timer = None
        if not (self._live_calls.ready and self._live_agents.ready):
            return  # it is being rebuilt; a whole picture follows
        self._not_before = asyncio.get_running_loop().time() + SPACING_S
        try:
            parts = self._changes()
        except Exception as error:  # noqa: BLE001 - a watcher must never learn less than it thinks
            logs.unexpected(log, "the live feed failed and starts anew", error)
            self._rebuilt()
            return
        self.feed.changed(parts)

    # -- what has changed -----------------------------------------------------------------------

    def _changes(self) -> dict[str, list[Any]]:
        channels, devices = self._channels_touched, self._devices_touched
        queues, handovers = self._queues_touched, self._handovers
        self._forget_changes()
        changed, gone = self._changed_calls(channels)
        agents, agents_gone = self._changed_agents(devices)
        return {
            "calls": changed,
            "calls_gone": gone,
            "handovers": handovers,
            "queues": self._changed_queues(queues),
            "agents": agents,
            "agents_gone": agents_gone,
        }

    def _changed_calls(self, touched: dict[str, None]) -> tuple[list[Shape], list[str]]:
        affected, before = set(touched), set[str]()
        # Whoever was in a call with somebody who has gone, or is in one with somebody who came, may
        # have changed calls without an event of their own.
        while True:
            now = {call.id: self._shape(call) for call in self._live_calls.calls_about(affected)}
            known = len(affected)
            for shape in now.values():
                affected.update(party["uniqueid"] for party in shape["parties"])
            before.update(call for one in affected for call in self._calls_of.get(one, ()))
            for call in before:
                affected.update(party["uniqueid"] for party in self._calls[call]["parties"])
            if len(affected) == known:
                break
        gone = sorted(before - now.keys())
        for call in gone:
            self._drop_call(call)
        changed = [shape for call, shape in now.items() if self._calls.get(call) != shape]
        for shape in changed:
            self._keep_call(shape)
        return changed, gone

    def _shape(self, call: Call) -> Shape:
        mark = self._nuisance(call.citizen.caller) if call.citizen else None
        return call_shape(call, self._pbx, mark)

    def _keep_call(self, shape: Shape) -> None:
        if shape["id"] in self._calls:
            self._drop_call(shape["id"])
        self._calls[shape["id"]] = shape
        for party in shape["parties"]:
            self._calls_of[party["uniqueid"]].add(shape["id"])

    def _drop_call(self, call: str) -> None:
        for party in self._calls.pop(call)["parties"]:
            calls = self._calls_of[party["uniqueid"]]
            calls.discard(call)
            if not calls:
                del self._calls_of[party["uniqueid"]]

    def _changed_agents(self, touched: dict[str, None]) -> tuple[list[Shape], list[str]]:
        changed, gone = [], []
        for device in dict.fromkeys(map(self._live_agents.main_device, touched)):
            agent = self._live_agents.by_device(device)
            if agent is None:
                known = self._agents.pop(device, None)
                gone += [known["id"]] if known else []
                continue
            shape = agent_shape(agent)
            if self._agents.get(device) != shape:
                self._agents[device] = shape
                changed.append(shape)
        return changed, gone

    def _changed_queues(self, touched: dict[str, None]) -> list[Shape]:
        changed = []
        for name in touched:
            shape = queue_shape(self._live_agents.queue(name))
            if self._queues.get(name) != shape:
                self._queues[name] = shape
                changed.append(shape)
        return changed
