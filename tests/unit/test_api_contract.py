"""The interface does what its OpenAPI description says, whatever is sent: schemathesis asks it.

Over real HTTP, since the service keeps a link of its own in its event loop. What is asked goes by
the run's seed, as the sweeps of hand-overs do; ``make test-all`` asks five times as much.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as by_seed
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from api.app import create_app
from api.server import QuietServer, listen
from tests.handovers.sweep import seed
from tests.unit.api_fixtures import TOKENS, Running, running

SEED = seed()
EXAMPLES = 25 if os.environ.get("SWEEP_ALL") else 5
"""How often each operation is asked."""
PARTS = 4
"""The operations are dealt out to so many tests, which run beside each other."""


DAYS = ("/api/v1/figures", "/api/v1/figures/topics")
PEOPLE = ("/api/v1/people", "/api/v1/session")
# A password that is not easily guessed, and roles that go with the rest, are beyond any schema.
PERSON = {
    "name": "lina",
    "roles": ["auditor"],
    "agent": "8001",
    "may_monitor": False,
    "sees_numbers": None,
    "password": "four words make one",
    "new_password": "another four words",
}


class Served:
    """The app behind a real socket, in a thread with a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> str:
        self._thread.start()
        assert self._up.wait(20)
        return self.url

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self._thread.join()

    async def _run(self) -> None:
        async with running(self._folder) as run:
            self._calls(run)
            listening = listen("127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self.server = QuietServer(
                uvicorn.Config(create_app(run.service), log_config=None, lifespan="off")
            )
            self._up.set()
            await self.server.serve(sockets=[listening])

    def _calls(self, run: Running) -> None:
        for number in range(3):
            run.simulated.talk(run.simulated.citizen(f"1390000000{number}"))


AUTHORIZATION = {"Authorization": f"Bearer {TOKENS['admin']}"}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    with Served(tmp_path_factory.mktemp("api")) as url:
        # The description is worked out when it is first asked for.
        yield schemathesis.openapi.from_url(
            f"{url}/openapi.json", headers=AUTHORIZATION, timeout=60
        )


@pytest.mark.parametrize("part", range(PARTS), ids=lambda part: f"part-{part}-seed-{SEED}")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_answers_are_as_described(
    described: schemathesis.BaseSchema, mode: GenerationMode, part: int
) -> None:
    asked = 0

    @by_seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject, operation: Any) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if mode is GenerationMode.POSITIVE and case.query:
            case.query.pop("cursor", None)  # made by us alone; any other text is refused
            case.query.pop("from", None)  # it may lie after `to`, which is refused
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
            if isinstance(case.body.get("filters"), dict):
                case.body["filters"].pop("from", None)
            # What no schema can say: an end in the past, hours that end before they begin, a year.
            sensible = {
                "day": "2026-10-01",
                "until": "2800-01-01T00:00:00Z",
                "hours": "0830-1200,1330-1700",
            }
            case.body |= {name: sensible[name] for name in sensible.keys() & case.body.keys()}
        if mode is GenerationMode.POSITIVE and operation.path.startswith(PEOPLE):
            given = case.body if isinstance(case.body, dict) else {}
            given |= {name: PERSON[name] for name in PERSON.keys() & given.keys()}
        if mode is GenerationMode.POSITIVE and operation.path in DAYS:
            case.query |= {"from": "2026-11-01", "to": "2026-11-24"}  # never backwards
        if mode is GenerationMode.POSITIVE and operation.path == "/api/v1/matters/import":
            case.body, case.media_type = "code,name,category,direction\n1,a,b,to_110\n", "text/csv"
        if mode is GenerationMode.POSITIVE and operation.path == "/api/v1/calendar/import":
            case.body, case.media_type = "date,hours,reason\n2026-12-31,closed,a\n", "text/csv"
            case.query.pop("declares", None)  # of a year of which it has a day
        case.call_and_validate(headers=AUTHORIZATION)

    for result in list(described.get_all_operations())[part::PARTS]:
        assert isinstance(result, Ok), "the description itself is wrong"
        operation = result.ok()
        if operation.path == "/api/v1/events":
            continue  # a WebSocket: a plain request is refused, whatever is in it
        if operation.path == "/api/v1/dialplan/check" and mode is GenerationMode.POSITIVE:
            continue  # each starts an Asterisk; asked by tests of its own
        shipped = operation.method.upper() == "PUT" and "/pbxs/" in operation.path
        if shipped and mode is GenerationMode.POSITIVE:
            continue  # the digest goes with the bytes, which no schema can say
        # Without any input there is nothing to get wrong.
        if mode is GenerationMode.POSITIVE or _takes_input(operation):
            ask(operation=operation)
            asked += 1
    assert asked >= 7


def _takes_input(operation: Any) -> bool:
    return bool(list(operation.iter_parameters())) or bool(list(operation.body))
