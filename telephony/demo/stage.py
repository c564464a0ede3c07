"""The stage of ``hotline demo`` and ``hotline run``: a private PBX, the service, the people.

The service runs as a process of its own, as it does in production, so that it can be killed.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from telephony.around.settings import Supervisor
from telephony.asterisk_program import find_asterisk
from telephony.dialplan import Phone, own_phones
from telephony.errors import SetupError
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import (
    TIME_ZONE,
    Agent,
    Desk,
    Http,
    Line,
    Settings,
    Token,
    as_environment,
    load_settings,
)

if TYPE_CHECKING:
    import httpx

    from telephony.softphone import Softphone

SERVICE_START_LIMIT_S = 60.0
SERVICE_STOP_LIMIT_S = 20.0
"""It gives its requests 10 s to end."""
CITIZENS = ("13804210001", "13804210002", "13904215678")
AGENTS = ("8001", "8002")

Say = Callable[[str], None]


def cast(folder: Path, *, browser: bool = False) -> Settings:
    """Settings of the demonstration: the line, two agents, three desks, all with phones.

    ``browser``: the agents may telephone in the browser too, and a supervisor's phone may listen.
    """

    def password() -> SecretStr:
        return SecretStr(secrets.token_urlsafe(12))

    def desk(desk_id: str, name: str, department: str) -> Desk:
        return Desk(
            id=desk_id,
            name=name,
            department=department,
            dial=f"PJSIP/{desk_id}",
            ring_s=15,
            password=password(),
        )

    return load_settings(
        database_url=f"sqlite:///{folder / 'hotline.sqlite'}",
        line=Line(),
        agents=[
            Agent(
                id=one,
                name=f"坐席{one}",
                department="民意服务中心",
                password=password(),
                browser_password=password() if browser else None,
            )
            for one in AGENTS
        ],
        desks=[
            desk("110", "公安110", "公安局指挥中心"),
            desk("12345", "政务热线12345", "12345平台"),
            desk("122", "交警122", "交警支队指挥中心"),
        ],
        # Listens from the console, or by *48 and this PIN.
        supervisors=[Supervisor(id="8901", name="班长", pin=SecretStr("4711"), password=password())]
        if browser
        else [],
        tokens=[
            Token(name="demo", role="admin", token=SecretStr(secrets.token_urlsafe(24))),
        ],
        http=Http(port=free_port(socket.SOCK_STREAM)),
    )


class Process(Protocol):
    """What we need of a running program, as :class:`subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def send_signal(self, sig: int, /) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Service:
    """The hotline service as a process."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self._log = log
        self.process: Process | None = None
        self.url = f"http://{settings.http.host}:{settings.http.port}"

    @cached_property
    def http(self) -> httpx.Client:
        """A client of the service, with its first token."""
        import httpx

        token = self.settings.tokens[0].token.get_secret_value()
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
            trust_env=False,
        )

    def start(self) -> None:
        """Start the service; returns when it is ready. Raises :class:`SetupError`."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the service; returns at once."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOTLINE_")}
        self.process = self._process(environment | as_environment(self.settings), self._log)

    def _process(self, environment: dict[str, str], log: Path) -> Process:
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "telephony.cli", "up"],
                env=environment,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop the service as an administrator would (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the service as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def get(self, path: str, **params: Any) -> Any:
        """What the service answers to GET ``/api/v1`` + path."""
        answer = self.http.get(f"/api/v1{path}", params=params)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """POST ``/api/v1`` + path."""
        return self.http.post(f"/api/v1{path}", json=body)

    def import_sample(self) -> None:
        """Make the sample that ships the directory of matters."""
        from telephony.matters.files import SAMPLE_FILE, sample

        self.http.post(
            "/api/v1/matters/import",
            params={"source": SAMPLE_FILE},
            content=sample(),
            headers={"Content-Type": "text/csv"},
        ).raise_for_status()

    def open_today(self) -> None:
        """Keep the line open all day by a special day of the calendar, as an admin would."""
        body = {"day": datetime.now(ZoneInfo(TIME_ZONE)).strftime("%Y-%m-%d")}
        body |= {"hours": "0000-2400", "reason": "make run"}
        self.post("/calendar/days", body).raise_for_status()

    def add_people(self) -> dict[str, str]:
        """Let one person of each role sign in on the pages; their names with invented passwords."""
        from telephony.people.passwords import invented

        agent = self.settings.agents[0]
        people: dict[str, dict[str, Any]] = {
            "agent": {
                "display_name": "演示坐席",
                "agent": agent.id,
                "department": agent.department,
            },
            "supervisor": {"display_name": "演示班长", "may_monitor": True},
            "admin": {"display_name": "演示管理员"},
            "auditor": {"display_name": "演示审计"},
            "integrator": {"display_name": "演示对接"},
        }
        passwords = {role: invented() for role in people}
        for role, person in people.items():
            body = person | {"name": role, "roles": [role], "password": passwords[role]}
            self.post("/people", body).raise_for_status()
        return passwords

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(SERVICE_STOP_LIMIT_S)
        self.process = None

    def wait_until_ready(self) -> None:
        """Return when the service is ready; raises :class:`SetupError` with what it said last."""
        import httpx

        deadline = time.monotonic() + SERVICE_START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.05)
        self.kill()
        lines = self._log.read_text(errors="replace").strip().splitlines() or ["no output"]
        raise SetupError(f"the service did not become ready: {lines[-1][:300]} (log: {self._log})")


class Stage:
    """Everything a scene needs, set up on entry and taken down on exit.

    On entry the PBX is up, and the line open; the service may still be loading (it is waited for
    with ``service.wait_until_ready``), for nobody needs it to make a call.
    """

    def __init__(self, folder: Path, say: Say, *, browser: bool = False) -> None:
        self._say = say
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._exit = ExitStack()
        self._phones: dict[str, Softphone] = {}
        program = find_asterisk(say)
        citizens = [Phone(one, secrets.token_urlsafe(12), "hotline-trunk") for one in CITIZENS]
        self.pbx = PrivatePbx(program, folder / "pbx", cast(folder, browser=browser), citizens)
        # Whoever tries it may load a dialplan: the PBX's configuration lies here.
        link = self.pbx.settings.pbx.model_copy(update={"etc": self.pbx.places.etc})
        self.settings = self.pbx.settings.model_copy(update={"pbx": link})
        self.service = Service(self.settings, folder / "service.log")
        self._passwords = {phone.id: phone.password for phone in citizens}
        self._passwords |= {
            phone.id: phone.password for phone in own_phones(self.settings) if not phone.browser
        }

    def __enter__(self) -> Self:
        try:
            version = self.pbx.program.version
            self._say(f"starting a private Asterisk {version} and the service ...")
            self._exit.callback(self.pbx.stop)
            self._exit.callback(self.service.stop)
            self.service.launch()  # it loads while the PBX's files are written
            self.pbx.launch()
            # Loaded while these two come up, not before.
            import telephony.demo.scenes  # noqa: F401

            self.pbx.wait_until_up()
            self.set_hours("0000-2400")
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for phone in self._phones.values():
            phone.stop()
        self._exit.close()

    @property
    def phones(self) -> dict[str, str]:
        """Every phone that may register, with its password."""
        return dict(self._passwords)

    def phone(self, who: str) -> Softphone:
        """The registered phone of an agent, a desk or a citizen."""
        from telephony.softphone import Softphone

        if who not in self._phones:
            phone = Softphone("127.0.0.1", self.pbx.sip_port, who, self._passwords[who])
            phone.start()
            self._phones[who] = phone
        return self._phones[who]

    def hang_up_all(self) -> None:
        """End every call, so that the next scene begins on a quiet line."""
        for phone in self._phones.values():
            for call in phone.calls:
                call.hangup()
        self.pbx.console("channel request hangup all")

    def set_hours(self, hours: str) -> None:
        """Make today a special day of the line: ``closed`` or ``HHMM-HHMM``."""
        today = datetime.now(ZoneInfo(TIME_ZONE)).strftime("%Y%m%d")
        self.pbx.console(f"database put hotline-hours {today} {hours}")
