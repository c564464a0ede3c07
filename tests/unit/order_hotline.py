"""A service without a PBX that exchanges work orders, and the letters of its platform."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from sqlalchemy import func, select

from api.app import create_app
from telephony.orders.format import json_schema
from telephony.orders.outbox import OUTBOX
from telephony.orders.signing import HEADER, PLATFORM_HEADER, sign
from telephony.record.ledger_check import verify_ledger
from telephony.service import Service
from telephony.settings import Settings, load_settings
from tests.unit.order_receiving import SECRET

CASE = "20261124-1795496800.0"
CALLER = "13812345678"
TOKENS = {name: f"{name}-token-of-the-tests" for name in ("8001", "8002", "12345", "admin")}


def settings_for(url: str, port: int = 9, **platform: Any) -> Settings:
    one = {"id": "p", "url": f"http://127.0.0.1:{port}/o", "secrets": [SECRET], "desks": ["12345"]}
    agents = [{"id": "8001"}, {"id": "8002"}]
    tokens = [
        {"name": name, "token": token, "role": "admin" if name == "admin" else "agent"}
        | ({} if name == "admin" else {"agent": name})
        for name, token in TOKENS.items()
    ]
    return load_settings(
        database_url=url,
        platforms=[one | platform],
        outbox={"first_retry_s": 0.01, "longest_retry_s": 0.05},
        agents=agents,
        tokens=tokens,
    )


class Hotline:
    """A service without a PBX, and what a test asks of it."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self.database = self.service.database
        app = create_app(self.service)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api")

    async def ask(
        self, method: str, path: str, who: str = "admin", expect: int = 200, **options: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {TOKENS[who]}", **options.pop("headers", {})}
        answer = await self.client.request(method, f"/api/v1{path}", headers=headers, **options)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    async def send(
        self,
        message: dict[str, Any] | bytes,
        headers: Mapping[str, str] | None = None,
        *,
        at: float | None = None,
    ) -> httpx.Response:
        """What the platform sends; ``at``: signed then (default: now)."""
        body = message if isinstance(message, bytes) else orjson.dumps(message)
        signed = sign(body, [SECRET], int(time.time() if at is None else at))
        sent = {PLATFORM_HEADER: "p", HEADER: signed, **(headers or {})}
        return await self.client.post("/api/v1/orders", content=body, headers=sent)

    async def story(self, case: str) -> list[tuple[str, str | None, str | None, str | None]]:
        """The case's ledger: entry, by, to, and who answers for it then."""
        found = await self.ask("GET", f"/cases/{case}")
        names = ("event", "by", "to", "responsible")
        return [tuple(entry[name] for name in names) for entry in found["ledger"]]

    async def in_outbox(self) -> list[tuple[str, dict[str, Any]]]:
        async with self.database.reading() as connection:
            query = select(OUTBOX.c.kind, OUTBOX.c.body).order_by(OUTBOX.c.id)
            return [tuple(row) for row in await connection.execute(query)]

    async def count(self, model: Any) -> int:
        async with self.database.reading() as connection:
            query = select(func.count()).select_from(model.__table__)
            return await connection.scalar(query) or 0


@asynccontextmanager
async def hotline(url: str, port: int = 9, **platform: Any) -> AsyncIterator[Hotline]:
    one = Hotline(settings_for(url, port, **platform))
    try:
        yield one
    finally:
        await one.client.aclose()
        await one.service.delivery.stop()
        await one.database.close()


Url = Callable[[], str]


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> Url:
    """Makes databases with our tables where one kind of database is enough."""
    numbers = count()
    return lambda: f"sqlite:///{shutil.copy(sqlite_template, tmp_path / f'{next(numbers)}.sqlite')}"


@pytest.fixture
async def run(database_url: str) -> AsyncIterator[Hotline]:
    async with hotline(database_url) as one:
        yield one
        report = await verify_ledger(one.database)
        assert report.problems == []


def letter(kind: str, number: int = 1, /, **data: Any) -> dict[str, Any]:
    """A message of the platform."""
    more = {"given_by": "sender"} | data
    told = {"version": 1, "id": f"m{number}", "kind": f"order.{kind}", "case": "T-77"}
    return told | {"sequence": number, "at": "2026-11-24T08:30:00+08:00", "data": more}


NEW = letter(
    "new",
    order="T-1",
    reason="归交警",
    kind="投诉",
    matter="信号灯",
    summary="路口信号灯不亮",
    happened_at="2026-11-24T08:00:00+08:00",
    citizen={"number": CALLER, "name": "李四"},
)


def assert_fits(part: dict[str, Any]) -> None:
    """A message is as the published schema says."""
    whole = {"version": 1, "id": "x", "case": CASE, "sequence": 1}
    whole |= {"at": "2026-11-24T08:30:00+00:00"} | part
    jsonschema_rs.validator_for(json_schema()).validate(whole)


async def rows(one: Hotline, query: Any) -> list[Any]:
    async with one.database.reading() as connection:
        return list((await connection.execute(query)).all())
