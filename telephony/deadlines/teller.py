"""Passes on what was done about deadlines: to other platforms by the outbox, to people by mail.

Everything is written in the transaction of the step itself and sent later, so nothing is told that
was not done, and nothing twice. Whoever is told a citizen's number whole is in the audit log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from telephony.audit import AUDIT, entry_of
from telephony.deadlines import mail as mail_queue
from telephony.deadlines import notes as deadline_notes
from telephony.orders import outbox
from telephony.orders.teller import PLATFORM

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.deadlines.notes import News
    from telephony.settings import Settings


MAIL = "mail"
"""What stands as the role in the audit log for an address."""


class DeadlineTeller:
    """Tells whom the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def tell(self, connection: AsyncConnection, news: News) -> None:
        """Put a step where it is sent from: platforms that want its kind, and addresses."""
        key = f"{news.case}:{news.step}:{news.key}"
        kind = deadline_notes.KINDS[news.step]
        whole: dict[str, str] = {}
        for platform in self._settings.platforms:
            if kind in platform.kinds:
                await outbox.enqueue(
                    connection,
                    destination=platform.id,
                    kind=kind,
                    # Of no case: a platform that refuses it must not hold up work orders.
                    case_id=None,
                    body=deadline_notes.as_message(news, numbers=platform.numbers),
                    key=key,
                )
                whole |= {platform.id: PLATFORM} if platform.numbers else {}
        settings = self._settings.deadlines
        mailed = self._settings.mail.host is not None
        for address in deadline_notes.recipients(news, settings) if mailed else ():
            await mail_queue.put(
                connection,
                key=key,
                recipient=address,
                subject=deadline_notes.subject(news),
                body=deadline_notes.text(news, numbers=settings.numbers_in_mail),
                now=news.at,
            )
            whole |= {address: MAIL} if settings.numbers_in_mail else {}
        if whole and news.caller is not None:
            noted = [entry_of(who, role, "deadline-sent", news.case) for who, role in whole.items()]
            await connection.execute(insert(AUDIT), noted)
