"""For the agents' page: the agent's phones, and who is on the line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Path

from api import sight
from api.dependencies import TheService
from api.errors import problems
from api.schemas.base import Word
from api.schemas.desk import BrowserPhone, Caller, DeskPhone
from api.schemas.record import Case
from api.security import AsAgent, AsOneself
from telephony.errors import (
    AgentNotFound,
    CallNotFound,
    DatabaseUnavailable,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)
from telephony.live.shapes import moment
from telephony.masking import mask_case, mask_number
from telephony.places import place_of
from telephony.record import queries

if TYPE_CHECKING:
    from telephony.settings import Agent, Settings

router = APIRouter(tags=["desk"])

BEFORE = 8
"""How many earlier cases of a caller are shown."""


@router.get("/desk/phone", responses=problems(AgentNotFound, reads_input=False))
async def get_phone(service: TheService, who: AsOneself) -> DeskPhone:
    """One's own phones, and what the page needs to be one of them.

    The password is that of one's own phone in the browser, and nobody else's.
    """
    settings = service.settings
    agent = settings.agent(who.agent) if who.agent else None
    if agent is None:
        raise AgentNotFound("you are no agent of the settings: nothing rings for you")
    return DeskPhone(
        agent=agent.id,
        name=agent.name,
        line=settings.line.name,
        browser=_browser(settings, agent),
        remote_answer=agent.remote_answer,
        wrapup_s=settings.line.wrapup_s,
        callbacks=settings.callback.dial is not None,
    )


def _browser(settings: Settings, agent: Agent) -> BrowserPhone | None:
    if not settings.browser.url or agent.browser_password is None:
        return None
    host = urlsplit(settings.browser.url).hostname
    return BrowserPhone(
        url=settings.browser.url,
        uri=f"sip:{agent.id}-web@{host}",
        password=agent.browser_password.get_secret_value(),
    )


@router.post(
    "/calls/{call_id}/answer",
    status_code=204,
    responses=problems(CallNotFound, WrongState, PbxUnavailable, PbxTimeout, PbxRefused),
)
async def answer_call(
    call_id: Annotated[Word, Path(description="the call's id or its case")],
    service: TheService,
    who: AsAgent,
) -> None:
    """The desk phone that rings for oneself answers, if it is one that can be told so."""
    site = service.sites.call(call_id)
    call = site.calls.call(call_id)
    agent = service.settings.agent(who.agent) if who.agent else None
    if agent is None or not agent.remote_answer:
        raise WrongState("this phone cannot be told to answer (agents.remote_answer); lift it")
    ringing = [
        one
        for one in call.parties
        if one.endpoint == agent.dial and one.state in ("Ringing", "Ring")
    ]
    if not ringing:
        raise WrongState("the call does not ring at your desk phone")
    await site.pbx.talk(ringing[0].name)


@router.get(
    "/desk/callers/{call_id}",
    responses=problems(CallNotFound, PbxUnavailable, DatabaseUnavailable),
)
async def get_caller(
    call_id: Annotated[Word, Path(description="the call's id or its case")],
    service: TheService,
    who: AsAgent,
) -> Caller:
    """Who is on the line: where from, on which line, and what they called about before."""
    settings = service.settings
    call = service.sites.call(call_id).calls.call(call_id)
    number = call.citizen.caller if call.citizen else ""
    area = settings.line.area_code
    zh, en = await asyncio.to_thread(
        lambda: (place_of(number, "zh", area), place_of(number, "en", area))
    )
    found = (
        await queries.list_cases(
            service.database, queries.CaseFilter(caller=number), limit=BEFORE + 1
        )
        if number
        else queries.Page([], None)
    )
    rows = (await sight.page(service.database, who, found, mask_case)).items
    own = next((row for row in rows if row["case"] == call.case), None)
    before = [Case.model_validate(row) for row in rows if row is not own][:BEFORE]
    full = own["line"] if own else None
    name = next((one.name for one in settings.every_line if one.full_number == full), None)
    return Caller(
        number=(number if sight.sees_live(who) else mask_number(number)) or None,
        place_zh=zh,
        place_en=en,
        line=full,
        line_name=name,
        started_at=moment(call.started),
        own_case=own is not None,
        before=before,
        open_before=sum(one.state not in ("closed", "merged") for one in before),
    )
