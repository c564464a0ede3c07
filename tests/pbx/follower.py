"""Somebody who watches the floor over the WebSocket, and knows only what they are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from api.schemas.live import LiveFrame
from telephony.demo.stage import Service
from tests.pbx.scene import wait_until

Message = dict[str, Any]


class Follower:
    """Keeps itself connected, asks for what it missed, and never accepts a gap."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._socket: ClientConnection | None = None
        self.calls: dict[str, Message] = {}
        self.agents: dict[str, Message] = {}
        self.queues: dict[str, Message] = {}
        self.handovers: list[Message] = []
        self.arrived: dict[tuple[str, str], float] = {}
        """When (monotonic) a step of a hand-over was told: by event and id."""
        self.frames: list[Message] = []
        self.ends: list[int | None] = []
        """Close codes of the connections that have ended."""
        self.state = ""
        self.epoch, self.seq = "", 0
        self.problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; raises what went wrong while watching."""
        self._closed.set()
        self.hang_up()
        self._thread.join(10)
        if self.problem is not None:
            raise self.problem

    def hang_up(self) -> None:
        """Lose the connection once; it comes back by itself."""
        socket = self._socket
        if socket is not None:
            socket.close()

    def sees(self, true: Callable[[], object], what: str, timeout: float = 5.0) -> None:
        """Wait until something has been told."""

        def told() -> object:
            if self.problem is not None:
                raise self.problem
            with self._lock:
                return true()

        wait_until(told, what, timeout)

    def call_states(self) -> list[str]:
        """The states of all calls now."""
        return sorted(call["state"] for call in self.calls.values())

    def outcomes(self) -> list[tuple[str, str | None]]:
        """Ends of hand-overs, in the order they were told: id and outcome."""
        return [(one["id"], one["outcome"]) for one in self.handovers if one["event"] == "ended"]

    def sees_outcomes(self, number: int, timeout: float = 5.0) -> None:
        """Wait until so many hand-overs have ended."""
        self.sees(lambda: len(self.outcomes()) == number, f"{number} outcomes", timeout)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow()
            except (OSError, InvalidHandshake, ConnectionClosed):
                self._closed.wait(0.05)  # the service is away
            except BaseException as error:  # noqa: BLE001 - raised in the test by close()
                self.problem = error
                return

    def _follow(self) -> None:
        url = f"{self._service.url.replace('http', 'ws', 1)}/api/v1/events"
        if self.epoch:
            url += f"?since={self.seq}&epoch={self.epoch}"
        token = self._service.settings.tokens[0].token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        with connect(url, additional_headers=headers, proxy=None) as socket:
            self._socket = socket
            try:
                for text in socket:
                    LiveFrame.model_validate_json(text)
                    with self._lock:
                        self._take(json.loads(text))
            finally:
                self._socket = None
                with suppress(ConnectionClosed):
                    socket.close()
                self.ends.append(socket.close_code)

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("resumed", "heartbeat"):
            return
        if kind == "snapshot":
            self.calls, self.agents, self.queues = {}, {}, {}
            self.epoch = message["epoch"]
        elif self.seq:
            assert message["after"] <= self.seq, "something was missed and nobody said so"
        self.state = message.get("state", self.state)
        self.seq = message["seq"]
        self.frames.append(message)
        for gone in message.get("calls_gone", ()):
            del self.calls[gone]
        self.calls.update({one["id"]: one for one in message.get("calls", ())})
        self.agents.update({one["id"]: one for one in message.get("agents", ())})
        self.queues.update({one["queue"]: one for one in message.get("queues", ())})
        for one in message.get("handovers", ()):
            self.handovers.append(one)
            self.arrived[one["event"], one["id"]] = time.monotonic()
