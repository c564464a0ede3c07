"""The SIP side of one call: INVITE, CANCEL, BYE, re-INVITE, and what each of them does to it.

Sources: RFC 3261 (calls), RFC 3264 (offer and answer), RFC 3311 (UPDATE), RFC 3326 (Reason).
All methods run under the phone's lock.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pyVoIP.RTP import PayloadType
from pyVoIP.VoIP import CallState, VoIPCall

from telephony.sip.dialog import Dialog
from telephony.sip.message import Address, Sdp, SipMessage, build_sdp, parse_address, phrase
from telephony.sip.transaction import ClientTransaction, ServerTransaction
from telephony.tones import PCMA, PCMU

if TYPE_CHECKING:
    from telephony.sip.media import RtpStream
    from telephony.softphone import Softphone

_OFFERED = {PCMU: PayloadType.PCMU, PCMA: PayloadType.PCMA, 101: PayloadType.EVENT}


class CallSignalling(VoIPCall):
    """The half of a call that is SIP; :class:`SoftCall` is the half a person holds."""

    phone: Softphone
    request: SipMessage

    def __init__(
        self,
        phone: Softphone,
        request: SipMessage,
        dialog: Dialog,
        stream: RtpStream,
        transaction: ServerTransaction | None = None,
    ) -> None:
        self.dialog = dialog
        self.stream = stream
        self._link = phone.sip
        self.direction: Literal["in", "out"] = "in" if transaction else "out"
        # pyVoIP builds its own RTP clients for a ringing call; ours exists already.
        super().__init__(
            phone,
            CallState.DIALING,
            request,
            phone.new_session_id(),
            phone.myIP,
            ms={stream.inPort: PayloadType.PCMU},
            sendmode="sendrecv",
        )
        self.RTPClients = [stream]
        stream.dtmf = self.dtmf_callback
        self.state = CallState.RINGING if transaction else CallState.DIALING
        self.changed: threading.Condition = phone.changed
        self.remote_rings = False
        self.on_hold = False
        self.end_code = 0
        self.end_reason = ""
        self.end_cause: int | None = None
        self.refer_progress: list[int] = []
        """Status codes of the NOTIFYs that follow a REFER."""
        self.answered_at: float | None = None
        self._sdp_version = 1
        self._held_by_us = False
        self._remote: Address | None = None
        self._incoming = transaction
        self._invite: ClientTransaction | None = None
        self._cancel: tuple[int, str] | None = None
        self._cancel_sent = False
        self._ack = b""

    def __del__(self) -> None:
        """pyVoIP frees ports here; ours are sockets, closed when the call ends."""

    # -- a call of ours --------------------------------------------------------------------

    def dial(self, fields: list[tuple[str, str]], patience_s: float) -> None:
        """Send the INVITE; the rest comes as answers."""
        sdp = self._own_sdp(None)
        self.stream.start()
        self._invite = self._request_invite(fields, sdp)
        self.request = SipMessage(self._invite.message)
        self._link.later(patience_s, lambda: self._out_of_patience(patience_s))

    def _request_invite(self, fields: list[tuple[str, str]], sdp: bytes) -> ClientTransaction:
        return self._link.request(
            self.dialog,
            "INVITE",
            fields=[*fields, ("Content-Type", "application/sdp")],
            body=sdp,
            on_response=self._invite_answered,
            on_timeout=lambda: self._end(408, "the PBX did not answer"),
        )

    def _out_of_patience(self, patience_s: float) -> None:
        if self.state is CallState.DIALING:
            self._cancel_with(408, f"nobody answered within {patience_s:g} s")

    def _cancel_with(self, code: int, reason: str) -> None:
        self._cancel = (code, reason)
        if self._invite is not None and self._invite.provisional:
            self._send_cancel()

    def _send_cancel(self) -> None:
        """Only after a first answer, or it could overtake the INVITE (RFC 3261 section 9.1)."""
        if not self._cancel_sent and self._invite is not None and self._cancel is not None:
            self._cancel_sent = True
            link = self._link
            link.send_cancel(self._invite)
            code, reason = self._cancel
            link.later(64 * link.t1_s, lambda: self._end(code, reason))

    def _invite_answered(self, response: SipMessage) -> None:
        if response.code >= 300:
            code, reason = response.code, response.reason or phrase(response.code)
            if self._cancel is not None and code == 487:
                code, reason = self._cancel
            self._end(code, reason, response)
        elif response.code >= 200:
            self._accepted(response)
        elif self.state is CallState.DIALING:
            if self._cancel is not None:
                self._send_cancel()
            self._learn_identity(response)
            # The early dialog's: a transfer may name this call while it still rings.
            self.dialog.remote_tag = response.address("To").tag or self.dialog.remote_tag
            if response.sdp is not None:
                self._apply(response.sdp)
            if response.code == 180:
                self.remote_rings = True
            self.changed.notify_all()

    def _accepted(self, response: SipMessage) -> None:
        if self._ack:
            self._link.send(self._ack)  # the 200 came again: our ACK was lost
            return
        self.dialog.learn_from_response(response)
        assert self._invite is not None
        self._ack = self._invite.acknowledge_success()
        self._link.send(self._ack)
        if self.state is not CallState.DIALING or self._cancel is not None:
            self._bye()  # answered at the very moment we gave up
            self._end(*(self._cancel or (487, "cancelled here")))
            return
        answer = response.sdp
        if answer is None or not answer.codecs:
            self._bye()
            self._end(488, "the other side sends no sound this phone knows")
            return
        self._apply(answer)
        self._learn_identity(response)
        self._set(CallState.ANSWERED)

    def reinvite(self, on_final: Callable[[SipMessage | None], None]) -> None:
        """Offer our sound anew inside the call (hold and back)."""

        def answered(response: SipMessage) -> None:
            if response.code < 200:
                return
            if response.code < 300:
                self._link.send(transaction.acknowledge_success())
                self.dialog.learn_target(response)
                if response.sdp is not None and self.state is CallState.ANSWERED:
                    self._apply(response.sdp)
            on_final(response)

        transaction = self._link.request(
            self.dialog,
            "INVITE",
            fields=[("Content-Type", "application/sdp")],
            body=self._own_sdp(None),
            on_response=answered,
            on_timeout=lambda: on_final(None),
        )

    # -- what the PBX does -----------------------------------------------------------------

    def request_received(self, request: SipMessage, transaction: ServerTransaction) -> None:
        """A request of the PBX inside this call."""
        method = request.method
        if method in ("INVITE", "UPDATE"):
            self._renegotiate(request, transaction)
        elif method == "BYE":
            transaction.respond(200)
            if self.state is CallState.RINGING and self._incoming is not None:
                self._incoming.respond(487, to_tag=self.dialog.local_tag)
            self._end(200, "hung up by the other side", request)
        elif method == "NOTIFY":
            transaction.respond(200)
            if request.first("Event") == "talk":
                self.told_to_talk()
                return
            found = re.match(r"SIP/2\.0 (\d{3})", request.payload.decode(errors="replace"))
            if found:
                self.refer_progress.append(int(found[1]))
                self.changed.notify_all()
        else:
            transaction.respond(200 if method in ("INFO", "OPTIONS") else 405)

    def told_to_talk(self) -> None:
        """The PBX says that the person wants to answer, as by a key on a screen."""

    def abandon(self) -> None:
        """The phone is being switched off and the PBX does not answer: say no more."""
        self._end(408, "the phone was switched off")

    def cancelled(self, cancel: SipMessage) -> None:
        """The caller gave up, or somebody else took it."""
        if self.state is CallState.RINGING and self._incoming is not None:
            self._incoming.respond(487, to_tag=self.dialog.local_tag)
            self._end(487, "cancelled by the caller", cancel)

    def _renegotiate(self, request: SipMessage, transaction: ServerTransaction) -> None:
        """Hold, direct media, a new number to show: answered at once."""
        if self.state is CallState.ENDED:
            transaction.respond(481)
            return
        self.dialog.learn_target(request)
        self._learn_identity(request)
        offer = request.sdp
        if offer is not None and not any(codec in _OFFERED for codec in offer.codecs):
            transaction.respond(488)
            return
        if offer is not None:
            self._apply(offer)
        if offer is None and request.method == "UPDATE":
            transaction.respond(200, fields=[("Contact", self._link.contact)])
        else:
            self._respond_with_sdp(transaction, offer)
        self.changed.notify_all()

    def ack_received(self, ack: SipMessage) -> None:
        """The ACK of our 200; it brings the answer when the INVITE had no offer."""
        answer = ack.sdp
        if answer is not None:
            self._apply(answer)

    def _respond_with_sdp(self, transaction: ServerTransaction, offer: Sdp | None) -> None:
        transaction.respond(
            200,
            to_tag=self.dialog.local_tag,
            fields=[("Contact", self._link.contact), ("Content-Type", "application/sdp")],
            body=self._own_sdp(offer),
            on_no_ack=self._never_acknowledged,
        )

    def _never_acknowledged(self) -> None:
        if self.state is CallState.ANSWERED:
            self._bye()
            self._end(408, "the PBX never acknowledged the answer")

    # -- inside ----------------------------------------------------------------------------

    def _own_sdp(self, offer: Sdp | None) -> bytes:
        codecs = dict(_OFFERED)
        if offer is not None:
            codecs = {self.stream.law: _OFFERED[self.stream.law]}
            if offer.event_payload is not None:
                codecs[offer.event_payload] = PayloadType.EVENT
        session = (int(self.session_id), self._sdp_version)
        self._sdp_version += 1
        return build_sdp(
            self.myIP, self.stream.inPort, codecs, session, offer, hold=self._held_by_us
        )

    def _apply(self, theirs: Sdp) -> None:
        """Send sound where, how and whether the other side says."""
        self.on_hold = theirs.on_hold
        if theirs.codecs:
            law = self.stream.law if self.stream.law in theirs.codecs else theirs.codecs[0]
            if self.stream.outPort == 0:
                law = theirs.codecs[0]
            self.stream.connect(theirs.address, theirs.port, law, theirs.event_payload)
            self.stream.sending = not theirs.on_hold and not self._held_by_us

    def _learn_identity(self, message: SipMessage) -> None:
        for name in ("P-Asserted-Identity", "Remote-Party-ID"):
            value = message.first(name)
            if value:
                self._remote = parse_address(value)
                return

    def _set(self, state: CallState) -> None:
        self.state = state
        if state is CallState.ANSWERED:
            self.answered_at = time.monotonic()
            self._link.later(self.phone.silence_check_s, self._check_silence)
        self.changed.notify_all()

    def _check_silence(self) -> None:
        """A PBX that crashed sends no BYE: when no sound comes, ask whether the call still is.

        Silence alone says nothing (a PBX that records a message sends no sound either).
        """
        if self.state is not CallState.ANSWERED:
            return
        self._link.later(self.phone.silence_check_s, self._check_silence)
        last = self.stream.last_packet_at or self.answered_at or 0.0
        if time.monotonic() - last >= self.phone.silence_check_s:
            self._request("OPTIONS", on_response=self._still_there, on_timeout=self._pbx_gone)

    def _still_there(self, response: SipMessage) -> None:
        if response.code in (408, 481):
            self._pbx_gone()

    def _pbx_gone(self) -> None:
        self._end(408, "the PBX does not know of this call any more")

    def _end(self, code: int, reason: str, message: SipMessage | None = None) -> None:
        """The call is over; whoever comes first says why."""
        if self.state is CallState.ENDED:
            return
        self.end_code, self.end_reason = code, reason
        named = message.first("Reason") if message is not None else None
        if named:
            self.end_reason = f"{reason} ({named})"
            cause = re.search(r"Q\.850\s*;.*?cause=(\d+)", named, re.I)
            self.end_cause = int(cause[1]) if cause else None
        self.stream.stop()
        self._set(CallState.ENDED)
        self.phone.call_ended(self)

    def _bye(self) -> None:
        self._request("BYE")

    def _request(
        self,
        method: str,
        fields: list[tuple[str, str]] | None = None,
        on_response: Callable[[SipMessage], None] = lambda _: None,
        on_timeout: Callable[[], None] = lambda: None,
    ) -> ClientTransaction:
        return self._link.request(
            self.dialog, method, fields=fields or [], on_response=on_response, on_timeout=on_timeout
        )
