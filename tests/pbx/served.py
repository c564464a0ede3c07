"""The service beside the tests' PBX, and what it shows and records."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from telephony.demo.stage import Service
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import Http, Settings
from tests.empty_record import empty_record
from tests.pbx.scene import wait_until
from tests.warm import WarmService


def service_settings(pbx: PrivatePbx, folder: Path, ami_port: int | None = None) -> Settings:
    link = pbx.settings.pbx
    if ami_port is not None:
        link = link.model_copy(update={"ami_port": ami_port})
    return pbx.settings.model_copy(
        update={
            "pbx": link,
            "database_url": f"sqlite:///{folder / 'record.sqlite'}",
            "http": Http(port=free_port(socket.SOCK_STREAM)),
        }
    )


@contextmanager
def serving(settings: Settings, folder: Path) -> Iterator[Service]:
    """The service with these settings, with a log and an empty record in ``folder``."""
    shutil.copy(empty_record(folder.parent), folder / "record.sqlite")
    one = WarmService(settings, folder / "service.log")
    try:
        one.start()
        yield one
    finally:
        one.stop()
        one.http.close()


def live_call(service: Service) -> dict[str, Any]:
    """The one call that is talking now, as the service shows it."""

    def talking() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = service.get("/calls")["items"]
        return [call for call in items if call["state"] == "talking"]

    wait_until(talking, "the service shows the call")
    return talking()[0]


def whole_case(service: Service, case: str) -> dict[str, Any]:
    """The case once the record holds its end."""

    def ended() -> dict[str, Any] | None:
        answer = service.http.get(f"/api/v1/cases/{case}")
        if answer.status_code == 404:
            return None
        found: dict[str, Any] = answer.json()
        done = found["legs"] and all(leg["state"] == "complete" for leg in found["legs"])
        return found if done else None

    wait_until(ended, f"every leg of case {case} is complete on record", 10)
    return ended() or {}
