"""What admins see of the settings, and searching in the audit log."""

from __future__ import annotations

from pathlib import Path

from tests.unit.api_fixtures import TOKENS, running

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
