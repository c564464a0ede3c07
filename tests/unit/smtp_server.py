"""A mail server for tests: takes what it is sent (RFC 5321), in plain text or over TLS."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Taken:
    """A mail that was taken: from whom, for whom, over TLS or not, and as whom the sender came."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    over_tls: bool
    user: str | None


@dataclass
class SmtpServer:
    """``refuse``: what is answered to a command instead of consent, as long as it stands there."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    sessions: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client has gone, as it may
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender, recipients, user = "", list[str](), None
        over_tls = writer.get_extra_info("ssl_object") is not None

        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        await say(self.refuse.get("CONNECT", "220 mail.test"))
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            if refusal := self.refuse.get(verb.upper()):
                await say(refusal)
                continue
            match verb.upper():
                case "EHLO":
                    offered = ["AUTH PLAIN"]
                    offered += ["STARTTLS"] if self.tls is not None and not over_tls else []
                    lines = ["mail.test", *offered, "8BITMIME"]
                    for each in lines[:-1]:
                        await say(f"250-{each}")
                    await say(f"250 {lines[-1]}")
                case "STARTTLS" if self.tls is not None:
                    await say("220 go on")
                    await writer.start_tls(self.tls)
                    over_tls = True
                case "AUTH":
                    _, user, _ = base64.b64decode(rest.split()[1]).decode().split("\0")
                    await say("235 welcome")
                case "MAIL":
                    sender = rest[rest.index("<") + 1 : rest.index(">")]
                    await say("250 ok")
                case "RCPT":
                    recipients.append(rest[rest.index("<") + 1 : rest.index(">")])
                    await say("250 ok")
                case "DATA":
                    await say("354 go on")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    message = message_from_bytes(data[:-3], policy=policy.default)
                    assert isinstance(message, EmailMessage)
                    self.taken.append(Taken(sender, recipients, message, over_tls, user))
                    await say(self.refuse.get("END", "250 taken"))
                    self.arrived.set()
                case "QUIT":
                    await say("221 bye")
                    return
                case _:
                    await say("502 unknown")


@asynccontextmanager
async def smtp_server(
    *, tls: ssl.SSLContext | None = None, at_once: bool = False
) -> AsyncIterator[SmtpServer]:
    """A server on loopback; ``at_once``: TLS from the first byte on."""
    served = SmtpServer(tls=None if at_once else tls)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls if at_once else None)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
