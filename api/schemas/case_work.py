"""What is sent when people work on cases."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas.base import Moment, Phone, Schema, Sentence, Word
from telephony.cases.work import CaseKind

# Several lines, but no other control character.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]{1,4000}$")]
Position = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,2}(\.[0-9]{1,8})?,-?[0-9]{1,3}(\.[0-9]{1,8})?$"),
]


class CaseChanges(Schema):
    """What is to be changed; what is not named stays, null takes away."""

    version: int | None = Field(
        None, ge=0, lt=2**31, description="`details.version` as it was read, or send If-Match"
    )
    kind: CaseKind | None = None
    matter: Word | None = None
    summary: Text | None = None
    citizen_name: Word | None = None
    citizen_phone: Phone | None = None
    citizen_address: Sentence | None = None
    happened_at: Moment | None = Field(None, description="when")
    place: Sentence | None = Field(None, description="where")
    what: Text | None = None
    phone: Phone | None = Field(None, description="of who is on the spot")
    position: Position | None = Field(None, description="latitude,longitude")


class AttachRequest(Schema):
    """A call that belongs to this case."""

    call: Word = Field(description="the call's id or its own case")


class AcceptRequest(Schema):
    """Take the case."""

    desk: Word | None = Field(None, description="for which desk, where it was offered to several")


class DeclineRequest(Schema):
    """Refuse the case."""

    reason: Sentence
    desk: Word | None = Field(None, description="for which desk, where it was offered to several")


class ReasonRequest(Schema):
    """Why."""

    reason: Sentence


class FeedbackRequest(Schema):
    """What has come of it so far."""

    text: Sentence


class CloseRequest(Schema):
    """What came of it."""

    result: Sentence | None = None
