"""Mails: written in the transaction of what they tell of, and sent until the server takes them.

A mail has a Message-ID that follows from what it tells of. One that the server took just before we
died is sent again, and whoever reads it can see that it is the same (RFC 5322, 3.6.4).
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import aiosmtplib
import structlog
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from telephony import logs
from telephony.background import end, woken
from telephony.cases.store import table
from telephony.deadlines.models import MailRecord
from telephony.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.deadlines.settings import Mail

log = structlog.get_logger(__name__)

MAILS = table(MailRecord)
POLL_S = 5.0
AT_ONCE = 20
"""Mails that are sent before other work of this sender comes."""
FIRST_RETRY_S = 30.0
LONGEST_RETRY_S = 3600.0
GIVE_UP = timedelta(days=5)
"""So long a mail is tried (RFC 5321, 4.5.4.1: four to five days at least)."""
KEEP = timedelta(days=30)
"""How long what was sent or refused can be looked at."""
TIDY_EVERY = timedelta(hours=1)


async def put(
    connection: AsyncConnection,
    *,
    key: str,
    recipient: str,
    subject: str,
    body: str,
    now: datetime,
) -> None:
    """Have a mail sent once this transaction is committed; the same ``key`` again is no other."""
    make: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgres_insert
    row = {"key": key, "recipient": recipient, "subject": subject, "body": body, "attempts": 0}
    row |= {"state": "waiting", "created_at": now, "next_at": now}
    await connection.execute(make(MAILS).values(row).on_conflict_do_nothing())


def _now() -> datetime:
    return datetime.now(UTC)


class MailSender:
    """Sends what waits, from one process of possibly several; ``clock`` says when it is."""

    def __init__(
        self, database: Database, settings: Mail, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        # Longer than one try takes, so that nobody else sends it meanwhile; whoever dies over one
        # holds up that one alone, and not for long.
        self._lease = timedelta(seconds=30 + 3 * settings.timeout_s)
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stops = False

    def start(self) -> None:
        """Begin to send; does nothing where no server is set."""
        if self._settings.host is not None:
            self._task = asyncio.create_task(self._run(), name="mail")

    async def stop(self) -> None:
        """Stop; what waits is sent after the next start."""
        self._stops = True
        await end(self._task)

    def poke(self) -> None:
        """There is something to send."""
        self._poked.set()

    async def send_due(self) -> int:
        """Send what is due; how many the server has taken. Raises :class:`DatabaseUnavailable`."""
        taken = 0
        for _ in range(AT_ONCE):
            mail = await self._claim()
            if mail is None:
                break
            taken += await self._attempt(mail)
        else:
            self._poked.set()  # there may be more
        return taken

    async def tidy(self) -> int:
        """Delete what was done with long ago; how many."""
        old = MAILS.c.done_at < self._clock() - KEEP
        async with self._database.writing() as connection:
            return (await connection.execute(delete(MAILS).where(old))).rowcount

    async def _run(self) -> None:
        tidied: datetime | None = None
        # A cancel that meets the server's answer is lost in Python 3.11's wait_for.
        while not self._stops:
            try:
                await self.send_due()
                if tidied is None or self._clock() - tidied >= TIDY_EVERY:
                    await self.tidy()
                    tidied = self._clock()
            except DatabaseUnavailable as error:
                log.info("mails wait for the database", reason=error.detail)
            except Exception as error:  # noqa: BLE001 - it is tried again, whatever it was
                logs.unexpected(log, "mails could not be sent", error)
            if self._stops:
                return
            await woken(self._poked, POLL_S)

    async def _claim(self) -> dict[str, Any] | None:
        """The mail that is due longest, which is ours until its lease runs out."""
        now = self._clock()
        due = select(MAILS).where(
            MAILS.c.state == "waiting",
            MAILS.c.next_at <= now,
            or_(MAILS.c.leased_until.is_(None), MAILS.c.leased_until <= now),
        )
        due = due.order_by(MAILS.c.next_at, MAILS.c.key, MAILS.c.recipient).limit(1)
        async with self._database.reading() as connection:
            if (await connection.execute(due)).first() is None:
                return None  # the usual case, for which nothing is locked
        async with self._database.writing() as connection:
            rows = await connection.execute(due.with_for_update(skip_locked=True))
            found = rows.mappings().first()
            if found is None:
                return None
            mail = dict(found)
            leased = update(MAILS).where(*_same(mail)).values(leased_until=now + self._lease)
            await connection.execute(leased)
        return mail

    async def _attempt(self, mail: dict[str, Any]) -> bool:
        attempts = mail["attempts"] + 1
        try:
            await self._send(mail)
        except Exception as error:  # noqa: BLE001 - of this one alone: the others are sent
            refused = _is_refusal(error)
            too_old = self._clock() - mail["created_at"] >= GIVE_UP
            again = not (refused or too_old)
            wait = min(FIRST_RETRY_S * 2 ** min(attempts - 1, 20), LONGEST_RETRY_S)
            values: dict[str, Any] = {"last_error": _reason(error)}
            if refused:
                values |= {"state": "refused", "done_at": self._clock()}
            elif too_old:
                values |= {"state": "given_up", "done_at": self._clock()}
            else:
                values |= {"next_at": self._clock() + timedelta(seconds=wait)}
            log.warning("a mail was not taken", reason=_reason(error), again=again)
        else:
            values = {"state": "sent", "done_at": self._clock(), "last_error": None}
        async with self._database.writing() as connection:
            changed = update(MAILS).where(*_same(mail), MAILS.c.state == "waiting")
            await connection.execute(changed.values(attempts=attempts, leased_until=None, **values))
        return values.get("state") == "sent"

    async def _send(self, mail: dict[str, Any]) -> None:
        settings = self._settings
        secret = settings.password
        context = None
        if settings.tls != "none":
            context = await asyncio.to_thread(_trust, settings)
        await aiosmtplib.send(
            compose(mail, settings.sender or ""),
            sender=settings.sender,
            recipients=[mail["recipient"]],
            hostname=settings.host,
            port=settings.port,
            local_hostname=socket.gethostname(),
            username=settings.user,
            password=None if secret is None else secret.get_secret_value(),
            timeout=settings.timeout_s,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=context,
        )


def compose(mail: dict[str, Any], sender: str) -> EmailMessage:
    """The mail as it travels."""
    name = hashlib.sha256(f"{mail['key']}\0{mail['recipient']}".encode()).hexdigest()[:40]
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail["recipient"]
    message["Subject"] = mail["subject"]
    message["Date"] = format_datetime(mail["created_at"].astimezone(UTC))
    message["Message-ID"] = f"<{name}@{sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers to it
    message.set_content(mail["body"], cte="base64")
    return message


def _trust(settings: Mail) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file)


def _same(mail: dict[str, Any]) -> tuple[Any, Any]:
    return MAILS.c.key == mail["key"], MAILS.c.recipient == mail["recipient"]


def _is_refusal(error: BaseException) -> bool:
    """Whether the server will never take this mail (RFC 5321, 4.2.1: 5yz is for good).

    A refused log-in is no such thing: somebody will put the password right.
    """
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(one.code >= 500 for one in error.recipients)
    wrong = (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError)
    return isinstance(error, wrong) and error.code >= 500


def _reason(error: BaseException) -> str:
    """What the server said, without what it repeats of addresses and texts."""
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"
