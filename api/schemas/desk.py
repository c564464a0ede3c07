"""What the agents' page asks for besides what others ask for too."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.schemas.base import Schema
from api.schemas.record import Case


class BrowserPhone(Schema):
    """How the page registers as the agent's phone (SIP over WebSocket, RFC 7118)."""

    url: str = Field(examples=["wss://hotline.example/ws"])
    uri: str = Field(examples=["sip:8001-web@hotline.example"])
    password: str


class DeskPhone(Schema):
    """The phones of the agent who asks."""

    agent: str
    name: str
    line: str = Field(description="what the line is called")
    browser: BrowserPhone | None = Field(description="null: this agent has none in the browser")
    remote_answer: bool = Field(description="the desk phone answers when the page says so")
    wrapup_s: int = Field(description="time after a call, in seconds; 0: none")
    callbacks: bool = Field(description="whether citizens can be called back")


class Caller(Schema):
    """Who is on the line, as far as it is known."""

    number: str | None
    place_zh: str | None = Field(examples=["辽宁省朝阳市"])
    place_en: str | None = Field(examples=["Chaoyang, Liaoning"])
    line: str | None = Field(description="the number that was dialled")
    line_name: str | None
    started_at: datetime | None
    own_case: bool = Field(description="whether the case of this call is on record yet")
    before: list[Case] = Field(description="earlier cases of this number, newest first")
    open_before: int = Field(description="how many of these are not closed")
