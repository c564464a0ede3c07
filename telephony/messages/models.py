"""The tables of messages and missed calls, and of the tries to call back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


def _moment(*, nullable: bool = True) -> Column[datetime]:
    return Column(UtcDateTime(), nullable=nullable)


class MessageRecord(Record, table=True):
    """A citizen whom nobody could answer: a message that was left, or a missed call.

    ``name`` is its natural key, from the call; ``id`` is made by chance, so that nobody who does
    not know it can ask for it.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("ux_messages_name", "pbx", "name", unique=True),
        Index("ix_messages_at", "at", "id"),
        Index("ix_messages_state", "state", "at", "id"),
        Index("ix_messages_number", "number_key", "state"),
        Index("ix_messages_case_id", "case_id"),
        Index("ix_messages_sound_state", "sound_state"),
    )

    id: str = Field(primary_key=True)
    pbx: str
    name: str  # <case>-m1, or <case>-missed
    kind: str  # message | missed
    case_id: str
    caller: str | None = None  # as the network showed it
    number: str | None = None  # where to call back: the caller's, or one that was entered
    number_key: str | None = None  # the same in E.164: two of one citizen are found by it
    at: datetime = Field(sa_column=_moment(nullable=False))  # when it was left, or given up
    why: str  # shut | day | hours | busy | queue: what the citizen met
    waited_s: float | None = None  # of a missed call: from the call until it was given up
    length_s: float | None = None
    file: str | None = None  # of the sound, below messages.folder
    sha256: str | None = None
    sound_state: str  # none | unchecked | ok | missing | damaged
    heard_by: str | None = None  # who heard it first
    heard_at: datetime | None = Field(default=None, sa_column=_moment())
    holder: str | None = None  # the agent who answers it
    held_at: datetime | None = Field(default=None, sa_column=_moment())
    state: str  # open | answered | served | given_up
    tries: int = 0  # in vain
    last_try_at: datetime | None = Field(default=None, sa_column=_moment())
    last_outcome: str | None = None
    closed_at: datetime | None = Field(default=None, sa_column=_moment())
    closed_by: str | None = None
    result: str | None = Field(default=None, sa_column=Column(Text))


class MessageTry(Record, table=True):
    """One try to call a citizen back."""

    __tablename__ = "message_tries"
    __table_args__ = (Index("ix_message_tries_message", "message", "at"),)

    callback: str = Field(primary_key=True)  # the callback's number, or one made by chance
    message: str = Field(primary_key=True)
    at: datetime = Field(sa_column=_moment(nullable=False))
    agent: str | None = None
    outcome: str  # reached | unanswered | busy | declined | failed | wrong-number | ...
