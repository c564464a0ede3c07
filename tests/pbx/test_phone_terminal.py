"""``hotline phone`` as a person uses it: driven by lines and by single keys, at a real Asterisk."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telephony.private_pbx import PrivatePbx
from telephony.softphone import CallState
from tests.pbx.scene import CITIZENS, LINE, PASSWORD, PhoneFactory, wait_until

pytestmark = pytest.mark.pbx

_SETTINGS = """
[[agents]]
id = "8001"
password = "{password}"
[[keys]]
code = "*1"
action = "transfer"
desk = "110"
[[keys]]
code = "*3"
action = "three-way"
desk = "12345"
"""


class Person:
    """Somebody at ``hotline phone 8001``, with or without a terminal."""

    def __init__(self, pbx: PrivatePbx, folder: Path, *, terminal: bool, password: str) -> None:
        (folder / "hotline.toml").write_text(_SETTINGS.format(password=password))
        self.text = ""
        command = [sys.executable, "-c", _START, "8001", "--port", str(pbx.sip_port), "--no-sound"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "PYTHONPATH": os.getcwd()}
        environment.pop("HOTLINE_PHONE_PASSWORD", None)
        if terminal:
            self._end, inner = pty.openpty()
            self.process = subprocess.Popen(
                command, stdin=inner, stdout=inner, stderr=inner, cwd=folder, env=environment
            )
            os.close(inner)
        else:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
            )
            assert self.process.stdout is not None
            self._end = self.process.stdout.fileno()

    def types(self, text: str) -> None:
        """Press keys, or send a line."""
        if self.process.stdin is not None:
            os.write(self.process.stdin.fileno(), text.encode())
        else:
            os.write(self._end, text.encode())

    def sees(self, words: str, timeout: float = 8.0) -> None:
        """Wait until the words are shown; forgets what was shown before them."""
        deadline = time.monotonic() + timeout
        while words not in self.text:
            assert self._read(deadline), f"{words!r} not shown, only: {self.text[-1500:]!r}"
        self.text = self.text.partition(words)[2]

    def _read(self, deadline: float) -> bool:
        """Take in what is shown next; False at the deadline and when nothing more will come."""
        ready, _, _ = select.select([self._end], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError:  # a pseudo-terminal ends with EIO
            return False
        self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))
        return bool(data)

    def leaves(self) -> int:
        """Wait until the program has ended; its exit status."""
        deadline = time.monotonic() + 8
        while self._read(deadline):
            continue  # a terminal that nobody reads from would stop the program
        return self.process.wait(8)


_START = "import typer; from telephony.commands.phone import phone; typer.run(phone)"


@pytest.fixture(params=[False, True], ids=["lines", "keys"])
def person(
    request: pytest.FixtureRequest, pbx: PrivatePbx, tmp_path: Path
) -> Iterator[tuple[Person, str]]:
    """A person at the phone, and what ends a command: a line needs Enter, a key does not."""
    one = Person(pbx, tmp_path, terminal=request.param, password=PASSWORD)
    yield one, "" if request.param else "\n"
    one.process.kill()
    one.process.wait()


def test_given_person_at_phone_when_citizen_calls_then_one_key_answers_and_one_hands_over(
    person: tuple[Person, str], phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    agent, enter = person
    desk = phone("110")
    agent.sees("空闲 ready")
    _sign_in(agent, enter, pbx)
    call = phone(CITIZENS[0]).call(LINE)
    agent.sees(f"来电 incoming: {CITIZENS[0]}", 15)
    agent.types("a" + enter)
    agent.sees("通话中 talking")
    call.play_tone(500)
    call.wait_hears(440)  # no microphone here: the phone's own tone
    agent.types("m" + enter)
    agent.sees("静音 muted")
    call.wait_silent(440)
    agent.types("m" + enter)
    call.wait_hears(440)
    agent.types("1" + enter)
    offered = desk.wait_for_call(5)
    assert offered.caller_number == CITIZENS[0]
    offered.answer()
    offered.wait_hears(500)
    agent.sees("空闲 ready")
    offered.hangup()
    call.wait_ended(5)
    agent.types("q" + enter)
    assert agent.leaves() == 0


def _sign_in(agent: Person, enter: str, pbx: PrivatePbx) -> None:
    agent.types("dial *45\n" if enter else "c*45\n")
    wait_until(lambda: "PJSIP/8001" in pbx.console("queue show hotline"), "signed in")
    agent.sees("空闲 ready", 15)


def test_given_person_at_phone_when_three_way_key_then_third_party_rings(
    person: tuple[Person, str], phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    agent, enter = person
    desk = phone("12345")
    agent.sees("空闲 ready")
    _sign_in(agent, enter, pbx)
    call = phone(CITIZENS[0]).call(LINE)
    agent.sees("来电 incoming", 15)
    agent.types("\n")  # Enter answers too
    agent.sees("通话中 talking")
    call.play_tone(500)
    agent.types("3" + enter)
    third = desk.wait_for_call(5)
    third.answer()
    third.play_tone(900)
    third.wait_hears(440, threshold=0.2)
    third.wait_hears(500, threshold=0.2)
    agent.types("h" + enter)
    agent.sees("空闲 ready")
    call.wait_hears(900)
    third.hangup()
    call.hangup()
    agent.types("q" + enter)
    assert agent.leaves() == 0


def test_given_incoming_call_when_declined_then_caller_is_told(
    person: tuple[Person, str], phone: PhoneFactory
) -> None:
    agent, enter = person
    agent.sees("空闲 ready")
    call = phone("8002").call("8001")
    agent.sees("来电 incoming: 8002")
    agent.types("d" + enter)
    call.wait_ended(5)
    assert call.end_cause == 21
    agent.types("h" + enter)
    agent.sees("没有这样的通话")
    agent.types("?" + enter)
    agent.sees("帮助 help")


def test_given_call_going_on_when_program_is_terminated_then_it_hangs_up_and_unregisters(
    person: tuple[Person, str], phone: PhoneFactory, pbx: PrivatePbx
) -> None:
    agent, enter = person
    agent.sees("空闲 ready")
    other = phone("8002")
    agent.types("dial 8002\n" if enter else "c8002\n")
    call = other.wait_for_call(5)
    call.answer()
    agent.sees("通话中 talking: 8002")
    agent.types("k" + enter)
    agent.sees("拨号盘 keypad")
    agent.types("7" + enter)
    wait_until(lambda: call.dtmf.getvalue() == "7", "the key came")
    agent.process.send_signal(signal.SIGTERM)
    assert agent.leaves() == 0
    assert call.wait_ended(5) == 200
    assert call.state is CallState.ENDED
    assert "8001/sip" not in pbx.console("pjsip show contacts")


def test_given_talk_when_a_second_call_is_answered_then_the_first_is_held_meanwhile(
    person: tuple[Person, str], phone: PhoneFactory
) -> None:
    agent, enter = person
    agent.sees("空闲 ready")
    first = phone("8002").call("8001")
    agent.sees("来电 incoming: 8002")
    agent.types("a" + enter)
    first.wait_hears(440)
    second = phone("8003").call("8001")
    agent.sees("另有来电 also calling: 8003")
    agent.types("a" + enter)
    second.wait_hears(440)
    first.wait_silent(440)
    agent.sees("通话中 talking: 8003")
    agent.types("h" + enter)
    agent.sees("保持 on hold")
    agent.types("o" + enter)
    first.wait_hears(440)
    first.hangup()
    agent.sees("空闲 ready")


@pytest.mark.parametrize("terminal", [False, True])
def test_given_wrong_password_when_started_then_one_line_says_so_and_not_the_password(
    pbx: PrivatePbx, tmp_path: Path, terminal: bool
) -> None:
    one = Person(pbx, tmp_path, terminal=terminal, password="not-the-right-one")
    one.sees("refuses phone 8001")
    assert one.leaves() == 1
    assert "not-the-right-one" not in one.text
