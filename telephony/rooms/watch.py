"""The rooms of three-way calls as they are now: who is in them since when, who speaks, who is held.

A room has its case's id as its name; whom somebody holds is in a second one, ``<case>-hold``, which
the dialplan makes (``hotline-room-hold``) and which counts as the same room here. Kept from AMI
events and rebuilt from the PBX after every reconnect, like :mod:`telephony.live_calls`.

Events: https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Events/
(``ConfbridgeJoin`` and those beside it).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from telephony.errors import ConferenceNotFound, PbxRefused
from telephony.live.picture import LivePicture

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.pbx import Pbx

EVENTS = frozenset(
    {
        "ConfbridgeJoin",
        "ConfbridgeLeave",
        "ConfbridgeMute",
        "ConfbridgeUnmute",
        "ConfbridgeTalking",
        "ConfbridgeRecord",
        "ConfbridgeStopRecord",
        "ConfbridgeEnd",
        "BridgeEnter",
        "Hangup",
    }
)
"""All events the picture needs, and those after which somebody may be where they were sent."""

HOLD = "-hold"
REMEMBERED = 1000
"""How many rooms that have ended are remembered: the record may be moments behind them."""

Recording = Literal["off", "on", "paused"]


@dataclass(slots=True)
class Member:
    """A party in a room. ``joined``: seconds since 1970."""

    uniqueid: str
    channel: str
    joined: float
    muted: bool = False
    talking: bool = False
    held: bool = False


@dataclass(slots=True)
class Room:
    """A three-way call that goes on (or has ended, when nobody is in it)."""

    case: str
    members: dict[str, Member] = field(default_factory=dict)
    recording: Recording = "off"
    been: dict[str, float] = field(default_factory=dict)
    """Everybody who has been in it, by uniqueid, and since when."""
    parties: set[str] = field(default_factory=set)
    """The agents and desks among them who have left."""

    @property
    def started(self) -> float:
        """When the first party joined."""
        return min(self.been.values(), default=0.0)

    def member(self, name: str) -> Member | None:
        """The party with this channel name or uniqueid."""
        found = (one for one in self.members.values() if name in (one.uniqueid, one.channel))
        return next(found, None)


class Rooms(LivePicture[dict[str, Room]]):
    """The rooms on one PBX.

    ``party_of`` says which agent or desk a channel (uniqueid) belongs to.
    """

    def __init__(self, pbx: Pbx, party_of: Callable[[str], str]) -> None:
        self._party_of = party_of
        self._ended: OrderedDict[str, Room] = OrderedDict()
        self._news = asyncio.Event()
        self.on_change: Callable[[str], None] = lambda case: None
        """Called with the case of a room in which something has changed."""
        super().__init__(pbx, EVENTS, "rooms")

    def rooms(self) -> list[Room]:
        """All rooms, the oldest first; raises :class:`PbxUnavailable` without a picture."""
        self._need_picture()
        return sorted(self._rooms.values(), key=lambda room: room.started)

    def room(self, case: str) -> Room:
        """The room of this case; raises :class:`ConferenceNotFound`."""
        self._need_picture()
        found = self._rooms.get(case)
        if found is None:
            raise ConferenceNotFound(f"no three-way call {case!r} goes on; it may have ended")
        return found

    def ended(self, case: str) -> Room | None:
        """The room that this case had last, while this service has been running."""
        return self._ended.get(case)

    async def until(self, true: Callable[[], bool], limit_s: float) -> bool:
        """Wait for a state that events of the PBX bring about; False when it does not come."""
        try:
            async with asyncio.timeout(limit_s):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    # -- how the picture is kept ----------------------------------------------------------------

    async def _ask(self) -> dict[str, Room]:
        rooms: dict[str, Room] = {}
        recorders = ""
        for name in await self._names():
            for event in await members_of(self._pbx, name):
                case = event.get("AccountCode")
                if name not in (case, case + HOLD) or not case:
                    continue
                room = rooms.setdefault(case, Room(case))
                self._join(room, event, await self._joined(event["Channel"]))
                room.members[event["Uniqueid"]].muted = event.get("Muted") == "Yes"
        if rooms:
            recorders = " ".join(one.name for one in await self._pbx.channels())
        for room in rooms.values():
            room.recording = "on" if f"CBRec/{room.case}-" in recorders else "off"
        return rooms

    async def _names(self) -> list[str]:
        try:
            events = await self._pbx.client.list_action("ConfbridgeListRooms")
        except PbxRefused as error:
            if "No active conferences" in error.detail:
                return []
            raise
        return [event["Conference"] for event in events if event.name == "ConfbridgeListRooms"]

    async def _joined(self, channel: str) -> float:
        try:
            return float(await self._pbx.get_var(channel, "JOINED") or time.time())
        except PbxRefused:  # it has gone meanwhile; its leaving is among the events to come
            return time.time()

    def _clear(self) -> None:
        self._rooms: dict[str, Room] = {}
        # By room name: a recording may be told before the first party is.
        self._recorded: dict[str, Recording] = {}

    def _take(self, answer: dict[str, Room]) -> None:
        self._rooms = answer
        self._recorded = {room.case: room.recording for room in answer.values()}

    def _on_down(self) -> None:
        super()._on_down()
        self._news.set()

    def _on_event(self, event: Event) -> None:
        super()._on_event(event)
        self._news.set()

    def _apply(self, event: Event) -> None:
        name = event.get("Conference")
        case = name.removesuffix(HOLD)
        match event.name:
            case "ConfbridgeJoin" if name and case == event.get("AccountCode"):
                room = self._rooms.setdefault(case, Room(case))
                room.recording = self._recorded.get(case, "off")
                self._join(room, event, time.time())
            case "ConfbridgeLeave" if case in self._rooms:
                self._leave(self._rooms[case], event["Uniqueid"], held=name != case)
            case "ConfbridgeMute" | "ConfbridgeUnmute" | "ConfbridgeTalking":
                self._tell(event, case)
            case "ConfbridgeRecord" | "ConfbridgeStopRecord":
                now: Recording = "on" if event.name == "ConfbridgeRecord" else "paused"
                self._recorded[name] = now
                if name in self._rooms:
                    self._rooms[name].recording = now
            case "ConfbridgeEnd":
                self._recorded.pop(name, None)
            case _:
                return
        self.on_change(case)

    def _join(self, room: Room, event: Event, now: float) -> None:
        uniqueid = event["Uniqueid"]
        joined = room.been.setdefault(uniqueid, now)
        held = event["Conference"] != room.case
        muted = not held and event.get("Muted") == "Yes"
        room.members[uniqueid] = Member(uniqueid, event["Channel"], joined, muted, held=held)

    def _leave(self, room: Room, uniqueid: str, *, held: bool) -> None:
        member = room.members.get(uniqueid)
        if member is None or member.held != held:
            return  # it has joined the other one already
        del room.members[uniqueid]
        party = self._party_of(uniqueid)
        if party:
            room.parties.add(party)
        if not room.members:
            del self._rooms[room.case]
            self._ended[room.case] = room
            self._ended.move_to_end(room.case)
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)

    def _tell(self, event: Event, case: str) -> None:
        room = self._rooms.get(case)
        member = room.members.get(event.get("Uniqueid")) if room else None
        if member is None or member.held:
            return
        if event.name == "ConfbridgeTalking":
            member.talking = event.get("TalkingStatus") == "on"
        else:
            member.muted = event.name == "ConfbridgeMute"


async def members_of(pbx: Pbx, room: str) -> list[Event]:
    """The parties in a room as ConfBridge lists them; empty when there is no such room."""
    try:
        events = await pbx.client.list_action("ConfbridgeList", {"Conference": room})
    except PbxRefused:  # Asterisk refuses to list a room in which nobody is
        return []
    return [event for event in events if event.name == "ConfbridgeList"]
