"""A service with one person who signs in, and what the audit log says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.api_fixtures import Running, running

PASSWORD = "four words make one"
LI_NA = {
    "name": "LiNa",
    "display_name": "李娜",
    "roles": ["agent"],
    "agent": "8001",
    "password": PASSWORD,
}


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        async with run.as_("admin") as admin:
            assert (await admin.post("/api/v1/people", json=LI_NA)).status_code == 201
        yield run


async def sign_in(client: httpx.AsyncClient, password: str = PASSWORD, **more: str) -> Any:
    return await client.post(
        "/api/v1/session", json={"name": "lina", "password": password}, headers=more
    )


async def audited(run: Running) -> list[tuple[str, str]]:
    async with run.as_("auditor") as auditor:
        items = (await auditor.get("/api/v1/audit")).json()["items"]
    return [(one["who"], one["what"]) for one in reversed(items)]
