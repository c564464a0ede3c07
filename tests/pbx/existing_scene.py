"""A PBX that was there before us, as docs/examples has it; and the border of a provider's IMS."""

from __future__ import annotations

import queue
import re
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from telephony import dialplan
from telephony.asterisk_program import AsteriskProgram, checkout
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import Settings

EXAMPLES = checkout() / "docs/examples"


def example(name: str) -> dict[str, str]:
    """The configuration files of an example, by name."""
    return {path.name: path.read_text() for path in sorted((EXAMPLES / name).glob("*.conf"))}


def swapped(text: str, words: Mapping[str, str]) -> str:
    """A text with what must differ on this machine; every word has to be there."""
    for old, new in words.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class PlainPbx(PrivatePbx):
    """A private Asterisk whose configuration is the example's; only ``hotline/`` is rendered."""

    def __init__(
        self, program: AsteriskProgram, folder: Path, settings: Settings, password: str, sbc: Sbc
    ) -> None:
        super().__init__(program, folder, settings)
        self._password = password
        self._sbc = sbc
        self.trunk_port = free_port(socket.SOCK_DGRAM)

    def _prepare(self) -> None:
        super()._prepare()
        moh = self.places.data / "sounds/hotline-moh"
        ours = dialplan.render(self.settings, moh_dir=moh)
        dialplan.write(ours, self.places.etc, force=True)
        for name, text in self.theirs().items():
            (self.places.etc / name).write_text(text)
        if self._user:
            self._give_to(self._user)

    def theirs(self) -> dict[str, str]:
        """What the PBX had before, with the places of this machine."""
        files = example("plain-asterisk")
        files["pjsip.conf"] = swapped(
            files["pjsip.conf"],
            {"0.0.0.0:5060": f"127.0.0.1:{self.sip_port}", "change-this-password": self._password},
        )
        files["pjsip.conf"] += f"{self._provider()}\n#include ims.conf\n"
        files["ims.conf"] = swapped(
            example("ims-trunk")["pjsip.conf"],
            {
                "bind = 10.20.30.2:5060": f"bind = 127.0.0.1:{self.trunk_port}",
                "10.20.30.1": f"127.0.0.1:{self._sbc.port}",
            },
        )
        files["manager.conf"] = swapped(
            files["manager.conf"], {"port = 5038": f"port = {self.settings.pbx.ami_port}"}
        )
        moh = str(self.places.data / "sounds/hotline-moh")
        files["musiconhold.conf"] = swapped(
            files["musiconhold.conf"], {"/usr/share/asterisk/moh": moh}
        )
        return files

    def _provider(self) -> str:
        """Citizens come in here: a softphone stands for their old trunk."""
        one = "13804210001"
        return (
            f"[{one}](phone)\nauth = {one}\naors = {one}\ncontext = from-provider\n"
            f"[{one}](secret)\nusername = {one}\n[{one}](place)\n"
        )


class Sbc:
    """The border of an IMS on loopback: takes REGISTER and OPTIONS, keeps what else comes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.registered: queue.Queue[str] = queue.Queue()
        self.came: queue.Queue[str] = queue.Queue()
        self._peer: tuple[str, int] = ("127.0.0.1", 0)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # An empty datagram of its own ends the reading.
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()

    def _read(self) -> None:
        while data := self._socket.recvfrom(65536):
            text, self._peer = data[0].decode(), data[1]
            if not text:
                return
            method = text.split(" ", 1)[0]
            if method == "REGISTER":
                self.answer(text, "200 OK", f"Contact: {value(text, 'Contact')};expires=1800\r\n")
                self.registered.put(text)
            elif method in ("OPTIONS", "BYE"):
                self.answer(text, "200 OK")
            if method not in ("REGISTER", "OPTIONS"):
                self.came.put(text)

    def answer(self, request: str, status: str, more: str = "") -> None:
        """Answer a request of the PBX."""
        same = "".join(f"{name}: {value(request, name)}\r\n" for name in ("Via", "From", "Call-ID"))
        to = f"To: {value(request, 'To')};tag=sbc\r\nCSeq: {value(request, 'CSeq')}\r\n"
        message = f"SIP/2.0 {status}\r\n{same}{to}{more}Content-Length: 0\r\n\r\n"
        self._socket.sendto(message.encode(), self._peer)

    def wait(self, start: str) -> str:
        """The next message that begins so; what came before it is left out."""
        while True:
            text = self.came.get(timeout=6)
            if text.startswith(start):
                return text

    def send(self, port: int, method: str, number: str, more: str = "", body: str = "") -> None:
        """A request of the one call that the network has with this PBX."""
        cseq = {"INVITE": 1, "ACK": 1, "BYE": 2}[method]
        message = (
            f"{method} sip:{number}@127.0.0.1:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{method}\r\n"
            'From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=net\r\n'
            f"To: <sip:{number}@ims.example>{more}"
            f"Call-ID: of-the-network\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 60\r\n"
            f"Contact: <sip:127.0.0.1:{self.port}>\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._socket.sendto(message.encode(), ("127.0.0.1", port))


def value(message: str, name: str) -> str:
    """A header's value."""
    found = re.search(rf"^{name}: (.*)\r$", message, re.MULTILINE)
    assert found is not None, f"no {name} in {message}"
    return found[1]
