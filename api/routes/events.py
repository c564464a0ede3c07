"""What happens now, as it happens: the WebSocket ``GET /api/v1/events``.

The token comes as ``Authorization: Bearer …``, or, from a browser, which cannot send that, as the
subprotocols ``hotline, bearer.<token>``; or a page of ours brings its session's cookie
(:mod:`api.security` looks at all of them). A session that ends closes with 4401. What is sent is
made by :mod:`telephony.live.feed`; here is only the wire: who listens to what, a heartbeat, and the
end of a client who does not keep up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import orjson
import structlog
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from pydantic import ValidationError, field_validator

from api import sight
from api.errors import bad_request, problems
from api.schemas.base import Schema, Word
from api.schemas.live import LiveFrame
from api.security import NOT_SIGNED_IN, AsAgent, Identity
from telephony import logs
from telephony.errors import HotlineError
from telephony.live.feed import TOPICS, TRY_AGAIN_LATER, Dropped, Topic
from telephony.masking import mask_frame
from telephony.plain_words import in_plain_words

if TYPE_CHECKING:
    from telephony.live.feed import LiveFeed, Subscriber
    from telephony.people.sessions import Session

log = structlog.get_logger(__name__)

router = APIRouter(tags=["calls"])

SUBPROTOCOL = "hotline"
HEARTBEAT_S = 15.0
SEND_LIMIT_S = 10.0
"""How long a client may take over one frame, in seconds."""
CLOSE_LIMIT_S = 2.0
"""How long a client that is dropped may take to hear why; then its connection is cut."""
POLICY_VIOLATION = 1008
ABORT = "hotline.abort"
"""An extension of our server (:mod:`api.live_socket`): cut the connection without a word."""


class UpgradeRequired(HotlineError):
    """A plain request where a WebSocket is spoken."""

    code = "upgrade-required"
    status = 426
    title = "This address speaks WebSocket"


class EventsQuery(Schema):
    """What to listen to, and from where on."""

    topics: str = ",".join(sorted(TOPICS))
    since: int | None = None
    epoch: Word | None = None

    @field_validator("topics")
    @classmethod
    def _known(cls, value: str) -> str:
        if not set(value.split(",")) <= TOPICS:
            raise ValueError(f"some of {', '.join(sorted(TOPICS))}, joined by commas")
        return value

    @property
    def chosen(self) -> frozenset[Topic]:
        """The topics."""
        names = self.topics.split(",")
        return frozenset(topic for topic in TOPICS if topic in names)


@router.get(
    "/events",
    response_model=LiveFrame,
    response_description="each text message of the WebSocket is one of these",
    responses=problems(UpgradeRequired),
)
async def events(
    _who: AsAgent,
    topics: Annotated[
        str | None, Query(description="some of `calls`, `queue`, `agents`, joined by commas")
    ] = None,
    since: Annotated[int | None, Query(description="`seq` of the last frame you saw")] = None,
    epoch: Annotated[str | None, Query(description="`epoch` of the feed it was from")] = None,
) -> None:
    """What happens now, over a WebSocket (a plain GET is refused): calls, hand-overs, the queue and
    agents' states as they change.

    First comes a `snapshot`, or with `since` and `epoch` exactly what was missed; a `snapshot`
    again where that is not known any more. A client that does not keep up is closed with 1013, a
    service that stops closes with 1001.
    """
    raise UpgradeRequired("open it as a WebSocket (ws:// or wss://)")


@router.websocket("/events")
async def live(socket: WebSocket) -> None:
    """Send the feed to one client until one of the two ends it."""
    try:
        asked = EventsQuery.model_validate(dict(socket.query_params))
    except ValidationError as error:
        await _refuse(socket, error)
        return
    feed: LiveFeed = socket.app.state.service.feed
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    who: Identity = socket.state.identity
    masked = not sight.sees_live(who)
    subscriber = feed.subscribe(asked.chosen, since=asked.since, epoch=asked.epoch)
    tasks = [
        asyncio.create_task(_until_it_leaves(socket), name="events-client"),
        asyncio.create_task(_send(socket, feed, subscriber, masked=masked), name="events-feed"),
        asyncio.create_task(subscriber.ended(), name="events-end"),
    ]
    if who.session is not None:
        who.session.listening += 1
        tasks.append(asyncio.create_task(_signed_out(who.session, subscriber), name="events-who"))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        has_left = tasks[0].done()
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect):
                logs.unexpected(log, "a client's live events broke off", ended)
        if subscriber.end_of_feed is not None and not has_left:
            await _close(socket, subscriber.end_of_feed)
    finally:
        for task in tasks:
            task.cancel()
        feed.unsubscribe(subscriber)
        if who.session is not None:
            who.session.listening -= 1


async def _signed_out(session: Session, subscriber: Subscriber) -> None:
    await session.ended.wait()
    subscriber.end(NOT_SIGNED_IN, "the session has ended; sign in again")


async def _refuse(socket: WebSocket, error: ValidationError) -> None:
    fields = [
        {
            "field": ".".join(map(str, ("query", *item["loc"]))),
            "message": in_plain_words(item, unknown="is not known here"),
        }
        for item in error.errors()
    ]
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(bad_request(fields))
    else:  # a server that can refuse in one way only
        await socket.close(POLICY_VIOLATION)


async def _until_it_leaves(socket: WebSocket) -> None:
    """Return when the client has closed; what it says is of no interest."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _send(socket: WebSocket, feed: LiveFeed, subscriber: Subscriber, *, masked: bool) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                text = await subscriber.next()
        except TimeoutError:
            text = feed.heartbeat()
        except Dropped:
            return
        if masked:
            text = orjson.dumps(mask_frame(orjson.loads(text))).decode()
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await socket.send_text(text)
        except TimeoutError:
            subscriber.end(TRY_AGAIN_LATER, "too slow: a frame was not taken; connect again")
            return


async def _close(socket: WebSocket, end: Dropped) -> None:
    """Tell the client why it ends; one that does not take even that is cut off."""
    cut = socket.scope.get("extensions", {}).get(ABORT)
    if cut is not None:
        # Closing waits for what was written before, which may be for ever.
        asyncio.get_running_loop().call_later(CLOSE_LIMIT_S, cut["abort"])
    with suppress(WebSocketDisconnect, TimeoutError):  # it has left meanwhile, or will be cut
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await socket.close(end.code, end.reason)
