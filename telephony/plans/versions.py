"""Versions of the dialplan of one PBX, kept on disk: files, who, when, what, and their sum.

``<folder>/<PBX>/0007/version.json`` with the files beside it below ``files/``. A version is written
whole or not at all and never changed. Nothing here knows of a PBX.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from telephony.errors import HotlineError, NotFound, WrongState

What = Literal["found", "loaded", "rolled-back", "failed"]
"""Why a version is kept: it was found on the PBX before a load, it was loaded, an older one was put
back, or the PBX never had it, because the load was undone."""
Stage = Literal["writing", "reloading", "verifying", "putting-back"]

Files = dict[str, str]
"""Configuration files: path below the PBX's configuration folder -> text."""

_NAME = re.compile(r"\d{4,}")


class VersionNotFound(NotFound):
    """No version with this number is kept."""

    code = "dialplan-version-not-found"
    title = "No such version"


class LoadRunning(WrongState):
    """Somebody loads a dialplan on this PBX at this moment."""

    code = "dialplan-load-running"
    title = "A dialplan is being loaded"


class VersionsUnusable(HotlineError):
    """The folder of versions cannot be read or written, so nothing is loaded."""

    code = "dialplan-versions"
    title = "Versions cannot be kept"


@dataclass(frozen=True, slots=True)
class Version:
    """A kept version; ``sha256`` is the sum over the names and texts of its files.

    ``of``: the version that was put back, of one that was rolled back to; else 0.
    """

    number: int
    at: datetime
    by: str
    what: What
    sha256: str
    files: int
    of: int = 0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A load that has begun and not ended: kept on disk, so that a crash cannot hide it.

    ``before`` and ``after`` are versions; ``pid`` the process that loads, ``said`` what went wrong
    so far.
    """

    stage: Stage
    way: str
    by: str
    at: datetime
    pid: int
    before: int
    after: int
    said: str = ""


def sum_of(files: Mapping[str, str]) -> str:
    """A checksum over the names and texts of files."""
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"{name}\0{len(text.encode())}\0".encode() + text.encode())
    return digest.hexdigest()


class Versions:
    """The versions of one PBX."""

    def __init__(self, folder: Path, pbx: str, keep: int = 50) -> None:
        self.folder = folder / pbx
        self._keep = keep

    def history(self) -> list[Version]:
        """All versions, the newest first. Raises :class:`VersionsUnusable`."""
        with _usable(self.folder):
            if not self.folder.is_dir():
                return []
            names = [one.name for one in self.folder.iterdir() if _NAME.fullmatch(one.name)]
            found = [self._known(int(name)) for name in sorted(names, key=int, reverse=True)]
            return [one for one in found if one is not None]

    def standing(self) -> Version | None:
        """What the PBX had last, as far as is known here, or None."""
        return next((one for one in self.history() if one.what != "failed"), None)

    def get(self, number: int) -> Version:
        """A version. Raises :class:`VersionNotFound`, :class:`VersionsUnusable`."""
        if not self._place(number).is_dir():
            known = ", ".join(str(one.number) for one in self.history()[:10]) or "none"
            raise VersionNotFound(f"no version {number} is kept; there are: {known}")
        with _usable(self.folder):
            return self._read(number)

    def files(self, number: int) -> Files:
        """The files of a version.

        Raises :class:`VersionNotFound`; :class:`VersionsUnusable` when they are no longer what was
        kept.
        """
        version = self.get(number)
        base = self._place(number) / "files"
        with _usable(base):
            files = {
                path.relative_to(base).as_posix(): path.read_text(encoding="utf-8")
                for path in sorted(base.rglob("*"))
                if path.is_file()
            }
        if sum_of(files) != version.sha256:
            raise VersionsUnusable(
                f"the files of version {number} in {base} were changed; take another version"
            )
        return files

    def keep(self, files: Files, *, by: str, what: What, of: int = 0) -> Version:
        """Keep files as a new version. Raises :class:`VersionsUnusable`."""
        newest = next(iter(self.history()), None)
        sha256 = sum_of(files)
        number = newest.number + 1 if newest else 1
        now = datetime.now(UTC)
        version = Version(number, now, by, what, sha256, len(files), of)
        with _usable(self.folder):
            fresh = self._folder() / f".{number:04}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            for name, text in files.items():
                path = fresh / "files" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                # After a power cut the old dialplan is put back from here.
                _write_through(path, text)
            fresh.mkdir(exist_ok=True)
            (fresh / "files").mkdir(exist_ok=True)
            _write(fresh / "version.json", _json(asdict(version)))
            fresh.rename(self._place(number))
        self._forget_old()
        return version

    def settle(self, number: int, what: What) -> Version:
        """Say what became of a version. Raises :class:`VersionsUnusable`."""
        version = replace(self.get(number), what=what)
        with _usable(self.folder):
            _write(self._place(number) / "version.json", _json(asdict(version)))
        return version

    # -- the load in progress ---------------------------------------------------------------------

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One load at a time; the lock goes with its process. Raises :class:`LoadRunning`."""
        with _usable(self.folder):
            lock = (self._folder() / "lock").open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LoadRunning(
                    "another load of this PBX is under way; wait until `hotline dialplan history` "
                    "shows it"
                ) from None
            yield

    def busy(self) -> bool:
        """Whether a load is under way at this moment. Raises :class:`VersionsUnusable`."""
        if not self.folder.is_dir():
            return False
        try:
            with self.alone():
                return False
        except LoadRunning:
            return True

    def unfinished(self) -> Unfinished | None:
        """The load that has begun and not ended, or None. Raises :class:`VersionsUnusable`."""
        file = self.folder / "loading.json"
        with _usable(self.folder):
            if not file.exists():
                return None
            told = json.loads(file.read_text(encoding="utf-8"))
            return Unfinished(**told | {"at": datetime.fromisoformat(told["at"])})

    def begin(self, unfinished: Unfinished) -> None:
        """Say on disk how far a load is, before it goes there."""
        with _usable(self.folder):
            _write(self._folder() / "loading.json", _json(asdict(unfinished)))

    def end(self) -> None:
        """The load has ended, well or put back."""
        with _usable(self.folder):
            (self.folder / "loading.json").unlink(missing_ok=True)

    def _folder(self) -> Path:
        # Names of desks and supervisors' PINs stand in a dialplan: nobody else's business.
        self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return self.folder

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:04}"

    def _known(self, number: int) -> Version | None:
        """A version; None for one that is forgotten at this moment."""
        try:
            return self._read(number)
        except FileNotFoundError:
            if self._place(number).exists():
                raise
            return None

    def _read(self, number: int) -> Version:
        told = json.loads((self._place(number) / "version.json").read_text(encoding="utf-8"))
        return Version(**told | {"at": datetime.fromisoformat(told["at"])})

    def _forget_old(self) -> None:
        with _usable(self.folder):
            load, standing = self.unfinished(), self.standing()
            # However many have failed since, what the PBX has can be put back.
            needed = {standing.number} if standing else set()
            needed |= {load.before, load.after} if load else set()
            for old in self.history()[self._keep :]:
                if old.number not in needed:
                    # Whole or not at all: half a version would be none that can be read.
                    gone = self.folder / f".{old.number:04}.gone"
                    shutil.rmtree(gone, ignore_errors=True)
                    self._place(old.number).rename(gone)
                    shutil.rmtree(gone)


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VersionsUnusable(
            f"{error.filename or folder}: {error.strerror}; set dialplan.versions to a folder that "
            "this user may write to"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise VersionsUnusable(
            f"{folder} holds something else than versions ({error}); move it away"
        ) from None


def _json(told: Mapping[str, object]) -> str:
    return json.dumps(told, default=str, ensure_ascii=False, indent=1) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a small file whole: after a power cut there is the old one or the new one."""
    fresh = path.with_name(path.name + ".new")
    _write_through(fresh, text)
    fresh.replace(path)


def _write_through(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
