"""The doctor, asked again and again by the running service: its findings as figures and over HTTP.

It asks over a link of its own, as the command does, so that what it finds is what a login finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Gauge

from telephony import logs
from telephony.background import end
from telephony.checkup.model import Finding

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from telephony.settings import Settings

FIRST_AFTER_S = 60
"""A service that has just started still reads what it missed: what it lacks then is no finding."""
LEVELS = {"ok": 0, "warning": 1, "wrong": 2}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found at a PBX, and when it was looked for."""

    pbx: str
    at: datetime
    findings: tuple[Finding, ...]


class DoctorKeeper:
    """Examines each PBX of the settings every ``checkup.every_s`` seconds.

    ``everyone``: the settings that hold at each PBX.
    """

    def __init__(
        self,
        settings: Settings,
        everyone: Callable[[], Sequence[Settings]],
        registry: CollectorRegistry,
    ) -> None:
        self._every_s = settings.checkup.every_s
        self._everyone = everyone
        self._found: dict[str, Examined] = {}
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._state = Gauge(
            "hotline_check",
            "What `hotline doctor` found: 0 ok, 1 warning, 2 wrong",
            ("pbx", "check"),
            registry=registry,
        )
        self._at = Gauge(
            "hotline_check_at",
            "When `hotline doctor` looked last, in seconds since 1970",
            ("pbx",),
            registry=registry,
        )

    def start(self) -> None:
        """Begin; the first look is some time after the start."""
        if self._every_s:
            self._task = asyncio.create_task(self._run(), name="doctor")

    async def stop(self) -> None:
        """Stop; a look that is under way is given up."""
        await end(self._task)

    def last(self, pbx: str) -> Examined | None:
        """What was found at this PBX last, or None before the first look."""
        return self._found.get(pbx)

    async def examine(self, settings: Settings) -> Examined:
        """Look at one PBX now; takes less than a second when all is well."""
        # Checks load much that no call needs.
        from telephony.doctor import examine

        name = settings.pbx.name
        async with self._one_at_a_time:
            findings = await examine(settings)
        found = Examined(name, datetime.now(UTC), tuple(findings))
        self._found[name] = found
        for one in findings:
            self._state.labels(name, one.name).set(LEVELS[one.state])
        self._at.labels(name).set(found.at.timestamp())
        return found

    async def _run(self) -> None:
        await asyncio.sleep(min(FIRST_AFTER_S, self._every_s))
        while True:
            for settings in self._everyone():
                await self._look(settings)
            await asyncio.sleep(self._every_s)

    async def _look(self, settings: Settings) -> None:
        before = self.last(settings.pbx.name)
        try:
            found = await self.examine(settings)
        except Exception as error:  # noqa: BLE001 - the next look may do better
            logs.unexpected(log, "the doctor failed", error)
            return
        known = {one.name for one in before.findings if one.state == "wrong"} if before else set()
        for one in found.findings:
            if one.state == "wrong" and one.name not in known:
                log.warning("the doctor finds", pbx=found.pbx, check=one.name, found=one.found)
