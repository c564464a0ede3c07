"""What is answered about the PBXs of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Schema

Record = Literal["here", "elsewhere", "nobody", "off"]


class PbxNow(Schema):
    """A PBX: whether it is seen, and which process records it."""

    name: str
    link: Literal["up", "down"] = Field(description="down: its calls go on, but are not seen")
    host: str
    calls: int | None = Field(description="citizens on the line now; null: not seen")
    channels: int | None
    record: Record = Field(
        description="which process reads its CEL: this one, another one on the same database, none "
        "at this moment; off: no CEL file is set"
    )
    owner: str | None = Field(description="host and number of the process that reads it")
    lag_bytes: int | None = Field(description="CEL that is not on record yet; here only")
    lag_s: float | None
    system_name: str | None = Field(
        description="Asterisk's systemname; of several PBXs each needs its own. null: not known, "
        "or the only PBX"
    )
    shipped: bool = Field(description="its rows are sent by `hotline ship`")
