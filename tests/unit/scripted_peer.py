"""A scripted other side of a softphone, for what a real PBX does not do on demand."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from telephony.sip.message import SipMessage, build_message
from telephony.softphone import Softphone


class Peer:
    """The other side of the wire: sees every message, says what a test wants it to say."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.phone = ("127.0.0.1", 0)
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind(("127.0.0.1", 0))
        self.media.settimeout(3)
        self.on_register: Callable[[SipMessage], None] = lambda message: self.answer(message, 200)
        self.seen: queue.Queue[SipMessage] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            data, self.phone = self.socket.recvfrom(65535)
            if not data:
                return
            message = SipMessage(data)
            if message.method == "REGISTER":
                self.on_register(message)
            else:
                self.seen.put(message)

    def gets(self, what: str, timeout: float = 3.0) -> SipMessage:
        """The next message that is this method or status; others in between are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.seen.get(timeout=max(0.01, deadline - time.monotonic()))
            name = str(message.code) if message.code else message.method
            if name == what:
                return message

    def sdp(self, direction: str = "sendrecv", codecs: str = "0 101") -> bytes:
        port = self.media.getsockname()[1]
        return (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {codecs}\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a={direction}\r\n"
        ).encode()

    def answer(
        self,
        request: SipMessage,
        code: int,
        *fields: tuple[str, str],
        body: bytes = b"",
        tag: str = "peer",
    ) -> None:
        to = (request.first("To") or "") + ("" if request.address("To").tag else f";tag={tag}")
        kept = [("Via", via) for via in request.every("Via")]
        kept += [(name, request.first(name) or "") for name in ("From", "Call-ID", "CSeq")]
        if body:
            fields = (*fields, ("Content-Type", "application/sdp"))
        message = build_message(f"SIP/2.0 {code} X", [*kept, ("To", to), *fields], body)
        self.socket.sendto(message, self.phone)

    def asks(
        self,
        method: str,
        *fields: tuple[str, str],
        branch: str = "z9hG4bKpeer1",
        to_tag: str = "",
        cseq: int = 1,
        call_id: str = "peer@call",
        body: bytes = b"",
    ) -> None:
        own = f"127.0.0.1:{self.port}"
        lines = [
            ("Via", f"SIP/2.0/UDP {own};branch={branch}"),
            ("From", f'"Citizen" <sip:13804210001@{own}>;tag=theirs'),
            ("To", f"<sip:8001@{own}>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", f"<sip:there@{own}>"),
            *fields,
        ]
        if body and not any(name == "Content-Type" for name, _ in fields):
            lines.append(("Content-Type", "application/sdp"))
        first = f"{method} sip:8001@127.0.0.1 SIP/2.0"
        self.socket.sendto(build_message(first, lines, body), self.phone)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self.socket.close()
        self.media.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    one.close()


@pytest.fixture
def phone(peer: Peer) -> Iterator[Softphone]:
    one = Softphone("127.0.0.1", peer.port, "8001", "secret")
    one.sip.t1_s = 0.05
    one.start()
    yield one
    peer.on_register = lambda message: peer.answer(message, 200)
    one.stop()
