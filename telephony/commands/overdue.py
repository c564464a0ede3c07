"""``hotline cases overdue``: what is late, and who holds it."""

from __future__ import annotations

import asyncio

import typer

from telephony.commands.legs import shown
from telephony.commands.output import clear_errors, print_json, print_table, stderr
from telephony.deadlines.rules import KINDS

COLUMNS = ["case", "deadline", "holder", "department", "due", "late", "told"]

TOLD = {"head": "head_told_at", "supervisors": "escalated_at", "holder": "reminded_at"}
"""Who was told last."""


def show_overdue(
    *,
    department: str | None,
    kind: str | None,
    holder: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """A page of what is late, the longest ago first."""
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"--kind is one of {', '.join(KINDS)}")
    from telephony.commands import stored

    with clear_errors():
        page = asyncio.run(
            stored.page_of_overdue(limit, cursor, department=department, kind=kind, holder=holder)
        )
    if as_json:
        print_json({"items": page.items, "next": page.next})
        return
    rows = [
        {
            **one,
            "deadline": one["kind"],
            "due": shown(one["due_at"]),
            "late": _length(one["late_s"]),
            "told": next((who for who, when in TOLD.items() if one[when]), None),
        }
        for one in page.items
    ]
    print_table("Overdue", COLUMNS, rows)
    if page.next:
        stderr.print(f"more: --cursor {page.next}", soft_wrap=True, markup=False)


def _length(seconds: float) -> str:
    """A length of the clock: 3 d 04:05."""
    minutes = int(seconds) // 60
    days, rest = divmod(minutes, 24 * 60)
    clock = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock
