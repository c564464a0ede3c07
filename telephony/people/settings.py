"""Settings of signing in on the pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from telephony.setting_types import Section

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9._\[\]:-]{1,250}$")]


class SignIn(Section):
    """How long people stay signed in, and what wrong passwords cost."""

    idle_min: int = Field(60, ge=5, le=1440, description="signed out after so long without use")
    longest_h: int = Field(12, ge=1, le=168, description="signed out after so long in any case")
    tries: int = Field(5, ge=2, le=50, description="wrong passwords before there is a wait")
    wait_s: int = Field(30, ge=1, le=3600, description="the first wait; each further one doubles")
    longest_wait_min: int = Field(15, ge=1, le=1440)
    shortest_password: int = Field(10, ge=8, le=64, description="characters")
    origins: list[Origin] = Field([], description="pages at other addresses that may open events")
