"""Settings of agents' phones in the browser."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from telephony.setting_types import Section

SocketUrl = Annotated[
    str,
    StringConstraints(
        pattern=r"^$|^wss?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]{0,100})?$"
    ),
]


class Browser(Section):
    """Agents who have a ``browser_password`` telephone in the browser (SIP over WebSocket)."""

    url: SocketUrl = Field(
        "",
        description="the PBX's WebSocket as browsers reach it, wss://host/ws; empty: nobody does",
    )

    @property
    def origin(self) -> str:
        """Where the page must be allowed to connect to; "" when nobody does."""
        return "/".join(self.url.split("/")[:3]) if self.url else ""
