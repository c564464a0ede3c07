"""The stream of what changes: numbered frames, a bounded memory of them, and who listens.

Knows neither AMI nor HTTP. A frame is one JSON text. Its ``seq`` is one more than that of the frame
before; ``epoch`` names this feed and changes when the service restarts, so that a number of an
earlier life cannot be taken for one of this. ``after`` is the ``seq`` of the frame before that had
something for the same topics: who holds anything from ``after`` up has missed nothing.

A client gets first a ``snapshot``, or, if it names the last frame it saw, exactly the frames it
missed (after one ``resumed``). Where the memory does not reach back, or another life of the service
or a lost link to the PBX lies between, it gets a snapshot. Frames wait for a slow client up to a
limit; then the client is dropped: nobody's memory grows, and no other client waits.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import orjson

Topic = Literal["calls", "queue", "agents"]
TOPICS: frozenset[Topic] = frozenset({"calls", "queue", "agents"})
State = Literal["up", "pbx-down"]

FIELDS: dict[str, Topic] = {
    "calls": "calls",
    "calls_gone": "calls",
    "handovers": "calls",
    "queues": "queue",
    "agents": "agents",
    "agents_gone": "agents",
    "proposals": "calls",
    "deadlines": "calls",
}
"""The parts of a frame, and which topic each belongs to."""

MEMORY_FRAMES = 5000
MEMORY_BYTES = 8 * 2**20
"""How much of the past is kept for clients that come back; whichever limit is met first."""
PENDING_BYTES = 2**20
"""How much may wait for one client; more, and it is dropped."""

GOING_AWAY = 1001
TRY_AGAIN_LATER = 1013
"""Close codes of RFC 6455 and its registry."""


def to_json(message: Mapping[str, Any]) -> str:
    """A message as its text; times with their zone."""
    return orjson.dumps(message, option=orjson.OPT_UTC_Z).decode()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Frame:
    """One numbered message, rendered once for each set of topics that somebody listens to."""

    seq: int
    head: Mapping[str, Any]
    body: Mapping[str, Any]
    before: Mapping[Topic, int]
    """For each topic the last frame before this one that had something for it."""
    topics: frozenset[Topic]
    """What this frame has something for."""
    _texts: dict[frozenset[Topic], str] = field(default_factory=dict)

    def text(self, topics: frozenset[Topic]) -> str:
        """The frame for a listener to these topics."""
        if topics not in self._texts:
            after = max(self.before[topic] for topic in topics)
            parts = {name: part for name, part in self.body.items() if FIELDS[name] in topics}
            message = {**self.head, "seq": self.seq, "after": after, **parts}
            self._texts[topics] = to_json(message)
        return self._texts[topics]


class Dropped(Exception):
    """The feed has ended for this client; ``code`` and ``reason`` are those of the close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Subscriber:
    """One client's place in the feed: what waits for it, up to ``limit`` bytes."""

    def __init__(self, topics: frozenset[Topic], limit: int = PENDING_BYTES) -> None:
        self.topics = topics
        self._limit = limit
        # Each with what it counts for: what was there before it came is shared by all.
        self._pending: deque[tuple[str, int]] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._end: Dropped | None = None
        self._ended = asyncio.Event()

    @property
    def end_of_feed(self) -> Dropped | None:
        """Why the feed has ended for this client; None while it goes on."""
        return self._end

    async def ended(self) -> None:
        """Return when the feed has ended for this client."""
        await self._ended.wait()

    @property
    def pending_bytes(self) -> int:
        """How much waits for this client."""
        return self._size

    def offer(self, text: str) -> None:
        """Have a frame sent; one too many ends the client's feed instead."""
        if self._end is not None:
            return
        size = len(text)
        # A single frame may be larger than the limit: a picture of many calls is one.
        if self._size and self._size + size > self._limit:
            self.end(TRY_AGAIN_LATER, "too slow: frames were waiting; connect again")
            return
        self._pending.append((text, size))
        self._size += size
        self._news.set()

    def greet(self, texts: Iterable[str]) -> None:
        """Have what this client must know first sent, however much it is."""
        self._pending.extend((text, 0) for text in texts)
        self._news.set()

    def end(self, code: int, reason: str) -> None:
        """End this client's feed; what waits for it is not sent any more."""
        if self._end is None:
            self._end = Dropped(code, reason)
            self._pending.clear()
            self._size = 0
            self._news.set()
            self._ended.set()

    async def next(self) -> str:
        """The next frame; raises :class:`Dropped` at the end."""
        while not self._pending:
            if self._end is not None:
                raise self._end
            self._news.clear()
            await self._news.wait()
        text, size = self._pending.popleft()
        self._size -= size
        return text


class Feed(Protocol):
    """What is told of one PBX: to a feed of its own, or as a part of a feed of several."""

    state: State

    def changed(self, parts: Mapping[str, list[Any]]) -> None:
        """Send what has changed."""
        ...

    def down(self) -> None:
        """The PBX cannot be seen any more."""
        ...

    def rebuilt(self) -> None:
        """The picture stands (anew)."""
        ...

    def close(self) -> None:
        """The service stops."""
        ...


class LiveFeed:
    """The frames of one PBX and who listens to them.

    ``picture`` gives everything as it stands: the parts ``calls``, ``queues`` and ``agents``. It is
    asked only while the state is ``up``. ``clock`` gives the time that frames carry.
    """

    def __init__(
        self,
        pbx: str,
        picture: Callable[[], Mapping[str, Any]],
        *,
        clock: Callable[[], datetime] = _now,
        memory_frames: int = MEMORY_FRAMES,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.pbx = pbx
        self.epoch = secrets.token_hex(8)
        self.state: State = "pbx-down"
        self.seq = 0
        self._picture = picture
        self._clock = clock
        self._frames: deque[Frame] = deque()
        self._size = 0
        self._most_frames, self._most_bytes = memory_frames, memory_bytes
        self._last: dict[Topic, int] = dict.fromkeys(TOPICS, 0)
        self._subscribers: set[Subscriber] = set()
        self._left = asyncio.Event()
        self._closed = False

    # -- listening ------------------------------------------------------------------------------

    @property
    def clients(self) -> int:
        """How many listen now."""
        return len(self._subscribers)

    def subscribe(
        self,
        topics: frozenset[Topic] = TOPICS,
        *,
        since: int | None = None,
        epoch: str | None = None,
        limit: int = PENDING_BYTES,
    ) -> Subscriber:
        """Listen from now on, or from behind frame ``since`` of the feed ``epoch``."""
        subscriber = Subscriber(topics, limit)
        if self._closed:
            subscriber.end(GOING_AWAY, "the service stops")
            return subscriber
        missed = self._missed(since, epoch)
        if missed is None:
            subscriber.greet([self._greeting(topics)])
        else:
            head = self._head("resumed") | {"seq": self.seq, "after": since}
            texts = [frame.text(topics) for frame in missed if frame.topics & topics]
            subscriber.greet([to_json(head), *texts])
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """This client listens no more; twice is no error."""
        self._subscribers.discard(subscriber)
        if not self._subscribers:
            self._left.set()

    async def all_gone(self) -> None:
        """Return when nobody listens any more; after :meth:`close`, when everybody was told."""
        while self._subscribers:
            self._left.clear()
            await self._left.wait()

    def heartbeat(self) -> str:
        """A sign of life, with the number of the last frame; it is no frame of the feed itself."""
        return to_json(self._head("heartbeat") | {"seq": self.seq})

    def close(self, code: int = GOING_AWAY, reason: str = "the service stops") -> None:
        """End the feed for everybody; who comes later is told the same."""
        self._closed = True
        for subscriber in self._subscribers:
            subscriber.end(code, reason)

    # -- what happens ---------------------------------------------------------------------------

    def changed(self, parts: Mapping[str, list[Any]]) -> None:
        """Send what has changed; parts that are empty are left out, nothing at all is not sent."""
        body = {name: part for name, part in parts.items() if part}
        if body:
            self._send("changes", body, frozenset(FIELDS[name] for name in body))

    def down(self) -> None:
        """The PBX cannot be seen any more: everybody is told at once."""
        if self.state != "pbx-down":
            self.state = "pbx-down"
            self._send("state", {}, TOPICS, state=self.state)

    def rebuilt(self) -> None:
        """The picture stands (anew): everybody gets it whole.

        What happened meanwhile nobody knows, so nobody can be told only what they missed: the
        memory begins anew.
        """
        self.state = "up"
        self._send("snapshot", self._picture(), TOPICS, state=self.state, epoch=self.epoch)
        self._frames.clear()
        self._size = 0

    # -- parts ----------------------------------------------------------------------------------

    def _head(self, kind: str) -> dict[str, Any]:
        return {"type": kind, "pbx": self.pbx, "at": self._clock()}

    def _greeting(self, topics: frozenset[Topic]) -> str:
        kind = "snapshot" if self.state == "up" else "state"
        head = self._head(kind) | {"state": self.state, "epoch": self.epoch}
        body = self._picture() if self.state == "up" else {}
        before: dict[Topic, int] = dict.fromkeys(TOPICS, self.seq)
        return Frame(self.seq, head, body, before, topics).text(topics)

    def _missed(self, since: int | None, epoch: str | None) -> Iterable[Frame] | None:
        if since is None or epoch != self.epoch or since > self.seq:
            return None
        oldest = self._frames[0].seq if self._frames else self.seq + 1
        if since < oldest - 1:
            return None
        return [frame for frame in self._frames if frame.seq > since]

    def _send(
        self, kind: str, body: Mapping[str, Any], topics: frozenset[Topic], **more: str
    ) -> None:
        self.seq += 1
        frame = Frame(self.seq, self._head(kind) | more, body, dict(self._last), topics)
        for topic in topics:
            self._last[topic] = self.seq
        self._frames.append(frame)
        self._size += len(frame.text(TOPICS))
        while len(self._frames) > self._most_frames or self._size > self._most_bytes:
            self._size -= len(self._frames.popleft().text(TOPICS))
        for subscriber in self._subscribers:
            if subscriber.topics & topics:
                subscriber.offer(frame.text(subscriber.topics))
