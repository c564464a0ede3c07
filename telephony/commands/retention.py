"""``hotline retention``: what is deleted when, what was, and what is held."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telephony.commands.legs import parse_time, shown
from telephony.commands.output import clear_errors, print_json, print_table, stdout

if TYPE_CHECKING:
    from telephony.retention.book import RetentionBook

app = typer.Typer(help="Deleting by rule, and legal holds.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why; on record for good.")]
LAST = 20


@app.command("show")
def show(as_json: Json = False) -> None:
    """The rules, the legal holds that last, and what was deleted last."""
    with clear_errors():
        found = asyncio.run(_show())
    if as_json:
        print_json(found)
        return
    print_table("Rules", ["what", "days", "before"], [_times(one) for one in found["rules"]])
    columns = ["id", "case_id", "number", "reason", "placed_by", "placed_at", "until"]
    print_table("Legal holds", columns, [_times(one) for one in found["holds"]])
    columns = ["number", "at", "what", "rule", "count", "oldest", "newest"]
    print_table("Deleted", columns, [_times(one) for one in found["deletions"]])


@app.command("run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Apply the rules now; the service does it once a day."""
    with clear_errors():
        outcomes = asyncio.run(_run(dry_run))
    if as_json:
        print_json(outcomes)
        return
    title = "Would be deleted" if dry_run else "Deleted"
    columns = ["rule", "count", "held", "oldest", "newest"]
    print_table(title, columns, [_times(one) for one in outcomes])


@app.command("hold")
def hold(
    reason: Reason,
    case: Annotated[str | None, typer.Option(help="Keep everything of this case.")] = None,
    number: Annotated[str | None, typer.Option(help="Or of this caller's calls.")] = None,
    until: Annotated[str | None, typer.Option(help="When it ends by itself.")] = None,
    as_json: Json = False,
) -> None:
    """Keep everything of a case, or of a caller's calls, whatever the rules say."""
    with clear_errors():
        placed = asyncio.run(
            _hold(case=case, number=number, reason=reason, until=parse_time(until))
        )
    if as_json:
        print_json(placed)
    else:
        stdout.print(f"held: {placed['id']}", soft_wrap=True, markup=False)


@app.command("release")
def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="Its id.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """End a legal hold."""
    with clear_errors():
        released = asyncio.run(_release(hold_id, reason))
    if as_json:
        print_json(released)
    else:
        stdout.print(f"released: {released['id']}", soft_wrap=True, markup=False)


async def _show() -> dict[str, Any]:
    now = datetime.now(UTC)

    async def read(book: RetentionBook) -> dict[str, Any]:
        rules = [
            {"what": rule.subject, "days": rule.days, "before": rule.before(now)}
            for rule in book.rules
        ]
        holds = (await book.holds(active=True, limit=500)).items
        return {
            "rules": rules,
            "holds": holds,
            "deletions": (await book.deletions(limit=LAST)).items,
        }

    found: dict[str, Any] = await _with_book(read)
    return found


async def _run(dry_run: bool) -> list[dict[str, Any]]:
    from dataclasses import asdict

    found = await _with_book(lambda book: book.run(dry=dry_run))
    return [asdict(one) for one in found]


async def _hold(**what: Any) -> Any:
    from telephony.commands import stored

    return await _with_book(lambda book: book.hold(**what, who=stored.user()))


async def _release(hold_id: str, reason: str) -> Any:
    from telephony.commands import stored

    return await _with_book(lambda book: book.release(hold_id, reason=reason, who=stored.user()))


async def _with_book(use: Any) -> Any:
    from telephony.commands import stored
    from telephony.retention.book import RetentionBook
    from telephony.settings import load_settings

    async with stored.open_database() as database:
        return await use(RetentionBook(database, load_settings()))


def _times(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: shown(value) if isinstance(value, datetime) else value for name, value in row.items()
    }
