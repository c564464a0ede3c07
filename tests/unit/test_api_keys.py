"""The lane for well-formed key presses answers as its routes do, and leaves them the rest."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from api.idempotency import KeyReused, Once
from api.keys import Keys
from api.schemas.calls import Handover as Answer
from api.security import Identity
from telephony.errors import HandoverRunning
from telephony.handover import Handover
from telephony.service import Service

OFFERED = Handover("c-h1", "17.1", "c", "110", "8001", "one-key")


class Pressed:
    """Stands for the service: notes what was pressed."""

    def __init__(self) -> None:
        self.presses: list[tuple[str, str, str | None, str]] = []
        self.refuse = False
        self.transfers = self.three_ways = self
        self.sites = self

    def call(self, _call_id: str) -> Pressed:
        """The one PBX that there is."""
        return self

    async def transfer(
        self, call_id: str, desk_id: str, *, agent: str | None = None, reason: str = ""
    ) -> Handover:
        if self.refuse:
            raise HandoverRunning("it runs", handover="c-h0")
        self.presses.append((call_id, desk_id, agent, reason))
        return OFFERED

    three_way = transfer


async def ask(
    pressed: Pressed, body: bytes | str, path: str = "/api/v1/calls/17.1/transfer", **headers: str
) -> httpx.Response:
    """POST through the lane; what it does not take is answered 418."""

    beyond = FastAPI()

    @beyond.middleware("http")
    async def teapot(request: Any, _next: Any) -> Any:
        from starlette.responses import Response

        return Response(await request.body(), 418)

    lane = Keys(beyond, cast(Service, pressed), Once(), "/api/v1")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["identity"] = Identity("t", "agent", "8001")
        await lane(scope, receive, send)

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        sent = {"content-type": "application/json"} | headers
        return await client.post(path, content=body, headers=sent)


async def test_given_well_formed_press_when_posted_then_pressed_for_the_tokens_agent() -> None:
    pressed = Pressed()
    answer = await ask(pressed, '{"desk": "110", "reason": "危险"}')
    assert answer.status_code == 202
    assert answer.json()["id"] == "c-h1"
    assert pressed.presses == [("17.1", "110", "8001", "危险")]


async def test_given_running_handover_when_pressed_then_its_problem() -> None:
    pressed = Pressed()
    pressed.refuse = True
    answer = await ask(pressed, '{"desk": "110"}')
    assert answer.status_code == 409
    assert answer.json()["handover"] == "c-h0"


@pytest.mark.parametrize(
    ("body", "path", "headers"),
    [
        ("{", "/api/v1/calls/1/transfer", {}),
        ('{"desk": "110", "more": 1}', "/api/v1/calls/1/transfer", {}),
        ('{"desk": "110"}', "/api/v1/calls/1/transfer?a=b", {}),
        ('{"desk": "110"}', "/api/v1/calls/1/elsewhere", {}),
        ('{"desk": "110"}', "/api/v1/calls/1/2/transfer", {}),
        ('{"desk": "110"}', "/api/v1/calls//transfer", {}),
        ('{"desk": "110"}', "/api/v1/calls/1/transfer", {"content-type": "text/plain"}),
        ('{"desk": "110"}', "/api/v1/calls/1/transfer", {"idempotency-key": "k"}),
    ],
)
async def test_given_anything_else_when_posted_then_it_reaches_the_routes_with_its_body(
    body: str, path: str, headers: dict[str, str]
) -> None:
    pressed = Pressed()
    answer = await ask(pressed, body, path, **headers)
    assert answer.status_code == 418
    assert answer.text == body
    assert pressed.presses == []


WHO = Identity("desk-page", "agent", "8001")
COMMAND = ("transfer", "17.1", "110", "")
ANSWER = Answer(
    id="c-h1", call="17.1", case="c", desk="110", by="8001", kind="one-key", state="offered"
)


class Work:
    """Counts how often it was done; fails first, if told so."""

    def __init__(self, fails: int = 0) -> None:
        self.done = 0
        self._fails = fails

    async def __call__(self) -> Answer:
        self.done += 1
        await asyncio.sleep(0)
        if self.done <= self._fails:
            raise HandoverRunning("it runs", handover="c-h0")
        return ANSWER


async def test_given_same_key_when_sent_again_even_at_once_then_done_once() -> None:
    once, work = Once(), Work()
    answers = await asyncio.gather(*(once.do(WHO, "k1", COMMAND, work) for _ in range(3)))
    assert answers == [ANSWER] * 3
    assert await once.do(WHO, "k1", COMMAND, work) == ANSWER
    assert work.done == 1


async def test_given_no_key_or_another_sender_when_sent_again_then_done_again() -> None:
    once, work = Once(), Work()
    await once.do(WHO, None, COMMAND, work)
    await once.do(WHO, "k1", COMMAND, work)
    await once.do(Identity("another", "agent", "8002"), "k1", COMMAND, work)
    assert work.done == 3


async def test_given_key_of_another_command_when_sent_then_refused_and_not_done() -> None:
    once, work = Once(), Work()
    await once.do(WHO, "k1", COMMAND, work)
    with pytest.raises(KeyReused):
        await once.do(WHO, "k1", ("transfer", "17.1", "122", ""), work)
    assert work.done == 1


async def test_given_first_try_failed_when_sent_again_then_tried_again() -> None:
    once, work = Once(), Work(fails=1)
    with pytest.raises(HandoverRunning):
        await once.do(WHO, "k1", COMMAND, work)
    assert await once.do(WHO, "k1", COMMAND, work) == ANSWER


async def test_given_eleven_minutes_when_sent_again_then_done_again() -> None:
    clock = [0.0]
    once, work = Once(lambda: clock[0]), Work()
    await once.do(WHO, "k1", COMMAND, work)
    clock[0] = 660.0
    await once.do(WHO, "k1", COMMAND, work)
    assert work.done == 2
