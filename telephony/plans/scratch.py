"""A scratch Asterisk: what the program itself says of a dialplan, beside any PBX that serves.

It has a folder of its own, listens nowhere, loads nothing but its reader of dialplans (so a value
that calls a function calls none), is asked on its control socket and is killed afterwards.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from telephony.asterisk_program import AsteriskProgram, cache_dir
from telephony.errors import SetupError
from telephony.plans.names import Names

START_LIMIT_S = 30.0
BOOT_ANSWER_LIMIT_S = 3.0
ANSWER_LIMIT_S = 20.0
SOCKET = "asterisk.ctl"
LONGEST_SOCKET = 107
"""Bytes of the name of a UNIX socket (unix(7))."""
SURE_CHARACTERS = 20_000
"""An answer up to this is never cut: it fits into a pipe."""
TRIES = 5
READER = "[modules]\nautoload = no\nload = pbx_config.so\n"
QUIET = "[general]\nuse_callids = no\n[logfiles]\nmessages => notice,warning,error\n"
NEED_FILES = (
    "queues",
    "confbridge",
    "res_parking",
    "agents",
    "followme",
    "minivm",
    "voicemail",
    "alarmreceiver",
    "amd",
    "features",
    "pjsip",
    "festival",
    "calendar",
    "sla",
    "mgcp",
)
"""Modules that do not load without a file of theirs, be it empty."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A step as Asterisk has it: ``dialplan show``. It tells no label of an extension's first."""

    context: str
    exten: str
    priority: int
    label: str | None
    written: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """A line of Asterisk's log about a line of a dialplan (0: none is named)."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Asterisk made of a dialplan. ``loaded``: whether it took it at all."""

    loaded: bool
    steps: list[Shown]
    complaints: list[Complaint]


def judge(program: AsteriskProgram, files: Mapping[str, str], contexts: Collection[str]) -> Verdict:
    """Let Asterisk read ``extensions.conf`` of ``files`` and tell what it has then.

    ``contexts``: those that may be there. Raises :class:`~telephony.errors.SetupError` when it
    cannot be started.
    """
    with _running(program, READER, files) as scratch:
        shown = scratch.dialplan(contexts)
        log = scratch.log()
    steps = list(read_shown(shown))
    loaded = "pbx_config declined" not in log
    return Verdict(loaded, steps, list(read_log(log)))


def _is_whole(shown: str) -> bool:
    """Whether everything that is counted at its end is there."""
    said = re.search(r"-= (\d+) extensions? \((\d+) priorit\w+\) in (\d+) contexts?", shown)
    if said is None:
        return False
    lines = (
        re.findall(r"^  '.*?' (?:\(CID match '.*?'\) )?=> ", shown, re.MULTILINE),
        re.findall(r"^ .*?(?:\d+\. |hint: )", shown, re.MULTILINE),
        re.findall(r"^\[ Context '", shown, re.MULTILINE),
    )
    return [int(one) for one in said.groups()] == [len(one) for one in lines]


def names_of(program: AsteriskProgram) -> Names:
    """Applications and functions of an Asterisk, asked from it once for each version."""
    stamp = f"{program.modules}|{program.modules.stat().st_mtime_ns}|{program.version}"
    kept = cache_dir() / f"asterisk-names-{program.version}.json"
    try:
        there = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = {}
    if there.get("of") != stamp:
        there = {"of": stamp, **_ask_names(program)}
        _keep(kept, json.dumps(there))
    return Names(program.version, there["apps"], there["functions"])


def _keep(path: Path, text: str) -> None:
    """Two checks at once may keep it: each writes a file of its own and renames it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(fresh, path)
    except OSError:
        # A folder that may not be written to: it is asked again next time.
        return


def _ask_names(program: AsteriskProgram) -> dict[str, dict[str, str]]:
    wanted = sorted(
        path.name
        for kind in ("app", "func", "res", "pbx")
        for path in program.modules.glob(f"{kind}_*.so")
    )
    loads = "".join(f"load = {name}\n" for name in [*wanted, "chan_pjsip.so"])
    files = {f"{name}.conf": "" for name in NEED_FILES} | {"extensions.conf": ""}
    with _running(program, f"[modules]\nautoload = no\n{loads}", files) as scratch:
        apps = re.findall(r"^\s*(\S+): ", scratch.ask("core show applications"), re.MULTILINE)
        functions = re.findall(r"^(\w+)\s+\w+\(", scratch.ask("core show functions"), re.MULTILINE)
    documented = _documented(program)
    # A module that wants files of its own before it loads is there all the same.
    return {
        "apps": dict.fromkeys(sorted(apps), "") | documented["application"],
        "functions": dict.fromkeys(sorted(functions), "") | documented["function"],
    }


def _documented(program: AsteriskProgram) -> dict[str, dict[str, str]]:
    """Applications and functions of the modules that there are, by Asterisk's documentation."""
    documentation = program.data / "documentation" / "core-en_US.xml"
    files = {path.stem for path in program.modules.glob("*.so")}
    found: dict[str, dict[str, str]] = {"application": {}, "function": {}}
    if documentation.exists():
        text = documentation.read_text(encoding="utf-8", errors="replace")
        for kind, name, module in re.findall(
            r'<(application|function) name="([^"]+)"[^>]* module="([^"]+)"', text
        ):
            if module in files:
                others = found[kind].get(name)
                found[kind][name] = f"{others}|{module}" if others else module
    return found


class _Scratch:
    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process

    def ask(self, command: str, limit_s: float = ANSWER_LIMIT_S) -> str:
        """What its console answers; nothing before it listens, or when it does not in time."""
        said = bytearray()
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(limit_s)
            try:
                link.connect(str(self.folder / "run" / SOCKET))
                link.sendall(b"cli quit after %b\0" % command.encode())
                while part := link.recv(1 << 18):
                    said += part
            except OSError:
                return ""
        # The first line is its greeting.
        return said.partition(b"\n")[2].decode(errors="replace")

    def dialplan(self, contexts: Collection[str]) -> str:
        """All that it has loaded, and surely all.

        Its console drops lines of a long answer that is not taken from it at once, so a long one is
        asked for by context.
        """
        whole = self.ask("dialplan show")
        if len(whole) < SURE_CHARACTERS and _is_whole(whole):
            return whole
        there = re.findall(r"^\[ Context '(.*)' created by", whole, re.MULTILINE)
        return "".join(self._context(name) for name in dict.fromkeys([*contexts, *there]))

    def _context(self, name: str) -> str:
        said = ""
        for _ in range(TRIES):
            said = self.ask(f'dialplan show "{name}"')
            if _is_whole(said) or "There is no existence of" in said:
                break
        return said

    def log(self) -> str:
        return (self.folder / "log" / "messages").read_text(errors="replace")

    def wait(self) -> None:
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until and self.process.poll() is None:
            # A question that comes while it starts may be lost: it is asked again.
            if "fully booted" in self.ask("core waitfullybooted", BOOT_ANSWER_LIMIT_S):
                return
            # It tells nobody that it listens.
            time.sleep(0.01)
        said = (self.folder / "out").read_text(errors="replace").strip().splitlines()
        nothing = f"no answer within {START_LIMIT_S:g} s"
        if self.process.poll() is not None:
            nothing = f"it ended with {self.process.returncode}"
        reason = next((line for line in said if "error" in line.lower()), nothing)
        raise SetupError(f"the scratch Asterisk did not come up: {reason[:200]}")


@contextmanager
def _running(
    program: AsteriskProgram, modules: str, files: Mapping[str, str]
) -> Iterator[_Scratch]:
    with tempfile.TemporaryDirectory(prefix="hotline-scratch-") as name:
        folder = Path(name)
        if len(os.fsencode(str(folder / "run" / SOCKET))) > LONGEST_SOCKET:
            raise SetupError(
                f"the folder for temporary files, {folder.parent}, has too long a name for the "
                "scratch Asterisk's socket; set TMPDIR to a shorter one"
            )
        for each in ("etc", "var/keys", "spool", "run", "log"):
            (folder / each).mkdir(parents=True)
        _lay_out(folder, program, {"modules.conf": modules, "logger.conf": QUIET, **files})
        with (folder / "out").open("wb") as out:
            process = subprocess.Popen(
                [*program.command, "-C", str(folder / "etc/asterisk.conf"), "-f"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=folder,
                start_new_session=True,
            )
        try:
            scratch = _Scratch(folder, process)
            scratch.wait()
            yield scratch
        finally:
            # It has nothing to lose, and to stop properly takes it a second.
            process.kill()
            process.wait()


def _lay_out(folder: Path, program: AsteriskProgram, files: Mapping[str, str]) -> None:
    places = {
        "etc": folder / "etc",
        "mod": program.modules,
        "varlib": folder / "var",
        "db": folder / "var",
        "key": folder / "var/keys",
        "data": program.data,
        "agi": folder / "var",
        "spool": folder / "spool",
        "run": folder / "run",
        "log": folder / "log",
        "sbin": folder / "run",
    }
    lines = [f"ast{name}dir => {path}" for name, path in places.items()]
    asterisk = "\n".join(
        ["[directories]", *lines, "[options]", "nofork = yes", "hideconnect = yes"]
    )
    for name, text in {"asterisk.conf": asterisk + "\n", **files}.items():
        path = folder / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


STEP = re.compile(r"(  '.*' (?:\(CID match '.*'\) )?=> |     )\s*(?:\[([^\]]*)\]\s*)?(\d+)\. (.*)$")


def read_shown(text: str) -> Iterator[Shown]:
    """The steps of ``dialplan show``; hints and includes are no steps."""
    context = exten = ""
    for line in text.splitlines():
        if found := re.match(r"\[ Context '(.*)' created by ", line):
            context = found[1]
            continue
        if found := re.match(r"  '(.*)' (?:\(CID match '(.*)'\) )?=> ", line):
            exten = found[1] + (f"/{found[2]}" if found[2] is not None else "")
        step = STEP.match(line)
        if step and context:
            at = re.search(r"\s*\[([^\[\]]*):(\d+)\]$", step[4])
            written = step[4][: at.start()] if at else step[4]
            file, number = (at[1], int(at[2])) if at else ("", 0)
            label = None if step[1].strip() else step[2] or ""
            yield Shown(context, exten, int(step[3]), label, written, file, number)


ABOUT = re.compile(r"(?:config|pbx_config|pbx_timing|pbx)\.c: (.*)$")
PLACE = re.compile(r"(?:at|,|in|on include at) line (\d+) of (\S+?)(?:!| --|\s|$)")


def read_log(text: str) -> Iterator[Complaint]:
    """What the log says of the dialplan's lines."""
    for line in text.splitlines():
        found = ABOUT.search(line)
        if not found or not re.search(r"\] (WARNING|ERROR)\[", line):
            continue
        said = found[1].strip().strip("!").strip()
        place = PLACE.search(found[1])
        file, number = (place[2], int(place[1])) if place else ("", 0)
        yield Complaint(Path(file).name, number, PLACE.sub("", said).strip(" -!")[:160])
