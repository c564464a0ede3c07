"""Whether the service and its PBXs are in order."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Schema


class Health(Schema):
    """The process answers."""

    status: Literal["ok"]


class PbxReady(Schema):
    """Whether a PBX is seen, and whether this process keeps its record or another one does."""

    link: Literal["up", "down"]
    record: Literal["here", "elsewhere", "nobody", "off"]


class Ready(Schema):
    """All parts work."""

    status: Literal["ready"]
    pbxs: dict[str, PbxReady] = Field(description="each PBX by its name")
