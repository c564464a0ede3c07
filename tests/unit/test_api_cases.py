"""Work on cases over HTTP: details by version, attached calls, accept to reopen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from api.schemas.figures import CaseFigures
from api.schemas.record import CaseDetails, HandoverWithDetails, Story, WholeCase
from telephony.record.ledger_check import verify_ledger
from telephony.record.store import LEGS
from tests.unit.api_fixtures import AGENT_8001, TOKENS, Running
from tests.unit.two_cases import AGENT_8002, CASE, DESK_110, EPOCH, NUMBER, SECOND, run, send

__all__ = ["run"]  # fixtures


async def act(
    run: Running, token: str, what: str, body: Any, case: str = CASE, expect: int = 200
) -> dict[str, Any]:
    answer = await send(run, token, "POST", f"/cases/{case}/{what}", body)
    assert answer.status_code == expect, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def ledger(run: Running, case: str = CASE) -> list[dict[str, Any]]:
    answer = await send(run, TOKENS["admin"], "GET", f"/cases/{case}")
    found = WholeCase.model_validate(answer.json())
    assert (await verify_ledger(run.service.database)).problems == []
    return [one.model_dump() for one in found.ledger]


WHY = {"reason": "不属于本单位"}


async def test_given_details_when_written_then_they_travel_and_the_ledger_names_fields_only(
    run: Running,
) -> None:
    changes = {"kind": "求助", "summary": "挪车", "citizen_phone": NUMBER, "place": "朝阳大街"}
    changes |= {"happened_at": "2026-11-24T08:30:00", "position": "41.5703,120.4508"}
    answer = await send(run, AGENT_8001, "PATCH", f"/cases/{CASE}", changes, If_Match='"0"')
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert CaseDetails.model_validate(answer.json()).happened_at == datetime(
        2026, 11, 24, 0, 30, tzinfo=UTC
    )
    edited = (await ledger(run))[-1]
    assert (edited["event"], edited["by"], edited["responsible"]) == ("edited", "8001", "8001")
    assert edited["detail"] == "kind, summary, citizen_phone, happened_at, place, position"
    await act(run, AGENT_8001, "dispatch", {"desk": "110"}, expect=201)
    shown = await send(run, DESK_110, "GET", f"/handovers/{CASE}-d1")
    handover = HandoverWithDetails.model_validate(shown.json())
    assert (handover.details.summary, handover.details.citizen_phone) == ("挪车", NUMBER)
    listed = await send(run, AGENT_8001, "GET", "/cases?kind=求助")
    assert [one["case"] for one in listed.json()["items"]] == [CASE]
    # Null takes away; the same again is no change.
    for version in (1, 2):
        answer = await send(
            run, AGENT_8001, "PATCH", f"/cases/{CASE}", {"place": None, "version": version}
        )
        assert (answer.json()["version"], answer.json()["place"]) == (2, None)
    assert [one["event"] for one in await ledger(run)].count("edited") == 2


async def test_given_two_who_write_then_nobody_overwrites_the_other(run: Running) -> None:
    path = f"/cases/{CASE}"
    none = await send(run, AGENT_8001, "PATCH", path, {"summary": "a"})
    assert (none.status_code, none.json()["code"]) == (428, "version-needed")
    first = await send(run, AGENT_8001, "PATCH", path, {"summary": "a"}, If_Match='"0"')
    assert first.status_code == 200
    second = await send(run, TOKENS["supervisor"], "PATCH", path, {"summary": "b"}, If_Match='"0"')
    assert (second.status_code, second.json()["code"]) == (412, "version-conflict")
    assert second.json()["version"] == "1"
    for tag in ("*", "none of ours", '"99999999999"', "١"):
        other = await send(run, AGENT_8001, "PATCH", path, {"summary": "c"}, If_Match=tag.encode())
        assert other.status_code == 412
    whole = await send(run, AGENT_8001, "GET", path)
    assert (whole.headers["etag"], whole.json()["details"]["summary"]) == ('"1"', "a")


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "other"},
        {"citizen_phone": "110; drop"},
        {"position": "here"},
        {"summary": "a\x00b"},
        {"place": "a\r\nb"},
        {"owner": "8009"},
        {"version": -1},
    ],
)
async def test_given_a_bad_change_then_422_and_nothing_is_written(run: Running, body: Any) -> None:
    answer = await send(run, AGENT_8001, "PATCH", f"/cases/{CASE}", body, If_Match='"0"')
    assert answer.status_code == 422
    assert [one["event"] for one in await ledger(run)] == ["taken"]


async def test_given_another_side_then_it_may_neither_edit_nor_close(run: Running) -> None:
    answer = await send(run, AGENT_8002, "PATCH", f"/cases/{CASE}", {"summary": "x", "version": 0})
    assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")
    await act(run, AGENT_8002, "close", {}, expect=403)
    await act(run, AGENT_8002, "feedback", {"text": "x"}, expect=403)
    assert [one["event"] for one in await ledger(run)] == ["taken"]


async def test_given_a_dispatch_then_accepted_returned_closed_reopened_in_order(
    run: Running,
) -> None:
    await act(run, AGENT_8001, "dispatch", {"desk": "110"}, expect=201)
    await act(run, AGENT_8001, "close", {}, expect=409)  # it is offered
    await act(run, AGENT_8002, "accept", {}, expect=403)
    assert (await act(run, DESK_110, "accept", {}))["owner"] == "110"
    await act(run, AGENT_8001, "close", {}, expect=403)
    returned = await act(run, DESK_110, "return", WHY)
    assert (returned["owner"], returned["state"]) == ("8001", "taken")
    await act(run, DESK_110, "return", WHY, expect=403)
    await act(run, AGENT_8001, "return", WHY, expect=409)
    await act(run, AGENT_8001, "feedback", {"text": "已联系车主"})
    closed = await act(run, AGENT_8001, "close", {"result": "已挪车"})
    assert (closed["state"], closed["first_contact_resolution"]) == ("closed", False)
    assert closed["time_to_answer_s"] == 4.0
    assert closed["handover_count"] == 1
    await act(run, AGENT_8001, "close", {}, expect=409)
    await act(run, AGENT_8001, "dispatch", {"desk": "122"}, expect=409)
    answer = await send(run, AGENT_8001, "PATCH", f"/cases/{CASE}", {"version": 0, "what": "x"})
    assert answer.status_code == 409
    assert (await act(run, AGENT_8001, "reopen", WHY))["state"] == "taken"
    entries = await ledger(run)
    assert [one["event"] for one in entries] == [
        *("taken", "offered", "accepted", "returned", "feedback", "closed", "reopened")
    ]
    assert [one["detail"] for one in entries[3:]] == [
        *(WHY["reason"], "已联系车主", "已挪车", WHY["reason"])
    ]


@pytest.mark.parametrize("decision", ["confirm", "decline", "cancel"])
async def test_given_a_dispatch_then_its_id_and_its_case_know_one_rule(
    run: Running, decision: str
) -> None:
    """Who may decide: the side it is offered to (to withdraw: the side that offered it)."""
    sides = run.service.case_book.sides
    mine, theirs = (DESK_110, AGENT_8001) if decision != "cancel" else (AGENT_8001, DESK_110)
    await act(run, AGENT_8001, "dispatch", {"desk": "110"}, expect=201)
    path = f"/handovers/{CASE}-d1/{decision}"
    assert (await send(run, theirs, "POST", path)).status_code == 403
    # A colleague of the department may as well, by either way.
    assert not sides.same("110" if decision != "cancel" else "8001", "8002")
    assert (await send(run, AGENT_8002, "POST", path)).status_code == 403
    other = run.service.settings.desks[0].department if decision != "cancel" else "民意服务中心"
    sides._departments |= {"8002": other, "8001" if decision == "cancel" else "110": other}
    assert (await send(run, AGENT_8002, "POST", path)).status_code == 202
    assert (await send(run, mine, "POST", path)).status_code == 409


async def test_given_an_offer_when_declined_then_the_reason_is_on_record(run: Running) -> None:
    await act(run, DESK_110, "decline", WHY, expect=409)
    await act(run, AGENT_8001, "dispatch", {"desk": "110"}, expect=201)
    await act(run, AGENT_8001, "dispatch", {"desk": "122"}, expect=201)
    await act(run, TOKENS["supervisor"], "accept", {}, expect=409)  # of which desk?
    await act(run, TOKENS["supervisor"], "decline", WHY | {"desk": "122"})
    declined = await act(run, DESK_110, "decline", WHY)
    assert (declined["owner"], declined["state"]) == ("8001", "taken")
    assert (await ledger(run))[-1]["detail"] == f"declined: {WHY['reason']}"


async def test_given_an_idempotency_key_when_sent_again_then_written_once(run: Running) -> None:
    for _ in range(2):
        answer = await send(
            run,
            AGENT_8001,
            "POST",
            f"/cases/{CASE}/close",
            {"result": "好"},
            Idempotency_Key="one",
        )
        assert (answer.status_code, answer.json()["state"]) == (200, "closed")
    assert [one["event"] for one in await ledger(run)] == ["taken", "closed"]


async def test_given_a_case_that_is_not_there_then_404(run: Running) -> None:
    for what, body in (("accept", {}), ("close", {}), ("calls", {"call": CASE})):
        answer = await act(run, TOKENS["admin"], what, body, case="no", expect=404)
        assert answer["code"] == "case-not-found"


@pytest.mark.parametrize("call", [SECOND, f"{EPOCH + 600}.7"])
async def test_given_a_call_when_attached_then_its_legs_are_under_the_case(
    run: Running, call: str
) -> None:
    await act(run, AGENT_8002, "calls", {"call": call}, expect=403)
    await act(run, AGENT_8001, "calls", {"call": call})
    answer = await send(run, TOKENS["admin"], "GET", f"/cases/{CASE}/story")
    story = Story.model_validate(answer.json())
    assert story.attached == [SECOND]
    assert [(one.what, one.case) for one in story.events] == [
        *(("leg", CASE), ("leg", CASE), ("ledger", CASE)),
        *(("leg", SECOND), ("leg", SECOND), ("ledger", SECOND)),
        *(("ledger", CASE), ("ledger", SECOND)),
    ]
    assert [one.at for one in story.events] == sorted(one.at for one in story.events if one.at)
    legs = (await send(run, AGENT_8001, "GET", f"/legs?case={CASE}")).json()["items"]
    assert {one["case"] for one in legs} == {CASE, SECOND}
    assert [one["event"] for one in await ledger(run)] == ["taken", "attached"]
    merged = (await ledger(run, SECOND))[-1]
    assert (merged["event"], merged["to"], merged["responsible"]) == ("merged", CASE, "8001")
    own = (await send(run, AGENT_8001, "GET", f"/cases/{SECOND}")).json()
    assert (own["state"], own["merged_into"]) == ("merged", CASE)
    # For good: neither again, nor the other way round, nor worked on.
    await act(run, AGENT_8001, "calls", {"call": call}, expect=409)
    await act(run, AGENT_8001, "calls", {"call": CASE}, case=SECOND, expect=409)
    await act(run, AGENT_8001, "close", {}, case=SECOND, expect=409)


async def test_given_a_call_that_goes_on_or_is_unknown_then_it_is_not_attached(
    run: Running,
) -> None:
    await act(run, AGENT_8001, "calls", {"call": CASE}, expect=409)  # itself
    assert (await act(run, AGENT_8001, "calls", {"call": "1.1"}, expect=404))["code"] == (
        "call-not-found"
    )
    async with run.service.database.writing() as connection:
        await connection.execute(update(LEGS).where(LEGS.c.case_id == SECOND).values(state="open"))
    await act(run, AGENT_8001, "calls", {"call": SECOND}, expect=409)
    assert [one["event"] for one in await ledger(run, SECOND)] == ["taken"]


async def test_given_cases_then_their_figures_add_up(run: Running) -> None:
    await act(run, AGENT_8001, "dispatch", {"desk": "110"}, expect=201)
    await act(run, DESK_110, "accept", {})
    await act(run, AGENT_8001, "close", {}, case=SECOND)
    answer = await send(run, TOKENS["supervisor"], "GET", "/figures/cases")
    found = CaseFigures.model_validate(answer.json())
    assert (found.cases, found.handed_over, found.closed, found.merged) == (2, 1, 1, 0)
    assert (found.answered, found.accepted, found.handovers) == (2, 1, 1)
    assert (found.first_contact_resolved, found.first_contact_resolution_share) == (1, 1.0)
    assert found.mean_time_to_answer_s == 4.0
    assert found.mean_time_to_acceptance_s is not None
    nothing = await send(run, TOKENS["supervisor"], "GET", "/figures/cases?to=2026-01-01")
    assert (nothing.json()["cases"], nothing.json()["mean_time_to_answer_s"]) == (0, None)
