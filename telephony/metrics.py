"""Figures of a running service for Prometheus; one registry a service, so that tests have many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient, Event


OUTCOMES = {
    "HOTLINE_OFFERED": "offered",
    "HOTLINE_ACCEPTED": "accepted",
    "HOTLINE_ENDED": "",  # the fact itself says how
}


class Metrics:
    """What the service counts and measures."""

    def __init__(self, *clients: AmiClient) -> None:
        """``clients``: the links to all PBXs."""
        self.registry = CollectorRegistry()
        text = "1 while the link to the PBX stands; of several: to any"
        self._gauge("hotline_ami_up", text, lambda: any(one.up for one in clients))
        self._actions = self._counter("hotline_ami_actions", "Actions sent to the PBX")
        self._events = self._counter("hotline_ami_events", "Events taken from the PBX", "event")
        self._handovers = self._counter(
            "hotline_handovers", "Hand-overs seen, by outcome", "outcome"
        )
        for client in clients:
            client.add_listener(
                on_action=lambda **_: self._actions.inc(),
                on_event=lambda event, **_: self._events.labels(event.name).inc(),
            )
            client.add_event_listener(self._on_fact, {"UserEvent"})

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a value that is read when the figures are fetched."""
        self._gauge(name, text, value)

    def watch_each(
        self, name: str, text: str, label: str, values: Mapping[str, Callable[[], float]]
    ) -> None:
        """Likewise, one value for each of these labels."""
        gauge = Gauge(name, text, [label], registry=self.registry)
        for one, value in values.items():
            gauge.labels(one).set_function(value)

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _on_fact(self, event: Event) -> None:
        kind = event.get("Kind")
        if event.get("UserEvent") == "Hotline" and kind in OUTCOMES:
            facts = dict(parse_qsl(event.get("Facts")))
            self._handovers.labels(OUTCOMES[kind] or facts.get("outcome", "unknown")).inc()
