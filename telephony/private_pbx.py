"""A private Asterisk on loopback, with our dialplan: for the demo, for ``make run`` and for tests.

It has ports and folders of its own, runs as an unprivileged user where it can, and never touches
an Asterisk that the machine already runs.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import SecretStr

from telephony import dialplan
from telephony.asterisk_program import AsteriskProgram
from telephony.browser_settings import Browser
from telephony.dialplan import Phone, Standalone
from telephony.errors import SetupError
from telephony.settings import Pbx, Settings

START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
CONSOLE_LIMIT_S = 5.0


class PrivatePbx:
    """One Asterisk process of ours in ``folder``.

    ``settings`` says which line, desks, agents and keys it serves; its ``pbx`` section is replaced
    by where this PBX really is (``self.settings``). ``extra_phones`` may register too, such as the
    citizens of a test, whose context is the trunk's.
    """

    def __init__(
        self,
        program: AsteriskProgram,
        folder: Path,
        settings: Settings,
        extra_phones: Iterable[Phone] = (),
        *,
        rtp_ports: int = 400,
    ) -> None:
        self.program = program
        self.folder = folder.resolve()
        self.process: subprocess.Popen[bytes] | None = None
        self._extra_phones = list(extra_phones)
        self._user = _unprivileged_user(self.folder)
        sip_port, ami_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        rtp_first = _free_rtp_range(rtp_ports)
        self.sip_port = sip_port
        self.places = Standalone(
            etc=self.folder / "etc",
            modules=program.modules,
            data=self.folder / "data",
            var=self.folder / "var",
            spool=self.folder / "spool",
            run=self.folder / "run",
            log=self.folder / "log",
            sip_port=sip_port,
            http_port=free_port(socket.SOCK_STREAM),
            ice_addresses=_own_addresses(),
            rtp_first=rtp_first,
            rtp_last=rtp_first + rtp_ports - 1,
        )
        self._control = self.places.run / "asterisk.ctl"
        self.cel_file = self.places.log / "cel-custom" / dialplan.CEL_NAME
        pbx = Pbx(
            name=settings.pbx.name,
            ami_port=ami_port,
            ami_user="hotline",
            ami_secret=SecretStr(secrets.token_urlsafe(18)),
            action_timeout_s=settings.pbx.action_timeout_s,
            cel_file=self.cel_file,
            trunks=settings.pbx.trunks,
        )
        folder_of_messages = self.places.spool / "hotline" / "messages"
        messages = settings.messages.model_copy(update={"folder": folder_of_messages})
        browser = Browser(url=f"ws://127.0.0.1:{self.places.http_port}/ws")
        self.settings = settings.model_copy(
            update={"pbx": pbx, "messages": messages, "browser": browser}
        )

    def start(self) -> None:
        """Write the configuration, start Asterisk, return when calls can be made.

        Raises :class:`SetupError` with the first error of its log when it does not come up.
        """
        self.launch()
        self.wait_until_up()

    def launch(self) -> None:
        """Write the configuration and start Asterisk; returns at once."""
        self._prepare()
        out = (self.places.log / "console.log").open("ab")
        try:
            self.process = subprocess.Popen(
                [*self.program.command, "-C", str(self.places.etc / "asterisk.conf"), "-f"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                # Ctrl-C in a terminal is ours to handle, in our order.
                start_new_session=True,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )
        finally:
            out.close()

    def stop(self) -> None:
        """Stop Asterisk; calls that still go on are hung up."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.console("core stop now")
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self) -> None:
        """End Asterisk as a crash would (SIGKILL)."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def console(self, command: str) -> str:
        """What Asterisk's console answers to a command; nothing when it hangs or is not there.

        Asked on its control socket, as ``asterisk -rx`` asks: to start that program anew for every
        question takes far longer than the answer does.
        """
        deadline = time.monotonic() + CONSOLE_LIMIT_S
        said = bytearray()
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(CONSOLE_LIMIT_S)
            try:
                link.connect(str(self._control))
                link.sendall(b"cli quit after %b\0" % command.encode())
                while part := link.recv(65536):
                    said += part
                    link.settimeout(max(deadline - time.monotonic(), 0.001))
            except OSError:
                return ""
        # The first line is its greeting.
        return said.partition(b"\n")[2].decode(errors="replace")

    def __enter__(self) -> PrivatePbx:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _prepare(self) -> None:
        places = self.places
        for folder in (places.etc, places.var, places.spool, places.run, places.log):
            folder.mkdir(parents=True, exist_ok=True)
        self.cel_file.parent.mkdir(exist_ok=True)
        (places.var / "keys").mkdir(exist_ok=True)
        _lay_out_data(places.data, self.program.data)
        files = dialplan.render(
            self.settings,
            places,
            extra_phones=self._extra_phones,
            moh_dir=places.data / "sounds" / "hotline-moh",
        )
        # Nobody's but ours: what a test or a trial changed in it is gone with the next start.
        dialplan.write(files, places.etc, force=True)
        if self._user:
            self._give_to(self._user)

    def _give_to(self, user: pwd.struct_passwd) -> None:
        for base, folders, names in os.walk(self.folder):
            for name in [".", *folders, *names]:
                os.chown(Path(base) / name, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def wait_until_up(self) -> None:
        """Return when calls can be made; raises :class:`SetupError` as :meth:`start` does."""
        assert self.process is not None
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            # Asterisk tells nobody that it is up but those who ask on its control socket.
            if "fully booted" in self.console("core waitfullybooted"):
                return
            time.sleep(0.02)
        self.kill()
        raise SetupError(
            f"Asterisk did not come up: {self._first_error()} (log: {self.places.log})"
        )

    def _first_error(self) -> str:
        for name in ("console.log", "messages"):
            file = self.places.log / name
            if file.exists():
                lines = file.read_text(errors="replace").splitlines()
                errors = [line for line in lines if "ERROR" in line or "error" in line.lower()]
                if errors:
                    return errors[0].strip()[:200]
        return "its log is empty"


def _own_addresses() -> tuple[str, ...]:
    """This machine's address towards others; none without a network. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ()
        own: str = probe.getsockname()[0]
    return () if own.startswith("127.") else (own,)


def free_port(kind: socket.SocketKind) -> int:
    """A port of 127.0.0.1 that is free at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _free_rtp_range(count: int) -> int:
    """The first of ``count`` ports for media; several PBXs on one machine must not share them."""
    for _ in range(100):
        first = 16384 + 2 * secrets.randbelow((32000 - 16384 - count) // 2)
        ends = (first, first + count // 2, first + count - 1)
        try:
            for port in ends:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise SetupError("no free range of UDP ports between 16384 and 32000")


def _lay_out_data(data: Path, shipped: Path) -> None:
    """Asterisk's data folder with our sounds beside its own, by links."""
    sounds = data / "sounds"
    sounds.mkdir(parents=True, exist_ok=True)
    for entry in shipped.iterdir():
        if entry.name != "sounds":
            _link(data / entry.name, entry)
    # In an unpacked root Debian's link "en" points outside of it.
    english = next((d for d in sorted((shipped / "sounds").glob("en*")) if d.is_dir()), None)
    _link(sounds / "hotline-moh", dialplan.SOUNDS / "moh")
    for language in ("zh", "en"):
        folder = sounds / language
        folder.mkdir(exist_ok=True)
        # What we have no prompt for is heard in English rather than not at all.
        for entry in english.iterdir() if english else ():
            _link(folder / entry.name, entry)
        _link(folder / "hotline", dialplan.SOUNDS / language / "hotline")


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if link.readlink() == target:
            return
        link.unlink()
    link.symlink_to(target)


def _unprivileged_user(folder: Path) -> pwd.struct_passwd | None:
    """Whom Asterisk runs as when we are root: ``asterisk`` or ``nobody``, if they can get there."""
    if os.geteuid() != 0:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    needed = [folder.parent, dialplan.SOUNDS]
    for name in ("asterisk", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if all(_can_enter(user, place) for place in needed):
            return user
    return None


def _can_enter(user: pwd.struct_passwd, folder: Path) -> bool:
    probe = shutil.which("test") or "/usr/bin/test"
    done = subprocess.run(
        [probe, "-x", str(folder)],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        check=False,
    )
    return done.returncode == 0
