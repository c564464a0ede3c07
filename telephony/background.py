"""What the parts of the service that work in a task of their own have in common."""

from __future__ import annotations

import asyncio


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a part's task, if it was begun, and return when it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def woken(event: asyncio.Event, within_s: float) -> None:
    """Return when somebody has set the event, or after so many seconds; it is clear then."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        pass
    event.clear()
