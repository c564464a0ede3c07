"""A SIP endpoint for load: no sound, no retransmissions, thousands of calls in one process.

For loopback only. Every INVITE that comes in is stamped on arrival and answered as told.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Message = tuple[str, dict[str, str], str]
"""First line, headers by lower-case name (the first of each), body."""


def parse(data: bytes) -> Message:
    """A SIP message in its parts."""
    head, _, body = data.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return first, headers, body


@dataclass(slots=True)
class Dialog:
    """One call of an endpoint, either direction."""

    call_id: str
    local: str
    remote: str
    target: str
    arrived: float = 0.0
    cseq: int = 1
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    code: int = 0


class PlainEndpoint(asyncio.DatagramProtocol):
    """One UDP port with any number of calls.

    ``decide`` gives the answer to an incoming INVITE: 200, or a refusal such as 486, or 0 to let
    it ring; ``on_invite`` is told of each.
    """

    def __init__(self, name: str, pbx_port: int) -> None:
        self.name = name
        self.decide: Callable[[str], int] = lambda user: 200
        self.on_invite: Callable[[Dialog], None] = lambda dialog: None
        self.dialogs: dict[str, Dialog] = {}
        self.port = 0
        self._pbx = ("127.0.0.1", pbx_port)
        self._count = 0
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls, name: str, pbx_port: int) -> PlainEndpoint:
        """An endpoint on a free port of 127.0.0.1."""
        loop = asyncio.get_running_loop()
        transport, endpoint = await loop.create_datagram_endpoint(
            lambda: cls(name, pbx_port), local_addr=("127.0.0.1", 0)
        )
        endpoint._transport = transport
        endpoint.port = transport.get_extra_info("sockname")[1]
        return endpoint

    def use(self, pbx_port: int) -> None:
        """From now on the PBX is at this port."""
        self._pbx = ("127.0.0.1", pbx_port)

    def close(self) -> None:
        """Free the port."""
        if self._transport is not None:
            self._transport.close()

    def call(self, number: str, user: str | None = None) -> Dialog:
        """Send an INVITE; the dialog tells what came of it."""
        self._count += 1
        user = user or self.name
        dialog = Dialog(
            call_id=f"{self.port}-{self._count}@127.0.0.1",
            local=f"<sip:{user}@127.0.0.1:{self.port}>;tag=l{self._count}",
            remote=f"<sip:{number}@127.0.0.1:{self._pbx[1]}>",
            target=f"sip:{number}@127.0.0.1:{self._pbx[1]}",
        )
        self.dialogs[dialog.call_id] = dialog
        self._request("INVITE", dialog, body=self._sdp())
        return dialog

    def bye(self, dialog: Dialog) -> None:
        """Hang up."""
        dialog.cseq += 1
        self._request("BYE", dialog)
        self._end(dialog, 200)

    def refer(self, dialog: Dialog, number: str) -> None:
        """Hand the other side to a number (RFC 3515), as a phone's transfer key does."""
        dialog.cseq += 1
        extra = f"Refer-To: <sip:{number}@127.0.0.1:{self._pbx[1]}>\r\n"
        self._request("REFER", dialog, extra=extra)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        arrived = time.monotonic()
        first, headers, _ = parse(data)
        if first.startswith("SIP/2.0"):
            self._response(int(first[8:11]), headers)
            return
        method = first.split(" ", 1)[0]
        if method == "INVITE":
            self._invited(first, headers, arrived)
        elif method == "BYE":
            self._answer(200, headers)
            self._end(self.dialogs.get(headers["call-id"]), 200)
        elif method == "CANCEL":
            self._answer(200, headers)
            dialog = self.dialogs.get(headers["call-id"])
            if dialog is not None:
                self._answer(487, headers | {"cseq": headers["cseq"].replace("CANCEL", "INVITE")})
                self._end(dialog, 487)
        elif method != "ACK":
            self._answer(200, headers)

    def _invited(self, first: str, headers: dict[str, str], arrived: float) -> None:
        if headers["call-id"] in self.dialogs:  # a re-INVITE
            self._answer(200, headers, self._sdp())
            return
        user = re.search(r"sip:([^@;>]+)@", first)
        contact = re.search(r"<([^>]+)>", headers["contact"])
        dialog = Dialog(
            call_id=headers["call-id"],
            local=f"{headers['to']};tag=r",
            remote=headers["from"],
            target=contact.group(1) if contact else "",
            arrived=arrived,
        )
        code = self.decide(user.group(1) if user else "")
        self._answer(180, headers)
        if code:
            dialog.code = code
            self._answer(code, headers, self._sdp() if code == 200 else "")
        if code in (0, 200):
            self.dialogs[dialog.call_id] = dialog
        if code == 200:
            dialog.answered.set()
        self.on_invite(dialog)

    def _response(self, code: int, headers: dict[str, str]) -> None:
        dialog = self.dialogs.get(headers["call-id"])
        if dialog is None or "INVITE" not in headers["cseq"] or code < 200:
            return
        dialog.remote = headers["to"]
        contact = re.search(r"<([^>]+)>", headers.get("contact", ""))
        dialog.target = contact.group(1) if contact else dialog.target
        self._request("ACK", dialog, cseq=int(headers["cseq"].split()[0]))
        if code == 200:
            dialog.code = 200
            dialog.answered.set()
        else:
            self._end(dialog, code)

    def _end(self, dialog: Dialog | None, code: int) -> None:
        if dialog is not None:
            dialog.code = code
            dialog.answered.set()
            dialog.ended.set()
            self.dialogs.pop(dialog.call_id, None)

    def _sdp(self) -> str:
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
        )

    def _request(
        self,
        method: str,
        dialog: Dialog,
        *,
        extra: str = "",
        body: str = "",
        kind: str = "application/sdp",
        cseq: int = 0,
    ) -> None:
        self._count += 1
        kind = f"Content-Type: {kind}\r\n" if body else ""
        branch = f"z9hG4bK{self.port}x{self._count}"
        self._send(
            f"{method} {dialog.target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: {dialog.local}\r\nTo: {dialog.remote}\r\n"
            f"Call-ID: {dialog.call_id}\r\nCSeq: {cseq or dialog.cseq} {method}\r\n"
            f"Contact: <sip:{self.name}@127.0.0.1:{self.port}>\r\n{extra}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _answer(self, code: int, headers: dict[str, str], body: str = "") -> None:
        tag = "" if "tag=" in headers["to"] else ";tag=r"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self._send(
            f"SIP/2.0 {code} X\r\nVia: {headers['via']}\r\nFrom: {headers['from']}\r\n"
            f"To: {headers['to']}{tag}\r\nCall-ID: {headers['call-id']}\r\n"
            f"CSeq: {headers['cseq']}\r\nContact: <sip:{self.name}@127.0.0.1:{self.port}>\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _send(self, text: str) -> None:
        if self._transport is not None:
            self._transport.sendto(text.encode(), self._pbx)
