"""A three-way call and its address over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from telephony.demo.stage import Service
from telephony.softphone import SoftCall
from tests.pbx.scene import PhoneFactory, Talk, wait_until
from tests.pbx.served import live_call
from tests.pbx.test_three_way import join


class Scene:
    """A three-way call of citizen, agent 8001 and desk 12345, and its address over HTTP."""

    def __init__(self, service: Service, talk: Talk, third: SoftCall, call: dict[str, Any]) -> None:
        self.service, self.third = service, third
        self.citizen, self.agent = talk.citizen, talk.agent
        self.call, self.case = call["id"], call["case"]
        self.path = f"/conferences/{self.case}"

    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service.get(self.path)
        return found

    def party(self, party: str) -> dict[str, Any]:
        return next(one for one in self.now()["parties"] if one["party"] == party)

    def post(self, party: str, what: str, *, by: str = "channel") -> dict[str, Any]:
        address = f"{self.path}/parties/{quote(self.party(party)[by])}/{what}"
        answer = self.service.post(address, {})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def put_out(self, party: str) -> None:
        address = f"/api/v1{self.path}/parties/{quote(self.party(party)['uniqueid'])}"
        answer = self.service.http.delete(address)
        assert answer.status_code == 204, answer.text

    def assert_two(self) -> None:
        """Citizen and agent are a call of two again, whose keys work."""
        wait_until(
            lambda: self.service.http.get(f"/api/v1{self.path}").status_code == 404,
            "the room is no more",
        )
        assert live_call(self.service)["id"] == self.call
        self.citizen.wait_hears(Talk.AGENT_HZ, 4, threshold=0.8)
        self.agent.wait_hears(Talk.CITIZEN_HZ, 4, threshold=0.8)
        gone = self.service.http.get(f"/api/v1{self.path}")
        assert (gone.status_code, gone.json()["code"]) == (404, "conference-not-found")


@pytest.fixture
def room(phone: PhoneFactory, talk: Talk, service: Service) -> Scene:
    desk, call = phone("12345"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/conference", {"desk": "12345"})
    assert answer.status_code == 202, answer.text
    third = desk.wait_for_call(5)
    join(talk, third)
    scene = Scene(service, talk, third, call)
    wait_until(lambda: len(scene.now()["parties"]) == 3, "all three are shown")
    return scene
