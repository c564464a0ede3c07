"""What a value of the settings may be: words and numbers that dialplan lines and AMI can hold."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, StringConstraints

TIME_ZONE = "Asia/Shanghai"
"""Hours, days and what people read are always in this zone, whatever the host says."""

Role = Literal["agent", "supervisor", "admin", "auditor", "integrator"]

# These end up in dialplan lines and AMI values, so they are words, not free text.
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Extension = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{2,20}$")]
DialString = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+/[A-Za-z0-9@._:+&/-]{1,200}$")]
KeyCode = Annotated[str, StringConstraints(pattern=r"^[*#][0-9*#]{1,4}$")]
Endpoint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Break = Annotated[
    str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")
]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,40}$")]
# Of one length, so that no longer number slips through; X is any digit.
NumberForm = Annotated[str, StringConstraints(pattern=r"^[0-9X]{3,20}$")]
DialTemplate = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9]+/[A-Za-z0-9._:+/-]{0,60}\{number\}[A-Za-z0-9@._:+/-]{0,100}$"
    ),
]
# What an Asterisk configuration file can hold: ";" would cut it short, a line break would go on
# with configuration of its own.
PASSWORD = re.compile(r"[\x21-\x3a\x3c-\x7e]{8,128}")
PASSWORD_RULE = "8 to 128 visible ASCII characters without ';'"
# Extensions that Asterisk itself jumps to.
SPECIAL_EXTENSIONS = {"a", "e", "failed", "fax", "h", "i", "o", "s", "t"}


def _password(value: SecretStr) -> SecretStr:
    if not PASSWORD.fullmatch(value.get_secret_value()):
        raise ValueError(f"a SIP password is {PASSWORD_RULE}")
    return value


def _desk_id(value: str) -> str:
    if not value[0].isalnum():
        raise ValueError("a desk's id is its extension and begins with a letter or digit")
    if as_extension(value) in SPECIAL_EXTENSIONS:
        raise ValueError("this extension has a meaning of its own in Asterisk; choose another id")
    return value


def as_extension(name: str) -> str:
    """What Asterisk compares of an extension: it overlooks hyphens."""
    return name.replace("-", "").lower()


Password = Annotated[SecretStr, AfterValidator(_password)]
DeskId = Annotated[Id, AfterValidator(_desk_id)]
# One line, without what would start a comment, a variable or an argument in a dialplan.
Name = Annotated[str, StringConstraints(pattern=r"^[^\r\n\x00;,|\"<>${}\[\]\\]{1,60}$")]
OptionalName = Annotated[str, StringConstraints(pattern=r"^[^\r\n\x00;,|\"<>${}\[\]\\]{0,60}$")]

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Section(BaseModel):
    """A section of the settings; a word that is not known is an error, not ignored."""

    model_config = ConfigDict(extra="forbid")


def no_doubles(what: str, values: list[str], *, hide: bool = False) -> None:
    """Refuse a list that names something twice; ``hide``: without saying what."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what}: {'one value' if hide else value} stands there twice")
