"""``hotline figures``: calls, answers, hand-overs, messages by period, and the monthly report."""

from __future__ import annotations

import asyncio
import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

import typer

from telephony.commands.output import clear_errors, print_json, print_table, stderr
from telephony.errors import HotlineError

app = typer.Typer(help="Figures for supervisors, and the monthly report.", no_args_is_help=True)

TIME_ZONE = "Asia/Shanghai"
GRAINS = ("day", "week", "month")
GROUPS = ("all", "department", "agent", "matter", "desk")
COLUMNS = [
    *("period", "member", "calls", "answered", "in 15 s", "connect", "abandoned"),
    *("talk", "handovers", "messages", "replied", "first-contact"),
]


class ReportNotWritten(HotlineError):
    """The report cannot be written to this file."""

    code = "report-not-written"
    title = "The report was not written"


def _day(text: str | None, otherwise: date) -> date:
    if text is None:
        return otherwise
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; a day looks like 2026-11-24") from None


def _one_of(words: tuple[str, ...], text: str) -> str:
    if text not in words:
        raise typer.BadParameter(f"{text!r} is none of: {', '.join(words)}")
    return text


def _today() -> date:
    return datetime.now(ZoneInfo(TIME_ZONE)).date()


Since = Annotated[str | None, typer.Option("--from", help="The first day: 2026-11-01.")]
Until = Annotated[str | None, typer.Option("--to", help="The last day; today if not given.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def show(
    by: Annotated[str, typer.Option(help="day, week or month.")] = "day",
    group: Annotated[str, typer.Option(help="all, department, agent, matter or desk.")] = "all",
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Figures of the last two weeks, or of the days that are named; the newest first."""
    last = _day(until, _today())
    first = _day(since, last - timedelta(days=13))
    by, group = _one_of(GRAINS, by), _one_of(GROUPS, group)
    if first > last:
        raise typer.BadParameter("--to lies before --from")
    with clear_errors():
        rows = asyncio.run(_show(by, group, first, last))
    if as_json:
        print_json(rows)
        return
    print_table("Figures", COLUMNS, [_line(row) for row in rows])


async def _show(by: str, group: str, first: date, last: date) -> list[dict[str, Any]]:
    from telephony.commands.stored import open_database
    from telephony.figures.counting import Dimension
    from telephony.figures.periods import Grain
    from telephony.figures.reading import by_period, days_waiting

    async with open_database() as database:
        rows = await by_period(database, cast("Grain", by), cast("Dimension", group), first, last)
        waiting = await days_waiting(database)
    if waiting:
        stderr.print(
            f"{waiting} days have changed and are not counted yet: the service does that within "
            "seconds; without it, `hotline figures count`",
            soft_wrap=True,
            markup=False,
        )
    return rows


def _line(row: dict[str, Any]) -> dict[str, Any]:
    def share(name: str) -> str | None:
        return None if row[name] is None else f"{row[name] * 100:.1f} %"

    talk = row["mean_talk_s"]
    return {
        **row,
        "in 15 s": share("answered_in_time_share"),
        "connect": share("connect_rate"),
        "talk": None if talk is None else f"{talk:.1f} s",
        "handovers": " ".join(f"{name} {times}" for name, times in row["handovers"].items()),
        "replied": row["messages_replied"],
        "first-contact": share("first_contact_resolution"),
    }


@app.command()
def count(since: Since = None, until: Until = None) -> None:
    """Count what has changed and was not counted yet; the days that are named in any case."""
    last = _day(until, _today())
    with clear_errors():
        days = asyncio.run(_count(_day(since, last) if since else None, last))
    stderr.print(f"{days} days were counted", markup=False)


async def _count(first: date | None, last: date) -> int:
    from telephony.commands.stored import open_database
    from telephony.figures.keeper import FigureKeeper

    counted = 0

    def told(days: int) -> None:
        nonlocal counted
        counted += days
        stderr.print(f"  {counted} days ...", markup=False)

    async with open_database() as database:
        keeper = FigureKeeper(database)
        if first is not None:
            await keeper.touch(first, last)
        await keeper.catch_up(told=told)
    return counted


@app.command()
def topics(since: Since = None, until: Until = None, as_json: Json = False) -> None:
    """What rose in a week (or the days named) against the four before; who called again and again.

    Numbers are shown whole; the look is in the audit log, under the machine's user.
    """
    last = _day(until, _today())
    first = _day(since, last - timedelta(days=6))
    if first > last:
        raise typer.BadParameter("--to lies before --from")
    with clear_errors():
        found = asyncio.run(_topics(first, last))
    if as_json:
        print_json(found)
        return
    rises = ["name", "now", "before", "factor"]
    print_table("Matters that rose", rises, found["matters"])
    print_table("Words that rose", rises, found["words"])
    print_table("Repeated callers", ["number", "calls"], found["callers"])


async def _topics(first: date, last: date) -> dict[str, Any]:
    from telephony import audit
    from telephony.commands import stored
    from telephony.figures.hot import hot_topics

    async with stored.open_database() as database:
        found = await hot_topics(database, first, last)
        which = f"callers {first} to {last}"
        await audit.note(
            database, who=stored.user(), role=stored.COMMAND, what="topics", which=which
        )
        return found


@app.command()
def report(
    month: Annotated[str, typer.Argument(help="2026-11.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file; report-MONTH.html if not given.")
    ] = None,
) -> None:
    """The monthly report of the joint work (考核通报) as an HTML page to print."""
    with clear_errors():
        text = asyncio.run(_report(month))
        target = out or Path(f"report-{month}.html")
        part = target.with_name(target.name + ".part")
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, target)
        except OSError as error:
            raise ReportNotWritten(f"{target}: {error.strerror}") from None
        finally:
            part.unlink(missing_ok=True)
    stderr.print(f"wrote {target}", soft_wrap=True, markup=False)


async def _report(month: str) -> str:
    from datetime import UTC

    from telephony.commands.stored import open_database
    from telephony.figures import report as monthly

    async with open_database() as database:
        return monthly.page(await monthly.month(database, month, datetime.now(UTC)))
