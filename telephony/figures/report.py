"""The monthly report of the joint work (考核通报), as a page that can be printed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import func, literal_column, select

from telephony.cases.store import LEDGER
from telephony.figures import reading
from telephony.figures.hot import hot_topics
from telephony.figures.measures import ANSWER_WITHIN_S, CONNECT_TARGET
from telephony.figures.periods import bounds, month_of, span
from telephony.office_hours import SHANGHAI

if TYPE_CHECKING:
    from telephony.database import Database

MATTERS = 30
"""So many matters are listed, the most frequent."""
OUTCOMES = {
    "accepted": "接收 accepted",
    "busy": "占线 busy",
    "declined": "拒接 declined",
    "unanswered": "无人接听 unanswered",
    "unreachable": "不可达 unreachable",
    "failed": "失败 failed",
    "undecided": "未定 undecided",
    "caller_gone": "来电人挂断 caller gone",
    "withdrawn": "撤回 withdrawn",
    "offered": "待定 offered",
}


async def month(database: Database, name: str, now: datetime) -> dict[str, Any]:
    """Everything that the report of a month (``2026-11``) tells.

    Raises :class:`InvalidValue` for what is no month, and :class:`DatabaseUnavailable`.
    """
    first, last = month_of(name)
    before = span(first - timedelta(days=1), "month")
    matters = await reading.in_all(database, "matter", first, last)
    often = sorted(
        ((member, one) for member, one in matters.items() if member and one["calls"]),
        key=lambda one: (-one[1]["calls"], one[0]),
    )
    return {
        "month": name,
        "now": now.astimezone(SHANGHAI),
        "whole": (await reading.in_all(database, "all", first, last)).get("", _NOTHING),
        "before": (await reading.in_all(database, "all", *before)).get("", _NOTHING),
        "before_month": f"{before[0]:%Y-%m}",
        "days": await _days(database, first, last),
        "departments": await reading.in_all(database, "department", first, last),
        "agents": await reading.in_all(database, "agent", first, last),
        "desks": await reading.in_all(database, "desk", first, last),
        "matters": often[:MATTERS],
        "escalated": await _escalated(database, first, last),
        "topics": await hot_topics(database, first, last),
    }


def page(found: dict[str, Any]) -> str:
    """The report as HTML, complete in itself: no script, nothing that is fetched."""
    return _TEMPLATES.get_template("report.html.j2").render(
        found, outcomes=OUTCOMES, within=ANSWER_WITHIN_S, target=CONNECT_TARGET
    )


async def _days(database: Database, first: date, last: date) -> list[dict[str, Any]]:
    rows = await reading.by_period(database, "day", "all", first, last)
    found = {row["period"]: row for row in rows}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [{"day": day, **found.get(day.isoformat(), _NOTHING)} for day in days]


async def _escalated(database: Database, first: date, last: date) -> list[dict[str, Any]]:
    since, until = bounds(first, last)
    query = (
        select(LEDGER.c.responsible, func.count())
        .where(
            LEDGER.c.event == literal_column("'escalated'"),
            LEDGER.c.at >= since,
            LEDGER.c.at < until,
        )
        .group_by(LEDGER.c.responsible)
        .order_by(func.count().desc())
    )
    async with database.reading() as connection:
        return [
            {"who": who or "", "count": count} for who, count in await connection.execute(query)
        ]


_NOTHING = reading.NOTHING
_TEMPLATES = Environment(
    loader=PackageLoader("telephony.figures", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["share"] = lambda value: "–" if value is None else f"{value * 100:.1f} %"
_TEMPLATES.filters["seconds"] = lambda value: "–" if value is None else _seconds(value)


def _seconds(value: float) -> str:
    if value < 600:
        return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"
