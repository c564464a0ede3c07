"""What the agents' page asks: one's own phones and nobody else's, and who is on the line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from telephony.dialplan import render
from telephony.people.rules import Person
from telephony.settings import Agent, Pbx, load_settings
from tests.unit.api_fixtures import Running, running
from tests.unit.quick_passwords import quick_passwords  # noqa: F401 - it works by itself

SECRET = "a-browser-secret"
URL = "ws://127.0.0.1:8088/ws"


def agents() -> list[Agent]:
    return [
        Agent.model_validate({"id": "8001", "name": "甲", "browser_password": SECRET}),
        Agent.model_validate({"id": "8002", "name": "乙"}),
    ]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, agents=agents(), browser={"url": URL}) as run:
        yield run


async def test_given_an_agent_when_their_phones_are_asked_for_then_only_their_own_is_told(
    run: Running,
) -> None:
    async with run.as_("agent") as client:
        found = (await client.get("/api/v1/desk/phone")).json()
    assert found["agent"] == "8001"
    assert found["browser"] == {"url": URL, "uri": "sip:8001-web@127.0.0.1", "password": SECRET}
    for role in ("supervisor", "admin"):
        async with run.as_(role) as client:
            answer = await client.get("/api/v1/desk/phone")
        assert (answer.status_code, answer.json()["code"]) == (404, "agent-not-found")
        assert SECRET not in answer.text


async def test_given_an_auditor_with_an_agents_number_then_the_phones_password_is_not_theirs(
    run: Running,
) -> None:
    password = "four words make one"
    person = Person("audit", "督查", ("auditor",), agent="8001")
    await run.service.people.add(person, password, by="test", role="admin")
    token, _ = await run.service.sessions.sign_in("audit", password, "192.0.2.1")
    async with run.client() as client:
        cookie = {"Cookie": f"hotline_session={token}"}
        answer = await client.get("/api/v1/desk/phone", headers=cookie)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")
        assert (await client.get("/api/v1/calls", headers=cookie)).status_code == 200


async def test_given_no_browser_phone_when_one_signs_in_with_it_then_it_is_refused(
    run: Running,
) -> None:
    async with run.as_("admin") as client:
        path = "/api/v1/agents/8002/sign-in"
        answer = await client.post(path, json={"phone": "browser"})
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong-state")
        answer = await client.post(path, json={"phone": "fax"})
        assert answer.status_code == 422
        answer = await client.post("/api/v1/calls/1.1/answer")
        assert (answer.status_code, answer.json()["code"]) == (404, "call-not-found")


def test_given_the_settings_then_both_devices_of_an_agent_are_theirs_in_the_dialplan() -> None:
    files = render(load_settings(agents=agents(), pbx=Pbx(ami_secret=SecretStr(SECRET))))
    assert "DESK_DIAL=PJSIP/8001&PJSIP/8001-web" in files["hotline/extensions/transfer.conf"]
    assert (
        '["${DEVICE}" = "PJSIP/8001-web"]?Set(PARTY=8001)'
        in (files["hotline/extensions/entry.conf"])
    )
    assert "8002-web" not in "".join(files.values())
    assert "hotline-queue-awaits" in files["hotline/extensions/entry.conf"]
