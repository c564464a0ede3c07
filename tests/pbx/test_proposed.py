"""Handing over to what the matter proposes: over HTTP, and by a key with the service dead."""

from __future__ import annotations

import pytest

from telephony.demo.stage import Service
from telephony.matters.files import sample
from telephony.private_pbx import PrivatePbx
from telephony.softphone import SoftCall
from tests.pbx.scene import PhoneFactory, Talk, wait_until
from tests.pbx.served import live_call, whole_case
from tests.pbx.test_transfer import accept, assert_back_at_once

pytestmark = pytest.mark.pbx

KEY_PROPOSED = "#3"


def told_so(pbx: PrivatePbx) -> int:
    """How often somebody was told that there is nothing to hand over to."""
    steps = (pbx.places.log / "steps").read_text(errors="replace")
    return steps.count("[s@hotline-key-proposed:14] Return")


def press_in_vain(pbx: PrivatePbx, presses: SoftCall, talk: Talk, hz: float) -> None:
    """Whoever presses is told so, and is with the citizen again then."""
    before = told_so(pbx)
    presses.send_dtmf(KEY_PROPOSED)
    wait_until(lambda: told_so(pbx) > before, "it was said")
    presses.wait_hears(Talk.CITIZEN_HZ, 4)
    talk.citizen.wait_hears(hz, 4)


def test_given_a_matter_when_no_desk_is_named_then_its_desk_rings_and_the_key_needs_no_service(
    pbx: PrivatePbx, phone: PhoneFactory, talk: Talk, service: Service
) -> None:
    agent, desk = phone("8001"), phone("110")
    call = live_call(service)
    press = f"/api/v1/calls/{call['id']}/transfer"

    # Nothing is proposed: nobody is moved, and whoever pressed is back with the citizen.
    refused = service.http.post(press, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing-proposed")
    press_in_vain(pbx, talk.agent, talk, Talk.AGENT_HZ)
    assert desk.calls == []

    kind = {"Content-Type": "text/csv"}
    taken = service.http.post("/api/v1/matters/import", content=sample(), headers=kind)
    assert taken.status_code == 200
    case = f"/api/v1/cases/{call['case']}"
    wait_until(lambda: service.http.get(case).status_code == 200, "the case is on record")
    matter = {"matter": "集体讨薪", "version": 0}
    assert service.http.patch(case, json=matter).status_code == 200
    proposal = service.get(f"/cases/{call['case']}/proposal")
    assert (proposal["desk"], proposal["why"], proposal["urgent"]) == ("110", "stability", True)

    begun = service.http.post(press, json={})
    assert (begun.status_code, begun.json()["desk"]) == (202, "110")
    desk.wait_for_call(5).deny(486)
    assert_back_at_once(talk, agent)

    service.kill()
    talk.agent.send_dtmf(KEY_PROPOSED)
    ringing = desk.wait_for_call(5)
    accept(ringing, talk.citizen)
    assert talk.agent.wait_ended(3) == 200
    # 110 has it now, and there is nobody else to hand it to.
    press_in_vain(pbx, ringing, talk, Talk.TARGET_HZ)
    assert desk.calls == [ringing]
    talk.citizen.hangup()
    assert ringing.wait_ended(8) == 200

    service.start()
    found = whole_case(service, call["case"])
    handovers = sorted(found["handovers"], key=lambda one: str(one["offered_at"]))
    told = [(one["desk"], one["state"], one["reason"], one["kind"]) for one in handovers]
    assert told == [
        ("110", "busy", "集体讨薪", "one-key"),
        ("110", "accepted", "集体讨薪", "one-key"),
    ]
    assert (found["first_contact"], found["owner"]) == ("8001", "110")
    # What it proposes now that 110 has it: nothing more.
    assert service.get(f"/cases/{call['case']}/proposal")["why"] == "with-it"
