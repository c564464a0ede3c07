"""What `hotline ship` on a PBX's own host sends: CEL bytes and sounds."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from api.dependencies import TheService, each_once
from api.errors import problems
from api.schemas.base import Schema, Word
from api.security import AsShipper, NotForThisPbx
from telephony.errors import DatabaseUnavailable, InvalidValue, PbxNotFound
from telephony.shipping.spool import (
    FILE_ID,
    MAX_PART,
    SOUND,
    Kind,
    NotShipped,
    SpoolConflict,
    SpoolFull,
)
from telephony.shipping.spool import check_digest as must_have
from telephony.site import NotOwner

router = APIRouter(tags=["pbxs"], dependencies=[Depends(each_once)])

PbxName = Annotated[Word, Path(description="the PBX's name in the settings")]
FileId = Annotated[
    str,
    Path(pattern=f"^{FILE_ID.pattern}$", description="BLAKE2b-128 of the file's first line"),
]
_raw = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_refusals = (NotForThisPbx, PbxNotFound, NotShipped, NotOwner, SpoolConflict, InvalidValue)
_taking = problems(*_refusals, DatabaseUnavailable)
_taking_sounds = problems(*_refusals, DatabaseUnavailable, SpoolFull)


class CelHeld(Schema):
    """How far a CEL file is here."""

    file: str
    spooled: int = Field(description="bytes on this process's disk: send from here on")
    recorded: int = Field(description="bytes on record, whichever process read them")


class CelTaken(Schema):
    """How far a CEL file is here now."""

    file: str
    size: int


class PartQuery(Schema):
    """Which bytes."""

    offset: int = Field(ge=0, description="where they begin in the file")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the bytes in the body")


class SoundQuery(PartQuery):
    """Which bytes of which sound."""

    total: int = Field(ge=0, description="bytes of the whole sound")
    whole_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the whole sound")
    at: float = Field(ge=0, le=2**40, description="when it changed last, seconds since 1970")


class SoundTaken(Schema):
    """How much of a sound is here now."""

    size: int
    whole: bool = Field(description="it can be heard")


@router.get("/pbxs/{name}/cel/{file}", responses=_taking)
async def cel_held(name: PbxName, file: FileId, service: TheService, _who: AsShipper) -> CelHeld:
    """How far a CEL file of this PBX was sent, and how far it is on record."""
    site = service.sites.named(name)
    async with site.spooling() as spool:
        spooled = await asyncio.to_thread(spool.cel_size, file)
    return CelHeld(file=file, spooled=spooled, recorded=await site.recorded(file))


@router.put("/pbxs/{name}/cel/{file}", responses=_taking, openapi_extra=_raw)
async def put_cel(
    name: PbxName,
    file: FileId,
    query: Annotated[PartQuery, Query()],
    request: Request,
    service: TheService,
    _who: AsShipper,
) -> CelTaken:
    """Whole lines of a CEL file, from a place on; those that are here already are not kept twice.

    409 `spool-conflict`: they leave something out, or others are here. 409 `not-owner`: another
    process on the same database keeps the record of this PBX; send them there.
    """
    data = await _body(request)
    must_have(data, query.sha256)
    site = service.sites.named(name)
    async with site.spooling() as spool:
        size = await asyncio.to_thread(spool.put_cel, file, query.offset, data)
    if site.recorder is not None:
        site.recorder.poke()
    return CelTaken(file=file, size=size)


@router.put("/pbxs/{name}/sounds/{kind}/{sound}", responses=_taking_sounds, openapi_extra=_raw)
async def put_sound(
    name: PbxName,
    kind: Kind,
    sound: Annotated[str, Path(pattern=f"^{SOUND.pattern}$")],
    query: Annotated[SoundQuery, Query()],
    request: Request,
    service: TheService,
    _who: AsShipper,
) -> SoundTaken:
    """Bytes of a message or recording, from the first on; it can be heard once it is whole.

    507 `spool-full`: there is no room for it beside what is to stay free. Send it again later.
    """
    data = await _body(request)
    must_have(data, query.sha256)
    site = service.sites.named(name)
    async with site.spooling() as spool:
        held = await asyncio.to_thread(
            lambda: spool.put_sound(
                *(kind, sound, query.offset, data),
                total=query.total,
                sha256=query.whole_sha256,
                at=query.at,
            )
        )
    site.voicemail.poke()
    return SoundTaken(size=held.size, whole=held.whole)


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_PART:
            raise InvalidValue(f"at most {MAX_PART} bytes in one go")
    return bytes(data)
