"""Recordings of ordinary calls: pause, go on, list, hear."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api.dependencies import TheService
from api.errors import problems
from api.files import RANGE, SentFile
from api.schemas.base import Page, Schema, Word
from api.security import AsAgent, AsSupervisor
from telephony import audit
from telephony.around import recording as recordings
from telephony.errors import (
    CallNotFound,
    DatabaseUnavailable,
    HandoverRunning,
    NotAllowed,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)
from telephony.pbx_settings import RECORDINGS, folders

router = APIRouter(tags=["around a call"])

CallId = Annotated[Word, Path(description="the call's id or its case")]

_CHANGING = (CallNotFound, WrongState, HandoverRunning, PbxUnavailable, PbxTimeout, PbxRefused)


class RecordingNow(Schema):
    """The recording of a call in progress."""

    id: str
    state: str = Field(examples=["paused", "resumed"])


class Recording(Schema):
    """A recording on record."""

    id: str
    case: str
    leg: str = Field(description="the leg that was recorded (its uniqueid)")
    started_at: datetime
    pauses: int = Field(description="how often it was paused; what was said then is not in it")


@router.post("/calls/{call_id}/recording/pause", responses=problems(*_CHANGING))
async def pause_call_recording(call_id: CallId, service: TheService, who: AsAgent) -> RecordingNow:
    """Stop recording while something sensitive is said."""
    name = await service.sites.call(call_id).recordings.change(call_id, "paused", agent=who.agent)
    return RecordingNow(id=name, state="paused")


@router.post("/calls/{call_id}/recording/resume", responses=problems(*_CHANGING))
async def resume_call_recording(call_id: CallId, service: TheService, who: AsAgent) -> RecordingNow:
    """Go on recording, into the same file."""
    name = await service.sites.call(call_id).recordings.change(call_id, "resumed", agent=who.agent)
    return RecordingNow(id=name, state="resumed")


@router.get("/recordings", responses=problems(DatabaseUnavailable))
async def list_recordings(
    case: Annotated[Word, Query(description="the case's number")],
    service: TheService,
    _who: AsSupervisor,
) -> Page[Recording]:
    """The recordings of a case, the first to begin first."""
    found = await recordings.of_case(service.database, case)
    items = [
        Recording(id=one.id, case=one.case, leg=one.leg, started_at=one.started, pauses=one.pauses)
        for one in found
    ]
    return Page(items=items, next=None)


@router.get(
    "/recordings/{recording}/sound",
    response_class=SentFile,
    responses={
        **problems(recordings.RecordingNotFound, NotAllowed, DatabaseUnavailable),
        200: {"content": {"audio/wav": {}}, "description": "the sound: WAV, 8 kHz"},
        206: {"content": {"audio/wav": {}}, "description": "the part that `Range` asked for"},
        **RANGE,
    },
)
async def get_recording_sound(
    recording: Annotated[Word, Path()], service: TheService, who: AsSupervisor
) -> SentFile:
    """The sound of a recording, for tokens with `may_monitor`; each hearing is in the audit log.

    `Range` is honoured, so that a player may jump.
    """
    if not who.may_monitor:
        raise NotAllowed("hearing calls needs a token with may_monitor")
    where = folders(service.settings, RECORDINGS)
    file = await recordings.sound_of(service.database, where, recording)
    await audit.note(
        service.database, who=who.name, role=who.role, what="recording", which=recording
    )
    return SentFile(file, media_type="audio/wav")
