"""Two service processes on one PostgreSQL and one real PBX: one records, both command."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import Http
from tests.pbx.scene import PhoneFactory, Talk, wait_until
from tests.pbx.served import live_call, service_settings, whole_case
from tests.warm import WarmService

pytestmark = [pytest.mark.pbx, pytest.mark.postgres]

TAKEN_OVER_S = 5.0
"""What is promised of the time between the owner's death and the record's going on."""


@pytest.fixture
def pair(pbx: PrivatePbx, tmp_path: Path, postgres_database: str) -> Iterator[list[Service]]:
    """Two processes, ready; the first is the owner."""
    settings = service_settings(pbx, tmp_path).model_copy(
        update={"database_url": postgres_database}
    )
    services: list[Service] = []
    try:
        for number in (1, 2):
            port = Http(port=free_port(socket.SOCK_STREAM))
            here = settings.model_copy(update={"http": port})
            services.append(WarmService(here, tmp_path / f"service-{number}.log"))
            services[-1].start()
        yield services
    finally:
        for one in services:
            one.stop()
            one.http.close()


def record_of(service: Service) -> str:
    """Who keeps the record, as this process sees it."""
    answer: dict[str, Any] = service.http.get("/readyz").json()
    return str(answer.get("pbxs", {}).get("pbx1", {}).get("record"))


def test_given_two_processes_when_the_owner_is_killed_mid_hand_over_then_the_other_goes_on(
    phone: PhoneFactory, talk: Talk, pair: list[Service]
) -> None:
    owner, other = pair
    assert [record_of(one) for one in pair] == ["here", "elsewhere"]
    [shown] = other.get("/pbxs")["items"]
    assert shown["link"] == "up"
    assert shown["owner"] == owner.get("/pbxs")["items"][0]["owner"]
    assert owner.process is not None
    assert shown["owner"].endswith(f":{owner.process.pid}")

    desk, call = phone("110"), live_call(other)
    # A key at the process that does not own the PBX works as well, and the owner records it.
    begun = other.post(f"/calls/{call['id']}/transfer", {"desk": "110", "reason": "有人受伤"})
    assert begun.status_code == 202, begun.text
    ringing = desk.wait_for_call(5)
    case_of = f"/api/v1/cases/{call['case']}"
    # Until the owner has read its first row there is no case.
    wait_until(lambda: owner.http.get(case_of).json().get("handovers"), "the owner records it", 10)

    owner.kill()
    died = time.monotonic()
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    assert talk.agent.wait_ended(3) == 200
    wait_until(lambda: record_of(other) == "here", "the other owns it", TAKEN_OVER_S)
    talk.citizen.hangup()
    case = whole_case(other, call["case"])
    assert time.monotonic() - died < 20
    legs = [(leg["role"], leg["party"]) for leg in case["legs"]]
    assert [one for one, _ in legs] == ["citizen", "agent", "target"]
    assert len({leg["uniqueid"] for leg in case["legs"]}) == 3
    assert [one["state"] for one in case["handovers"]] == ["accepted"]
    assert case["owner"] == "110"
    assert [entry["event"] for entry in case["ledger"]].count("accepted") == 1

    owner.start()  # it comes back, and waits
    assert record_of(owner) == "elsewhere"
    assert other.http.get("/metrics").text.count('hotline_pbx_owner{pbx="pbx1"} 1.0') == 1
    assert 'hotline_pbx_owner{pbx="pbx1"} 0.0' in owner.http.get("/metrics").text
    other.stop()  # in order: handed over at once
    wait_until(lambda: record_of(owner) == "here", "handed over", 2)
