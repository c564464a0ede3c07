"""The keys over HTTP, the record, and what happens when the service or its link dies."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import CITIZENS, PhoneFactory, Talk, channels, wait_until
from tests.pbx.served import live_call, service_settings, whole_case

pytestmark = pytest.mark.pbx


class Cutter:
    """A wire to the PBX's AMI port that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._pairs: list[socket.socket] = []
        self._mended = threading.Event()
        self._mended.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._mended.clear()
        pairs, self._pairs = self._pairs, []
        for one in pairs:
            # A thread that waits for data would keep the socket open; the shutdown wakes it.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def mend(self) -> None:
        self._mended.set()

    def close(self) -> None:
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
            except OSError:
                return
            if not self._mended.is_set():
                here.close()
                continue
            there = socket.create_connection(("127.0.0.1", self._target))
            self._pairs += [here, there]
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def cutter(pbx: PrivatePbx) -> Iterator[Cutter]:
    with closing(Cutter(pbx.settings.pbx.ami_port)) as one:
        yield one


def test_given_talk_when_transferred_over_http_and_accepted_then_the_desk_answers_for_the_case(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    desk, call = phone("110"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/transfer", {"desk": "110", "reason": "有人受伤"})
    assert answer.status_code == 202, answer.text
    ringing = desk.wait_for_call(5)
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    assert talk.agent.wait_ended(3) == 200
    talk.citizen.hangup()
    case = whole_case(service, call["case"])
    assert case["first_contact"] == "8001"
    assert case["owner"] == "110"
    [handover] = case["handovers"]
    assert handover["id"] == answer.json()["id"]
    assert (handover["by"], handover["desk"], handover["state"]) == ("8001", "110", "accepted")
    assert handover["reason"] == "有人受伤"
    assert [(leg["role"], leg["party"]) for leg in case["legs"]] == [
        ("citizen", CITIZENS[0]),
        ("agent", "8001"),
        ("target", "110"),
    ]
    assert [entry["event"] for entry in case["ledger"]][:2] == ["taken", "offered"]


@pytest.mark.parametrize(("code", "state"), [(486, "busy"), (603, "declined")])
def test_given_target_refuses_when_transferred_over_http_then_first_contact_keeps_the_case(
    phone: PhoneFactory, talk: Talk, service: Service, code: int, state: str
) -> None:
    desk, call = phone("110"), live_call(service)
    for _ in range(2):
        wait_until(lambda: live_call(service)["handover"] is None, "no hand-over runs")
        answer = service.post(f"/calls/{call['id']}/transfer", {"desk": "110"})
        assert answer.status_code == 202, answer.text
        desk.wait_for_call(5).deny(code)
        talk.assert_together()
        assert phone("8001").calls == [talk.agent]
    talk.citizen.hangup()
    case = whole_case(service, call["case"])
    assert case["owner"] == case["first_contact"] == "8001"
    assert [one["state"] for one in case["handovers"]] == [state, state]
    assert {one["returned_to"] for one in case["handovers"]} == {"agent"}


def test_given_target_rings_when_pressed_again_then_409_names_the_running_one(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    desk, other, call = phone("110"), phone("12345"), live_call(service)
    path = f"/calls/{call['id']}/transfer"
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda to: service.post(path, {"desk": to}), ("110", "12345")))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [202, 409]
    taken = next(answer.json() for answer in answers if answer.status_code == 202)
    ringing = (desk if taken["desk"] == "110" else other).wait_for_call(5)
    third = service.post(path, {"desk": "122"})
    assert third.status_code == 409
    assert third.json()["code"] == "handover-running"
    assert third.json()["handover"] == taken["id"]
    ringing.answer()
    talk.citizen.hangup()
    case = whole_case(service, call["case"])
    assert [one["id"] for one in case["handovers"]] == [taken["id"]]


def test_given_talk_when_requests_are_wrong_then_refused_and_the_caller_is_not_touched(
    talk: Talk, service: Service
) -> None:
    call = live_call(service)
    path = f"/calls/{call['id']}/transfer"
    assert service.post(path, {"desk": "999"}).status_code == 404
    assert service.post(path, {"desk": "110\r\nAction: Hangup"}).status_code == 422
    nothing = service.post(path, {})  # to what the case's matter proposes; it has none
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing-proposed")
    assert service.post(path, {"desk": ""}).status_code == 422
    assert service.post("/calls/1.1/transfer", {"desk": "110"}).status_code == 404
    talk.assert_together()
    talk.citizen.hangup()


def test_given_three_way_over_http_when_agent_leaves_then_it_stays_with_the_first_contact(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    desk, call = phone("12345"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/conference", {"desk": "12345"})
    assert answer.status_code == 202, answer.text
    third = desk.wait_for_call(5)
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.25)
    talk.agent.wait_hears(Talk.TARGET_HZ, 4, threshold=0.25)
    talk.agent.hangup()
    talk.citizen.wait_hears(Talk.TARGET_HZ, 4, threshold=0.8)
    talk.citizen.hangup()
    case = whole_case(service, call["case"])
    assert case["first_contact"] == case["owner"] == "8001"
    roles = [(leg["role"], leg["party"]) for leg in case["legs"]]
    assert roles == [("citizen", CITIZENS[0]), ("agent", "8001"), ("target", "12345")]


@pytest.mark.parametrize("moment", ["before the answer", "after the answer"])
@pytest.mark.parametrize("outcome", ["answered", "busy"])
def test_given_hand_over_when_service_is_killed_then_callers_notice_nothing_and_record_is_whole(
    phone: PhoneFactory, talk: Talk, service: Service, outcome: str, moment: str
) -> None:
    desk, call = phone("110"), live_call(service)
    answer = service.post(f"/calls/{call['id']}/transfer", {"desk": "110"})
    ringing = desk.wait_for_call(5)
    if moment == "before the answer":
        service.kill()
    if outcome == "answered":
        ringing.answer()
        ringing.play_tone(Talk.TARGET_HZ)
        talk.citizen.wait_hears(Talk.TARGET_HZ, 3)
    else:
        ringing.deny(486)
        talk.assert_together()
    if moment == "after the answer":
        service.kill()
    talk.citizen.hangup()
    service.start()
    case = whole_case(service, call["case"])
    [handover] = case["handovers"]
    assert handover["id"] == answer.json()["id"]
    assert handover["state"] == ("accepted" if outcome == "answered" else "busy")
    assert case["owner"] == ("110" if outcome == "answered" else "8001")
    assert len(case["legs"]) == 3


def test_given_link_to_pbx_is_cut_when_pressed_then_503_at_once_and_the_call_is_there_after(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, cutter: Cutter, tmp_path: Path
) -> None:
    service = Service(service_settings(pbx, tmp_path, cutter.port), tmp_path / "service.log")
    service.start()
    try:
        desk, call = phone("110"), live_call(service)
        service.post(f"/calls/{call['id']}/transfer", {"desk": "110"})
        ringing = desk.wait_for_call(5)
        cutter.cut()
        wait_until(lambda: service.http.get("/readyz").status_code == 503, "not ready")
        began = time.monotonic()
        refused = service.post(f"/calls/{call['id']}/transfer", {"desk": "110"})
        assert refused.status_code == 503
        assert refused.json()["code"] == "pbx-unavailable"
        assert time.monotonic() - began < 1
        ringing.deny(486)
        talk.assert_together()
        cutter.mend()
        wait_until(lambda: service.http.get("/readyz").status_code == 200, "ready again", 15)
        assert live_call(service)["id"] == call["id"]
        again = service.post(f"/calls/{call['id']}/transfer", {"desk": "110"})
        assert again.status_code == 202, again.text
        desk.wait_for_call(5).answer()
        talk.agent.wait_ended(3)
        talk.citizen.hangup()
        case = whole_case(service, call["case"])
        assert [one["state"] for one in case["handovers"]] == ["busy", "accepted"]
        assert len(channels(pbx)) == 0
    finally:
        service.stop()
        service.http.close()
