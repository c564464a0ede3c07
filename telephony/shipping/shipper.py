"""``hotline ship``: sends a PBX's CEL files and sounds to the service, from where it has got to.

It keeps nothing of its own about CEL: the service says how far each file is there, on disk or on
record, and whole lines from there on are sent. So either side may die at any moment, and the file
may be rotated meanwhile: rotated ones are finished first, the oldest first. Of sounds a list is
kept of those that arrived, for the service may delete them by rule later, and they are not to come
back.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telephony.cel.tail import BREAKS_OFF, identity, is_packed, opened
from telephony.cel.unread import NOT_READ
from telephony.shipping.spool import SOUND, Kind
from telephony.shipping.wire import FULL, Away, Refused, Wire

PART = 2**20
"""Bytes sent in one go."""
POLL_S = 0.5
FIRST_BACK_OFF_S, MOST_BACK_OFF_S = 0.5, 30.0
SETTLED_S = 10.0
"""A sound that changed later than this may still be spoken to."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Sent:
    """What one round sent."""

    bytes: int = 0
    files: list[str] = field(default_factory=list)
    sounds: int = 0
    waiting: str = ""
    """Why sounds stay here for now."""


class Shipper:
    """Sends what one PBX writes. Blocks.

    ``wires``: the service's processes; whoever owns the PBX takes it. ``oldest_s``: older sounds
    and rotated CEL files are left alone.
    """

    def __init__(
        self,
        pbx: str,
        cel: Path,
        wires: list[Wire],
        *,
        sounds: dict[Kind, Path] | None = None,
        state: Path | None = None,
        oldest_s: float = 30 * 86400.0,
        say: Say = lambda _text: None,
    ) -> None:
        self._pbx = pbx
        self._cel = cel
        self._wires = wires
        self._sounds = sounds or {}
        self._state = state
        self._oldest_s = oldest_s
        self._say = say
        # Rotated files, with their size, that are on record: what is only in the spool of a process
        # may be needed by another, which takes over.
        self._done: set[tuple[str, int]] = set()
        self._arrived: set[str] | None = None
        self._told = ""
        self._full, self._told_full = "", False
        self._no_sounds_before = 0.0

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop, with pauses that grow while the service is away."""
        back_off = FIRST_BACK_OFF_S
        while not stop.is_set():
            try:
                sent = self.round()
            except (Away, Refused, OSError) as error:
                if str(error) != self._told:
                    self._say(f"waits: {error}")
                self._told = str(error)
                stop.wait(back_off)
                back_off = min(2 * back_off, MOST_BACK_OFF_S)
                continue
            if self._told:
                self._say("goes on")
            self._told, back_off = "", FIRST_BACK_OFF_S
            if bool(sent.waiting) != self._told_full:
                full = f"sounds wait, rows go on: {sent.waiting}"
                self._say(full if sent.waiting else "sounds go on")
            self._told_full = bool(sent.waiting)
            if not sent.bytes and not sent.sounds:
                stop.wait(POLL_S)

    def round(self) -> Sent:
        """Send all there is now. Raises :class:`Away`, :class:`Refused`, :class:`OSError`."""
        sent = Sent()
        for path, is_rotated in self._files():
            name = identity(path)
            if name is None:
                continue
            size = path.stat().st_size
            if is_rotated and (name, size) in self._done:
                continue
            try:
                count, on_record = self._send_file(path, name, is_rotated=is_rotated)
            except (*BREAKS_OFF, OSError) as error:
                if not is_packed(path) or isinstance(error, FileNotFoundError):
                    raise
                # Damaged: it keeps none of the others from being sent.
                self._say(f"{path.name} cannot be unpacked to its end, so its rest is not sent")
                count, on_record = 0, True
            sent.bytes += count
            sent.files.append(path.name)
            if is_rotated and on_record:
                self._done.add((name, size))
        if time.monotonic() < self._no_sounds_before:
            sent.waiting = self._full
            return sent
        try:
            for kind, folder in self._sounds.items():
                self._send_sounds(kind, folder, sent)
        except Refused as error:
            if error.code != FULL:
                raise
            sent.waiting = self._full = str(error)
            self._no_sounds_before = time.monotonic() + MOST_BACK_OFF_S
        return sent

    # -- CEL

    def _files(self) -> list[tuple[Path, bool]]:
        """The files to send, the oldest first and the one in use last; each file once."""
        found: list[tuple[float, Path]] = []
        names: set[str] = set()
        since = time.time() - self._oldest_s
        rotated = [
            one
            for one in self._cel.parent.glob(f"{self._cel.name}?*")
            if one.is_file() and one.suffix not in NOT_READ
        ]
        # The one that is being packed is there twice for a moment: the plain one counts.
        for path in sorted(rotated, key=lambda one: len(one.suffixes)):
            try:
                modified, name = path.stat().st_mtime, identity(path)
            except FileNotFoundError:  # packed or thrown away just now
                continue
            if name is not None and name not in names and modified >= since:
                names.add(name)
                found.append((modified, path))
        return [(path, True) for _, path in sorted(found)] + [(self._cel, False)]

    def _send_file(self, path: Path, name: str, *, is_rotated: bool) -> tuple[int, bool]:
        """How many bytes were sent, and whether all of the file is on record."""
        held = self._ask("GET", ["cel", name], {})
        place, recorded = int(held["spooled"]), int(held["recorded"])
        with opened(path) as file:
            first = hashlib.blake2b(file.readline(), digest_size=16)
            if first.hexdigest() != name:  # rotated in this moment: found under its new name
                return 0, False
            if not place and recorded:
                # Another process took it, whose disk is not this one's: all of it again, unless
                # all of it is on record.
                file.seek(recorded)
                if not _whole_lines(file.read(PART), is_last=is_rotated):
                    return 0, True
            file.seek(place)
            total = 0
            while data := file.read(PART):
                part = _whole_lines(data, is_last=is_rotated and len(data) < PART)
                if not part:
                    break
                if identity(path) != name:  # cut short in this moment
                    return total, False
                query = {"offset": place, "sha256": hashlib.sha256(part).hexdigest()}
                size = int(self._ask("PUT", ["cel", name], query, part)["size"])
                place += len(part)
                total += len(part)
                if size != place:  # it knows more than this file has: as a shortened one
                    return total, False
                file.seek(place)
        return total, recorded >= place

    # -- sounds

    def _send_sounds(self, kind: Kind, folder: Path, sent: Sent) -> None:
        for path, mark in self._settled(kind, folder):
            try:
                self._send_sound(kind, path)
            except FileNotFoundError:  # deleted at the PBX just now
                continue
            except Refused as error:
                if error.code not in ("value-invalid", "request-invalid"):
                    raise
                self._say(f"{path.name} is not taken: {error}")
            self._note(mark)
            sent.sounds += 1

    def _settled(self, kind: Kind, folder: Path) -> Iterator[tuple[Path, str]]:
        if not folder.is_dir():
            return
        now = time.time()
        found = []
        for path in folder.iterdir():
            if not SOUND.fullmatch(path.name) or path.is_symlink():
                continue
            state = path.stat()
            if now - self._oldest_s <= state.st_mtime <= now - SETTLED_S:
                mark = f"{kind}/{path.name} {state.st_size} {state.st_mtime_ns}"
                found.append((state.st_mtime, path, mark))
        for _, path, mark in sorted(found):
            if mark not in self._marks():
                yield path, mark

    def _send_sound(self, kind: Kind, path: Path) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            state = path.stat()
            place = 0
            while True:
                file.seek(place)
                data = file.read(PART)
                query = {
                    "offset": place,
                    "total": state.st_size,
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "whole_sha256": digest,
                    "at": f"{state.st_mtime:.6f}",
                }
                held = self._ask("PUT", ["sounds", kind, path.name], query, data)
                place += len(data)
                if held["whole"] or not data:
                    return

    def _marks(self) -> set[str]:
        if self._arrived is None:
            self._arrived = set()
            if self._state is not None and self._state.is_file():
                self._arrived.update(self._state.read_text(encoding="utf-8").splitlines())
        return self._arrived

    def _note(self, mark: str) -> None:
        self._marks().add(mark)
        if self._state is not None:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            with self._state.open("a", encoding="utf-8") as file:
                file.write(f"{mark}\n")

    # -- asking

    def _ask(self, method: str, parts: list[str], query: dict[str, Any], body: bytes = b"") -> Any:
        """Ask the process that owns the PBX: the one that answered last, else the next one."""
        last: Away | Refused | None = None
        for _ in range(len(self._wires)):
            try:
                return self._wires[0].ask(method, ["pbxs", self._pbx, *parts], query, body)
            except Away as error:
                last = error
            except Refused as error:
                if error.code != "not-owner":
                    raise
                last = error
            self._wires.append(self._wires.pop(0))
        assert last is not None
        raise last


def _whole_lines(data: bytes, *, is_last: bool) -> bytes:
    """As far as lines are whole; a rotated file ends where it ends."""
    return data if is_last else data[: data.rfind(b"\n") + 1]
