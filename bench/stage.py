"""A private PBX and the service for measuring calls, with endpoints that carry no sound."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from bench.plain_sip import PlainEndpoint
from telephony.asterisk_program import cache_dir, find_asterisk
from telephony.demo.stage import Service
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import Agent, Desk, Http, Key, Line, Settings, Token

CITIZEN = "13804210001"
DESKS = ("110", "12345")


class HttpLine:
    """One kept-open HTTP connection with the least a client can do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str):
        self._reader, self._writer = reader, writer
        self._token = token

    @classmethod
    async def open(cls, service: Service) -> HttpLine:
        """A connection to the service."""
        http = service.settings.http
        reader, writer = await asyncio.open_connection(http.host, http.port)
        return cls(reader, writer, service.settings.tokens[0].token.get_secret_value())

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """Send a request; status and JSON of the answer."""
        data = b"" if body is None else json.dumps(body).encode()
        self._writer.write(
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        text = await self._reader.readexactly(length)
        return int(head[9:12]), json.loads(text)

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()


class BenchStage:
    """PBX, service, and three endpoints: citizens, agents, desks."""

    def __init__(self, pbx: PrivatePbx, service: Service) -> None:
        self.pbx = pbx
        self.service = service
        self.citizens: PlainEndpoint
        self.agents: PlainEndpoint
        self.desks: PlainEndpoint


@asynccontextmanager
async def bench_stage(
    agents: int,
    *,
    citizens: Sequence[str] = (CITIZEN,),
    desks: Sequence[Desk] = (),
    keys: Sequence[Key] = (),
    ring_s: int = 20,
    silence_s: int = 60,
    served: bool = True,
) -> AsyncIterator[BenchStage]:
    """Everything up, with that many agents signed in; taken down at the end.

    ``citizens``: the numbers that may call; ``desks``, ``keys``: beside the usual ones;
    ``ring_s``: how long the usual desks ring; ``silence_s``: calls carry no sound and are cut
    after so long; ``served``: the service runs too.
    """
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache_dir()) as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        ids = [str(8100 + number) for number in range(agents)]
        # The endpoints' addresses are part of the PBX's configuration, its port is told them after.
        placed = [await PlainEndpoint.open(who, 0) for who in (CITIZEN, "agents", "desks")]
        settings = _settings(folder, ids, [*_desks(ring_s), *desks], keys)
        places = dict.fromkeys(ids, placed[1].port) | dict.fromkeys(DESKS, placed[2].port)
        phones = [
            Phone(
                one,
                "",
                "hotline-agents",
                contact=f"sip:{one}@127.0.0.1:{port}",
                silence_s=silence_s,
            )
            for one, port in places.items()
        ]
        phones += [Phone(one, "", "hotline-trunk", silence_s=silence_s) for one in citizens]
        pbx = PrivatePbx(
            find_asterisk(),
            folder / "pbx",
            settings,
            phones,
            rtp_ports=2000,
        )
        service = Service(pbx.settings, folder / "service.log")
        stage = BenchStage(pbx, service)
        stage.citizens, stage.agents, stage.desks = placed
        try:
            pbx.start()
            for endpoint in placed:
                endpoint.use(pbx.sip_port)
            today = time.strftime("%Y%m%d", time.gmtime(time.time() + 8 * 3600))
            pbx.console(f"database put hotline-hours {today} 0000-2400")
            for agent in pbx.settings.agents:
                pbx.console(f"queue add member {agent.dial} to hotline")
            if served:
                service.start()
            yield stage
        finally:
            # Who uses the stage may have put another in its place.
            stage.service.stop()
            stage.service.http.close()
            pbx.stop()
            for endpoint in placed:
                endpoint.close()


def _desks(ring_s: int) -> list[Desk]:
    return [Desk(id=one, name=one, dial=f"PJSIP/{one}", ring_s=ring_s) for one in DESKS]


def _settings(
    folder: Path, agents: list[str], desks: Sequence[Desk], keys: Sequence[Key]
) -> Settings:
    return Settings(
        database_url=f"sqlite:///{folder / 'record.sqlite'}",
        line=Line(agent_ring_s=5),
        agents=[Agent(id=one) for one in agents],
        desks=list(desks),
        keys=list(keys),
        tokens=[Token(name="bench", role="admin", token=SecretStr("a-token-of-the-bench"))],
        http=Http(port=free_port(socket.SOCK_STREAM)),
    )
