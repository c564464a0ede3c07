"""Work on cases over HTTP: details by version, attached calls, accept to reopen, who sees what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from api import sight
from api.app import create_app
from api.schemas.audit import AuditEntry
from api.schemas.base import Page
from api.schemas.figures import CaseFigures
from api.schemas.nuisance import NuisanceMark
from api.schemas.record import CaseDetails, HandoverWithDetails, Story, WholeCase
from telephony import audit
from telephony.cases.store import CASES, CaseStore
from telephony.cel.rows import Fact
from telephony.models import CaseRecord, LegRecord
from telephony.record.ledger_check import verify_ledger
from telephony.record.store import LEGS
from telephony.responsibility import GENESIS
from telephony.settings import Token
from tests.unit.api_fixtures import AGENT_8001, TOKENS, Running, running, told

EPOCH = 1795496800
START = datetime.fromtimestamp(EPOCH, UTC)
CASE, SECOND = f"20261124-{EPOCH}.0", f"20261124-{EPOCH + 600}.7"
NUMBER, MASKED = "13812345678", "138****5678"
AGENT_8002, DESK_110 = "agent-8002-token-of-the-tests", "desk-110-token-of-the-tests"
AUDITOR = "auditor-token-of-the-tests"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    """Two cases, both taken by 8001."""
    async with running(tmp_path) as one:
        one.service.settings.tokens.extend(
            Token.model_validate({"name": name, "role": role, "token": token} | more)
            for name, role, token, more in (
                ("8002", "agent", AGENT_8002, {"agent": "8002"}),
                ("110", "agent", DESK_110, {"agent": "110"}),
                ("审计", "supervisor", AUDITOR, {"sees_numbers": False}),
            )
        )
        app = create_app(one.service)

        def client(token: str | None = None) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            headers = {"Authorization": f"Bearer {token}"}
            return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)

        for case, epoch in ((CASE, EPOCH), (SECOND, EPOCH + 600)):
            await _record(one, case, epoch)
        yield Running(one.simulated, one.service, client)


async def _record(run: Running, case: str, epoch: int) -> None:
    at = datetime.fromtimestamp(epoch, UTC)
    number = case.rpartition(".")[2]
    caller: dict[str, Any] = {"caller": NUMBER, "caller_e164": f"+86{NUMBER}"}
    row: dict[str, Any] = {"case_id": case, "pbx": "pbx1", "opened_at": at, "state": "open"}
    row |= {"head": GENESIS, **caller}
    store = CaseStore(run.service.database, "pbx1")
    async with run.service.database.writing() as connection:
        await connection.execute(insert(CASES).values(CaseRecord(**row).model_dump()))
        for role, party in (("citizen", NUMBER), ("agent", "8001")):
            uniqueid = f"{epoch}.{number}" if role == "citizen" else f"{epoch}.{number}1"
            leg = LegRecord(
                epoch=epoch,
                uniqueid=uniqueid,
                pbx="pbx1",
                at=at,
                linkedid=f"{epoch}.{number}",
                case_id=case,
                role=role,
                party=party,
                agent="8001" if role == "agent" else None,
                started_at=at,
                state="complete",
                channels=[uniqueid],
                channel_names=[],
                segments=[],
                **caller,
            )
            await connection.execute(insert(LEGS).values(leg.model_dump()))
        values = {"case": case, "agent": "8001", "leg": f"{epoch}.{number}1"}
        taken = Fact(epoch * 1_000_000 + 4_000_000, "TAKEN", values, f"{epoch}.{number}1")
        await store.note(connection, case, taken)


async def send(
    run: Running, token: str, method: str, path: str, body: Any = None, **headers: str | bytes
) -> httpx.Response:
    sent = [
        (name.replace("_", "-").encode(), value.encode() if isinstance(value, str) else value)
        for name, value in headers.items()
    ]
    async with run.client(token) as client:
        return await client.request(method, f"/api/v1{path}", json=body, headers=sent)


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


# -- who sees what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "sees"),
    [
        (AGENT_8001, True),
        (AGENT_8002, False),
        (AUDITOR, False),
        (TOKENS["supervisor"], True),
        (TOKENS["admin"], True),
    ],
)
async def test_given_a_token_then_numbers_are_shown_or_masked_and_looks_are_logged(
    run: Running, token: str, sees: bool
) -> None:
    leg = f"pbx1/{EPOCH}.0"
    for path in ("/cases", "/legs", f"/cases/{CASE}", f"/cases/{CASE}/story", f"/legs/{leg}"):
        answer = await send(run, token, "GET", path)
        assert answer.status_code == 200
        assert (NUMBER in answer.text) == sees, path
        assert (MASKED in answer.text) != sees, path
    audit = await send(run, TOKENS["admin"], "GET", "/audit")
    page = Page[AuditEntry].model_validate(audit.json())
    looks = [(one.what, one.which) for one in reversed(page.items)]
    assert looks == ([("case", CASE), ("story", CASE), ("leg", leg)] if sees else [])


async def test_given_an_export_then_it_is_masked_or_logged_without_a_number(run: Running) -> None:
    masked = await send(run, AUDITOR, "GET", "/legs/export")
    assert NUMBER not in masked.text
    assert MASKED in masked.text
    whole = await send(run, TOKENS["supervisor"], "GET", f"/legs/export?caller={NUMBER}")
    assert NUMBER in whole.text
    audit = await send(run, TOKENS["admin"], "GET", "/audit")
    (entry,) = audit.json()["items"]
    assert (entry["what"], entry["who"]) == ("legs-export", "supervisor")
    assert MASKED in entry["which"]
    assert NUMBER not in audit.text
    assert (await send(run, TOKENS["supervisor"], "GET", "/audit")).status_code == 403
    page = await send(run, TOKENS["admin"], "GET", "/audit?who=nobody&from=2026-01-01")
    assert page.json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (AGENT_8002, "8002"),
        (AUDITOR, "审计"),
        (TOKENS["supervisor"], "supervisor"),
    ],
)
async def test_given_a_search_by_a_number_then_it_is_in_the_audit_log_whoever_asks(
    run: Running, token: str, name: str
) -> None:
    forms = (NUMBER, f"%2B86{NUMBER}", "138 1234 5678", "138.1234.5678", "00" + "86" + NUMBER)
    for path in ("/cases", "/legs"):
        for form in forms:
            found = await send(run, token, "GET", f"{path}?caller={form}")
            assert found.status_code == 200
            assert found.json()["items"], (path, form)
        # What no mask hides tells nothing: a short code, a name.
        for free in ("110", "anonymous"):
            assert (await send(run, token, "GET", f"{path}?caller={free}")).status_code == 200
    audit = await send(run, TOKENS["admin"], "GET", "/audit?what=caller")
    entries = audit.json()["items"]
    assert {one["who"] for one in entries} == {name}
    assert len(entries) == 2 * len(forms)
    assert all("****" in one["which"] for one in entries)
    assert NUMBER not in audit.text


async def test_given_who_sees_masked_numbers_then_they_cannot_try_them_one_after_the_other(
    run: Running,
) -> None:
    for _ in range(sight.SEARCHES_AN_HOUR - 1):
        await audit.note(
            run.service.database, who="8002", role="agent", what="caller", which=MASKED
        )
    assert (await send(run, AGENT_8002, "GET", f"/legs?caller={NUMBER}")).status_code == 200
    body = {"what": "cases", "filters": {"caller": NUMBER}}
    for path in ("/legs", "/cases"):
        for number in (NUMBER, "13812345679"):  # one that called and one that did not
            answer = await send(run, AGENT_8002, "GET", f"{path}?caller={number}")
            assert (answer.status_code, answer.json()["code"]) == (429, "searches-limited")
            assert 3500 < int(answer.headers["retry-after"]) <= 3600
    # Everything else goes on, also for others, and whole numbers need no mask to be guessed.
    assert (await send(run, AGENT_8002, "GET", f"/legs?case={CASE}")).status_code == 200
    supervisor = TOKENS["supervisor"]
    assert (await send(run, supervisor, "GET", f"/cases?caller={NUMBER}")).status_code == 200
    # An hour later they may again.
    earlier = update(audit.AUDIT).values(at=datetime.now(UTC) - timedelta(minutes=61))
    async with run.service.database.writing() as connection:
        await connection.execute(earlier)
    assert (await send(run, AGENT_8002, "GET", f"/legs?caller={NUMBER}")).status_code == 200
    # Exports are no way around it.
    for _ in range(sight.SEARCHES_AN_HOUR):
        await audit.note(
            run.service.database, who="审计", role="supervisor", what="caller", which=MASKED
        )
    for answer in (
        await send(run, AUDITOR, "POST", "/exports", body),
        await send(run, AUDITOR, "GET", f"/legs/export?caller={NUMBER}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (429, "searches-limited")


async def test_given_a_live_call_then_an_agent_sees_its_number_and_an_auditor_does_not(
    run: Running,
) -> None:
    run.simulated.talk(run.simulated.citizen(NUMBER))
    await told(run)
    (seen,) = (await send(run, AGENT_8002, "GET", "/calls")).json()["items"]
    assert seen["caller"] == NUMBER
    hidden = await send(run, AUDITOR, "GET", "/calls")
    assert hidden.json()["items"][0]["caller"] == MASKED
    assert NUMBER not in hidden.text


# -- nuisance callers ----------------------------------------------------------------------------


async def test_given_a_marked_number_then_its_next_call_shows_it_until_unmarked(
    run: Running,
) -> None:
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    body = {"case": CASE, "kind": "谎报", "reason": "三次假警", "until": until}
    made = await send(run, TOKENS["supervisor"], "POST", "/nuisance", body)
    assert made.status_code == 201
    mark = NuisanceMark.model_validate(made.json())
    assert (mark.number, mark.marked_by) == (f"+86{NUMBER}", "supervisor")
    again = {name: value for name, value in body.items() if name != "case"} | {"number": NUMBER}
    answer = await send(run, TOKENS["supervisor"], "POST", "/nuisance", again)
    assert answer.status_code == 409
    run.simulated.talk(run.simulated.citizen(NUMBER))
    await told(run)
    (call,) = (await send(run, AGENT_8002, "GET", "/calls")).json()["items"]
    assert (call["nuisance"]["kind"], call["nuisance"]["reason"]) == ("谎报", "三次假警")
    assert call["state"] == "talking"  # never blocked
    # Marks made elsewhere are taken up, those taken off are forgotten.
    await run.service.nuisance.refresh()
    assert run.service.nuisance.find(f"0{NUMBER}") is not None
    listed = await send(run, AUDITOR, "GET", "/nuisance")
    assert [one["number"] for one in listed.json()["items"]] == ["+86138****5678"]
    gone = f"/nuisance/{mark.id}"
    assert (await send(run, TOKENS["supervisor"], "DELETE", gone)).status_code == 204
    assert (await send(run, TOKENS["supervisor"], "DELETE", gone)).status_code == 404
    (call,) = (await send(run, AGENT_8002, "GET", "/calls")).json()["items"]
    assert call["nuisance"] is None
    assert (await send(run, TOKENS["supervisor"], "GET", "/nuisance")).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"until": "2020-01-01"}, 422),
        ({"number": None}, 422),
        ({"case": CASE}, 422),
        ({"kind": "其他"}, 422),
        ({"reason": ""}, 422),
    ],
)
async def test_given_a_mark_that_makes_no_sense_then_it_is_refused(
    run: Running, change: dict[str, Any], status: int
) -> None:
    body: dict[str, Any] = {"number": NUMBER, "kind": "骚扰", "reason": "x", "until": "2800-01-01"}
    answer = await send(run, TOKENS["supervisor"], "POST", "/nuisance", body | change)
    assert answer.status_code == status
    of_case = {name: value for name, value in body.items() if name != "number"} | {"case": "no"}
    answer = await send(run, TOKENS["supervisor"], "POST", "/nuisance", of_case)
    assert (answer.status_code, answer.json()["code"]) == (404, "case-not-found")
    assert await run.service.nuisance.marks() == []
