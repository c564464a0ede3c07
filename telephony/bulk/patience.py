"""Whoever takes what is read from the database slowly holds its snapshot, and is not waited for.

An export sees one moment of the record. While it is read, PostgreSQL keeps every old version of
every row and SQLite's log grows. So a reader who takes nothing for a while, or goes on for too long
altogether, is cut off and the database let go of, though the reader's connection may still stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

IDLE_S = 60.0
"""So long nobody need take the next piece."""
WHOLE_S = 3600.0
"""So long it may take altogether; what is larger is a job with a file."""
_AHEAD = 4


class TooSlow(Exception):
    """The pieces were not taken in time; what was sent is not whole."""


async def patiently(
    pieces: AsyncGenerator[bytes, None], *, idle_s: float = IDLE_S, whole_s: float = WHOLE_S
) -> AsyncIterator[bytes]:
    """The pieces, read in a task of its own that does not wait longer than this for their taker.

    Raises :class:`TooSlow` at the piece after which it was given up, and what reading raises.
    """
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
    reading = asyncio.create_task(_read(pieces, waiting, idle_s, whole_s), name="export")
    reading.add_done_callback(lambda _: None if waiting.full() else waiting.put_nowait(None))
    try:
        while not reading.done() or not waiting.empty():
            piece = await waiting.get()
            if piece is not None:
                yield piece
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(
    pieces: AsyncGenerator[bytes, None],
    waiting: asyncio.Queue[bytes | None],
    idle_s: float,
    whole_s: float,
) -> None:
    try:
        async with aclosing(pieces), asyncio.timeout(whole_s):
            async for piece in pieces:
                async with asyncio.timeout(idle_s):
                    await waiting.put(piece)
    except TimeoutError:
        raise TooSlow("it was not taken in time") from None
