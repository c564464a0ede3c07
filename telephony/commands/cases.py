"""``hotline cases``: cases, who took them first and who answers for them now."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from telephony.cases.work import CASE_KINDS, CASE_STATES
from telephony.commands.legs import MAX_PAGE, one_of, shown, times
from telephony.commands.output import clear_errors, print_json, print_table, stderr
from telephony.commands.overdue import show_overdue

OVERDUE = "overdue"
COLUMNS = ["case", "opened", "caller", "state", "first_contact", "owner", "entries", "due"]
LEDGER = ["number", "at", "event", "by", "to", "responsible", "detail"]
STORY = ["at", "what", "event", "by", "to", "detail", "case"]
LEGS = ["started", "role", "party", "ring_s", "talk_s", "state", "cause_text", "uniqueid"]


def cases(
    case: Annotated[
        str | None, typer.Argument(help="Show this case whole; 'overdue': what is late.")
    ] = None,
    caller: Annotated[str | None, typer.Option(help="The citizen's number.")] = None,
    line: Annotated[
        str | None, typer.Option(help="The line that was called: id, name or number.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for it now.")] = None,
    state: Annotated[
        str | None, typer.Option(help="open, taken, handed_over, closed or merged.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="咨询, 建议, 求助, 表扬 or 投诉; of what is late: the deadline's kind."),
    ] = None,
    holder: Annotated[str | None, typer.Option(help="Of what is late: who must act.")] = None,
    department: Annotated[str | None, typer.Option(help="Of what is late: whose.")] = None,
    late: Annotated[bool, typer.Option(help="Those with a deadline that has passed.")] = False,
    by_due: Annotated[bool, typer.Option(help="By their deadlines, the earliest first.")] = False,
    story: Annotated[bool, typer.Option(help="The case in the order of time.")] = False,
    figures: Annotated[
        bool, typer.Option(help="First-contact resolution, times and hand-overs of all.")
    ] = False,
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
    """Cases, newest first; or one case with its legs, hand-overs and ledger.

    Numbers are shown whole; a look at one case is in the audit log, under the machine's user.
    """
    if case == OVERDUE:
        show_overdue(
            department=department,
            kind=kind,
            holder=holder or owner,
            limit=limit,
            cursor=cursor,
            as_json=as_json,
        )
        return
    if holder or department:
        raise typer.BadParameter("--holder and --department are of what is late: cases overdue")
    if case is not None:
        show = _show_story if story else _show
        show(case, as_json)
        return
    if story:
        raise typer.BadParameter("--story is of one case: name it")
    if figures:
        _show_figures(since, until, as_json)
        return
    filters = {
        "caller": caller,
        "line": line,
        "owner": owner,
        "state": one_of(state, CASE_STATES, "--state"),
        "handed_over_by": handed_over_by,
        "their_case": their_case,
        "kind": one_of(kind, CASE_KINDS, "--kind"),
        "late": late or None,
        **times(since, until),
    }
    from telephony.commands import stored

    with clear_errors():
        page = asyncio.run(stored.page_of_cases(limit, cursor, by_due=by_due, **filters))
    if as_json:
        print_json({"items": page.items, "next": page.next})
        return
    rows = [_row(one) for one in page.items]
    print_table("Cases", COLUMNS, rows)
    if page.next:
        stderr.print(f"more: --cursor {page.next}", soft_wrap=True, markup=False)


def _row(case: dict[str, Any]) -> dict[str, Any]:
    """A case as the table shows it."""
    due = shown(case["due_at"])
    if case["late"]:
        due = f"{due} !"
    return {**case, "opened": shown(case["opened_at"]), "due": due}


def _show(case: str, as_json: bool) -> None:
    from telephony.commands import stored

    with clear_errors():
        found = asyncio.run(stored.whole_case(case))
    if as_json:
        print_json(found)
        return
    print_table("Case", COLUMNS, [_row(found)])
    legs = [{**leg, "started": shown(leg["started_at"])} for leg in found["legs"]]
    print_table("Legs", LEGS, legs)
    entries = [{**entry, "at": shown(entry["at"])} for entry in found["ledger"]]
    print_table("Ledger", LEDGER, entries)


def _show_story(case: str, as_json: bool) -> None:
    from telephony.commands import stored

    with clear_errors():
        found = asyncio.run(stored.case_story(case))
    if as_json:
        print_json(found)
        return
    print_table("Case", COLUMNS, [_row(found)])
    rows = [
        {"at": shown(event["at"]), "what": event["what"], "case": event["case"], **_told(event)}
        for event in found["events"]
    ]
    print_table("Story", STORY, rows)


def _told(event: dict[str, Any]) -> dict[str, Any]:
    if event["ledger"]:
        entry = event["ledger"]
        return {name: entry[name] for name in ("event", "by", "to", "detail")}
    if event["handover"]:
        one = event["handover"]
        told = {"event": one["state"], "by": one["by"], "to": one["desk"]}
        return told | {"detail": one["reason"] or one["kind"]}
    leg = event["leg"]
    talked = None if leg["talk_s"] is None else f"{leg['talk_s']} s"
    return {"event": leg["role"], "by": leg["party"], "to": None, "detail": talked}


def _show_figures(since: str | None, until: str | None, as_json: bool) -> None:
    from telephony.commands import stored

    between = times(since, until)
    with clear_errors():
        found = asyncio.run(stored.case_figures(**between))
    if as_json:
        print_json(found)
        return
    rows = [{"figure": name, "value": value} for name, value in found.items()]
    print_table("Figures", ["figure", "value"], rows)
