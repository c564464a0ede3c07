"""Two cases that agent 8001 has taken, and what people of several roles ask of them over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from api.app import create_app
from telephony.cases.store import CASES, CaseStore
from telephony.cel.rows import Fact
from telephony.models import CaseRecord, LegRecord
from telephony.record.store import LEGS
from telephony.responsibility import GENESIS
from telephony.settings import Token
from tests.unit.api_fixtures import Running, running

EPOCH = 1795496800

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
