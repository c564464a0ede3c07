"""``hotline phone 8001``: a softphone in the terminal, with microphone and speaker."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from telephony.commands.output import clear_errors, stdout
from telephony.errors import SettingsError
from telephony.settings import Settings, load_settings
from telephony.sip.audio import NoSound, SoundDevice
from telephony.sip.terminal import KEY_HELP, TerminalPhone
from telephony.softphone import Softphone

_SHOWN_LINES = 6
_TYPED_FOR = {"c": "dial", "t": "refer"}


def phone(
    extension: Annotated[str, typer.Argument(help="The extension to register as, such as 8001.")],
    server: Annotated[
        str | None, typer.Option(help="Host of the PBX (default: pbx.host of the settings).")
    ] = None,
    port: Annotated[int, typer.Option(help="SIP port of the PBX (UDP).")] = 5060,
    password_env: Annotated[
        str, typer.Option(help="Environment variable that holds the password.")
    ] = "HOTLINE_PHONE_PASSWORD",
    my_ip: Annotated[str, typer.Option(help="Our address, as the PBX reaches it.")] = "127.0.0.1",
    sip_port: Annotated[int, typer.Option(help="Our SIP port; 0 picks a free one.")] = 0,
    tone: Annotated[
        float, typer.Option(help="Hz of the tone that is played where there is no microphone.")
    ] = 440.0,
    no_sound: Annotated[
        bool, typer.Option("--no-sound", help="Use tones even where there is a microphone.")
    ] = False,
) -> None:
    """A softphone: one key answers, one key hands over, one key calls in a third party.

    The password comes from the environment, else from the settings, else it is asked for. Without
    a terminal, commands are read as lines from standard input.
    """
    with clear_errors():
        settings = load_settings()
        softphone = Softphone(
            server or settings.pbx.host,
            port,
            extension,
            _password(extension, password_env, settings),
            my_ip=my_ip,
            sip_port=sip_port,
        )
        device = None if no_sound else _device()
        names = {desk.id: desk.name for desk in settings.desks}
        terminal = TerminalPhone(
            softphone, settings.keys, _say, device=device, tone_hz=tone, names=names
        )
        signal.signal(signal.SIGTERM, _quit)
        try:
            softphone.start()
            if sys.stdin.isatty() and stdout.is_terminal:
                _by_keys(terminal)
            else:
                _by_lines(terminal)
        except KeyboardInterrupt:
            _say("再见 goodbye")
        finally:
            terminal.stop()
            softphone.stop()
            if device is not None:
                device.close()


def _quit(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    stdout.print(text, markup=False, soft_wrap=True)


def _password(extension: str, variable: str, settings: Settings) -> str:
    if variable in os.environ:
        return os.environ[variable]
    passwords = {one.id: one.password for one in settings.agents}
    passwords |= {one.id: one.password for one in settings.desks}
    known = passwords.get(extension)
    if known is not None:
        return known.get_secret_value()
    if sys.stdin.isatty():
        return getpass.getpass(f"{extension} 密码 password: ")
    raise SettingsError(
        [f"agents: no password for {extension}; set it there or in the environment ({variable})"]
    )


def _device() -> SoundDevice | None:
    try:
        return SoundDevice()
    except NoSound as error:
        _say(f"没有麦克风或扬声器 no microphone or speaker, going on with tones: {error.detail}")
        return None


@contextmanager
def _following(terminal: TerminalPhone) -> Iterator[None]:
    follower = threading.Thread(target=terminal.follow, name="phone display", daemon=True)
    follower.start()
    try:
        yield
    finally:
        terminal.stop()
        follower.join()


def _by_lines(terminal: TerminalPhone) -> None:
    with _following(terminal):
        for line in sys.stdin:
            if not terminal.command(line):
                return


class _Screen:
    """The panel: state, what was said last, what is being typed, and the keys."""

    def __init__(self, terminal: TerminalPhone) -> None:
        self.terminal = terminal
        self.lines: list[str] = []
        self.typed: str | None = None
        self.typed_for = "dial"

    def say(self, text: str) -> None:
        self.lines = [*self.lines, text][-_SHOWN_LINES:]
        if self.terminal.rings:
            stdout.bell()

    def __rich__(self) -> Panel:
        talked = self.terminal.talk_s
        clock = f"  {talked // 60:02d}:{talked % 60:02d}" if talked is not None else ""
        parts = [Text(self.terminal.describe() + clock, style="bold"), Text(self.terminal.sound)]
        parts += [Text(line, style="dim") for line in self.lines]
        if self.typed is not None:
            parts.append(
                Text(f"号码 number: {self.typed}▏ (Enter {self.typed_for}, Esc 取消 cancel)")
            )
        parts += [Text(), Text(self.terminal.key_help()), Text(KEY_HELP, style="dim")]
        title = f"{self.terminal.phone.username} @ {self.terminal.phone.server}"
        return Panel(Group(*parts), title=title, title_align="left")


def _by_keys(terminal: TerminalPhone) -> None:
    screen = _Screen(terminal)
    terminal.say = screen.say
    terminal.help = KEY_HELP
    with (
        _single_keys(),
        Live(screen, console=stdout, refresh_per_second=5, transient=True),
        _following(terminal),
    ):
        while _key(terminal, screen, sys.stdin.read(1)):
            continue


def _key(terminal: TerminalPhone, screen: _Screen, key: str) -> bool:
    """One key pressed; False when it was to quit (or the terminal is gone)."""
    if key == "":
        return False
    if screen.typed is None:
        if key in _TYPED_FOR and not terminal.keypad:
            screen.typed, screen.typed_for = "", _TYPED_FOR[key]
            return True
        return terminal.command("" if key in "\r\n" else key)
    if key in "\r\n":
        number, screen.typed = screen.typed, None
        return terminal.command(f"{screen.typed_for} {number}")
    if key == "\x1b":
        screen.typed = None
    elif key in "\x7f\b":
        screen.typed = screen.typed[:-1]
    else:
        screen.typed += key
    return True


@contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come one by one, without Enter and without being shown."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
