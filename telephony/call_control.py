"""Call control without the record: what a command needs that only talks to the PBX.

Apart from :mod:`telephony.service`, so that a short command does not load a database first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony import callbacks, handover, live_calls
from telephony.agents import Agents
from telephony.ami_client import AmiClient
from telephony.around import dead_phones
from telephony.around.aside import Asides
from telephony.around.recording import Recordings
from telephony.around.supervision import Monitors
from telephony.callbacks import Callbacks
from telephony.conference import ThreeWays
from telephony.consult import Commands
from telephony.dialplan import targets
from telephony.handover import Offers
from telephony.live import agents as live_agents
from telephony.live.agents import LiveAgents
from telephony.live_calls import LiveCalls
from telephony.pbx import Pbx
from telephony.rooms import watch as rooms
from telephony.rooms.controls import RoomControls
from telephony.rooms.watch import Rooms
from telephony.transfer import Transfers

if TYPE_CHECKING:
    from telephony.settings import Settings


class CallControl:
    """What needs the PBX only: the link, the live picture, and the keys."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        events = live_calls.EVENTS | live_agents.EVENTS | handover.EVENTS | rooms.EVENTS
        events |= callbacks.EVENTS | dead_phones.EVENTS
        self.client = AmiClient.from_settings(settings.pbx, events=events)
        self.pbx = Pbx(self.client, settings)
        self.calls = LiveCalls(self.pbx, settings)
        self.live_agents = LiveAgents(self.pbx, settings)
        self.offers = Offers(self.pbx, self.calls, settings)
        self.transfers = Transfers(self.offers)
        self.asides = Asides(self.offers, self.calls, settings, self.live_agents.device_of)
        self.monitors = Monitors(self.pbx, self.calls, settings)
        self.recordings = Recordings(self.offers, settings.recording)
        self.handovers = Commands(self.pbx, self.calls)
        longest = max((target.longest_s for target in targets(settings)), default=0)
        self.three_ways = ThreeWays(self.offers, ring_s=2 * longest + 30)
        self.rooms = Rooms(self.pbx, self.calls.party_of)
        self.room_controls = RoomControls(self)
        self.agents = Agents(self.pbx, self.live_agents, settings)
        self.callbacks = Callbacks(
            self.pbx, self.calls, settings, device_of=self.live_agents.device_of
        )

    async def start(self) -> None:
        """Begin to keep the link up; returns at once, with or without a PBX."""
        await self.client.start()

    async def stop(self) -> None:
        """Let go of the PBX. Its calls go on."""
        await self.client.stop()
        self.offers.close()
        self.recordings.close()
        self.asides.close()
        self.calls.close()
        self.rooms.close()
        self.live_agents.close()
        self.callbacks.close()
