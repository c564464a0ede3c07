"""The tables of people, of their sessions, and of wrong passwords."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Column, Index
from sqlmodel import Field

from telephony.models import Record, UtcDateTime


class PersonRecord(Record, table=True):
    """Somebody who may sign in on the pages. Nobody is deleted: the record names them for ever."""

    __tablename__ = "people"

    name: str = Field(primary_key=True)  # what is typed to sign in, in one spelling
    display_name: str
    roles: list[str] = Field(sa_column=Column(JSON(), nullable=False))
    agent: str | None = None  # the extension whose calls the person moves
    department: str = ""
    active: bool = True
    may_monitor: bool = False
    sees_numbers: bool | None = None  # None: as the roles say
    password_hash: str
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    changed_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    changed_by: str


class SessionRecord(Record, table=True):
    """One browser in which a person is signed in. The token itself is known to the browser only."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_person", "person"),)

    digest: str = Field(primary_key=True)  # SHA-256 of the token
    person: str
    address: str
    begun_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    seen_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    ends_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class WrongPasswordRecord(Record, table=True):
    """How often in a row a password was wrong: for a name, an address, and both together.

    And, as ``known``, that a name has signed in from an address.
    """

    __tablename__ = "wrong_passwords"

    key: str = Field(primary_key=True)
    failures: int
    last_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    locked_until: datetime | None = Field(
        default=None, sa_column=Column(UtcDateTime(), nullable=True)
    )
