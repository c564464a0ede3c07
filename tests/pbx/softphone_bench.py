"""A PBX with what a phone can meet: echo, busy, early sound, hold, direct media, lost packets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from telephony.asterisk_program import find_asterisk
from telephony.private_pbx import PrivatePbx
from telephony.softphone import Softphone
from tests.pbx.scene import PASSWORD, assert_quiet, pbx_settings

PHONES = [str(number) for number in range(201, 221)]
DIRECT = ("231", "232")
"""Phones whose sound may go from one to the other, and whose hold is passed on."""
ALAW_ONLY = "241"
MAILBOX = "251"

_ENDPOINT = """
[{name}]
type = endpoint
context = bench
disallow = all
allow = {codecs}
auth = {name}
aors = {name}
callerid = "Phone {name}" <{name}>
direct_media = {direct}
moh_passthrough = {direct}
media_address = 127.0.0.1
bind_rtp_to_media_address = yes
send_pai = yes
trust_id_outbound = yes
{more}
[{name}]
type = auth
auth_type = userpass
username = {name}
password = {password}
[{name}]
type = aor
max_contacts = 1
remove_existing = yes
minimum_expiration = 1
"""

_DIALPLAN = """
[bench]
exten => _2XX,1,Dial(PJSIP/${EXTEN},30)
 same => n,Hangup()
exten => 500,1,Answer()
 same => n,Echo()
exten => 501,1,Progress()
 same => n,Playtones(1000)
 same => n,Wait(20)
exten => 503,1,Ringing()
 same => n,Wait(30)
exten => 504,1,Answer()
 same => n,Read(KEYS,,4,,1,8)
 same => n,Set(GLOBAL(KEYS)=${KEYS})
 same => n,Hangup()
exten => 505,1,Hangup(17)
exten => 506,1,Answer()
 same => n,Wait(0.2)
 same => n,Set(CONNECTEDLINE(name,i)=Desk 110)
 same => n,Set(CONNECTEDLINE(num)=110)
 same => n,Wait(20)
exten => 507,1,Answer()
 same => n,Hangup(16)
exten => 508,1,Answer()
 same => n,Wait(20)
exten => 600,1,Answer()
 same => n,ConfBridge(bench)
"""


@pytest.fixture(scope="session")
def bench_session() -> Iterator[PrivatePbx]:
    # Asterisk runs unprivileged where it can, and pytest keeps its own folders private.
    with TemporaryDirectory(prefix="hotline-bench-") as folder:
        Path(folder).chmod(0o755)
        with PrivatePbx(find_asterisk(), Path(folder) / "root", pbx_settings()) as pbx:
            add_phones(pbx)
            yield pbx


def add_phones(pbx: PrivatePbx) -> None:
    """Configure what the tests need on a PBX that has just been started."""

    def endpoint(name: str, codecs: str = "ulaw,alaw", direct: str = "no", more: str = "") -> str:
        return _ENDPOINT.format(
            name=name, codecs=codecs, direct=direct, more=more, password=PASSWORD
        )

    texts = [endpoint(name) for name in PHONES]
    texts += [endpoint(name, direct="yes") for name in DIRECT]
    texts.append(endpoint(ALAW_ONLY, codecs="alaw"))
    texts.append(endpoint(MAILBOX, more="mailboxes = hotline@hotline"))
    with (pbx.places.etc / "pjsip.conf").open("a") as file:
        file.write("".join(texts))
    with (pbx.places.etc / "extensions.conf").open("a") as file:
        file.write(_DIALPLAN)
    pbx.console("module load res_pjsip_history.so")
    pbx.console("module reload res_pjsip.so")
    pbx.console("dialplan reload")


@pytest.fixture
def bench(bench_session: PrivatePbx) -> Iterator[PrivatePbx]:
    """The PBX; nothing may be left on it after a test."""
    yield bench_session
    try:
        assert_quiet(bench_session)
    finally:
        bench_session.console("channel request hangup all")


@pytest.fixture
def make_phone(bench: PrivatePbx) -> Iterator[Callable[..., Softphone]]:
    """Registered phones; after the test they are off, and no thread of theirs is left."""
    phones: list[Softphone] = []

    def make(name: str, *, server_port: int = 0, **more: object) -> Softphone:
        phone = Softphone("127.0.0.1", server_port or bench.sip_port, name, PASSWORD, **more)  # type: ignore[arg-type]
        phones.append(phone)
        phone.start()
        return phone

    yield make
    for phone in phones:
        phone.stop()
    assert not [thread for thread in threading.enumerate() if "phone" in thread.name]


@pytest.fixture
def pair(make_phone: Callable[..., Softphone]) -> tuple[Softphone, Softphone]:
    """Two phones."""
    return make_phone("201"), make_phone("202")


class History:
    """What the PBX itself saw on the wire."""

    def __init__(self, pbx: PrivatePbx) -> None:
        self._pbx = pbx
        pbx.console("pjsip set history clear")
        pbx.console("pjsip set history on")

    def lines(self) -> list[str]:
        """``(direction) first line`` of every message so far; repetitions count."""
        rows = self._pbx.console("pjsip show history").splitlines()
        return [row.split("*", 1)[1].strip() for row in rows if "* ==>" in row or "* <==" in row]

    def count(self, direction: str, beginning: str) -> int:
        """How many messages (``==>`` sent, ``<==`` received by the PBX) begin like this."""
        return sum(
            line.startswith(direction) and line.split(None, 2)[2].startswith(beginning)
            for line in self.lines()
        )


@pytest.fixture
def history(bench: PrivatePbx) -> Iterator[History]:
    """The PBX's own record of SIP messages during the test."""
    yield History(bench)
    bench.console("pjsip set history off")


class Wire:
    """A wire between a phone and the PBX that loses what ``loses`` says, and records the rest."""

    def __init__(self, pbx_port: int) -> None:
        self.loses: Callable[[bytes], bool] = lambda message: False
        self.messages: list[bytes] = []
        self.lost: list[bytes] = []
        self._pbx = ("127.0.0.1", pbx_port)
        self._near = self._bound()
        self._far = self._bound()
        self._phone: tuple[str, int] | None = None
        self.port: int = self._near.getsockname()[1]
        self._threads = [
            threading.Thread(target=self._carry, args=(self._near, self._far), daemon=True),
            threading.Thread(target=self._carry, args=(self._far, self._near), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _bound() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        return sock

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        while True:
            message, sender = source.recvfrom(65535)
            if not message:
                return
            if source is self._near:
                self._phone = sender
            if self.loses(message):
                self.lost.append(message)
                continue
            self.messages.append(message)
            destination = self._pbx if source is self._near else self._phone
            if destination is not None:
                target.sendto(message, destination)

    def count(self, beginning: bytes) -> int:
        """How many messages that begin like this came through."""
        return sum(message.startswith(beginning) for message in self.messages)

    def send_to(self, phone: tuple[str, int], message: bytes) -> None:
        """Send something of our own."""
        self._near.sendto(message, phone)

    def first_lost(self, *beginnings: bytes) -> None:
        """Lose the first message that begins with each of these, once."""
        waiting = list(beginnings)

        def loses(message: bytes) -> bool:
            found = next((one for one in waiting if message.startswith(one)), None)
            if found is not None:
                waiting.remove(found)
            return found is not None

        self.loses = loses

    def close(self) -> None:
        """Cut it."""
        for sock in (self._near, self._far):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", sock.getsockname())
        for thread in self._threads:
            thread.join()
        self._near.close()
        self._far.close()


@pytest.fixture
def wire(bench: PrivatePbx) -> Iterator[Wire]:
    """A wire to the PBX."""
    one = Wire(bench.sip_port)
    yield one
    one.close()
