"""A running service on a simulated PBX and a fresh SQLite file, and clients with tokens."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from api.app import create_app
from telephony.service import Service
from telephony.settings import Token
from tests.empty_record import empty_record
from tests.unit.simulated_pbx import SimulatedPbx

TOKENS = {
    "agent": "agent-token-of-the-tests",
    "supervisor": "supervisor-token-of-the-tests",
    "admin": "admin-token-of-the-tests",
    "auditor": "auditor-token-of-the-tests",
    "integrator": "integrator-token-of-the-tests",
}
AGENT_8001 = "agent-8001-token-of-the-tests"


@dataclass(slots=True)
class Running:
    """What a test of the interface needs."""

    simulated: SimulatedPbx
    service: Service
    client: Callable[..., httpx.AsyncClient]

    def as_(self, role: str) -> httpx.AsyncClient:
        return self.client(TOKENS[role])


@asynccontextmanager
async def running(folder: Path, **overrides: object) -> AsyncIterator[Running]:
    """Start everything; stop it at the end."""
    tokens = [
        Token.model_validate(
            {"name": role, "role": role, "token": token}
            | ({"agent": "8001"} if role == "agent" else {})
        )
        for role, token in TOKENS.items()
    ]
    overrides.setdefault("exports", {"folder": folder / "exports"})
    bound = {"name": "8001", "role": "agent", "token": AGENT_8001, "agent": "8001"}
    # Cases of tests have days that pass: nobody is reminded of them unless a test says so.
    overrides.setdefault("deadlines", {"enabled": False})
    async with SimulatedPbx() as simulated:
        settings = simulated.settings(
            database_url=f"sqlite:///{folder}/record.sqlite",
            tokens=[*tokens, Token.model_validate(bound)],
            **overrides,
        )
        made = await asyncio.to_thread(empty_record, folder.parent)
        shutil.copy(made, folder / "record.sqlite")
        service = Service(settings)
        app = create_app(service)

        def client(token: str | None = None) -> httpx.AsyncClient:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)

        await service.start()
        try:
            await service.client.wait_up(5)
            yield Running(simulated, service, client)
        finally:
            await service.stop()


async def told(running: Running) -> None:
    """Return when the service has heard all that the simulated PBX said before."""
    await asyncio.wait_for(running.service.pbx.get_var(None, "EPOCH"), 5)
