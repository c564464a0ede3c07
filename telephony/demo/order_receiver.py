"""A platform as small as one can be: takes signed messages, each once, and shows them.

It is what another platform has to do, to be read and to be tried against (docs/work-orders.md):

1. check the signature over the body as it came, and its time; else 401;
2. a signature that was taken before is a replay: 409;
3. a message whose ``id`` is known was sent again, since our answer was lost: answer as before;
4. one that is not in its turn in its case is refused: 409;
5. keep it on disk, and only then answer 200.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog
import uvicorn

from telephony.errors import HotlineError, InvalidValue
from telephony.orders.signing import HEADER, verify

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

log = structlog.get_logger(__name__)

LONGEST_BODY = 1024 * 1024
GRACE_S = 1
Message = dict[str, Any]


class Replayed(HotlineError):
    """Exactly this signed message was taken before."""

    code = "order-replayed"
    status = 409
    title = "This message was taken before"


class OutOfTurn(HotlineError):
    """A later message of the same case came before this one."""

    code = "order-out-of-turn"
    status = 409
    title = "Later messages of this case are here already"


class OrderReceiver:
    """An ASGI application; ``messages`` are those that it took, in the order in which they came.

    ``secrets``: any of them may have signed. ``store``: a file of JSON lines, read at the start, so
    that what was taken before is known. ``on_message`` is told of each new one.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        store: Path | None = None,
        tolerance_s: float = 300,
        now: Callable[[], float] = time.time,
        on_message: Callable[[Message], None] = lambda _message: None,
    ) -> None:
        self.messages: list[Message] = []
        self.refused: list[str] = []
        self._secrets = secrets
        self._store = store
        self._tolerance_s = tolerance_s
        self._now = now
        self._on_message = on_message
        self._signatures: dict[str, float] = {}
        self._ids: set[str] = set()
        self._turns: dict[str, int] = {}
        if store is not None and store.exists():
            for line in store.read_bytes().splitlines():
                self._know(orjson.loads(line))

    def take(self, body: bytes, signature: str | None) -> Message:
        """Take a message, or say why not; the answer that its sender gets."""
        now = self._now()
        right = verify(signature, body, self._secrets, now=now, tolerance_s=self._tolerance_s)
        # An older one would have been refused for its time.
        self._signatures = {
            one: at for one, at in self._signatures.items() if now - at <= 2 * self._tolerance_s
        }
        if right in self._signatures:
            raise Replayed("the same message with the same signature was taken before")
        message = _read(body)
        answer = {"id": message["id"], "taken": True}
        if message["id"] not in self._ids:
            case, turn = message["case"], message["sequence"]
            if case is not None and turn <= self._turns.get(case, 0):
                raise OutOfTurn(f"message {turn} of case {case}: a later one is here")
            self._keep(message)
            self._on_message(message)
        self._signatures[right] = now
        return answer

    def _keep(self, message: Message) -> None:
        if self._store is not None:
            with self._store.open("ab") as file:
                file.write(orjson.dumps(message) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self._know(message)

    def _know(self, message: Message) -> None:
        self.messages.append(message)
        self._ids.add(message["id"])
        if message["case"] is not None:
            self._turns[message["case"]] = message["sequence"]

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        try:
            body = await _body(receive)
            status, answer = 200, await self.answer(body, headers)
        except HotlineError as error:
            self.refused.append(error.code)
            log.warning("message refused", code=error.code, reason=error.detail)
            status = error.status
            answer = {"title": error.title, "status": status, "detail": error.detail}
            answer |= {"type": f"urn:hotline:problem:{error.code}", "code": error.code}
        kind = b"application/json" if status == 200 else b"application/problem+json"
        headers_out = [(b"content-type", kind)]
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": headers_out,
                "trailers": False,
            }
        )
        await send({"type": "http.response.body", "body": orjson.dumps(answer), "more_body": False})

    async def answer(self, body: bytes, headers: Mapping[str, str]) -> Message:
        """What a sender is answered; raises what is wrong."""
        return self.take(body, headers.get(HEADER.lower()))


def _read(body: bytes) -> Message:
    try:
        message: Message = orjson.loads(body)
        case, turn = message["case"], message["sequence"]
        is_one = isinstance(message["id"], str) and isinstance(turn, int)
        if not (is_one and isinstance(case, str | None) and isinstance(message["data"], dict)):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise InvalidValue("the body is no message: see the JSON Schema") from None
    return message


async def _body(receive: ASGIReceiveCallable) -> bytes:
    read, more = b"", True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            raise InvalidValue("the sender went away")
        read += event["body"]
        more = event["more_body"]
        if len(read) > LONGEST_BODY:
            raise InvalidValue(f"a message is no longer than {LONGEST_BODY} bytes")
    return read


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    receiver: OrderReceiver, host: str, port: int, on_listening: Callable[[int], None]
) -> None:
    """Listen until cancelled; ``port`` 0 takes a free one, which ``on_listening`` is told.

    Raises OSError when the address is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        server = _Server(
            uvicorn.Config(
                receiver,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listening]))
        on_listening(listening.getsockname()[1])
        try:
            await asyncio.shield(task)
        finally:
            server.should_exit = True
            await task
