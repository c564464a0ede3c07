"""Mails: sent over SMTP once, by TLS where it is set, and again until the server takes them."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from telephony.database import Database
from telephony.deadlines.mail import FIRST_RETRY_S, MAILS, MailSender, put
from telephony.deadlines.settings import Mail
from tests.empty_record import empty_record
from tests.unit.smtp_server import SmtpServer, smtp_server


@dataclass
class Queue:
    """A record with mails in it, and a clock."""

    database: Database
    now: datetime

    async def put(
        self,
        key: str = "one",
        recipient: str = "boss@example.org",
        subject: str = "【督办】 / overdue",
    ) -> None:
        async with self.database.writing() as connection:
            await put(
                connection,
                key=key,
                recipient=recipient,
                subject=subject,
                body="已逾期\n\noverdue\n",
                now=self.now,
            )

    def sender(self, server: SmtpServer, **more: Any) -> MailSender:
        mail = {"host": "127.0.0.1", "port": server.port, "sender": "hotline@example.org"}
        mail |= {"tls": "none", "timeout_s": 5, **more}
        return MailSender(self.database, Mail.model_validate(mail), clock=lambda: self.now)

    async def states(self) -> list[tuple[str, int, str | None]]:
        async with self.database.reading() as connection:
            rows = await connection.execute(select(MAILS).order_by(MAILS.c.key))
            return [(row.state, row.attempts, row.last_error) for row in rows]


START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def both(database: Database) -> Queue:
    """On SQLite and on PostgreSQL."""
    return Queue(database, START)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    """On SQLite, for what the databases do alike."""
    made = await asyncio.to_thread(empty_record, tmp_path.parent)
    shutil.copy(made, tmp_path / "record.sqlite")
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    yield Queue(database, START)
    await database.close()


@pytest.fixture
async def plain() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


async def test_given_a_mail_put_in_twice_when_several_send_then_it_goes_once(
    both: Queue, plain: SmtpServer
) -> None:
    queue = both
    await queue.put()
    await queue.put()
    await queue.put("two")
    senders = [queue.sender(plain) for _ in range(3)]
    done = await asyncio.gather(*(one.send_due() for one in senders))
    assert sum(done) == len(plain.taken) == 2
    assert await senders[0].send_due() == 0
    assert await queue.states() == [("sent", 1, None)] * 2
    first = plain.taken[0]
    assert (first.sender, first.recipients) == ("hotline@example.org", ["boss@example.org"])
    assert first.message["Subject"] == "【督办】 / overdue"
    assert first.message["Auto-Submitted"] == "auto-generated"
    assert first.message.get_content() == "已逾期\n\noverdue\n"
    names = {one.message["Message-ID"] for one in plain.taken}
    assert len(names) == 2
    assert all(name.endswith("@example.org>") for name in names)


async def test_given_a_server_that_is_away_then_it_is_tried_again_later_and_later(
    queue: Queue, plain: SmtpServer
) -> None:
    await queue.put()
    sender = queue.sender(plain)
    for attempt, refusal in enumerate(
        [{"CONNECT": "421 busy"}, {"RCPT": "450 later"}, {"END": "451 disk"}, {"AUTH": "535 no"}], 1
    ):
        plain.refuse = refusal
        used = queue.sender(plain, user="a", password="b") if "AUTH" in refusal else sender
        assert await used.send_due() == 0
        ((state, attempts, error),) = await queue.states()
        assert (state, attempts) == ("waiting", attempt)
        assert error is not None
        sessions = plain.sessions
        assert await sender.send_due() == 0
        assert plain.sessions == sessions  # not before its time
        queue.now += timedelta(seconds=FIRST_RETRY_S * 2 ** (attempt - 1))
    plain.refuse, plain.taken = {}, []
    assert await sender.send_due() == 1
    assert await queue.states() == [("sent", 5, None)]


@pytest.mark.parametrize("verb", ["RCPT", "MAIL", "END"])
async def test_given_the_server_refuses_for_good_then_it_is_not_sent_again(
    queue: Queue, plain: SmtpServer, verb: str
) -> None:
    await queue.put()
    plain.refuse = {verb: "550 no such person 13804210001"}
    assert await queue.sender(plain).send_due() == 0
    ((state, attempts, error),) = await queue.states()
    assert (state, attempts) == ("refused", 1)
    assert error is not None
    assert "1380421" not in error
    plain.refuse = {}
    queue.now += timedelta(days=30)
    assert await queue.sender(plain).send_due() == 0


async def test_given_one_that_is_refused_then_the_others_are_sent(
    queue: Queue, plain: SmtpServer
) -> None:
    await queue.put("1")
    plain.refuse = {"RCPT": "550 gone"}
    await queue.sender(plain).send_due()
    plain.refuse = {}
    await queue.put("2")
    assert await queue.sender(plain).send_due() == 1
    assert [state for state, _, _ in await queue.states()] == ["refused", "sent"]
    await queue.put("3")
    assert await queue.sender(plain).tidy() == 0
    queue.now += timedelta(days=31)
    assert await queue.sender(plain).tidy() == 2
    assert [state for state, _, _ in await queue.states()] == ["waiting"]


async def test_given_one_that_cannot_be_written_then_the_others_are_sent(
    queue: Queue, plain: SmtpServer
) -> None:
    await queue.put("1", subject="two\nlines")
    await queue.put("2")
    assert await queue.sender(plain).send_due() == 1
    assert await queue.states() == [("waiting", 1, "ValueError"), ("sent", 1, None)]


async def test_given_a_sender_that_died_over_it_then_another_sends_it_after_the_lease(
    queue: Queue, plain: SmtpServer
) -> None:
    await queue.put()
    await queue.put("another")
    assert await queue.sender(plain)._claim() is not None
    assert await queue.sender(plain).send_due() == 1  # it holds up no other
    queue.now += timedelta(minutes=2)
    assert await queue.sender(plain).send_due() == 1


async def test_given_a_server_that_never_takes_it_then_it_is_given_up_after_days(
    queue: Queue, plain: SmtpServer
) -> None:
    await queue.put()
    sender = queue.sender(plain)
    plain.refuse = {"CONNECT": "421 busy"}
    tries = 0
    while (await queue.states())[0][0] == "waiting":
        await sender.send_due()
        queue.now += timedelta(hours=6)
        tries += 1
        assert tries < 30
    ((state, attempts, error),) = await queue.states()
    assert (state, attempts, error) == ("given_up", 21, "SMTPConnectResponseError 421")
    plain.refuse = {}
    assert await sender.send_due() == 0


async def test_given_a_running_sender_when_it_is_poked_then_it_sends_at_once(
    queue: Queue, plain: SmtpServer
) -> None:
    sender = queue.sender(plain)
    sender.start()
    try:
        await queue.put()
        sender.poke()
        async with asyncio.timeout(4):
            await plain.arrived.wait()
    finally:
        await sender.stop()
    off = MailSender(queue.database, Mail())
    off.start()  # without a server nothing runs
    await off.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key beside it."""
    made = tmp_path_factory.mktemp("smtp") / "mail.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    new += ["-nodes", "-subj", "/CN=mail.test", "-addext", "subjectAltName=IP:127.0.0.1"]
    new += ["-keyout", str(made.with_suffix(".key")), "-out", str(made)]
    subprocess.run(new, check=True, capture_output=True)
    return made


@pytest.mark.parametrize("way", ["starttls", "tls"])
async def test_given_tls_then_the_password_travels_only_where_the_certificate_is_trusted(
    queue: Queue, certificate: Path, way: str
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with smtp_server(tls=context, at_once=way == "tls") as server:
        await queue.put()
        login = {"tls": way, "user": "hotline", "password": "secret"}
        assert await queue.sender(server, **login).send_due() == 0  # no authority we know
        assert server.taken == []
        queue.now += timedelta(hours=1)
        assert await queue.sender(server, **login, ca_file=certificate).send_due() == 1
        (taken,) = server.taken
        assert (taken.over_tls, taken.user) == (True, "hotline")
    async with smtp_server() as plain:  # a server that offers no TLS gets no mail
        await queue.put("two")
        assert await queue.sender(plain, **login, ca_file=certificate).send_due() == 0
        assert plain.taken == []
