"""Settings of the directory of matters."""

from __future__ import annotations

from pydantic import Field

from telephony.setting_types import DeskId, KeyCode, Section


class MatterSettings(Section):
    """Who stands for the two sides that hand matters to each other, and the key that does it."""

    alarm_desk: DeskId = Field(
        "110", description="of `desks`: handed what touches social stability or danger, at once"
    )
    service_desk: DeskId = Field("12345", description="of `desks`: the other side")
    key: KeyCode = Field(
        "#3", description="pressed during a call: hand over to what the matter proposes"
    )
