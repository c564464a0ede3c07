"""Settings of the doctor."""

from __future__ import annotations

from pydantic import Field

from telephony.setting_types import Section


class Checkup(Section):
    """How the doctor judges, and how often the service asks it."""

    expected_calls: int = Field(
        50, ge=1, le=100_000, description="calls at once for which there must be ports for sound"
    )
    certificate_days: int = Field(
        30, ge=1, le=1000, description="a certificate that ends within so many days is a warning"
    )
    every_s: int = Field(
        300, ge=0, le=86_400, description="how often the service asks, in seconds; 0: never"
    )
