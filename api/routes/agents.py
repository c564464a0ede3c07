"""Agents: what they are doing, signing in and out, resting; and calling citizens back.

An agent's token acts for its own agent only, a supervisor's for anyone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.schemas import agents as agent_shapes
from api.schemas.base import Page, Word
from api.security import RANKS, AsAgent, Identity
from telephony.agents import AgentStatus
from telephony.callbacks import Callback
from telephony.errors import (
    AgentBusy,
    AgentNotFound,
    AgentNotPaused,
    AgentPaused,
    AgentSignedIn,
    AgentSignedOut,
    CallbackNotFound,
    CallbacksOff,
    CaseNotFound,
    DatabaseUnavailable,
    InvalidValue,
    NotAllowed,
    NumberNotAllowed,
    PauseReasonNotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)
from telephony.masking import mask_number
from telephony.record import queries

router = APIRouter(tags=["agents"], dependencies=[Depends(each_once)])

AgentId = Annotated[Word, Path(description="the agent's extension")]

_ACTING = (AgentNotFound, PbxUnavailable, PbxTimeout, PbxRefused)


@router.get("/agents", responses=problems(PbxUnavailable, PbxTimeout, reads_input=False))
async def list_agents(service: TheService, _who: AsAgent) -> Page[agent_shapes.Agent]:
    """All agents, signed in or not, and what they are doing."""
    states = [one for site in service.sites.seen() for one in await site.agents.states()]
    return Page(items=[_agent(one) for one in states], next=None)


@router.get("/agents/{agent_id}", responses=problems(*_ACTING))
async def get_agent(agent_id: AgentId, service: TheService, _who: AsAgent) -> agent_shapes.Agent:
    """One agent."""
    return _agent(await service.sites.agent(agent_id).agents.state(agent_id))


@router.post("/agents/{agent_id}/sign-in", responses=problems(*_ACTING, AgentSignedIn, WrongState))
async def sign_in(
    agent_id: AgentId,
    service: TheService,
    who: AsAgent,
    body: agent_shapes.SignInRequest | None = None,
) -> agent_shapes.Agent:
    """Sign in (签入): citizens' calls ring at this agent's desk phone, or in the browser."""
    may_act(who, agent_id)
    phone = body.phone if body else "desk"
    return _agent(await service.sites.agent(agent_id).agents.sign_in(agent_id, phone))


@router.post("/agents/{agent_id}/sign-out", responses=problems(*_ACTING, AgentSignedOut))
async def sign_out(agent_id: AgentId, service: TheService, who: AsAgent) -> agent_shapes.Agent:
    """Sign out (签出); a call in progress goes on."""
    may_act(who, agent_id)
    return _agent(await service.sites.agent(agent_id).agents.sign_out(agent_id))


@router.post(
    "/agents/{agent_id}/pause",
    responses=problems(*_ACTING, AgentSignedOut, AgentPaused, PauseReasonNotFound),
)
async def pause(
    agent_id: AgentId, body: agent_shapes.PauseRequest, service: TheService, who: AsAgent
) -> agent_shapes.Agent:
    """Rest (示忙) for a reason; another reason replaces the one before."""
    may_act(who, agent_id)
    return _agent(await service.sites.agent(agent_id).agents.pause(agent_id, body.reason))


@router.post(
    "/agents/{agent_id}/resume", responses=problems(*_ACTING, AgentSignedOut, AgentNotPaused)
)
async def resume(agent_id: AgentId, service: TheService, who: AsAgent) -> agent_shapes.Agent:
    """Take calls again (示闲); ends the time after a call early."""
    may_act(who, agent_id)
    return _agent(await service.sites.agent(agent_id).agents.resume(agent_id))


@router.get("/pause-reasons", responses=problems(reads_input=False))
async def list_pause_reasons(service: TheService, _who: AsAgent) -> Page[agent_shapes.PauseReason]:
    """The reasons there are to rest."""
    reasons = service.settings.pause_reasons
    items = [agent_shapes.PauseReason(code=one.code, zh=one.zh, en=one.en) for one in reasons]
    return Page(items=items, next=None)


@router.post(
    "/callbacks",
    status_code=202,
    responses=problems(
        *_ACTING,
        AgentBusy,
        CallbacksOff,
        NumberNotAllowed,
        InvalidValue,
        CaseNotFound,
        DatabaseUnavailable,
    ),
)
async def call_back(
    body: agent_shapes.CallbackRequest, service: TheService, who: AsAgent
) -> agent_shapes.Callback:
    """Call a citizen back (回拨): the agent's phone rings, then the citizen's.

    The answer comes when the agent's phone is being called; ask for the callback to learn how it
    came out.
    """
    agent = body.agent or who.agent
    if agent is None:
        raise AgentNotFound("say whose phone is to ring: `agent`")
    may_act(who, agent)
    line = None
    if body.case is not None:
        line = (await queries.get_case_row(service.database, body.case))["line"]
    begun = await service.sites.agent(agent).callbacks.call_back(
        body.number, agent, case=body.case, line=line
    )
    return callback_shown(begun, who)


@router.get("/callbacks/{callback_id}", responses=problems(CallbackNotFound))
async def get_callback(
    callback_id: Annotated[Word, Path()], service: TheService, who: AsAgent
) -> agent_shapes.Callback:
    """How a callback stands, or came out."""
    return callback_shown(service.sites.callback(callback_id).callbacks.get(callback_id), who)


def may_act(who: Identity, agent_id: str) -> None:
    """Raise :class:`NotAllowed` unless this token may act for this agent."""
    if RANKS[who.role] < RANKS["supervisor"] and who.agent != agent_id:
        raise NotAllowed(f"this token acts for agent {who.agent or 'nobody'} only")


def _agent(status: AgentStatus) -> agent_shapes.Agent:
    return agent_shapes.Agent(
        id=status.id,
        name=status.name or None,
        department=status.department or None,
        state=status.state,
        since=_moment(status.since),
        until=_moment(status.until),
        signed_in=status.signed_in,
        paused=status.paused,
        reason=status.reason,
        reason_zh=status.reason_zh,
        reason_en=status.reason_en,
        calls_taken=status.taken,
        phone=status.phone,
    )


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def callback_shown(one: Callback, who: Identity) -> agent_shapes.Callback:
    """A callback as this token sees it."""
    return agent_shapes.Callback(
        id=one.id,
        case=one.case,
        number=one.number if sight.sees_live(who) else mask_number(one.number),
        agent=one.agent,
        state=one.state,
        call=one.call,
    )
