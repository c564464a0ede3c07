"""Files put into the folder of a PBX, so that its user can read them and none is seen by half.

Asterisk leaves out what it cannot read, without a word: callers would be lost to a file mode.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def put(texts: Mapping[Path, str], out: Path, *, serves: bool = False) -> None:
    """Write files below ``out``; all are on the disk before the first takes its place.

    ``serves``: a PBX reads them now, and no password stands in them: whoever may read a file today
    may read it afterwards, and a power cut leaves no empty one. Raises :class:`OSError`.
    """
    out.mkdir(parents=True, exist_ok=True)
    fresh: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            _folders(path.parent, out)
            fresh[path] = path.with_name(path.name + ".new")
            _write(fresh[path], text, path, out, serves=serves)
        for path, beside in fresh.items():
            if serves and not _has_its_readers(beside, path):
                # Whoever may not give a file away changes it where it is.
                _write_over(path, texts[path])
            else:
                os.replace(beside, path)
    finally:
        for beside in fresh.values():
            beside.unlink(missing_ok=True)


def _write(fresh: Path, text: str, path: Path, out: Path, *, serves: bool) -> None:
    old = path.stat() if path.exists() else None
    fresh.unlink(missing_ok=True)
    # Passwords stand in some of these files: nobody else may read them, not even for a moment. Nor
    # is a link followed that somebody laid there meanwhile.
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        _give(handle, old, path.parent, out)
        # Not by the umask, which may hide it from the PBX.
        os.fchmod(handle, 0o640 | (old.st_mode & 0o044 if old and serves else 0))
        if serves:
            os.fsync(handle)


def _give(handle: int, old: os.stat_result | None, folder: Path, out: Path) -> None:
    """To whom the old one belonged, and to the group by which Asterisk reads its folder."""
    # The group root is nobody's way to read: then the nearer one tells.
    group = out.stat().st_gid or (old or folder.stat()).st_gid
    if os.geteuid() == 0:
        os.fchown(handle, old.st_uid if old else -1, group)
    elif group in {os.getegid(), *os.getgroups()}:
        os.fchown(handle, -1, group)


def _has_its_readers(fresh: Path, path: Path) -> bool:
    """Whether who reads the old file, as its owner or by its group, may read the new one."""
    if os.geteuid() == 0 or not path.exists():
        return True
    old, new = path.stat(), fresh.stat()
    return old.st_gid == new.st_gid


def _write_over(path: Path, text: str) -> None:
    data = text.encode()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _folders(folder: Path, out: Path) -> None:
    if folder == out or folder.exists():
        return
    _folders(folder.parent, out)
    folder.mkdir()
    group = out.stat().st_gid or folder.parent.stat().st_gid
    if os.geteuid() == 0 or group in {os.getegid(), *os.getgroups()}:
        os.chown(folder, -1, group)
    folder.chmod(0o750)
