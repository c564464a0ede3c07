"""A reference receiver on a socket of its own, which tests may stop, hold and start again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from telephony.demo.order_receiver import Message, OrderReceiver, serve

SECRET = "a-secret-of-the-tests-0123456789-abcdef"


class HeldReceiver(OrderReceiver):
    """Answers when it is let: what it took is on record before.

    ``tries``: the ids of all messages that came, once more each time they came again; ``most`` is
    how many were being answered at the same time.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__([SECRET], **options)
        self.go = asyncio.Event()
        self.go.set()
        self.came = asyncio.Condition()
        self.tries: list[str] = []
        self.now_here = 0
        self.most = 0

    async def answer(self, body: bytes, headers: Mapping[str, str]) -> Message:
        answer = await super().answer(body, headers)
        self.now_here += 1
        self.most = max(self.most, self.now_here)
        self.tries.append(answer["id"])
        async with self.came:
            self.came.notify_all()
        try:
            await self.go.wait()
        finally:
            self.now_here -= 1
        return answer

    async def until(self, enough: Callable[[], bool], seconds: float = 20) -> None:
        """Return when it is so; looked at whenever a message comes."""
        async with asyncio.timeout(seconds), self.came:
            await self.came.wait_for(enough)


@asynccontextmanager
async def listening(receiver: OrderReceiver, port: int = 0) -> AsyncIterator[int]:
    """The receiver on loopback; its port."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(receiver, "127.0.0.1", port, told.set_result))
    try:
        yield await asyncio.wait_for(told, 5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def free_port() -> int:
    """A port on which nobody listens at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def eventually(true: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Return when it has become so; looked at every 20 ms."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - it becomes so in another process, maybe
            await asyncio.sleep(0.02)
