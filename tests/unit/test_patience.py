"""Who takes an export too slowly holds nothing of the database for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from telephony.bulk.patience import TooSlow, patiently


class Read:
    """Pieces of a database, as long as somebody takes them."""

    def __init__(self, pieces: int) -> None:
        self.given = 0
        self.let_go = asyncio.Event()
        self._pieces = pieces

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self._pieces):
                self.given += 1
                yield b"%d" % number
                await asyncio.sleep(0)
        finally:
            self.let_go.set()


async def test_given_who_takes_all_then_it_is_whole_and_in_order() -> None:
    read = Read(50)
    got = [piece async for piece in patiently(read.pieces())]
    assert got == [b"%d" % number for number in range(50)]
    assert read.let_go.is_set()


@pytest.mark.parametrize("bounds", [(0.05, 60.0), (60.0, 0.05)])
async def test_given_who_stops_taking_then_the_database_is_let_go_of(
    bounds: tuple[float, float],
) -> None:
    read = Read(50)
    pieces = patiently(read.pieces(), idle_s=bounds[0], whole_s=bounds[1])
    assert await anext(pieces) == b"0"
    # Nothing is taken any more: it is let go of all the same.
    await asyncio.wait_for(read.let_go.wait(), 10)
    assert read.given < 10
    with pytest.raises(TooSlow):
        async for _ in pieces:
            pass


async def test_given_a_read_that_fails_then_whoever_takes_hears_of_it() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"1"
        raise ValueError("gone")

    taken = patiently(pieces())
    assert await anext(taken) == b"1"
    with pytest.raises(ValueError, match="gone"):
        await anext(taken)


async def test_given_who_goes_away_then_reading_ends() -> None:
    read = Read(1000)
    pieces = patiently(read.pieces())
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    assert read.let_go.is_set()
