"""Two ways to change files of ours on a PBX: in its folder, or over AMI.

Both write a file whole: a PBX that starts in the middle reads each file as it was or as it is to
be. Over AMI, files are put together beside (``….loading``) and copied over by one action each.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from telephony import dialplan
from telephony.dialplan import HEADER
from telephony.errors import HotlineError, PbxRefused
from telephony.plans.config_lines import Said, read_lines
from telephony.plans.versions import Files, LoadRunning
from telephony.plans.wanted import CUSTOM, EXTENSIONS, RELOADS, module_of

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

LOADING = ".loading"
LINES_AT_ONCE = 28
"""Lines added by one AMI action: Asterisk takes 128 headers in one, and a line needs four."""


class NotReachable(HotlineError):
    """There is no way to change the PBX's files from here; the detail says what would open one."""

    code = "dialplan-no-way"
    status = 409
    title = "The PBX's dialplan cannot be changed from here"


class Way(Protocol):
    """How files of ours on the PBX are read and written, by their path below its folder."""

    name: str

    async def read(self, also: Iterable[str]) -> Files:
        """The files of ours that are there now; ``also``: names to look for."""
        ...

    async def write(self, files: Mapping[str, str], gone: Iterable[str]) -> None:
        """Write files, and take away others."""
        ...

    def check_rights(self) -> None:
        """Raise :class:`NotReachable` when it is known now that writing would fail."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """One load at a time, whoever's versions it keeps; raises :class:`LoadRunning`."""
        ...


def way_to(settings: Settings, client: AmiClient, actions: Iterable[str]) -> Way:
    """The way that the settings name. Raises :class:`NotReachable`."""
    if settings.pbx.etc is not None:
        return FileWay(settings.pbx.etc)
    if settings.pbx.load_over_ami:
        return AmiWay(client, set(actions), settings.pbx.ami_user)
    raise NotReachable(
        "set pbx.etc to the PBX's configuration folder, if it can be reached from here; "
        "else pbx.load_over_ami = true, and render the AMI user anew"
    )


class FileWay:
    """Files in the PBX's configuration folder, such as /etc/asterisk."""

    name = "file"

    def __init__(self, etc: Path) -> None:
        self.etc = etc

    async def read(self, also: Iterable[str]) -> Files:
        """See :class:`Way`; a file that says so in its heading is ours, and ``custom-…`` is."""
        also = set(also)
        # Asterisk's own pattern takes no hidden ones (what editors leave) either.
        names = {
            EXTENSIONS + path.name
            for path in (self.etc / EXTENSIONS).glob("*.conf")
            if not path.name.startswith(".")
        } | {name for name in also if (self.etc / name).is_file()}
        try:
            texts = {name: self._text(name) for name in sorted(names)}
        except (OSError, UnicodeDecodeError) as error:
            raise NotReachable(
                f"a file of the PBX cannot be read: {error}; {_cure(self.etc)}"
            ) from None

        ours = {k: text for k, text in texts.items() if k.startswith(CUSTOM) or HEADER in text}
        taken = [name for name in also if name in texts.keys() - ours.keys()]
        if taken:
            raise NotReachable(
                f"{self.etc / taken[0]} was not made by hotline and is not written over; "
                "move it away, its contexts into a file outside of hotline/"
            )
        return ours

    def _text(self, name: str) -> str:
        data = (self.etc / name).read_bytes()
        # What somebody else has there may be written in any way: it is left alone.
        ours = name.startswith(CUSTOM) or HEADER.encode() in data
        return data.decode("utf-8", "strict" if ours else "replace").replace("\r\n", "\n")

    async def write(self, files: Mapping[str, str], gone: Iterable[str]) -> None:
        """See :class:`Way`. Raises :class:`~telephony.dialplan.DialplanError`."""
        dialplan.write(dict(files), self.etc, force=True, serves=True)
        for name in gone:
            try:
                (self.etc / name).unlink(missing_ok=True)
            except OSError as error:
                raise NotReachable(
                    f"{self.etc / name}: {error.strerror}; {_cure(self.etc)}"
                ) from None

    def check_rights(self) -> None:
        """See :class:`Way`."""
        if not self.etc.is_dir():
            raise NotReachable(f"{self.etc} (pbx.etc) is no folder; correct it, or mount it")
        folders = [self.etc / "hotline/extensions", self.etc / "hotline", self.etc]
        needed = [one for one in folders if one.is_dir()][:2]
        for folder in needed:
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise NotReachable(
                    f"{folder} may not be written by user {os.geteuid()}; {_cure(folder)}"
                )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See :class:`Way`: a service and a command may keep their versions in two places."""
        folder = self.etc / "hotline"
        handle = os.open(folder if folder.is_dir() else self.etc, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._lock(handle)
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LoadRunning(
                f"another load into {self.etc} is under way, of which nothing is kept here; wait "
                "for its end, and let all keep their versions in one folder (dialplan.versions)"
            ) from None
        except OSError as error:
            # A folder of another machine may know no locks: the one beside the versions must do.
            log.info("no lock", folder=str(self.etc), why=str(error))


def _cure(folder: Path) -> str:
    return (
        f"let this user in, as by `setfacl -R -m u:{os.geteuid()}:rwX {folder}`, and make it a "
        "member of Asterisk's group, which must read what it writes"
    )


class AmiWay:
    """Files written by the PBX itself on our word (``UpdateConfig``); needs the right config."""

    name = "ami"

    def __init__(self, client: AmiClient, actions: set[str], user: str) -> None:
        self._client = client
        self._actions = actions
        self._user = user

    async def read(self, also: Iterable[str]) -> Files:
        """See :class:`Way`. AMI lists no folder: only the names of ``also`` are looked for.

        What comes back has the same lines, without comments.
        """
        found = {}
        for name in sorted(set(also)):
            lines = await self._config(name)
            if lines:
                found[name] = as_text(lines)
        return found

    async def write(self, files: Mapping[str, str], gone: Iterable[str]) -> None:
        """See :class:`Way`. A file cannot be deleted over AMI: it is left empty."""
        wanted = dict(files) | dict.fromkeys(gone, "")
        there = await self.read(wanted)
        changed = [
            name for name, text in wanted.items() if plain(there.get(name, "")) != plain(text)
        ]
        for name in changed:
            await self._put_together(name + LOADING, wanted[name])
        for name in changed:
            await self._create(name)
            try:
                await self._client.action(
                    "UpdateConfig", {"SrcFilename": name + LOADING, "DstFilename": name}
                )
            except PbxRefused as error:
                raise NotReachable(
                    f"the PBX may not write {name} ({error.detail}): give that file to the user "
                    "that Asterisk runs as"
                ) from None

    def check_rights(self) -> None:
        """See :class:`Way`."""
        missing = {"UpdateConfig", "CreateConfig", "GetConfig"} - self._actions
        if missing:
            raise NotReachable(
                f"our AMI user may not use {', '.join(sorted(missing))}: add `config` to write = "
                f"in [{self._user}] of the PBX's manager.conf (`hotline dialplan render` writes "
                "it so), then `manager reload`"
            )

    def alone(self) -> AbstractContextManager[None]:
        """See :class:`Way`: AMI has no lock; the one beside the versions must do."""
        return nullcontext()

    async def _put_together(self, name: str, text: str) -> None:
        """A file with the sections and lines of ``text``, read back."""
        await self._create(name)
        sections, lines = sections_and_lines(text)
        await self._update(name, [("EmptyCat", one, "", "") for one in await self._sections(name)])
        await self._update(name, [("DelCat", one, "", "") for one in await self._sections(name)])
        if not sections:
            return
        changes = [("NewCat", one, "", "") for one in sections]
        changes += [("Append", one.section, one.key, one.value) for one in lines]
        await self._update(name, changes)
        there = await self._config(name)
        if as_text(there or {}) != as_text(_grouped(sections, lines)):
            raise PbxRefused(f"the PBX did not write {name} as it was sent; nothing was loaded")

    async def _create(self, name: str) -> None:
        try:
            await self._client.action("CreateConfig", {"Filename": name})
        except PbxRefused as error:
            if "File exists" in error.detail:
                return
            if "No such file" in error.detail:
                folder = name.rpartition("/")[0]
                raise NotReachable(
                    f"the PBX has no folder {folder} below its configuration folder, and AMI makes "
                    f"none: make it there once, owned by the user that Asterisk runs as"
                ) from None
            raise NotReachable(
                f"the PBX may not make {name} ({error.detail}): let the user that Asterisk runs as "
                "write to its configuration folder"
            ) from None

    async def _update(self, name: str, changes: Sequence[tuple[str, str, str, str]]) -> None:
        for first in range(0, len(changes), LINES_AT_ONCE):
            headers = {"SrcFilename": name, "DstFilename": name}
            for number, (what, section, key, value) in enumerate(
                changes[first : first + LINES_AT_ONCE]
            ):
                headers |= {f"Action-{number:06}": what, f"Cat-{number:06}": section}
                if key:
                    # ">": written as =>, as in a dialplan.
                    headers |= {f"Var-{number:06}": key, f"Value-{number:06}": f">{value}"}
            await self._client.action("UpdateConfig", headers)

    async def _sections(self, name: str) -> list[str]:
        return list(await self._config(name) or {})

    async def _config(self, name: str) -> dict[str, list[tuple[str, str]]] | None:
        """A file's lines by section, in order; None when it is not there or says nothing."""
        try:
            answer = await self._client.action("GetConfig", {"Filename": name})
        except PbxRefused as error:
            if re.search("not found|no such", error.detail, re.IGNORECASE):
                return None
            raise
        return config_told(answer.keys)


def config_told(headers: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """The answer to ``GetConfig``: section -> its lines as key and value, in order."""
    names: dict[str, str] = {}
    config: dict[str, list[tuple[str, str]]] = {}
    for header, value in headers.items():
        kind, _, number = header.partition("-")
        if kind == "Category":
            names[number] = value
            config.setdefault(value, [])
        elif kind == "Line":
            key, _, rest = value.partition("=")
            lines = config[names[number.partition("-")[0]]]
            lines.append((key.strip(), rest.removeprefix(">").strip()))
    return config


def sections_and_lines(text: str) -> tuple[list[str], list[Said]]:
    """The sections of a file, each once, and its lines."""
    lines = read_lines(text)
    sections = dict.fromkeys(one.section for one in lines if not one.key)
    return list(sections), [one for one in lines if one.key]


def _grouped(sections: list[str], lines: list[Said]) -> dict[str, list[tuple[str, str]]]:
    config: dict[str, list[tuple[str, str]]] = {name: [] for name in sections}
    for one in lines:
        # What stands before the first section is said to nobody.
        config.setdefault(one.section, []).append((one.key, one.value))
    return config


def as_text(config: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Sections and lines as a configuration file."""
    parts = []
    for section, lines in config.items():
        told = [f"{key} => {value}".replace(";", "\\;") for key, value in lines]
        parts.append("\n".join([f"[{section}]", *told]) + "\n")
    return "\n".join(parts)


def plain(text: str) -> str:
    """What a file says, without comments and lay-out: to tell whether two say the same."""
    return as_text(_grouped(*sections_and_lines(text)))


def same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two sets of files say the same; a file that says nothing is as none."""
    return _said(one) == _said(other)


def _said(files: Mapping[str, str]) -> Files:
    return {name: said for name, text in files.items() if (said := plain(text))}


def modules_of(names: Iterable[str]) -> list[str]:
    """The modules to reload after these files were changed, in a fixed order."""
    touched = {module_of(name) for name in names}
    return [module for module in RELOADS.values() if module in touched]
