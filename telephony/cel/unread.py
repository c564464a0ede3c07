"""CEL files packed in a way that is not read here: what of them is known all the same.

A zstd frame says how long its contents are (RFC 8878, 3.1.1.1.4) where the packer knew it, as the
``zstd`` program does of a file. So a file that was read to its end before it was packed is no gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NOT_READ = (".zst", ".lz4", ".zip", ".lzo")
"""Packed in a way that we cannot read."""
_MAGIC = b"\x28\xb5\x2f\xfd"
_CHECKED_S = 60.0


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed file that may be the one that is gone."""

    path: Path
    is_whole: bool
    """It holds exactly what was read: nothing of it is missing."""


def packed_away(path: Path, read: int, since: float) -> Packed | None:
    """Where the file went that was in the place of ``path``; None: nobody knows.

    ``read``: how many bytes of it were read, the last of them at ``since`` (seconds since 1970).
    """
    later = None
    for other in sorted(path.parent.glob(f"{path.name}?*")):
        if other.suffix not in NOT_READ:
            continue
        try:
            modified = other.stat().st_mtime
        except FileNotFoundError:  # thrown away just now
            continue
        try:
            size = contents(other)
        except OSError:  # such as another user's: how long it is nobody tells us
            size = None
        if size == read:
            return Packed(other, is_whole=True)
        if modified >= since - _CHECKED_S:
            later = Packed(other, is_whole=False)
    return later


def contents(path: Path) -> int | None:
    """How many bytes a zstd file holds unpacked, as its first frame says; None: it does not say.

    Raises :class:`OSError`.
    """
    with path.open("rb") as file:
        head = file.read(18)
    if head[:4] != _MAGIC or len(head) < 6:
        return None
    told = head[4]
    is_single = bool(told & 0x20)
    width = (1 if is_single else 0, 2, 4, 8)[told >> 6]
    start = 5 + (0 if is_single else 1) + (0, 1, 2, 4)[told & 3]
    field = head[start : start + width]
    if not width or len(field) < width:
        return None
    return int.from_bytes(field, "little") + (256 if width == 2 else 0)
