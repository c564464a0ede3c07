"""``hotline up``, ``calls``, ``transfer`` and ``users token`` as a shell sees them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
import tomllib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest
import structlog
from typer.testing import CliRunner

from telephony.cli import app
from telephony.settings import Settings
from tests.unit.simulated_pbx import SimulatedPbx
from tests.warm import forked_hotline

TOKEN = "a-token-of-the-tests"


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedPbx]:
    async with SimulatedPbx() as simulated:
        yield simulated


def environment(folder: Path, simulated: SimulatedPbx | None, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOTLINE_")}
    ours = {
        "HOTLINE_DATABASE_URL": f"sqlite:///{folder}/record.sqlite",
        "HOTLINE_PBX__AMI_PORT": str(simulated.port if simulated else 9),
        "HOTLINE_AGENTS": '[{"id": "8001"}]',
        "HOTLINE_TOKENS": f'[{{"name": "t", "role": "admin", "token": "{TOKEN}"}}]',
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return {**clean, **ours, **more}


async def hotline(folder: Path, env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end, in a process that was loaded before: status, stdout, stderr."""
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name) / "out", Path(name) / "err"
        process = forked_hotline(list(arguments), env, folder, out, err)
        status = await asyncio.to_thread(process.wait, 30)
        return status, out.read_text(), err.read_text()


async def start(folder: Path, env: dict[str, str], *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "telephony.cli", *arguments),
        cwd=folder,
        env=env,
        stdout=PIPE,
        stderr=PIPE,
    )


@asynccontextmanager
async def up(folder: Path, env: dict[str, str]) -> AsyncIterator[tuple[Process, str]]:
    """The service as a process, and its address."""
    process = await start(folder, env, "up", "--port", "0")
    assert process.stderr is not None
    try:
        while True:
            line = await asyncio.wait_for(process.stderr.readline(), 30)
            assert line, "the service ended before it listened"
            if b'"listening"' in line:
                yield process, orjson.loads(line)["address"]
                return
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_up_serves_until_it_is_told_to_stop(
    tmp_path: Path, simulated: SimulatedPbx, number: signal.Signals
) -> None:
    citizen = simulated.citizen("13900000001")
    simulated.talk(citizen)
    async with up(tmp_path, environment(tmp_path, simulated)) as (process, url):  # noqa: SIM117
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/healthz")).status_code == 200
            headers = {"Authorization": f"Bearer {TOKEN}"}
            for _ in range(200):
                if (await client.get("/readyz")).status_code == 200:
                    break
                await asyncio.sleep(0.05)
            calls = (await client.get("/api/v1/calls", headers=headers)).json()
            assert [call["id"] for call in calls["items"]] == [citizen.uniqueid]
            process.send_signal(number)
            _, err = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert b"13900000001" not in err


async def test_up_starts_without_a_pbx_and_says_so(tmp_path: Path) -> None:
    async with up(tmp_path, environment(tmp_path, None)) as (process, url):
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = await client.get("/api/v1/calls", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "pbx-unavailable")
            assert (await client.get("/readyz")).status_code == 503
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("HOTLINE_PBX__AMI_PORT", "many", "pbx.ami_port"),
        ("HOTLINE_DATABASE_URL", "oracle://x", "database_url"),
    ],
)
async def test_up_names_a_wrong_setting_in_one_line(
    tmp_path: Path, setting: str, value: str, named: str
) -> None:
    status, out, err = await hotline(
        tmp_path, environment(tmp_path, None, **{setting: value}), "up"
    )
    lines = err.strip().splitlines()
    assert (status, out, len(lines)) == (2, "", 1)
    assert named in lines[0]


async def test_up_on_a_port_that_is_taken_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, _, err = await hotline(tmp_path, environment(tmp_path, None), "up", "--port", port)
    assert status == 1
    assert len(err.strip().splitlines()) == 1
    assert port in err


async def invoke(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], *arguments: str
) -> tuple[int, str, str]:
    """Run a command in this process, beside the loop of the simulated PBX."""
    for name, value in env.items():
        if name.startswith("HOTLINE_"):
            monkeypatch.setenv(name, value)
    try:
        done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    finally:
        structlog.reset_defaults()
    return done.exit_code, done.stdout, done.stderr


async def test_calls_and_transfer_work_without_the_service(
    tmp_path: Path, simulated: SimulatedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    citizen = simulated.citizen("13900000001")
    simulated.talk(citizen)
    env = environment(tmp_path, simulated)
    status, out, _ = await invoke(monkeypatch, env, "calls", "--json")
    assert status == 0
    (call,) = orjson.loads(out)
    assert (call["call"], call["state"], call["with"]) == (citizen.uniqueid, "talking", "8001")

    transfer = ("transfer", citizen.account, "110")
    status, out, _ = await invoke(monkeypatch, env, *transfer, "--reason", "盗窃", "--json")
    assert status == 0
    assert orjson.loads(out)["id"] == f"{citizen.account}-h1"
    status, _, err = await invoke(monkeypatch, env, *transfer)
    assert (status, err.count("\n")) == (1, 1)
    assert "[handover-running]" in err
    status, _, err = await invoke(monkeypatch, env, "transfer", "1.1", "110")
    assert status == 1
    assert "[call-not-found]" in err


async def test_calls_without_a_pbx_fail_in_one_line(tmp_path: Path) -> None:
    status, out, err = await hotline(tmp_path, environment(tmp_path, None), "calls")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "[pbx-unavailable]" in err


async def test_a_token_is_made_ready_for_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("users", "token", "--name", "值班长", "--role", "agent", "--agent", "8001")
    status, out, _ = await invoke(monkeypatch, {}, *arguments)
    assert status == 0
    made = Settings.model_validate(tomllib.loads(out)).tokens[0]
    assert (made.name, made.role, made.agent) == ("值班长", "agent", "8001")
    assert len(made.token.get_secret_value()) >= 32
    _, again, _ = await invoke(monkeypatch, {}, *arguments)
    assert again != out
    named = ("users", "token", "--name", "north", "--role", "integrator", "--ships-for", "pbx1")
    _, out, _ = await invoke(monkeypatch, {}, *named)
    assert Settings.model_validate(tomllib.loads(out)).tokens[0].ships_for == ["pbx1"]
    wrong = ("users", "token", "--name", "x", "--role", "boss")
    status, out, err = await invoke(monkeypatch, {}, *wrong)
    assert (status, out) == (2, "")
    assert "role" in err
