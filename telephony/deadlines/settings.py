"""Settings of deadlines and mail: how long who has, who hears of it, and by which server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from telephony.deadlines.rules import Length, Rules
from telephony.setting_types import LOOPBACK, Section

# 2d: two working days; 4h, 90min: working hours and minutes.
Limit = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}(d|h|min)$")]
ShortLimit = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}(h|min)$")]
Address = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]+)*$")
]


class Deadlines(Section):
    """By when somebody must act on a case, and who is told when nobody does.

    All of it counts working time of the line's calendar: holidays, make-up days, breaks.
    """

    enabled: bool = Field(True, description="whether anybody is reminded and told of what is late")
    acceptance: Limit = Field("2d", description="a desk takes or refuses what it was offered")
    feedback: Limit = Field("5d", description="who answers for a case says what came of it")
    feedback_by_kind: dict[str, Limit] = Field(
        {"咨询": "2d", "求助": "10d", "投诉": "15d"}, description="where its matter sets none"
    )
    remind_before: ShortLimit = "2h"
    head_after: Limit = Field("1d", description="after due, until the department's head is told")
    unfiled: bool = Field(True, description="also feedback on calls without kind and matter")
    max_age_days: int = Field(60, ge=1, le=3650, description="what began earlier is only shown")
    supervisors: list[Address] = Field([], description="mailed about all that is late")
    heads: dict[str, list[Address]] = Field({}, description="of each department")
    holders: dict[str, list[Address]] = Field({}, description="of agents, desks, departments")
    numbers_in_mail: bool = False

    def rules(self, reply_days: int) -> Rules:
        """The limits as :mod:`telephony.deadlines.rules` reads them.

        ``reply_days``: working days until a message or a missed call is answered.
        """
        return Rules(
            acceptance=Length.parse(self.acceptance),
            feedback=Length.parse(self.feedback),
            feedback_by_kind={
                kind: Length.parse(limit) for kind, limit in self.feedback_by_kind.items()
            },
            reply=Length(days=reply_days),
            remind_before=Length.parse(self.remind_before),
            head_after=Length.parse(self.head_after),
            unfiled=self.unfiled,
        )


class Mail(Section):
    """The server that takes our mails (SMTP submission, RFC 6409)."""

    host: str | None = Field(None, description="without it no mail is sent")
    port: int = Field(587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = Field(None, description="whose certificates are trusted")
    user: str | None = None
    password: SecretStr | None = None
    sender: Address | None = None
    timeout_s: float = Field(20.0, gt=0, le=300)

    @model_validator(mode="after")
    def _can_send(self) -> Self:
        if self.host is None:
            return self
        if self.sender is None:
            raise ValueError("a mail has a sender; set mail.sender")
        if (self.user is None) != (self.password is None):
            raise ValueError("mail.user and mail.password go together")
        if self.user is not None and self.tls == "none" and self.host not in LOOPBACK:
            raise ValueError("a password is not sent without TLS; set mail.tls")
        return self
