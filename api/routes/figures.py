"""Figures for supervisors: by period, of the last 24 hours, hot topics, the monthly report."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import HTMLResponse, Response

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.routes import answers
from api.schemas import figures as shapes
from api.schemas.figures import CaseFigures, FiguresQuery
from api.security import AsSupervisor
from telephony import audit
from telephony.cases import queries as case_queries
from telephony.errors import DatabaseUnavailable
from telephony.figures import report
from telephony.figures.hot import hot_topics
from telephony.figures.measures import ANSWER_WITHIN_S, CONNECT_TARGET
from telephony.figures.reading import (
    TooManyFigures,
    by_period,
    days_waiting,
    in_all,
    last_24_hours,
)
from telephony.masking import mask_number

router = APIRouter(prefix="/figures", tags=["figures"], dependencies=[Depends(each_once)])


@router.get(
    "", response_model=shapes.FigurePage, responses=problems(TooManyFigures, DatabaseUnavailable)
)
async def list_figures(
    query: Annotated[shapes.PeriodsQuery, Query()], service: TheService, _who: AsSupervisor
) -> Response:
    """Calls, answers, talks, hand-overs, messages by day, week or month, in all or by member."""
    database, days = service.database, (query.since, query.until)
    items = await by_period(database, query.by, query.group, *days, member=query.member)
    totals = await in_all(database, query.group, *days, member=query.member)
    return answers.row(
        {
            "by": query.by,
            "group": query.group,
            "items": items,
            "totals": totals,
            "as_of": service.figures.as_of,
            "days_waiting": await days_waiting(database),
        }
    )


@router.get("/now", response_model=shapes.Now, responses=problems(DatabaseUnavailable))
async def figures_now(service: TheService, _who: AsSupervisor) -> Response:
    """The connect rate of the last 24 hours and the rest, straight from the record."""
    found = await last_24_hours(service.database, datetime.now(UTC))
    rate = found["connect_rate"]
    return answers.row(
        {
            "last_24_hours": found,
            "connect_target": CONNECT_TARGET,
            "connect_target_met": None if rate is None else rate >= CONNECT_TARGET,
            "answer_within_s": ANSWER_WITHIN_S,
        }
    )


@router.get("/topics", response_model=shapes.HotTopics, responses=problems(DatabaseUnavailable))
async def list_topics(
    query: Annotated[shapes.DaysQuery, Query()], service: TheService, who: AsSupervisor
) -> Response:
    """Matters and words of summaries that rose, and who called again and again."""
    found = await hot_topics(service.database, query.since, query.until)
    if not sight.sees_all(who):
        for caller in found["callers"]:
            caller["number"] = mask_number(caller["number"])
    elif found["callers"]:
        which = f"callers {query.since} to {query.until}"
        await audit.note(service.database, who=who.name, role=who.role, what="topics", which=which)
    return answers.row(found)


@router.get(
    "/report/{month}",
    response_class=HTMLResponse,
    responses={
        **problems(DatabaseUnavailable),
        200: {"content": {"text/html": {}}, "description": "a page that can be printed"},
    },
)
async def monthly_report(
    month: Annotated[shapes.Month, Path(description="2026-11")],
    service: TheService,
    _who: AsSupervisor,
) -> Response:
    """The monthly report of the joint work (考核通报), complete in itself."""
    found = await report.month(service.database, month, datetime.now(UTC))
    return HTMLResponse(await asyncio.to_thread(report.page, found))


@router.get("/cases", response_model=CaseFigures, responses=problems(DatabaseUnavailable))
async def case_figures(
    query: Annotated[FiguresQuery, Query()], service: TheService, _who: AsSupervisor
) -> Response:
    """First-contact resolution, times and hand-overs of the cases that were opened in a time."""
    return answers.row(
        await case_queries.figures(service.database, since=query.since, until=query.until)
    )
