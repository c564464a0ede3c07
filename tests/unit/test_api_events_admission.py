"""Who is let in to the live events, and what they may see of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from telephony.settings import Token
from tests.unit.api_fixtures import TOKENS, running, told
from tests.unit.live_listener import PATH, Listener, Served, served

__all__ = ["served"]  # fixtures


@pytest.mark.parametrize("query", ["?topics=secrets", "?topics=", "?since=x", "?token=abc"])
async def test_given_a_wrong_question_then_refused_with_a_problem(
    served: Served, query: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with served.listening(query):
            pass
    assert refused.value.response.status_code == 422
    assert json.loads(refused.value.response.body or b"")["code"] == "request-invalid"


@pytest.mark.parametrize("role", sorted(TOKENS.keys() - {"integrator"}))
async def test_given_a_browser_then_its_token_comes_as_a_subprotocol_and_is_not_repeated(
    served: Served, role: str
) -> None:
    offered = [Subprotocol("hotline"), Subprotocol(f"bearer.{TOKENS[role]}")]
    url = f"ws://127.0.0.1:{served.port}{PATH}"
    async with connect(url, subprotocols=offered, proxy=None) as socket:
        assert socket.subprotocol == "hotline"
        assert json.loads(await socket.recv())["type"] == "snapshot"


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        ({}, ["hotline"]),
        ({"Authorization": "Bearer not-a-token-of-ours"}, ["hotline"]),
        ({"Authorization": TOKENS["admin"]}, ["hotline"]),
        ({}, ["hotline", "bearer."]),
        ({}, ["hotline", f"bearer.{TOKENS['admin']}x"]),
        ({}, ["hotline", TOKENS["admin"]]),
    ],
)
async def test_given_no_known_token_then_refused_before_anything_is_said(
    served: Served, headers: dict[str, str], subprotocols: list[str]
) -> None:
    for path in (
        PATH,
        "/api/v1/nothing",
        f"{PATH}?topics=secrets",
        f"{PATH}?token={TOKENS['admin']}",
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(
                f"ws://127.0.0.1:{served.port}{path}",
                additional_headers=headers,
                subprotocols=[Subprotocol(one) for one in subprotocols],
                proxy=None,
            ):
                pass
        assert refused.value.response.status_code == 403
        assert not refused.value.response.body
    assert served.run.service.feed.clients == 0


async def test_given_a_plain_request_then_told_to_speak_websocket(served: Served) -> None:
    async with served.run.as_("agent") as client:
        answer = await client.get(PATH)
        description = (await client.get("/openapi.json")).json()
    assert answer.status_code == 426
    assert answer.json()["code"] == "upgrade-required"
    assert "LiveFrame" in json.dumps(description["paths"][PATH]["get"]["responses"]["200"])


async def test_given_a_token_that_sees_no_numbers_then_none_is_in_its_frames(
    tmp_path: Path,
) -> None:
    number = "13812345678"
    async with running(tmp_path) as run:
        auditor = {"name": "审计", "role": "supervisor", "token": "auditor-token-of-the-tests"}
        run.service.settings.tokens.append(Token.model_validate({**auditor, "sees_numbers": False}))
        run.simulated.talk(run.simulated.citizen(number))
        run.simulated.queue(run.simulated.citizen("13812345679"))
        await told(run)
        served = Served(run)
        try:
            headers = {"Authorization": f"Bearer {auditor['token']}"}
            url = f"ws://127.0.0.1:{served.port}{PATH}"
            async with connect(url, additional_headers=headers, proxy=None) as socket:
                listener = Listener(socket)
                first = await listener.until("queues")
                assert "1381234567" not in json.dumps(first)
                assert "138****5678" in json.dumps(first)
                assert first["queues"][0]["callers"][0]["caller"] == "138****5679"
                run.simulated.talk(run.simulated.citizen("13812345670"))
                second = await listener.until("calls")
                assert "138****5670" in json.dumps(second)
                assert "13812345670" not in json.dumps(second)
        finally:
            await served.stop()
