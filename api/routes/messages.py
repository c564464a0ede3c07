"""Messages and missed calls: list, hear, take, give, call back, what came of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api import sight
from api.dependencies import TheService, each_once
from api.errors import problems
from api.files import RANGE, SentFile
from api.routes import answers
from api.routes.agents import callback_shown, may_act
from api.schemas.agents import Callback
from api.schemas.base import Page, Word
from api.schemas.messages import (
    AnsweredRequest,
    GiveRequest,
    Message,
    MessageQuery,
    MessageWithTries,
    TakeRequest,
    WaitingQuery,
)
from api.security import RANKS, AsAgent, AsListener, Identity
from telephony import audit
from telephony.errors import (
    AgentBusy,
    AgentNotFound,
    CallbacksOff,
    DatabaseUnavailable,
    InvalidValue,
    NotAllowed,
    NumberNotAllowed,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    WrongState,
)
from telephony.masking import mask_message
from telephony.messages.book import (
    Hand,
    MessageFilter,
    MessageHeld,
    MessageNotFound,
    SoundNotFound,
)
from telephony.record.query_parts import InvalidCursor, Row
from telephony.service import Service

router = APIRouter(tags=["messages"], dependencies=[Depends(each_once)])

MessageId = Annotated[Word, Path(description="the message's id")]

_acting = (MessageNotFound, AgentNotFound, NotAllowed, WrongState, MessageHeld, DatabaseUnavailable)


@router.get(
    "/messages",
    response_model=Page[Message],
    responses=problems(InvalidCursor, DatabaseUnavailable),
)
async def list_left_messages(
    query: Annotated[MessageQuery, Query()], service: TheService, who: AsAgent
) -> Response:
    """Messages and missed calls on record, newest first."""
    filters = MessageFilter(
        kind=query.kind,
        state=query.state,
        case=query.case,
        holder=query.holder,
        since=query.since,
        until=query.until,
    )
    found = await service.messages.page(filters, limit=query.limit, cursor=query.cursor)
    return answers.page(await sight.page(service.database, who, found, _mask_for(who)))


@router.get(
    "/callbacks",
    response_model=Page[Message],
    responses=problems(InvalidCursor, DatabaseUnavailable),
)
async def list_callbacks(
    query: Annotated[WaitingQuery, Query()], service: TheService, who: AsAgent
) -> Response:
    """Who is to be called back (回拨): messages and missed calls, who waits longest first.

    Among missed calls each number stands once, as its oldest; whoever called again and was answered
    is not in it any more.
    """
    found = await service.messages.waiting(limit=query.limit, cursor=query.cursor)
    return answers.page(await sight.page(service.database, who, found, _mask_for(who)))


@router.get(
    "/messages/{message}",
    response_model=MessageWithTries,
    responses=problems(MessageNotFound, DatabaseUnavailable),
)
async def get_left_message(message: MessageId, service: TheService, who: AsAgent) -> Response:
    """One message or missed call, and how it was called back."""
    return await _one(service, who, message)


@router.get(
    "/messages/{message}/sound",
    response_class=SentFile,
    responses={
        **problems(MessageNotFound, SoundNotFound, DatabaseUnavailable),
        200: {"content": {"audio/wav": {}}, "description": "the sound: WAV, 8 kHz"},
        206: {"content": {"audio/wav": {}}, "description": "the part that `Range` asked for"},
        **RANGE,
    },
)
async def get_message_sound(message: MessageId, service: TheService, who: AsListener) -> SentFile:
    """The sound of a message; `Range` is honoured, so that a player may jump.

    It counts as heard, and who heard it is in the audit log.
    """
    file = await service.messages.sound(message)
    await audit.note(
        service.database, who=who.name, role=who.role, what="message-sound", which=message
    )
    await service.messages.heard(message, by=who.name)
    service.voicemail.poke()
    return SentFile(file, media_type="audio/wav")


@router.post(
    "/messages/{message}/take", response_model=MessageWithTries, responses=problems(*_acting)
)
async def take_message(
    message: MessageId, service: TheService, who: AsAgent, body: TakeRequest | None = None
) -> Response:
    """Answer this citizen: nobody else calls them meanwhile."""
    await service.messages.take(message, _agent(who, body.agent if body else None))
    return await _one(service, who, message)


@router.post(
    "/messages/{message}/give", response_model=MessageWithTries, responses=problems(*_acting)
)
async def give_message(
    message: MessageId, body: GiveRequest, service: TheService, who: AsAgent
) -> Response:
    """Give it to a colleague; a supervisor may give any to anybody."""
    await service.messages.give(message, body.agent, _hand(who))
    return await _one(service, who, message)


@router.post(
    "/messages/{message}/return", response_model=MessageWithTries, responses=problems(*_acting)
)
async def return_message(message: MessageId, service: TheService, who: AsAgent) -> Response:
    """Give it back: anybody may take it."""
    await service.messages.give_back(message, _hand(who))
    return await _one(service, who, message)


@router.post(
    "/messages/{message}/answered", response_model=MessageWithTries, responses=problems(*_acting)
)
async def answer_message(
    message: MessageId, body: AnsweredRequest, service: TheService, who: AsAgent
) -> Response:
    """It is done, with what came of it; so are missed calls of the same number."""
    await service.messages.answered(message, body.result, _hand(who), outcome=body.outcome)
    service.voicemail.poke()
    return await _one(service, who, message)


@router.post(
    "/messages/{message}/call-back",
    status_code=202,
    responses=problems(
        *_acting,
        AgentBusy,
        CallbacksOff,
        NumberNotAllowed,
        InvalidValue,
        PbxUnavailable,
        PbxTimeout,
        PbxRefused,
    ),
)
async def call_message_back(
    message: MessageId, service: TheService, who: AsAgent, body: TakeRequest | None = None
) -> Callback:
    """Call the citizen back: the agent's phone rings, then the citizen's; the agent has it then.

    How it came out is at `GET /api/v1/callbacks/{callback_id}`, and with the message.
    """
    agent = _agent(who, body.agent if body else None)
    begun = await service.sites.agent(agent).voicemail.call_back(message, agent, _hand(who))
    return callback_shown(begun, who)


def _agent(who: Identity, named: str | None) -> str:
    agent = named or who.agent
    if agent is None:
        raise AgentNotFound("say which agent: `agent`")
    may_act(who, agent)
    return agent


def _hand(who: Identity) -> Hand:
    return Hand(who.name, who.agent, is_senior=RANKS[who.role] >= RANKS["supervisor"])


def _holds(who: Identity, row: Row) -> bool:
    return who.sees_numbers is not False and who.agent is not None and row["holder"] == who.agent


def _mask_for(who: Identity) -> sight.Mask:
    return lambda row: row if _holds(who, row) else mask_message(row)


async def _one(service: Service, who: Identity, message: str) -> Response:
    row = await service.messages.get(message)
    if _holds(who, row):
        await audit.note(
            service.database, who=who.name, role=who.role, what="message", which=message
        )
        return answers.row(row)
    shown = await sight.one(service.database, who, row, mask_message, "message", message)
    return answers.row(shown)
