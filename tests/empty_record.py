"""A database with our tables and nothing in them, to be copied: making the tables takes a while."""

from __future__ import annotations

from pathlib import Path

from telephony.database import migrate


def empty_record(folder: Path) -> Path:
    """The SQLite file, made in ``folder`` when it is not there yet. Blocks; not for an event loop.

    pytest gives every test a folder of its own inside that of its process: name that one.
    """
    made = folder / "empty-record.sqlite"
    if not made.exists():
        part = made.with_name(f"{made.name}.part")
        migrate(f"sqlite:///{part}")
        part.rename(made)
    return made
