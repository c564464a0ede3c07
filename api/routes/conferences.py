"""Three-way calls that go on: who is in them, and the controls around them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from api import sight
from api.dependencies import TheService
from api.errors import problems
from api.schemas.base import Page, Reason, Schema, Word
from api.schemas.calls import Handover, RunningHandover
from api.security import AsAgent, Identity
from telephony import handover
from telephony.errors import (
    ConferenceNotFound,
    DatabaseUnavailable,
    DeskNotFound,
    HandoverRunning,
    InvalidValue,
    NotInRoom,
    PartyNotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    RoomFull,
    RoomLocked,
    WrongState,
)
from telephony.live.model import Role
from telephony.masking import mask_channel, mask_text
from telephony.rooms import model as room_model
from telephony.rooms.watch import Recording

router = APIRouter(prefix="/conferences", tags=["three-way calls"])

ConferenceId = Annotated[Word, Path(description="its case, or the id of its call")]
PartyId = Annotated[Word, Path(description="uniqueid or channel of a party")]

_pbx = (PbxUnavailable, PbxTimeout, PbxRefused)
_room = (ConferenceNotFound, WrongState)
_looking = problems(ConferenceNotFound, *_pbx)
_changing = problems(*_room, *_pbx)
_party = problems(*_room, PartyNotFound, NotInRoom, *_pbx)
_calling = problems(*_room, DeskNotFound, HandoverRunning, RoomFull, RoomLocked, *_pbx)
_deciding = problems(*_room, DeskNotFound, NotInRoom, InvalidValue, DatabaseUnavailable, *_pbx)


class ConferenceParty(Schema):
    """Somebody in a three-way call."""

    uniqueid: str
    channel: str = Field(examples=["PJSIP/8001-0000000a"])
    role: Role
    party: str | None = Field(description="the agent, the desk or the citizen's number")
    muted: bool = Field(description="the others do not hear them")
    held: bool = Field(description="hears music; the others do not hear them")
    talking: bool = Field(description="speaks now")
    joined_at: datetime


class Conference(Schema):
    """A three-way call that goes on."""

    id: str = Field(description="its case, which is the room's name on the PBX")
    call: str | None = Field(description="the citizen's channel; null when the citizen has left")
    started_at: datetime
    locked: bool
    recording: Recording
    max_parties: int
    parties: list[ConferenceParty]
    calling: RunningHandover | None = Field(description="who is being called in now")


class InviteRequest(Schema):
    """Call another desk in."""

    desk: Word = Field(examples=["110"])
    reason: Reason = ""


class OutcomeRequest(Schema):
    """Who takes the case."""

    outcome: Literal["taken-by", "undecided"] = Field(
        description="undecided: it stays with the first contact (首接负责制)"
    )
    desk: Word | None = Field(None, description="with taken-by: who takes it", examples=["110"])
    by: Word | None = Field(None, description="who says so; else the agent in the call")


class Decision(Schema):
    """What was noted."""

    case: str
    room: str
    outcome: Literal["taken-by", "undecided"]
    desk: str | None
    by: str


@router.get("", responses=problems(*_pbx, reads_input=False))
async def list_conferences(service: TheService, who: AsAgent) -> Page[Conference]:
    """All three-way calls that go on, the oldest first."""
    found = [one for site in service.sites.seen() for one in await site.room_controls.conferences()]
    return Page(items=[_shape(service, who, one) for one in found], next=None)


@router.get("/{conference_id}", responses=_looking)
async def get_conference(
    conference_id: ConferenceId, service: TheService, who: AsAgent
) -> Conference:
    """One three-way call."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(service, who, await controls.conference(conference_id))


@router.post("/{conference_id}/parties/{party:path}/mute", responses=_party)
async def mute_party(
    conference_id: ConferenceId, party: PartyId, service: TheService, who: AsAgent
) -> Conference:
    """The others do not hear this party any more."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(
        service, who, await controls.mute(conference_id, party, muted=True, agent=who.agent)
    )


@router.post("/{conference_id}/parties/{party:path}/unmute", responses=_party)
async def unmute_party(
    conference_id: ConferenceId, party: PartyId, service: TheService, who: AsAgent
) -> Conference:
    """The others hear this party again."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(
        service, who, await controls.mute(conference_id, party, muted=False, agent=who.agent)
    )


@router.post("/{conference_id}/parties/{party:path}/hold", responses=_party)
async def hold_party(
    conference_id: ConferenceId, party: PartyId, service: TheService, who: AsAgent
) -> Conference:
    """This party hears music, and the others do not hear it."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(
        service, who, await controls.hold(conference_id, party, held=True, agent=who.agent)
    )


@router.post("/{conference_id}/parties/{party:path}/resume", responses=_party)
async def resume_party(
    conference_id: ConferenceId, party: PartyId, service: TheService, who: AsAgent
) -> Conference:
    """This party is in the talk again."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(
        service, who, await controls.hold(conference_id, party, held=False, agent=who.agent)
    )


@router.delete("/{conference_id}/parties/{party:path}", status_code=204, responses=_party)
async def put_party_out(
    conference_id: ConferenceId, party: PartyId, service: TheService, who: AsAgent
) -> None:
    """End this party's leg. Not the citizen's: nobody hangs up on a citizen here."""
    controls = service.sites.room(conference_id).room_controls
    await controls.put_out(conference_id, party, agent=who.agent)


@router.post("/{conference_id}/invite", status_code=202, responses=_calling)
async def invite_party(
    conference_id: ConferenceId, body: InviteRequest, service: TheService, who: AsAgent
) -> Handover:
    """Call another desk in while the others go on talking."""
    begun = await service.sites.room(conference_id).room_controls.invite(
        conference_id, body.desk, agent=who.agent, reason=body.reason
    )
    return _handover(begun)


@router.post("/{conference_id}/lock", responses=_changing)
async def lock_conference(
    conference_id: ConferenceId, service: TheService, who: AsAgent
) -> Conference:
    """Nobody else is let in."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(service, who, await controls.lock(conference_id, locked=True, agent=who.agent))


@router.post("/{conference_id}/unlock", responses=_changing)
async def unlock_conference(
    conference_id: ConferenceId, service: TheService, who: AsAgent
) -> Conference:
    """Others may be called in again."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(service, who, await controls.lock(conference_id, locked=False, agent=who.agent))


@router.post("/{conference_id}/recording/pause", responses=_changing)
async def pause_recording(
    conference_id: ConferenceId, service: TheService, who: AsAgent
) -> Conference:
    """What is said now is not recorded."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(service, who, await controls.record(conference_id, paused=True, agent=who.agent))


@router.post("/{conference_id}/recording/resume", responses=_changing)
async def resume_recording(
    conference_id: ConferenceId, service: TheService, who: AsAgent
) -> Conference:
    """Record again, into the same file."""
    controls = service.sites.room(conference_id).room_controls
    return _shape(service, who, await controls.record(conference_id, paused=False, agent=who.agent))


@router.post("/{conference_id}/transfer", status_code=202, responses=_calling)
async def transfer_out(
    conference_id: ConferenceId, body: InviteRequest, service: TheService, who: AsAgent
) -> Handover:
    """Hand the citizen over out of the room: the other parties are released, then it is a one-key
    transfer. Unless the desk takes the call, citizen and agent are back together at once."""
    begun = await service.sites.room(conference_id).room_controls.transfer(
        conference_id, body.desk, agent=who.agent, reason=body.reason
    )
    return _handover(begun)


@router.post("/{conference_id}/outcome", responses=_deciding)
async def note_outcome(
    conference_id: ConferenceId, body: OutcomeRequest, service: TheService, who: AsAgent
) -> Decision:
    """Note who takes the case, while the call goes on or after it. The last word counts."""
    decision = await service.sites.room(conference_id).room_outcomes.decide(
        conference_id, body.outcome, body.desk, body.by, agent=who.agent
    )
    return _decision(decision)


@router.post("/{conference_id}/end", responses=_deciding)
async def end_conference(
    conference_id: ConferenceId, body: OutcomeRequest, service: TheService, who: AsAgent
) -> Decision:
    """End the three-way call and note who takes the case. The citizen and who answers for the case
    now go on as a call of two; everybody else is released."""
    decision = await service.sites.room(conference_id).room_outcomes.decide(
        conference_id, body.outcome, body.desk, body.by, agent=who.agent, ends=True
    )
    return _decision(decision)


def _shape(service: TheService, who: Identity, conference: room_model.Conference) -> Conference:
    running = conference.call.handover if conference.call else None
    whole = sight.sees_live(who)
    return Conference(
        id=conference.room.case,
        call=conference.call.id if conference.call else None,
        started_at=datetime.fromtimestamp(conference.room.started, UTC),
        locked=conference.locked,
        recording=conference.room.recording,
        max_parties=service.settings.room.max_parties,
        parties=[
            ConferenceParty(
                uniqueid=one.member.uniqueid,
                channel=one.member.channel if whole else mask_channel(one.member.channel),
                role=one.channel.role,
                party=sight.live_party(who, one.channel) or None,
                muted=one.member.muted,
                held=one.member.held,
                talking=one.member.talking,
                joined_at=datetime.fromtimestamp(one.member.joined, UTC),
            )
            for one in conference.parties
        ],
        calling=running
        and RunningHandover(
            id=running.id,
            desk=running.desk,
            by=running.by,
            kind=running.kind,
            reason=running.reason if whole else mask_text(running.reason),
            state=running.state,
        ),
    )


def _handover(begun: handover.Handover) -> Handover:
    return Handover(
        id=begun.id,
        call=begun.call,
        case=begun.case,
        desk=begun.desk,
        by=begun.by,
        kind=begun.kind,
        state=begun.state,
    )


def _decision(made: room_model.Decision) -> Decision:
    return Decision(
        case=made.case, room=made.room, outcome=made.outcome, desk=made.desk, by=made.by
    )
