"""A scripted AMI server: it answers, delays, cuts, resets and falls silent as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from telephony.ami_client import Event

BANNER = b"Asterisk Call Manager/10.0.0\r\n"

Answer = Callable[["FakeLink", dict[str, list[str]]], Awaitable[None]]


@dataclass
class FakeLink:
    """One client's connection, seen from the PBX."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: list[dict[str, list[str]]] = field(default_factory=list)

    def names(self) -> list[str]:
        """The actions that came, in order."""
        return [action["Action"][0] for action in self.received]

    async def send(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.encode())
        await self.writer.drain()

    async def reply(
        self, action: dict[str, list[str]], status: str = "Success", **headers: str
    ) -> None:
        lines = [f"Response: {status}", f"ActionID: {action['ActionID'][0]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines) + "\r\n\r\n")

    async def event(self, name: str, **headers: str) -> None:
        lines = [f"Event: {name}", *(f"{key}: {value}" for key, value in headers.items())]
        await self.send("\r\n".join(lines) + "\r\n\r\n")

    def reset(self) -> None:
        """Close with RST, as a host that crashed and came back does."""
        linger = struct.pack("ii", 1, 0)
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class FakeAmi:
    """Set ``answers[name]`` to script an action; what is not scripted gets a plain Success."""

    def __init__(self) -> None:
        self.links: list[FakeLink] = []
        self.answers: dict[str, Answer] = {}
        self.banner = BANNER
        self.secret = "s3cret"
        self.reading = asyncio.Event()
        self.reading.set()
        self.port = 0
        self._arrived = asyncio.Condition()
        self._server: asyncio.Server | None = None

    @property
    def link(self) -> FakeLink:
        """The newest connection."""
        return self.links[-1]

    async def open(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", port or self.port, ssl=tls, limit=2**26
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in self.links:
            link.writer.transport.abort()
        for link in self.links:
            with contextlib.suppress(OSError):
                await link.writer.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of what arrived."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(condition)

    async def linked(self, count: int) -> None:
        """Wait until the ``count``-th connection has signed in."""
        await self.until(lambda: len(self.links) >= count and "Login" in self.links[-1].names())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = FakeLink(reader, writer)
        self.links.append(link)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await link.send(self.banner)
            while True:
                await self.reading.wait()
                packet = await reader.readuntil(b"\r\n\r\n")
                action = _parse(packet.decode())
                async with self._arrived:
                    link.received.append(action)
                    self._arrived.notify_all()
                await self._answer(link, action)
        writer.close()

    async def _answer(self, link: FakeLink, action: dict[str, list[str]]) -> None:
        name = action["Action"][0]
        if name in self.answers:
            await self.answers[name](link, action)
        elif name == "Login" and action["Secret"] != [self.secret]:
            await link.reply(action, "Error", Message="Authentication failed")
        else:
            await link.reply(action)


def _parse(packet: str) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for line in packet.removesuffix("\r\n\r\n").split("\r\n"):
        name, _, value = line.partition(": ")
        headers.setdefault(name, []).append(value)
    return headers


async def silence(link: FakeLink, action: dict[str, list[str]]) -> None:
    """The answer that never comes."""


@contextlib.asynccontextmanager
async def fake_ami(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeAmi]:
    """A fake PBX that listens on a port of its own until the test ends."""
    server = FakeAmi()
    await server.open(tls=tls)
    try:
        yield server
    finally:
        await server.close()


class Heard:
    """A listener that keeps what it hears and can be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    async def until(self, count: int) -> list[Event]:
        async with asyncio.timeout(5):
            while len(self.events) < count:
                self._more.clear()
                await self._more.wait()
        return self.events


def channels(count: int, end: str = "Complete", reply_at: int = 0) -> Answer:
    """A list of so many channels; its reply comes after ``reply_at`` of them."""

    async def answer(link: FakeLink, action: dict[str, list[str]]) -> None:
        action_id = action["ActionID"][0]
        for number in range(count):
            if number == reply_at:
                await link.reply(action, EventList="start")
            await link.event("CoreShowChannel", ActionID=action_id, Uniqueid=f"1.{number}")
        if reply_at >= count:
            await link.reply(action, EventList="start")
        if end:
            await link.event("CoreShowChannelsComplete", ActionID=action_id, EventList=end)

    return answer
