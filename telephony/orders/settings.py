"""Settings of other platforms with which work orders are exchanged, and of how they are told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from telephony.setting_types import LOOPBACK, Id, Name, OptionalName, Section, no_doubles

Url = Annotated[
    str, StringConstraints(pattern=r"^https?://[A-Za-z0-9._\[\]:-]{1,250}(/[!-~]{0,500})?$")
]
Kind = Literal[
    "order.new",
    "order.accepted",
    "order.refused",
    "order.feedback",
    "order.closed",
    "order.reopened",
    "order.withdrawn",
    "deadline.reminder",
    "deadline.escalated",
]
ORDER_KINDS: list[Kind] = [
    "order.new",
    "order.accepted",
    "order.refused",
    "order.feedback",
    "order.closed",
    "order.reopened",
    "order.withdrawn",
]
SHORTEST_SECRET = 32


def _long(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < SHORTEST_SECRET:
        raise ValueError(f"a secret has {SHORTEST_SECRET} characters or more")
    return value


class Platform(Section):
    """Another platform: cases handed to its desks go there as work orders, and theirs come to us.

    Where a message belongs to two platforms (a desk of the one, a department of the other), the
    one that names the desk gets it.
    """

    id: Id = Field(description="how it names itself in Hotline-Platform")
    name: OptionalName = ""
    url: Url = Field(description="where messages to it are posted; no redirect is followed")
    secrets: list[Annotated[SecretStr, AfterValidator(_long)]] = Field(
        min_length=1, max_length=4, description="32 characters or more; one more while they change"
    )
    own_id: Id = Field("hotline", description="how it knows us")
    desks: list[Id] = Field([], description="hand-overs to these go there as work orders")
    departments: list[Name] = Field([], description="likewise to all desks of these")
    kinds: list[Kind] = Field(ORDER_KINDS, description="what it is told of")
    to: Id | None = Field(
        None, description="desk, group or agent its orders are for; default: any agent"
    )
    numbers: bool = Field(True, description="it is told citizens' numbers whole, not masked")
    timeout_s: float = Field(10.0, ge=0.1, le=120)
    tolerance_s: int = Field(300, ge=1, le=86400, description="how far its clock may be from ours")
    ca_file: Path | None = Field(None, description="who signs its TLS certificate; default: public")

    @model_validator(mode="after")
    def _keeps_secrets(self) -> Self:
        try:
            address = urlsplit(self.url)
            host, _port = address.hostname, address.port
        except ValueError as error:
            raise ValueError(f"url: {error}") from None
        if address.scheme == "http" and host not in LOOPBACK and self.numbers:
            raise ValueError(
                "citizens' numbers are not sent without TLS; use https, or set numbers to false"
            )
        return self

    @property
    def side(self) -> str:
        """The party it is in our record: its first desk."""
        return self.desks[0] if self.desks else self.id

    @property
    def secret_texts(self) -> list[str]:
        """Its secrets; the first is the present one."""
        return [one.get_secret_value() for one in self.secrets]


class Outbox(Section):
    """How messages to platforms are delivered."""

    first_retry_s: float = Field(2.0, ge=0.01, le=3600, description="then twice as long each time")
    longest_retry_s: float = Field(900.0, ge=0.01, le=86400)
    attempts: int = Field(200, ge=1, le=100_000, description="then an admin decides")
    at_once: int = Field(4, ge=1, le=64, description="to one platform at the same time")
    keep_days: int = Field(
        30, ge=1, le=3650, description="what was delivered is deleted after that"
    )


def platforms_agree(
    platforms: Sequence[Platform], desks: Collection[str], others: Collection[str]
) -> None:
    """Each desk is one platform's; what is named exists (``others``: groups and agents)."""
    no_doubles("platforms", [one.id for one in platforms])
    no_doubles("platforms' desks", [desk for one in platforms for desk in one.desks])
    no_doubles("platforms' departments", [name for one in platforms for name in one.departments])
    for one in platforms:
        for desk in one.desks:
            if desk not in desks:
                raise ValueError(f"platform {one.id}: {desk} is not in desks")
        if one.to is not None and one.to not in {*desks, *others}:
            raise ValueError(f"platform {one.id}: {one.to} is no desk, group or agent")


def platform_of(
    platforms: Sequence[Platform], desk: str | None, department: str | None
) -> Platform | None:
    """The platform that stands behind a desk, or None."""
    named = next((one for one in platforms if desk in one.desks), None)
    if named is not None or not department:
        return named
    return next((one for one in platforms if department in one.departments), None)
