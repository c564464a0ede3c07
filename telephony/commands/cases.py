"""``hotline cases``: cases, who took them first and who answers for them now."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from telephony.commands.legs import MAX_PAGE, parse_time, shown
from telephony.commands.output import clear_errors, print_json, print_table, stderr

COLUMNS = ["case", "opened", "caller", "state", "first_contact", "owner", "entries"]
LEDGER = ["number", "at", "event", "by", "to", "responsible", "detail"]
LEGS = ["started", "role", "party", "ring_s", "talk_s", "state", "cause_text", "uniqueid"]


def cases(
    case: Annotated[str | None, typer.Argument(help="Show this case whole.")] = None,
    caller: Annotated[str | None, typer.Option(help="The citizen's number.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for it now.")] = None,
    state: Annotated[str | None, typer.Option(help="open, taken or handed_over.")] = None,
    handed_over_by: Annotated[
        str | None, typer.Option(help="The side that handed it over to us, such as 110.")
    ] = None,
    their_case: Annotated[str | None, typer.Option(help="Its number with that side.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Opened at or after.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Opened before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on after the page before.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Cases, newest first; or one case with its legs, hand-overs and ledger."""
    if case is not None:
        _show(case, as_json)
        return
    filters = {
        "caller": caller,
        "owner": owner,
        "state": state,
        "handed_over_by": handed_over_by,
        "their_case": their_case,
        "since": parse_time(since),
        "until": parse_time(until),
    }
    from telephony.commands import stored

    with clear_errors():
        page = asyncio.run(stored.page_of_cases(limit, cursor, **filters))
    if as_json:
        print_json({"items": page.items, "next": page.next})
        return
    rows = [{**one, "opened": shown(one["opened_at"])} for one in page.items]
    print_table("Cases", COLUMNS, rows)
    if page.next:
        stderr.print(f"more: --cursor {page.next}", soft_wrap=True, markup=False)


def _show(case: str, as_json: bool) -> None:
    from telephony.commands import stored

    with clear_errors():
        found = asyncio.run(stored.whole_case(case))
    if as_json:
        print_json(found)
        return
    print_table("Case", COLUMNS, [{**found, "opened": shown(found["opened_at"])}])
    legs = [{**leg, "started": shown(leg["started_at"])} for leg in found["legs"]]
    print_table("Legs", LEGS, legs)
    entries = [{**entry, "at": shown(entry["at"])} for entry in found["ledger"]]
    print_table("Ledger", LEDGER, entries)
