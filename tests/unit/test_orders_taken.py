"""Other platforms' work orders as they become cases of ours, on both databases."""

from __future__ import annotations

import time
from typing import Any

from telephony.models import CaseRecord
from tests.unit.order_hotline import CALLER, NEW, Hotline, assert_fits, letter, run

__all__ = ["run"]  # fixtures


async def test_given_a_new_order_then_a_case_of_theirs_is_offered_to_us_and_they_hear_of_it(
    run: Hotline,
) -> None:
    answer = (await run.send(NEW)).json()
    case = answer["case"]
    assert answer == {"order": "T-1", "given_by": "sender", "case": case, "state": "new"} | {
        "applied": True
    }
    assert await run.story(case) == [
        ("taken", "12345", None, "12345"),
        ("offered", "12345", "2800122", "12345"),
    ]
    whole = await run.ask("GET", f"/cases/{case}")
    assert (whole["handed_over_by"], whole["their_case"], whole["caller"]) == (
        "12345",
        "T-77",
        CALLER,
    )
    assert (whole["details"]["matter"], whole["details"]["citizen_name"]) == ("信号灯", "李四")
    # Nobody of ours has it yet: an agent sees no number.
    assert (await run.ask("GET", f"/cases/{case}", "8002"))["caller"] == "138****5678"
    await run.ask("POST", f"/cases/{case}/accept", "8002", json={})
    assert (await run.ask("GET", f"/cases/{case}", "8002"))["caller"] == CALLER
    assert (await run.story(case))[2:] == [("accepted", None, "8002", "8002")]
    await run.ask("POST", f"/cases/{case}/feedback", "8002", json={"text": "已修"})
    await run.ask("POST", f"/cases/{case}/close", "8002", json={"result": "亮了"})
    told = [(kind, body["order"], body["given_by"]) for kind, body in await run.in_outbox()]
    assert told == [
        (f"order.{kind}", "T-1", "receiver") for kind in ("accepted", "feedback", "closed")
    ]
    for kind, body in await run.in_outbox():
        assert_fits({"kind": kind, "data": body})


async def test_given_a_new_order_with_a_matter_of_our_directory_then_it_has_its_desk_and_limit(
    run: Hotline,
) -> None:
    rows = "code,name,category,direction,desk,feedback_h\n7,信号灯,建议,both,122,16\n"
    kind = {"Content-Type": "text/csv"}
    await run.ask("POST", "/matters/import", content=rows.encode(), headers=kind)
    told: list[dict[str, Any]] = []
    for site in run.service.sites:
        site.proposals._tell = told.append
    case = (await run.send(NEW)).json()["case"]
    # The floor hears of it at once, and once.
    await run.send(NEW, at=time.time() + 1)
    assert [(one["case"], one["matter"], one["desk"]) for one in told] == [(case, "信号灯", "122")]
    proposal = await run.ask("GET", f"/cases/{case}/proposal", "8002")
    assert (proposal["matter"]["code"], proposal["matter"]["feedback_h"]) == ("7", 16)
    assert (proposal["desk"], proposal["version"]) == ("122", 1)


async def test_given_a_refusal_then_it_stays_theirs_and_they_hear_why(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    await run.ask("POST", f"/cases/{case}/decline", "8001", json={"reason": "不归我们"})
    assert (await run.story(case))[2:] == [("declined", None, "2800122", "12345")]
    ((kind, body),) = await run.in_outbox()
    assert (kind, body["reason"]) == ("order.refused", "不归我们")
    late = await run.send(letter("withdrawn", 2, order="T-1"))
    assert (late.status_code, late.json()["applied"]) == (200, False)


async def test_given_they_take_it_back_then_nobody_of_ours_is_asked_any_more(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    assert (await run.send(letter("withdrawn", 2, order="T-1"))).json()["state"] == "withdrawn"
    assert (await run.story(case))[2:] == [("withdrawn", None, "2800122", "12345")]
    await run.ask("POST", f"/cases/{case}/accept", "8001", 403, json={})
    assert await run.in_outbox() == []


async def test_given_they_take_back_what_we_accepted_then_they_answer_for_it(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    await run.ask("POST", f"/cases/{case}/accept", "8001", json={})
    assert (await run.send(letter("withdrawn", 2, order="T-1"))).status_code == 200
    assert (await run.story(case))[3:] == [("returned", "12345", "12345", "12345")]


async def test_given_whose_order_it_is_then_they_cannot_accept_for_us(run: Hotline) -> None:
    case = (await run.send(NEW)).json()["case"]
    assert (await run.send(letter("accepted", 2, order="T-1"))).status_code == 200
    assert (await run.story(case))[2:] == [("feedback", "12345", None, "12345")]
    await run.ask("POST", f"/cases/{case}/accept", "8001", json={})
    assert (await run.ask("GET", f"/cases/{case}"))["owner"] == "8001"
    refused = await run.send(letter("refused", 3, order="T-1", reason="x"))
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")


async def test_given_a_second_order_of_their_case_then_it_is_the_same_case_of_ours(
    run: Hotline,
) -> None:
    case = (await run.send(NEW)).json()["case"]
    await run.ask("POST", f"/cases/{case}/decline", "8001", json={"reason": "不归我们"})
    again = await run.send(letter("new", 2, order="T-2"))
    assert again.json()["case"] == case
    assert (await run.story(case))[3:] == [("offered", "12345", "2800122", "12345")]
    twice = await run.send(letter("new", 3, order="T-2"))
    assert (twice.status_code, twice.json()["code"]) == (409, "wrong-state")
    assert await run.count(CaseRecord) == 1
