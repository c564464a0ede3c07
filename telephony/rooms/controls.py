"""The controls around a three-way call: mute, hold, put out, call in, lock, record, transfer.

What a room does by itself (who is left alone, when it is a call of two again) stands in the
dialplan and holds without this service; here is what a supervisor or agent presses on a page.
Every control may be pressed twice: the second time nothing changes. What came of a room, and its
end, are in :mod:`telephony.rooms.outcome`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from telephony.errors import (
    CallNotFound,
    NotAllowed,
    NotInRoom,
    PartyNotFound,
    PbxRefused,
    PbxTimeout,
    RoomFull,
    RoomLocked,
    WrongState,
)
from telephony.handover import Handover, Pressed
from telephony.live.model import Call, Channel
from telephony.pbx import Ask, ask_hangup, ask_redirect, ask_set_var
from telephony.rooms.model import Conference, Party
from telephony.rooms.watch import Room, members_of

if TYPE_CHECKING:
    from telephony.call_control import CallControl

MOVE_LIMIT_S = 2.0
"""How long a party may take from one place to another; it takes some milliseconds."""


class RoomControls:
    """The controls of the rooms on one PBX.

    ``agent`` limits each of them to rooms in which this agent is. All raise
    :class:`ConferenceNotFound`, :class:`NotAllowed` and the errors of
    :class:`~telephony.pbx.Pbx`; those about one party also :class:`PartyNotFound` (nobody has this
    channel) and :class:`NotInRoom`.
    """

    def __init__(self, control: CallControl) -> None:
        self._settings = control.settings
        self._pbx, self._calls, self._rooms = control.pbx, control.calls, control.rooms
        self._offers, self._three_ways = control.offers, control.three_ways
        self._transfers = control.transfers

    # -- what is asked --------------------------------------------------------------------------

    async def conferences(self) -> list[Conference]:
        """All three-way calls that go on, the oldest first."""
        return [await self._now(room) for room in self._rooms.rooms()]

    async def conference(self, conference_id: str, *, agent: str | None = None) -> Conference:
        """One of them, by its case or by its call's id."""
        found = await self._now(self._rooms.room(self.case_of(conference_id)))
        if agent is not None and agent not in (one.channel.party for one in found.parties):
            raise NotAllowed(f"agent {agent} is not in this three-way call")
        return found

    def case_of(self, conference_id: str) -> str:
        """The case of a call; what is no call is taken for a case."""
        with suppress(CallNotFound):
            return self._calls.call(conference_id).case
        return conference_id

    async def _now(self, room: Room) -> Conference:
        muted = {
            event["Uniqueid"]: event.get("Muted") == "Yes"
            for event in await members_of(self._pbx, room.case)
        }
        call, known = None, dict[str, Channel]()
        for uniqueid in list(room.members):
            with suppress(CallNotFound):
                call = self._calls.call(uniqueid)
                known |= {one.uniqueid: one for one in call.parties}
        parties = []
        for member in sorted(room.members.values(), key=lambda one: one.joined):
            # A key in the room can mute others, and ConfBridge has no event for that.
            if not member.held:
                member.muted = muted.get(member.uniqueid, member.muted)
            channel = known.get(member.uniqueid) or Channel(member.uniqueid, member.channel)
            parties.append(Party(member, channel))
        citizen = next((one for one in parties if one.role == "citizen"), None)
        locked = citizen is not None and await self.shared(citizen, "LOCKED") != ""
        return Conference(room, call if citizen else None, tuple(parties), locked)

    async def shared(self, party: Party, name: str) -> str:
        """What the dialplan keeps on a party's channel under this name; "" for nothing."""
        try:
            return await self._pbx.get_var(party.member.channel, f"SHARED({name})")
        except PbxRefused:  # hung up in this moment
            return ""

    def _party(self, conference: Conference, name: str) -> Party:
        for one in conference.parties:
            if name in (one.member.uniqueid, one.member.channel):
                return one
        try:
            self._calls.call(name)
        except CallNotFound:
            raise PartyNotFound(f"no party {name!r} is on the line") from None
        raise NotInRoom(f"{name} is not in three-way call {conference.room.case}")

    # -- one party ------------------------------------------------------------------------------

    async def mute(
        self, conference_id: str, party: str, *, muted: bool, agent: str | None = None
    ) -> Conference:
        """Let the others not hear a party (or hear it again)."""
        conference = await self.conference(conference_id, agent=agent)
        one = self._party(conference, party)
        if one.member.held:
            raise WrongState(f"{one.member.channel} is on hold, where nobody hears them anyway")
        headers = {"Conference": conference.room.case, "Channel": one.member.channel}
        ask = Ask("ConfbridgeMute" if muted else "ConfbridgeUnmute", headers)
        await self._to_member(conference, one, ask)
        return await self.conference(conference_id)

    async def hold(
        self, conference_id: str, party: str, *, held: bool, agent: str | None = None
    ) -> Conference:
        """Hold a party: it hears music, and the others do not hear it. Or let it in again.

        Raises :class:`WrongState` when nobody but one would be left in the room.
        """
        conference = await self.conference(conference_id, agent=agent)
        one = self._party(conference, party)
        if one.member.held == held:
            return conference
        talking = [other for other in conference.parties if not other.member.held]
        if held and len(talking) < 3:
            raise WrongState("somebody would be left alone; with two, use the phone's own hold")
        context = "hotline-room-hold" if held else "hotline-room-resume"
        marks = (
            [ask_set_var(one.member.channel, "SHARED(MUTED)", "1" if one.member.muted else "")]
            if held
            else []
        )
        await self._to_member(
            conference, one, *marks, ask_redirect(one.member.channel, context, "s")
        )
        room, uniqueid = conference.room, one.member.uniqueid

        def moved() -> bool:
            member = room.members.get(uniqueid)
            return member is not None and member.held == held

        if not await self._rooms.until(moved, MOVE_LIMIT_S):
            raise WrongState(f"{one.member.channel} left the three-way call in this moment")
        return await self.conference(conference_id)

    async def put_out(self, conference_id: str, party: str, *, agent: str | None = None) -> None:
        """End a party's leg. Never the citizen's: nobody hangs up on a citizen here."""
        conference = await self.conference(conference_id, agent=agent)
        one = self._party(conference, party)
        if one.role == "citizen":
            raise WrongState("a citizen is not put out; end the three-way call, or hang up oneself")
        await self._to_member(conference, one, ask_hangup(one.member.channel))
        await self._gone(conference.room, [one])

    async def _to_member(self, conference: Conference, one: Party, *asks: Ask) -> None:
        try:
            await self._pbx.together(*asks)
        except PbxRefused as error:
            raise NotInRoom(
                f"{one.member.channel} has left three-way call {conference.room.case}"
            ) from error

    async def _gone(self, room: Room, parties: list[Party]) -> None:
        ids = {one.member.uniqueid for one in parties}
        if not await self._rooms.until(lambda: ids.isdisjoint(room.members), MOVE_LIMIT_S):
            raise PbxTimeout("the PBX took the order but did not say that the party has left")

    # -- the room -------------------------------------------------------------------------------

    async def invite(
        self, conference_id: str, desk_id: str, *, agent: str | None = None, reason: str = ""
    ) -> Handover:
        """Call another desk in; returns when it is being called.

        Raises :class:`RoomLocked`, :class:`RoomFull`, :class:`HandoverRunning`,
        :class:`DeskNotFound`, :class:`WrongState`.
        """
        conference = await self.conference(conference_id, agent=agent)
        call, citizen = self._with_citizen(conference)
        self._offers.none_runs(call)
        if conference.locked:
            raise RoomLocked("the three-way call is locked; unlock it first")
        most = self._settings.room.max_parties
        if len(conference.parties) >= most:
            raise RoomFull(f"{most} parties are in the three-way call; no more are allowed")
        if desk_id in (one.channel.party for one in conference.parties):
            raise WrongState(f"{desk_id} is in the three-way call already")
        host = self.host(conference, agent)
        if host is None:
            raise WrongState("nobody of the desks is in the three-way call")
        pressed = Pressed(call, citizen.channel, host.channel)
        return await self._three_ways.invite(pressed, desk_id, reason)

    async def lock(
        self, conference_id: str, *, locked: bool, agent: str | None = None
    ) -> Conference:
        """Let nobody else in (or again). Who is held comes back all the same."""
        conference = await self.conference(conference_id, agent=agent)
        _, citizen = self._with_citizen(conference)
        mark = ask_set_var(citizen.member.channel, "SHARED(LOCKED)", "1" if locked else "")
        await self._to_member(conference, citizen, mark)
        return await self.conference(conference_id)

    async def record(
        self, conference_id: str, *, paused: bool, agent: str | None = None
    ) -> Conference:
        """Pause the recording, as while something sensitive is said, or go on with it.

        Raises :class:`WrongState` when three-way calls are not recorded.
        """
        conference = await self.conference(conference_id, agent=agent)
        if not self._settings.room.record or conference.room.recording == "off":
            raise WrongState("this three-way call is not recorded; see the setting room.record")
        wanted = "paused" if paused else "on"
        if conference.room.recording == wanted:
            return conference
        headers = {"Conference": conference.room.case}
        # The file's name stands in the room; a second part is added to the same file.
        await self._pbx.ask(
            Ask("ConfbridgeStopRecord" if paused else "ConfbridgeStartRecord", headers)
        )
        if not await self._rooms.until(lambda: conference.room.recording == wanted, MOVE_LIMIT_S):
            raise PbxTimeout("the PBX took the order but did not say that it was carried out")
        return await self.conference(conference_id)

    async def transfer(
        self, conference_id: str, desk_id: str, *, agent: str | None = None, reason: str = ""
    ) -> Handover:
        """Hand the citizen over out of the room: the others are released, then it is a one-key
        transfer, with its way back to the agent.

        Should this service die in between, citizen and agent just talk on. Raises what
        :meth:`telephony.transfer.Transfers.transfer` does; the desk is looked at first.
        """
        conference = await self.conference(conference_id, agent=agent)
        call, _ = self._with_citizen(conference)
        self._offers.none_runs(call)
        host = self.host(conference, agent)
        if host is None:
            raise WrongState("nobody of the desks is in the three-way call")
        if host.channel.party == desk_id:
            raise WrongState(f"the citizen is with {desk_id} already")
        await self._offers.target(desk_id, "hotline-transfer")
        await self._only(conference, host)
        return await self._transfers.transfer(call.id, desk_id, agent=agent, reason=reason)

    async def _only(self, conference: Conference, host: Party) -> None:
        """Put everybody out but the citizen and this one, and wait until the two talk."""
        others = [one for one in conference.parties if one is not host and one.role != "citizen"]
        await self.release(conference, others)
        call, _ = self._with_citizen(conference)

        def talk() -> bool:
            now = self._calls.call(call.id)
            one = self._calls.agent_channel(now)
            return now.state == "talking" and one is not None and not conference.room.members

        try:
            together = await self._rooms.until(talk, MOVE_LIMIT_S)
        except CallNotFound:
            raise WrongState(f"the citizen of call {call.id} has hung up") from None
        if not together:
            raise WrongState(f"citizen and {host.channel.party} did not come together")

    async def _hang_up(self, parties: list[Party]) -> None:
        for one in parties:
            with suppress(PbxRefused):  # gone already
                await self._pbx.hangup(one.member.channel)

    def _with_citizen(self, conference: Conference) -> tuple[Call, Party]:
        citizen = conference.citizen
        if conference.call is None or citizen is None:
            raise WrongState("the citizen has left the three-way call")
        return conference.call, citizen

    async def release(self, conference: Conference, parties: list[Party]) -> None:
        """End the legs of these parties; returns when they have left the room."""
        await self._hang_up(parties)
        await self._gone(conference.room, parties)

    @staticmethod
    def host(conference: Conference, agent: str | None) -> Party | None:
        """Whose call it is: this agent, else the first of the agents, else the first desk."""
        ours = [one for one in conference.parties if one.role in ("agent", "target")]
        if agent is not None:
            ours = [one for one in ours if one.channel.party == agent]
        return next((one for one in ours if one.role == "agent"), next(iter(ours), None))
