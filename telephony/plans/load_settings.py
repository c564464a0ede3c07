"""Settings of dialplans that are loaded on a PBX in service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from telephony.setting_types import Section


class Dialplans(Section):
    """Where the admin's own dialplans lie, and where versions are kept."""

    custom: Path | None = Field(
        None, description="folder of the admin's own dialplans; default: dialplans/custom"
    )
    versions: Path = Field(
        Path("dialplan-versions"), description="folder in which what was loaded is kept"
    )
    keep: int = Field(50, ge=2, le=10000, description="versions kept of each PBX")
    return_wait_s: float = Field(
        20.0,
        ge=0,
        le=600,
        description="for so long a PBX that stopped answering is waited for, to put the old back",
    )
