"""One call of a softphone, as the person holding the phone knows it.

Sources: RFC 3325 (P-Asserted-Identity), RFC 3515 and 3891 (REFER, Replaces).
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from pyVoIP.VoIP import CallState

from telephony.sip.errors import CallStateError, SoftphoneError
from telephony.sip.message import Address, SipMessage, parse_address, phrase
from telephony.sip.signalling import CallSignalling
from telephony.sip.sound import CallSound
from telephony.sip.transaction import ServerTransaction

_VERDICT_S = 0.5
"""How long a phone waits after a 202 for news before it lets go."""


class SoftCall(CallSound, CallSignalling):
    """A call, coming or going.

    ``state`` is pyVoIP's ``CallState``: DIALING, RINGING, ANSWERED, ENDED. When it has ended,
    ``end_code`` is a SIP status (200 after a normal hang-up), ``end_reason`` says it in words and
    ``end_cause`` is the Q.850 cause the PBX named, if it did.
    """

    # -- who is it -------------------------------------------------------------------------

    def header(self, name: str) -> str | None:
        """A header of the INVITE that began this call (of the PBX's, or of ours)."""
        return self.request.first(name)

    @property
    def caller_number(self) -> str:
        """The number of who calls, as the PBX says it (at first; see ``remote_number``)."""
        return _identity(self.request).user

    @property
    def caller_name(self) -> str:
        """The name that goes with it, or nothing."""
        return _identity(self.request).display

    @property
    def remote_number(self) -> str:
        """The other side's number now: a transfer changes it in mid-call."""
        with self.changed:
            if self._remote is not None:
                return self._remote.user
            return self.caller_number if self.direction == "in" else self.dialled

    @property
    def remote_name(self) -> str:
        """The other side's name now, or nothing."""
        with self.changed:
            if self._remote is not None:
                return self._remote.display
            return self.caller_name if self.direction == "in" else ""

    @property
    def dialled(self) -> str:
        """The number this call was made to."""
        return parse_address(
            self.dialog.remote if self.direction == "out" else self.dialog.local
        ).user

    # -- waiting ---------------------------------------------------------------------------

    def wait_ringing(self, timeout: float = 10.0) -> None:
        """Wait until the other phone rings (180), or the call has been answered.

        Raises TimeoutError, or :class:`CallStateError` when the call ended instead.
        """
        self._wait(lambda: self.remote_rings or self.state is CallState.ANSWERED, timeout, "ring")

    def wait_answered(self, timeout: float = 10.0) -> None:
        """Wait until the call is answered; raises as :meth:`wait_ringing` does."""
        self._wait(lambda: self.state is CallState.ANSWERED, timeout, "be answered")

    def wait_ended(self, timeout: float = 10.0) -> int:
        """Wait until the call is over; returns ``end_code``. Raises TimeoutError."""
        self._wait(lambda: self.state is CallState.ENDED, timeout, "end")
        return self.end_code

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.state is CallState.ENDED, timeout)
            if condition():
                return
            if self.state is CallState.ENDED:
                raise CallStateError(
                    f"the call with {self.remote_number} did not {what}: "
                    f"it ended with {self.end_code} {self.end_reason}"
                )
        raise TimeoutError(f"the call with {self.remote_number} did not {what} in {timeout} s")

    # -- what the person does --------------------------------------------------------------

    def answer(self) -> None:
        """Take the call; raises :class:`CallStateError` unless it rings here."""
        with self.changed:
            transaction = self._ringing_here()
            offer = transaction.request.sdp
            if offer is not None:
                self._apply(offer)
            self._set(CallState.ANSWERED)
            self.stream.start()
            self._respond_with_sdp(transaction, offer)

    def told_to_talk(self) -> None:
        """Answer, if it still rings here."""
        if self.state is CallState.RINGING and self._incoming is not None:
            self.answer()

    def deny(self, code: int = 486) -> None:
        """Refuse the call: 486 busy, 603 declined, 480 unavailable or another final status."""
        if not 400 <= code <= 699:
            raise SoftphoneError(f"{code} is no status to refuse a call with (400 to 699)")
        with self.changed:
            self._ringing_here().respond(code, to_tag=self.dialog.local_tag)
            self._end(code, phrase(code))

    def hangup(self) -> None:
        """End the call in whatever state it is; harmless when it is over already."""
        with self.changed:
            if self.state is CallState.RINGING:
                self.deny(603)
            elif self.state is CallState.DIALING:
                self.cancel()
            elif self.state is CallState.ANSWERED:
                self._bye()
                self._end(200, "hung up here")

    def cancel(self) -> None:
        """Give up a call of ours before it is answered; it ends with 487."""
        with self.changed:
            if self.state is CallState.DIALING:
                self._cancel_with(487, "cancelled here")

    def hold(self, on: bool = True, *, timeout: float = 5.0) -> None:
        """Put the other side on hold, or take it back; returns when the PBX has agreed.

        Raises :class:`CallStateError` when it did not, or when the call is not answered.
        """
        final: list[SipMessage | None] = []

        def answered(response: SipMessage | None) -> None:
            final.append(response)
            self.changed.notify_all()

        with self.changed:
            if self.state is not CallState.ANSWERED:
                raise CallStateError(f"the call with {self.remote_number} is not answered")
            before, self._held_by_us = self._held_by_us, on
            self.reinvite(answered)
            self.changed.wait_for(lambda: final or self.state is CallState.ENDED, timeout)
            response = final[0] if final else None
            if response is None or response.code >= 300:
                self._held_by_us = before
                told = f"{response.code} {response.reason}" if response else "nothing"
                raise CallStateError(f"the PBX answered {told} to the wish to hold the call")

    @property
    def held(self) -> bool:
        """We have put the other side on hold."""
        return self._held_by_us

    def _ringing_here(self) -> ServerTransaction:
        if self.state is not CallState.RINGING or self._incoming is None:
            raise CallStateError(f"the call with {self.remote_number} is not ringing here")
        return self._incoming

    # -- transfer by the phone itself ------------------------------------------------------

    def refer(self, target: str, *, hang_up: bool = True, timeout: float = 10.0) -> int:
        """Blind transfer: hand the other side to a number, by the phone's own REFER.

        Returns the status the PBX gave, in its answer or in the NOTIFY that follows at once:
        202 accepted, 404 no such number... With ``hang_up`` the phone lets go when it has been
        accepted, as desk phones do; after a refusal the call goes on.
        """
        return self._refer(f"<{self.phone.uri_of(target)}>", hang_up, timeout)

    def refer_to_call(self, other: SoftCall, *, timeout: float = 10.0) -> int:
        """Attended transfer: connect the other sides of two calls of this phone (Replaces).

        Returns as :meth:`refer` does; when the PBX has accepted, the phone lets go of both calls.
        """
        them = other.dialog
        replaces = f"{them.call_id};to-tag={them.remote_tag};from-tag={them.local_tag}"
        number = self.phone.uri_of(other.remote_number)
        status = self._refer(f"<{number}?Replaces={quote(replaces, safe='')}>", True, timeout)
        if 200 <= status < 300:
            other.hangup()
        return status

    def _refer(self, refer_to: str, hang_up: bool, timeout: float) -> int:
        status = 0

        def answered(response: SipMessage) -> None:
            if response.code >= 200:
                finished(response.code)

        def finished(code: int = 408) -> None:
            nonlocal status
            status = code
            self.changed.notify_all()

        def verdict() -> bool:
            # Asterisk accepts every REFER and tells by NOTIFY or BYE what became of it.
            return self.state is CallState.ENDED or max(self.refer_progress, default=0) > 100

        with self.changed:
            if self.state is not CallState.ANSWERED:
                raise CallStateError(f"the call with {self.remote_number} is not answered")
            self.refer_progress.clear()
            us = self.phone.uri_of(self.phone.username)
            fields = [("Refer-To", refer_to), ("Referred-By", f"<{us}>")]
            self._request("REFER", fields, answered, finished)
            if not self.changed.wait_for(lambda: status, timeout):
                raise TimeoutError(f"the PBX did not answer the REFER in {timeout:g} s")
            if 200 <= status < 300:
                self.changed.wait_for(verdict, min(timeout, _VERDICT_S))
                status = next((code for code in self.refer_progress if code >= 300), status)
            if hang_up and 200 <= status < 300 and self.state is CallState.ANSWERED:
                self._bye()
                self._end(200, "handed over")
        return status


def _identity(request: SipMessage) -> Address:
    """Who calls: what the PBX asserts comes before From, which a caller may choose."""
    for name in ("P-Asserted-Identity", "Remote-Party-ID"):
        value = request.first(name)
        if value:
            return parse_address(value)
    return request.address("From")
