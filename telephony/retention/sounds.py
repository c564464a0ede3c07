"""Sound files that go with what is deleted: never before its transaction stands, never forgotten.

They are put aside in the transaction, under another name, and removed once it is committed. Should
everything stop in between, the next run finds them under that name: those whose deletion never came
about are put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

SUFFIX = ".wav"
ASIDE = ".deleted"
"""After the name of a file whose deletion is not committed yet; no player and no look finds it."""


async def put_aside(files: Sequence[Path]) -> None:
    """Nobody finds these any more. Raises :class:`OSError`."""
    await _each(files, lambda file: file.rename(_aside(file)))


async def remove(files: Sequence[Path]) -> None:
    """Those put aside are gone for good. Raises :class:`OSError`."""
    await _each(files, lambda file: _aside(file).unlink())


async def put_back(files: Sequence[Path]) -> None:
    """Those put aside are there again. Raises :class:`OSError`."""
    await _each(files, lambda file: _aside(file).rename(file))


async def left(folders: Sequence[Path]) -> list[Path]:
    """What was put aside there and neither removed nor put back, by its own name."""

    def look() -> list[Path]:
        found = [file for folder in folders for file in folder.glob(f"*{SUFFIX}{ASIDE}")]
        return sorted(file.with_name(file.name.removesuffix(ASIDE)) for file in found)

    return await asyncio.to_thread(look)


async def _each(files: Sequence[Path], change: Callable[[Path], object]) -> None:
    def work() -> None:
        for file in files:
            with suppress(FileNotFoundError):
                change(file)

    if files:
        await asyncio.to_thread(work)


def _aside(file: Path) -> Path:
    return file.with_name(file.name + ASIDE)
