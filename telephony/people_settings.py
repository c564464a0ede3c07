"""Settings of who takes part: desks, agents, the keys on their phones, rooms, and tokens."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from telephony.setting_types import (
    DeskId,
    DialString,
    Extension,
    Id,
    KeyCode,
    Name,
    OptionalName,
    Password,
    Role,
    Section,
)


class Desk(Section):
    """A desk that calls are handed to: 110, 12345, 122 or another."""

    id: DeskId
    name: Name
    department: OptionalName = ""
    dial: DialString
    dial_backup: DialString | None = Field(
        None, description="second route, tried when the first is down"
    )
    ring_s: int = Field(20, ge=1, le=300)
    acceptance: Literal["answer", "confirm"] = Field(
        "answer", description="accepted by answering, or only when 1 is pressed"
    )
    password: Password | None = Field(
        None, description="SIP password, only where our dialplan defines the desk's phone"
    )


class Agent(Section):
    """An agent of the line, by the extension of their phone."""

    id: Extension
    name: OptionalName = ""
    department: OptionalName = ""
    interface: DialString | None = Field(None, description="default: PJSIP/<id>")
    password: Password | None = Field(
        None, description="SIP password, only where our dialplan defines the phone"
    )
    browser_password: Password | None = Field(
        None, description="SIP password of PJSIP/<id>-web, the phone in the agent's browser"
    )
    remote_answer: bool = Field(
        False, description="the desk phone answers when told to (NOTIFY, Event: talk)"
    )

    @property
    def dial(self) -> str:
        """The device that rings for this agent: the desk phone."""
        return self.interface or f"PJSIP/{self.id}"

    @property
    def browser_dial(self) -> str | None:
        """The device of the agent's browser; None when they may not telephone there."""
        return f"PJSIP/{self.id}-web" if self.browser_password else None

    @property
    def dials(self) -> tuple[str, ...]:
        """All devices of this agent; the desk phone first."""
        return (self.dial, self.browser_dial) if self.browser_dial else (self.dial,)


class Key(Section):
    """A key sequence on any agent's phone during a call."""

    code: KeyCode
    action: Literal["transfer", "three-way", "consult"]
    desk: Id


class Room(Section):
    """The room in which a three-way call takes place."""

    max_parties: int = Field(5, ge=3, le=50, description="the most who may be in one, citizen too")
    record: bool = Field(False, description="recorded; everybody in the room is told so")


class Token(Section):
    """A bearer token of the HTTP interface."""

    name: Name
    role: Role
    token: SecretStr = Field(min_length=16)
    agent: Extension | None = Field(None, description="the agent whose calls this token may move")
    may_monitor: bool = Field(False, description="a supervisor's token: may listen to calls")
    sees_numbers: bool | None = Field(
        None, description="citizens' numbers whole: true all, false none; default by role"
    )
    ships_for: list[Id] = Field(
        [], description="an integrator's token: the PBXs whose rows and sounds it may send"
    )

    @model_validator(mode="after")
    def _agents_are_somebody(self) -> Self:
        if self.role == "agent" and self.agent is None:
            raise ValueError("a token of role agent names its agent, whose calls alone it may move")
        if self.role == "auditor" and self.sees_numbers:
            raise ValueError("a token of role auditor sees numbers masked")
        if self.ships_for and self.role not in ("integrator", "admin"):
            raise ValueError("ships_for is for a token of role integrator")
        return self


DEFAULT_DESKS = [
    Desk(id="110", name="公安110", department="公安局指挥中心", dial="PJSIP/110"),
    Desk(id="12345", name="政务热线12345", department="12345平台", dial="PJSIP/12345"),
    Desk(id="122", name="交警122", department="交警支队指挥中心", dial="PJSIP/122"),
]
DEFAULT_KEYS = [
    Key(code="*1", action="transfer", desk="110"),
    Key(code="*2", action="transfer", desk="12345"),
    Key(code="*3", action="three-way", desk="12345"),
    Key(code="*4", action="three-way", desk="110"),
    Key(code="*5", action="transfer", desk="122"),
    Key(code="#1", action="consult", desk="110"),
    Key(code="#2", action="consult", desk="12345"),
]
