"""Agents and callbacks over HTTP, with the service beside a real PBX."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx
from telephony.settings import as_environment
from tests.pbx.agents_scene import (
    AGENT_TOKEN,
    PAUSE,
    RESUME,
    WRAPUP_S,
    agents_pbx,
    assert_free,
    dial,
    is_paused,
    member,
)
from tests.pbx.scene import CITIZENS, LINE, PhoneFactory, Talk, begin_talk, wait_until
from tests.pbx.served import whole_case

pytestmark = pytest.mark.pbx


@pytest.fixture(scope="module")
def shared_pbx() -> Iterator[PrivatePbx]:
    with agents_pbx() as pbx:
        yield pbx


@pytest.fixture
def agent_8001(service: Service) -> Iterator[httpx.Client]:
    """The interface as the token of agent 8001 sees it."""
    headers = {"Authorization": f"Bearer {AGENT_TOKEN}"}
    url = f"{service.url}/api/v1"
    with httpx.Client(base_url=url, headers=headers, timeout=10, trust_env=False) as client:
        yield client


def told(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def state(service: Service, agent: str = "8001") -> dict[str, Any]:
    found: dict[str, Any] = service.get(f"/agents/{agent}")
    return found


def test_given_agent_when_signing_in_resting_and_signing_out_then_the_pbx_and_the_states_agree(
    phone: PhoneFactory, pbx: PrivatePbx, service: Service
) -> None:
    phone("8001")
    assert state(service)["state"] == "signed-out"
    assert told(service.post("/agents/8001/sign-in", {}))["state"] == "ready"
    assert_free(pbx, "8001")
    assert code(service.post("/agents/8001/sign-in", {})) == (409, "agent-already-signed-in")

    rests = told(service.post("/agents/8001/pause", {"reason": "2"}))
    assert (rests["state"], rests["reason_zh"], rests["reason_en"]) == ("paused", "用餐", "meal")
    assert rests["since"] is not None
    assert is_paused(pbx, "8001", "2")
    again = service.post("/agents/8001/pause", {"reason": "2"})
    assert code(again) == (409, "agent-already-paused")
    assert told(service.post("/agents/8001/pause", {"reason": "3"}))["reason_en"] == "meeting"

    assert told(service.post("/agents/8001/resume", {}))["state"] == "ready"
    assert_free(pbx, "8001")
    assert code(service.post("/agents/8001/resume", {})) == (409, "agent-not-paused")
    assert told(service.post("/agents/8001/sign-out", {}))["state"] == "signed-out"
    assert member(pbx, "8001") == ""
    for what in ("sign-out", "pause", "resume"):
        answer = service.post(f"/agents/8001/{what}", {"reason": "1"} if what == "pause" else {})
        assert code(answer) == (409, "agent-not-signed-in")


def test_given_unknown_agent_or_reason_then_it_is_refused(service: Service) -> None:
    for what in ("sign-in", "sign-out", "resume"):
        assert code(service.post(f"/agents/8099/{what}", {})) == (404, "agent-not-found")
    told(service.post("/agents/8002/sign-in", {}))
    answer = service.post("/agents/8002/pause", {"reason": "9"})
    assert code(answer) == (404, "pause-reason-not-found")
    answer = service.post("/agents/8002/pause", {"reason": "1\r\nAction: Logoff"})
    assert code(answer) == (422, "request-invalid")
    assert state(service, "8002")["state"] == "away"
    reasons = [one["code"] for one in service.get("/pause-reasons")["items"]]
    assert reasons == ["1", "2", "3", "4", "5"]


def test_given_agents_token_then_it_acts_for_its_own_agent_only(agent_8001: httpx.Client) -> None:
    assert told(agent_8001.post("/agents/8001/sign-in"))["signed_in"]
    assert code(agent_8001.post("/agents/8002/sign-in")) == (403, "not-allowed")
    answer = agent_8001.post("/agents/8002/pause", json={"reason": "1"})
    assert code(answer) == (403, "not-allowed")
    callback = {"number": CITIZENS[0], "agent": "8002"}
    assert code(agent_8001.post("/callbacks", json=callback)) == (403, "not-allowed")
    assert {one["id"] for one in told(agent_8001.get("/agents"))["items"]} > {"8001", "8002"}


def test_given_codes_on_the_phone_then_the_states_follow(
    phone: PhoneFactory, service: Service
) -> None:
    agent = phone("8001")
    dial(agent, "*45")
    dial(agent, PAUSE + "4")
    wait_until(lambda: state(service)["reason_en"] == "training", "paused")
    dial(agent, RESUME)
    wait_until(lambda: state(service)["state"] == "ready", "ready again")


def test_given_call_then_the_states_are_ringing_talking_wrap_up_and_ready(
    phone: PhoneFactory, pbx: PrivatePbx, service: Service
) -> None:
    agent = phone("8001")
    told(service.post("/agents/8001/sign-in", {}))
    before = state(service)["calls_taken"]
    citizen = phone(CITIZENS[0]).call(LINE)
    ringing = agent.wait_for_call(15)
    wait_until(lambda: state(service)["state"] == "ringing", "ringing")
    ringing.answer()
    wait_until(lambda: state(service)["state"] == "talking", "talking")
    citizen.hangup()
    wait_until(lambda: state(service)["state"] == "wrap-up", "wrap-up")
    now = state(service)
    assert now["until"] is not None
    assert not now["paused"]
    assert now["calls_taken"] == before + 1
    assert told(service.post("/agents/8001/resume", {}))["state"] == "ready"
    assert_free(pbx, "8001")
    # A wrap-up that is left alone ends by itself.
    begin_talk(phone(CITIZENS[0]), agent).citizen.hangup()
    wait_until(lambda: state(service)["state"] == "wrap-up", "wrap-up")
    wait_until(lambda: state(service)["state"] == "ready", "ready", WRAPUP_S + 3)
    # A break during a wrap-up is a break: the wrap-up's end changes nothing.
    begin_talk(phone(CITIZENS[0]), agent).citizen.hangup()
    wait_until(lambda: state(service)["state"] == "wrap-up", "wrap-up")
    assert told(service.post("/agents/8001/pause", {"reason": "1"}))["state"] == "paused"
    wait_until(lambda: "wrap-up-timer" not in pbx.console("core show channels"), "no timer", 6)
    assert state(service)["state"] == "paused"


def test_given_the_command_line_then_it_lists_the_agents(
    phone: PhoneFactory, pbx: PrivatePbx, service: Service
) -> None:
    dial(phone("8001"), "*45")
    dial(phone("8001"), PAUSE + "2")
    done = subprocess.run(
        [sys.executable, "-m", "telephony.cli", "agents", "--json"],
        env={"PATH": "/usr/bin:/bin"} | as_environment(service.settings),
        capture_output=True,
        check=True,
    )
    rows = {row["agent"]: row for row in orjson.loads(done.stdout)}
    assert (rows["8001"]["state"], rows["8001"]["reason"]) == ("paused", "用餐 meal")
    assert rows["8002"]["state"] in ("signed-out", "away")  # as its phone is there or not


# -- calling back ---------------------------------------------------------------


def call_back(service: Service, **body: str) -> dict[str, Any]:
    return told(service.post("/callbacks", {"agent": "8001", **body}), 202)


def outcome(service: Service, callback: dict[str, Any]) -> str:
    """How it came out, once that is known."""

    def now() -> str:
        return str(service.get(f"/callbacks/{callback['id']}")["state"])

    wait_until(lambda: now() not in ("agent-ringing", "ringing"), "an outcome", 12)
    return now()


def test_given_number_when_called_back_then_both_talk_the_keys_work_and_it_is_the_case_s(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    talk.citizen.hangup()
    talk.agent.wait_ended(5)
    wait_until(lambda: service.get("/cases")["items"], "the case is on record")
    case = service.get("/cases")["items"][0]["case"]
    citizen, agent, desk = phone(CITIZENS[0]), phone("8001"), phone("110")
    wait_until(lambda: not service.get("/calls")["items"], "the first call is over")
    begun = call_back(service, number="+86 " + CITIZENS[0], case=case)
    assert (begun["case"], begun["number"], begun["state"]) == (case, CITIZENS[0], "agent-ringing")
    ringing = agent.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    assert service.get(f"/callbacks/{begun['id']}")["state"] == "agent-ringing"
    ringing.answer()
    rung = citizen.wait_for_call(5)
    assert rung.caller_number == "04212800122"
    wait_until(lambda: service.get(f"/callbacks/{begun['id']}")["state"] == "ringing", "ringing")
    rung.answer()
    rung.play_tone(Talk.CITIZEN_HZ)
    ringing.play_tone(Talk.AGENT_HZ)
    both = Talk(rung, ringing)
    both.assert_together()
    assert outcome(service, begun) == "reached"
    [live] = service.get("/calls")["items"]
    assert live["id"] == service.get(f"/callbacks/{begun['id']}")["call"]
    assert (live["state"], live["caller"], live["case"]) == ("talking", CITIZENS[0], case)
    # The key over HTTP: refused, both are together; taken, the desk has the citizen.
    told(service.post(f"/calls/{live['id']}/transfer", {"desk": "110"}), 202)
    desk.wait_for_call(5).deny(486)
    both.assert_together()
    told(service.post(f"/calls/{live['id']}/transfer", {"desk": "110"}), 202)
    third = desk.wait_for_call(5)
    assert third.caller_number == CITIZENS[0]
    third.answer()
    third.play_tone(Talk.TARGET_HZ)
    rung.wait_hears(Talk.TARGET_HZ, 5)
    assert ringing.wait_ended(5) == 200
    rung.hangup()
    assert third.wait_ended(5) == 200
    wait_until(
        lambda: len(whole_case(service, case)["legs"]) == 6, "both calls' legs are on record", 10
    )
    whole = whole_case(service, case)
    assert sorted(leg["role"] for leg in whole["legs"]) == [
        *("agent", "agent", "citizen", "citizen", "target", "target")
    ]
    assert whole["owner"] == "110"
    assert {leg["caller"] for leg in whole["legs"]} == {CITIZENS[0]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(486, "busy"), (603, "declined"), (404, "failed"), (None, "unanswered")],
)
def test_given_citizen_who_does_not_take_it_then_the_outcome_is_told(
    phone: PhoneFactory, service: Service, answer: int | None, expected: str
) -> None:
    citizen, agent = phone(CITIZENS[0]), phone("8001")
    begun = call_back(service, number=CITIZENS[0])
    mine = agent.wait_for_call(5)
    mine.answer()
    rung = citizen.wait_for_call(5)
    if answer is not None:
        rung.deny(answer)
    assert outcome(service, begun) == expected
    mine.wait_ended(10)
    rung.wait_ended(3)


@pytest.mark.parametrize("how", [486, 603, 480, None, "away", "hangs up"])
def test_given_agent_who_does_not_come_then_the_outcome_is_told(
    phone: PhoneFactory, service: Service, how: object
) -> None:
    citizen = phone(CITIZENS[0])
    if how == "away":
        begun = call_back(service, number=CITIZENS[0], agent="8003")
        assert outcome(service, begun) == "agent-unreachable"
        assert citizen.calls == []
        return
    agent = phone("8001")
    begun = call_back(service, number=CITIZENS[0])
    mine = agent.wait_for_call(5)
    refusals = {486: "agent-busy", 603: "agent-declined", 480: "agent-unanswered"}
    if isinstance(how, int):
        mine.deny(how)
        assert outcome(service, begun) == refusals[how]
    elif how is None:
        assert outcome(service, begun) == "agent-unanswered"
    else:
        mine.answer()
        rung = citizen.wait_for_call(5)
        mine.hangup()
        rung.wait_ended(3)
        assert outcome(service, begun) == "agent-gone"
    mine.wait_ended(5)


def test_given_what_cannot_be_then_it_is_refused_before_a_phone_rings(
    phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    def refused(**body: str) -> tuple[int, str]:
        return code(service.post("/callbacks", body))

    free = phone("8002")
    assert refused(number="110", agent="8002") == (403, "number-not-allowed")
    assert refused(number="0085212345678", agent="8002") == (403, "number-not-allowed")
    assert refused(number="13804210001&PJSIP/110", agent="8002") == (403, "number-not-allowed")
    assert refused(number="1380421000\r\n1", agent="8002") == (422, "request-invalid")
    assert refused(number=CITIZENS[1], agent="8099") == (404, "agent-not-found")
    assert refused(number=CITIZENS[1]) == (404, "agent-not-found")
    assert refused(number=CITIZENS[1], agent="8001") == (409, "agent-busy")
    nothing = refused(number=CITIZENS[1], agent="8002", case="20200101-1.1")
    assert nothing == (404, "case-not-found")
    assert code(service.http.get("/api/v1/callbacks/1")) == (404, "callback-not-found")
    assert free.calls == []
    talk.assert_together()
    talk.citizen.hangup()


def test_given_callback_rings_when_the_service_dies_then_the_call_goes_on_and_is_on_record(
    phone: PhoneFactory, service: Service
) -> None:
    citizen, agent = phone(CITIZENS[0]), phone("8001")
    begun = call_back(service, number=CITIZENS[0])
    mine = agent.wait_for_call(5)
    service.kill()
    mine.answer()
    rung = citizen.wait_for_call(5)
    rung.answer()
    rung.play_tone(Talk.CITIZEN_HZ)
    mine.play_tone(Talk.AGENT_HZ)
    Talk(rung, mine).assert_together()
    service.start()
    # The picture is made anew from the PBX: it is a citizen's call.
    wait_until(lambda: service.get("/calls")["items"], "the call is seen")
    [live] = service.get("/calls")["items"]
    assert (live["state"], live["caller"]) == ("talking", CITIZENS[0])
    rung.hangup()
    assert mine.wait_ended(5) == 200
    whole = whole_case(service, begun["case"])
    assert sorted(leg["role"] for leg in whole["legs"]) == ["agent", "citizen"]
    assert whole["first_contact"] == "8001"
