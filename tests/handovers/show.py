"""Prints the table of hand-overs and why some cells make no sense: ``make table``."""

from __future__ import annotations

import sys

from tests.handovers.table import ENTRIES


def lines() -> list[str]:
    """The table, a line for each cell, by column."""
    shown = []
    for entry in sorted(ENTRIES, key=lambda one: list(_columns()).index(one.column)):
        said = entry.reason or " / ".join(map(str, entry.expected))
        shown.append(f"{entry.column:<24}{entry.way.name:<12}{'- ' if entry.reason else ''}{said}")
    left_out = sum(1 for entry in ENTRIES if entry.reason)
    share = 100 * left_out / len(ENTRIES)
    shown.append(f"{len(ENTRIES)} cells, {left_out} of them make no sense ({share:.0f} %)")
    return shown


def _columns() -> dict[str, None]:
    return dict.fromkeys(entry.column for entry in ENTRIES)


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
