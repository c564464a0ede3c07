"""The room on the disk on which the PBX writes its rows: measured, and told before it is used up.

Asterisk says nothing when a row does not fit: it is gone. So the alarm must come beforehand.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from prometheus_client import Gauge

from telephony.record.settings import MB, RecordWatch

LOOK_EVERY_S = 10.0

log = structlog.get_logger(__name__)

FREE = Gauge("hotline_cel_disk_free_bytes", "Free where the PBX writes its CEL file", ["pbx"])

State = Literal["ok", "warning", "alarm"]


@dataclass(frozen=True, slots=True)
class Room:
    """How much room there is in a folder."""

    folder: Path
    free: int  # bytes
    state: State


def room_in(folder: Path, watch: RecordWatch) -> Room:
    """The room in this folder, judged by the settings. Raises :class:`OSError`."""
    free = shutil.disk_usage(folder).free
    state: State = "ok"
    if free < watch.disk_alarm_mb * MB:
        state = "alarm"
    elif free < watch.disk_warning_mb * MB:
        state = "warning"
    return Room(folder, free, state)


class DiskWatch:
    """Measures the room in the CEL file's folder, at most every 10 s, and logs each change."""

    def __init__(self, pbx: str, folder: Path, watch: RecordWatch) -> None:
        self.pbx = pbx
        self.folder = folder
        self.state: State = "ok"
        self._watch = watch
        self._next = 0.0

    def look(self) -> None:
        """Measure, if it is time to."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_EVERY_S
        try:
            room = room_in(self.folder, self._watch)
        except OSError as error:
            log.warning("cel-disk-unknown", pbx=self.pbx, reason=str(error))
            return
        FREE.labels(self.pbx).set(room.free)
        if room.state != self.state:
            tell = {"ok": log.info, "warning": log.warning, "alarm": log.error}[room.state]
            free_mb = room.free // MB
            tell(f"cel-disk-{room.state}", pbx=self.pbx, folder=str(self.folder), free_mb=free_mb)
        self.state = room.state
