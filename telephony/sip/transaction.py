"""Transactions: every request is repeated until it is answered, every answer until it is heard.

UDP loses packets; RFC 3261 section 17 says who repeats what and until when. pyVoIP repeats
nothing. All methods run under the phone's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from telephony.sip.dialog import Dialog, read_challenge
from telephony.sip.loop import Timer
from telephony.sip.message import (
    ALLOW,
    USER_AGENT,
    Fields,
    SipMessage,
    build_message,
    phrase,
)

if TYPE_CHECKING:
    from telephony.sip.link import SipLink

T2_S = 4.0
"""The longest pause between two repetitions (RFC 3261 table 4)."""

OnResponse = Callable[[SipMessage], None]


class ClientTransaction:
    """A request of ours, repeated until it is answered; one that needs a password gets it once.

    ``on_response`` is called for every answer but the challenges; ``on_timeout`` when none came
    within 64 times T1 (32 s).
    """

    def __init__(
        self,
        link: SipLink,
        dialog: Dialog,
        method: str,
        *,
        fields: Fields = (),
        body: bytes = b"",
        on_response: OnResponse,
        on_timeout: Callable[[], object],
    ) -> None:
        self.link = link
        self.dialog = dialog
        self.method = method
        self.fields = list(fields)
        self.body = body
        self.on_response = on_response
        self.on_timeout = on_timeout
        self.provisional = False
        self.final: SipMessage | None = None
        self.authorization: tuple[str, str] | None = None
        self._last_nonce_refused = False
        self._refusal_acks: dict[str, bytes] = {}
        self._send_new()

    def _send_new(self) -> None:
        """A new CSeq and a new branch: the first time, and again with the password."""
        self._number()
        fields = [*self.dialog.identity(self.method, self.cseq), ("Contact", self.link.contact)]
        if self.authorization:
            fields.append(self.authorization)
        fields += [("User-Agent", USER_AGENT), ("Allow", ALLOW), *self.fields]
        self.message = self._build(self.method, fields, self.body)
        self.provisional = False
        self.link.transactions[(self.branch, self.method)] = self
        self.link.send(self.message)
        self._pause = self.link.t1_s
        self._repeat = self.link.later(self._pause, self._again)
        self._give_up = self.link.later(64 * self.link.t1_s, self._timed_out)

    def _number(self) -> None:
        self.dialog.cseq += 1
        self.cseq = self.dialog.cseq
        self.branch = self.link.gen_branch()
        self.uri = self.dialog.target

    def _build(self, method: str, fields: Fields, body: bytes = b"") -> bytes:
        via = ("Via", f"SIP/2.0/UDP {self.link.own_address};branch={self.branch};rport")
        return build_message(f"{method} {self.uri} SIP/2.0", [via, *fields], body)

    def _again(self) -> None:
        if self.final is not None or (self.provisional and self.method == "INVITE"):
            return
        self.link.send(self.message)
        self._pause = self._pause * 2
        if self.method != "INVITE":
            self._pause = T2_S if self.provisional else min(self._pause, T2_S)
        self._repeat = self.link.later(self._pause, self._again)

    def _timed_out(self) -> None:
        self._repeat.cancel()
        self.link.forget((self.branch, self.method))
        self.on_timeout()

    def received(self, response: SipMessage) -> None:
        """An answer came."""
        known_ack = self._refusal_acks.get(response.branch)
        if known_ack:
            self.link.send(known_ack)
            return
        if response.code < 200:
            self.provisional = True
            if self.method == "INVITE":
                # From here on only the phone's own patience ends the ringing.
                self._give_up.cancel()
            self.on_response(response)
            return
        self._repeat.cancel()
        self._give_up.cancel()
        if self.method == "INVITE" and response.code >= 300:
            ack = self._acknowledge_refusal(response)
            self._refusal_acks[self.branch] = ack
            self.link.send(ack)
        if self.final is None:
            key = (self.branch, self.method)
            self.link.later(64 * self.link.t1_s, lambda: self.link.forget(key))
        elif self.method != "INVITE":
            return
        self.final = response
        if response.code in (401, 407) and self._authorize(response):
            return
        self.on_response(response)
        self.link.transaction_ended()

    def _authorize(self, response: SipMessage) -> bool:
        challenge = read_challenge(response)
        if self.authorization is not None and not (
            challenge.stale and not self._last_nonce_refused
        ):
            return False
        self._last_nonce_refused = self.authorization is not None
        answer = challenge.answer(self.method, self.uri, self.link.username, self.link.password)
        self.authorization = (challenge.header, answer)
        self.final = None
        self._send_new()
        return True

    def _acknowledge_refusal(self, response: SipMessage) -> bytes:
        """The ACK of a refusal is part of the INVITE's own transaction (section 17.1.1.3)."""
        fields = [
            (name, value) for name, value in self.dialog.identity("ACK", self.cseq) if name != "To"
        ]
        fields.append(("To", response.first("To") or ""))
        return self._build("ACK", fields)

    def acknowledge_success(self) -> bytes:
        """The ACK of a 200 goes to the Contact it named, with a branch of its own (13.2.2.4)."""
        via = f"SIP/2.0/UDP {self.link.own_address};branch={self.link.gen_branch()};rport"
        fields = [("Via", via), *self.dialog.identity("ACK", self.cseq)]
        if self.authorization:
            fields.append(self.authorization)
        return build_message(f"ACK {self.dialog.target} SIP/2.0", fields)


class Cancellation(ClientTransaction):
    """A CANCEL: branch, number and address of the INVITE that it takes back (section 9.1)."""

    def __init__(self, link: SipLink, invite: ClientTransaction) -> None:
        self._invite = invite
        super().__init__(
            link, invite.dialog, "CANCEL", on_response=lambda _: None, on_timeout=lambda: None
        )

    def _number(self) -> None:
        self.cseq, self.branch, self.uri = self._invite.cseq, self._invite.branch, self._invite.uri


class ServerTransaction:
    """A request of the PBX, and our answer: said again whenever the request is."""

    def __init__(self, link: SipLink, request: SipMessage, source: tuple[str, int]) -> None:
        self.link = link
        self.request = request
        self.source = source
        self.last = b""
        self.final_code = 0
        self.acknowledged = False
        self._repeat: Timer | None = None

    def respond(
        self,
        code: int,
        *,
        to_tag: str = "",
        fields: Fields = (),
        body: bytes = b"",
        on_no_ack: Callable[[], object] | None = None,
    ) -> None:
        """Answer; a final answer to an INVITE is repeated until its ACK comes."""
        if self.final_code:
            return
        request = self.request
        to = request.address("To")
        to_value = to.raw if not (to.tag or to_tag) else f"{to.raw};tag={to.tag or to_tag}"
        cseq, method = request.cseq()
        answer = [
            *(("Via", via) for via in request.every("Via")),
            *(("Record-Route", route) for route in request.every("Record-Route")),
            ("From", request.first("From") or ""),
            ("To", to_value),
            ("Call-ID", request.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("User-Agent", USER_AGENT),
            ("Allow", ALLOW),
            *fields,
        ]
        self.last = build_message(f"SIP/2.0 {code} {phrase(code)}", answer, body)
        self.link.send(self.last, self.source)
        if code < 200:
            return
        self.final_code = code
        self.link.later(64 * self.link.t1_s, self._forget)
        if method == "INVITE":
            self._pause = self.link.t1_s
            self._on_no_ack = on_no_ack
            self._repeat = self.link.later(self._pause, self._again)

    def repeat_answer(self) -> None:
        """The request came again: our answer was lost."""
        if self.last:
            self.link.send(self.last, self.source)

    def _again(self) -> None:
        if self.acknowledged:
            return
        self.link.send(self.last, self.source)
        self._pause = min(self._pause * 2, T2_S)
        self._repeat = self.link.later(self._pause, self._again)

    def ack_received(self) -> None:
        """The PBX has our answer."""
        self.acknowledged = True
        if self._repeat is not None:
            self._repeat.cancel()

    def _forget(self) -> None:
        unheard = self._repeat is not None and not self.acknowledged
        self.ack_received()
        self.link.forget_served(self)
        if unheard and self._on_no_ack is not None:
            self._on_no_ack()
