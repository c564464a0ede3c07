"""Bodies about people and their sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from api.schemas.base import Schema
from telephony.people.rules import LONGEST_PASSWORD
from telephony.setting_types import Extension, Role

# One line, of any letters; what a name may be exactly is said by telephony.people.rules.
PersonName = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\r\n\x00]+$")
]
Shown = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\r\n\x00<>]+$")]
Department = Annotated[str, StringConstraints(max_length=60, pattern=r"^[^\r\n\x00<>]*$")]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class SessionRequest(Schema):
    """Name and password."""

    name: PersonName
    password: Secret


class PasswordRequest(Schema):
    """A new password for oneself."""

    password: Secret = Field(description="the present one")
    new_password: Secret


class SessionNow(Schema):
    """Who is signed in. With a token in place of a session, `csrf` and `expires_at` are null."""

    name: str
    display_name: str
    roles: list[Role]
    agent: str | None = Field(description="the agent whose calls this person moves")
    department: str
    may_monitor: bool
    page: str = Field(description="where this person's work is: `/desk`, `/console` or `/admin`")
    csrf: str | None = Field(description="goes as `X-CSRF-Token` with all that changes something")
    expires_at: datetime | None = Field(description="signed out then in any case")


class PersonShown(Schema):
    """Somebody who may sign in."""

    name: str
    display_name: str
    roles: list[Role]
    agent: str | None
    department: str
    active: bool
    may_monitor: bool
    sees_numbers: bool | None = Field(description="null: as the roles say")
    created_at: datetime
    changed_at: datetime
    changed_by: str


class PersonRequest(Schema):
    """Somebody new."""

    name: PersonName
    display_name: Shown
    roles: list[Role] = Field(min_length=1, max_length=5)
    password: Secret
    agent: Extension | None = None
    department: Department = ""
    may_monitor: bool = False
    sees_numbers: bool | None = None


class PersonChange(Schema):
    """What is to be different; what is not named stays."""

    display_name: Shown | None = None
    roles: list[Role] | None = Field(None, min_length=1, max_length=5)
    agent: Extension | None = None
    department: Department | None = None
    active: bool | None = None
    may_monitor: bool | None = None
    sees_numbers: bool | None = None


class NewPassword(Schema):
    """A password that an admin gives to somebody."""

    password: Secret
