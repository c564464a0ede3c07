"""The service on a link that can be cut or silenced, and somebody who follows its live events."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from telephony.demo import stage
from telephony.demo.stage import Service
from telephony.live.shapes import call_shape
from telephony.private_pbx import PrivatePbx
from tests.pbx.follower import Follower
from tests.pbx.served import service_settings, serving
from tests.pbx.test_live_calls import Watcher
from tests.pbx.test_service import Cutter


class Wire(Cutter):
    """One that can also fall silent: nothing comes through any more, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._flows = threading.Event()
        self._flows.set()
        super().__init__(port)

    def block(self) -> None:
        self._flows.clear()

    def mend(self) -> None:
        super().cut()  # what was held up is lost
        self._flows.set()
        super().mend()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:  # type: ignore[override]
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def cutter(pbx: PrivatePbx) -> Iterator[Wire]:
    with closing(Wire(pbx.settings.pbx.ami_port)) as one:
        yield one
        one.mend()


@pytest.fixture
def served(
    pbx: PrivatePbx, cutter: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service, whose link to the PBX can be cut; it may start as slowly as the machine is."""
    monkeypatch.setattr(stage, "SERVICE_START_LIMIT_S", 60.0)
    with serving(service_settings(pbx, tmp_path, cutter.port), tmp_path) as one:
        yield one


@pytest.fixture
def follower(served: Service) -> Iterator[Follower]:
    one = Follower(served)
    one.sees(lambda: one.state == "up", "the first picture")
    yield one
    one.close()


@pytest.fixture
def watcher(pbx: PrivatePbx) -> Iterator[Watcher]:
    watcher = Watcher(pbx)
    yield watcher
    watcher.close()


def anew(watcher: Watcher) -> dict[str, dict[str, Any]]:
    """The calls as a fresh Status tells them, in the shape that is sent."""
    shapes = [call_shape(call, "pbx1") for call in watcher.calls_anew()]
    text = json.dumps(shapes, default=lambda at: at.isoformat().replace("+00:00", "Z"))
    return {one["id"]: in_order(one) for one in json.loads(text)}


def in_order(call: dict[str, Any]) -> dict[str, Any]:
    """A call with its parties in one order: Asterisk lists channels in any."""
    return call | {"parties": sorted(call["parties"], key=lambda party: str(party["uniqueid"]))}


def assert_true(follower: Follower, watcher: Watcher, state: str) -> dict[str, Any]:
    """One call in this state; what was told, asked over HTTP and asked of the PBX is the same."""
    follower.sees(lambda: follower.call_states() == [state], f"one call, {state}")

    def told() -> dict[str, dict[str, Any]]:
        return {one: in_order(call) for one, call in follower.calls.items()}

    follower.sees(lambda: told() == anew(watcher), "the picture is that of a fresh Status")
    shown = follower._service.get("/calls")["items"]
    assert {call["id"]: in_order(call) for call in shown} == told()
    (call,) = follower.calls.values()
    return call
