"""Settings of the record: when the disk on which the PBX writes its rows is called full."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from telephony.setting_types import Section

MB = 2**20


class RecordWatch(Section):
    """How much room there must be where the CEL file is; without room rows vanish silently."""

    disk_warning_mb: int = Field(2048, ge=1, description="less is free: a warning")
    disk_alarm_mb: int = Field(200, ge=1, description="less is free: an alarm")

    @model_validator(mode="after")
    def _warns_before(self) -> Self:
        if self.disk_alarm_mb > self.disk_warning_mb:
            raise ValueError("disk_alarm_mb is more than disk_warning_mb: it would never warn")
        return self
