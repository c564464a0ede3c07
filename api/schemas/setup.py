"""What the settings hold, as admins see it: without any secret."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Schema
from telephony.setting_types import Role

Reach = Literal["ready", "busy", "ringing", "away", "unknown"]


class LineSetting(Schema):
    """A public number."""

    id: str | None
    name: str
    number: str
    numbers: list[str]
    hours: str


class ReachedFrom(Schema):
    """What one PBX says of it, and how it is dialled from there."""

    pbx: str
    dial: str
    reach: Reach


class PbxSeen(Schema):
    """A PBX, and whether the service sees it now."""

    name: str
    seen: bool


class PhoneSetting(Schema):
    """A phone: an agent's, or that of a supervisor who listens."""

    kind: Literal["agent", "supervisor"]
    id: str
    name: str
    department: str
    dial: str
    browser: bool = Field(description="may telephone in the browser")
    reach: Reach = Field(description="as the PBX sees it now; of several the best")
    at: list[ReachedFrom] = Field(
        default_factory=list, description="each PBX at which the phone may be"
    )


class DeskSetting(Schema):
    """Whom calls are handed to: a desk, a group, or outside numbers."""

    kind: Literal["desk", "group", "outside"]
    id: str
    name: str
    department: str
    dial: str = Field(description="of a group: who is in it")
    dial_backup: str | None
    ring_s: int
    acceptance: Literal["answer", "confirm"] | None
    platform: str | None = Field(description="the platform to which its work orders go")
    reach: Reach = Field(description="as the PBX sees it now; of several the best")
    at: list[ReachedFrom] = Field(
        default_factory=list, description="each PBX from which it can be called"
    )


class KeySetting(Schema):
    """What is dialled or pressed, and what it does."""

    code: str
    action: str = Field(
        description="transfer, three-way, consult, proposed, park, or a code's name"
    )
    desk: str | None = None
    name: str = ""


class PlatformSetting(Schema):
    """Another platform."""

    id: str
    name: str
    url: str
    desks: list[str]
    departments: list[str]
    kinds: list[str]
    numbers: bool


class TokenSetting(Schema):
    """Who has a token; the token itself is never shown."""

    name: str
    role: Role
    agent: str | None
    may_monitor: bool


class Setup(Schema):
    """What the settings say. They are changed in `hotline.toml` or the environment, not here."""

    file: str | None = Field(description="the settings file that was read; null: none")
    pbx_seen: bool = Field(description="every PBX is seen now")
    pbxs: list[PbxSeen]
    lines: list[LineSetting]
    phones: list[PhoneSetting]
    desks: list[DeskSetting]
    keys: list[KeySetting]
    platforms: list[PlatformSetting]
    tokens: list[TokenSetting]
