"""What admins see of the settings, and searching in the audit log."""

from __future__ import annotations

from pathlib import Path

from telephony.settings import Pbx
from tests.unit.api_fixtures import TOKENS, running
from tests.unit.order_receiving import eventually
from tests.unit.simulated_pbx import SimulatedPbx

SECRET = "a-secret-of-the-tests-nobody-sees"


async def test_given_settings_then_an_admin_sees_them_without_secrets(tmp_path: Path) -> None:
    agents = [{"id": "8001", "name": "李娜", "department": "民意服务中心", "password": SECRET}]
    supervisors = [{"id": "8901", "name": "班长", "pin": "482913"}]
    platform = {"id": "p12345", "name": "12345平台", "url": "https://example.org/in"}
    platform |= {"secrets": [SECRET], "desks": ["12345"]}  # type: ignore[dict-item]
    async with (
        running(tmp_path, agents=agents, supervisors=supervisors, platforms=[platform]) as run,
        run.as_("auditor") as auditor,
        run.as_("admin") as admin,
    ):
        answer = await admin.get("/api/v1/setup")
        told = answer.json()
        for hidden in (SECRET, "482913", *TOKENS.values()):
            assert hidden not in answer.text
        assert [(one["kind"], one["id"]) for one in told["phones"]] == [
            ("agent", "8001"),
            ("supervisor", "8901"),
        ]
        assert {one["id"]: one["platform"] for one in told["desks"]} == {
            "110": None,
            "12345": "12345平台",
            "122": None,
        }
        assert {"code": "*1", "action": "transfer", "desk": "110", "name": ""} in told["keys"]
        assert {one["role"] for one in told["tokens"]} >= set(TOKENS)
        assert (await auditor.get("/api/v1/setup")).json() == told
        assert {one["reach"] for one in told["phones"]} == {"unknown"}  # the PBX has no endpoints
        report = (await admin.post("/api/v1/doctor")).json()
        found = {one["name"]: one["state"] for one in report["checks"]}
        assert found["cel-file"] == "wrong"  # none is set here
        assert report["ok"] is False
        assert (await auditor.get("/api/v1/doctor")).json() == report
        unknown = await admin.post("/api/v1/doctor?pbx=nowhere")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "pbx-not-found")


async def test_given_several_pbxs_then_each_is_asked_for_its_own_phones_and_desks(
    tmp_path: Path,
) -> None:
    async with SimulatedPbx() as other:
        other.endpoints = {"8002": "Not in use", "to-east": "Unavailable", "8901": "In use"}
        west = Pbx(
            name="west",
            ami_port=other.port,
            action_timeout_s=1.0,
            agents=["8002"],
            desks=["110"],
            dials={"110": "PJSIP/110@to-east"},
        )
        supervisors = [{"id": "8901", "name": "班长", "pin": "482913"}]
        async with (
            running(tmp_path, pbxs=[west], supervisors=supervisors) as run,
            run.as_("admin") as admin,
        ):

            async def seen() -> bool:
                return run.service.sites.named("west").client.up

            async def unseen() -> bool:
                return not await seen()

            run.simulated.endpoints = {"8001": "Not in use", "110": "Not in use"}
            # What the other one has must not be looked for here.
            run.simulated.endpoints |= {"8002": "Unavailable", "8901": "Unavailable"}
            await eventually(seen)
            told = (await admin.get("/api/v1/setup")).json()
            reach = {
                one["id"]: (one["reach"], {at["pbx"]: at["reach"] for at in one["at"]})
                for one in (*told["phones"], *told["desks"])
            }
            assert reach["8001"] == ("ready", {"pbx1": "ready"})
            assert reach["8002"] == ("ready", {"west": "ready"})
            assert reach["8901"] == ("busy", {"pbx1": "away", "west": "busy"})
            assert reach["110"] == ("ready", {"pbx1": "ready", "west": "away"})
            assert reach["12345"] == ("unknown", {"pbx1": "unknown"})
            assert told["pbx_seen"] is True
            other.silent.add("PJSIPShowEndpoints")  # the other one is still told of
            told = (await admin.get("/api/v1/setup")).json()
            states = {one["id"]: one["reach"] for one in told["phones"]}
            assert states == {"8001": "ready", "8002": "unknown", "8901": "away"}
            await other.stop()
            await eventually(unseen)
            told = (await admin.get("/api/v1/setup")).json()
            assert told["pbx_seen"] is False
            assert told["pbxs"] == [{"name": "pbx1", "seen": True}, {"name": "west", "seen": False}]


async def test_given_words_then_the_audit_log_is_searched(tmp_path: Path) -> None:
    person = {"display_name": "李娜", "roles": ["auditor"], "password": "four words make one"}
    async with running(tmp_path) as run, run.as_("admin") as admin:
        for name in ("lina", "wang_wei", "wangxwei"):
            assert (await admin.post("/api/v1/people", json=person | {"name": name})).is_success
        await admin.patch("/api/v1/people/lina", json={"department": "民意服务中心"})

        async def found(**query: str) -> list[tuple[str, str]]:
            items = (await admin.get("/api/v1/audit", params=query)).json()["items"]
            return [(one["what"], one["which"].split(":")[0]) for one in items]

        assert await found(q="LINA") == [("person-changed", "lina"), ("person-added", "lina")]
        assert await found(q="wang_") == [("person-added", "wang_wei")]  # _ is no wildcard
        assert await found(what="person-changed") == [("person-changed", "lina")]
        assert await found(q="lina", what="sign-in") == []
        assert (await admin.get("/api/v1/audit?what=nothing")).status_code == 422
