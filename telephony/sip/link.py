"""The SIP side of a phone: its socket, who gets which message, and the registration.

Takes the place of pyVoIP's ``SIPClient`` loop: unique branches and Call-IDs, any method answered
(OPTIONS and MWI NOTIFY with 200), repetitions, digest for every request.
"""

from __future__ import annotations

import logging
import re
import secrets
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyVoIP.SIP import SIPClient, SIPMessageType, SIPParseError

from telephony.sip.dialog import Dialog
from telephony.sip.errors import NoAnswerFromPbx, RegistrationFailed, SoftphoneError
from telephony.sip.loop import PhoneLoop, Timer, acquire_loop, release_loop
from telephony.sip.message import Fields, SipMessage, phrase
from telephony.sip.transaction import (
    Cancellation,
    ClientTransaction,
    OnResponse,
    ServerTransaction,
)

if TYPE_CHECKING:
    from telephony.softphone import Softphone

log = logging.getLogger(__name__)

REGISTER_AGAIN_AFTER_FAILURE_S = 5.0


class SipLink(SIPClient):
    """One phone's link to its PBX over UDP.

    ``t1_s`` is the first pause before a repetition; 0.5 s by RFC 3261.
    """

    phone: Softphone

    def __init__(
        self, phone: Softphone, lock: threading.RLock, *, expires_s: int = 120, t1_s: float = 0.5
    ) -> None:
        super().__init__(
            phone.server, phone.port, phone.username, phone.password, phone, phone.myIP, 0
        )
        self.lock = lock
        self.default_expires = expires_s
        self.t1_s = t1_s
        self.transactions: dict[tuple[str, str], ClientTransaction] = {}
        self.served: dict[tuple[str, str], ServerTransaction] = {}
        self.changed = threading.Condition(lock)
        self.registered = False
        self.registration_error: SoftphoneError | None = None
        self._refresh: Timer | None = None

    # -- socket ----------------------------------------------------------------------------

    def open(self, sip_port: int) -> None:
        """Take a port (0: a free one) and listen."""
        self.server_addresses = self._resolve()
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.s.bind((self.myIP, sip_port))
        except OSError as error:
            self.s.close()
            raise SoftphoneError(
                f"the phone cannot use {self.myIP}:{sip_port}: {error.strerror}; "
                "choose another SIP port (0 picks a free one)"
            ) from error
        self.s.setblocking(False)
        self.out = self.s
        self.myPort = self.s.getsockname()[1]
        self._register_dialog = self._new_register_dialog()
        self.loop: PhoneLoop = acquire_loop()
        self.NSD = True
        self.loop.watch(self.s, self.recv)

    def _resolve(self) -> set[str]:
        try:
            found = socket.getaddrinfo(self.server, self.port, socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as error:
            raise SoftphoneError(
                f"the PBX's name {self.server!r} cannot be resolved: {error}"
            ) from error
        return {str(entry[4][0]) for entry in found}

    def close(self) -> None:
        """Give the socket and the loop back."""
        with self.lock:
            if not self.NSD:
                return
            self.NSD = False
            self.registered = False
            self.transactions.clear()
            self.served.clear()
            self.loop.unwatch_and_close(self.s)
        release_loop()

    @property
    def own_address(self) -> str:
        """Where the PBX reaches us."""
        return f"{self.myIP}:{self.myPort}"

    @property
    def contact(self) -> str:
        """Our Contact."""
        return f"<sip:{self.username}@{self.own_address}>"

    def gen_call_id(self) -> str:
        """Unique everywhere; pyVoIP's counter gave two phones of one process the same."""
        return f"{secrets.token_hex(12)}@{self.myIP}"

    def send(self, message: bytes, destination: tuple[str, int] | None = None) -> None:
        """Send to the PBX, or to where a request came from."""
        if self.NSD:
            try:
                self.s.sendto(message, destination or (self.server, self.port))
            except OSError as error:
                # The repetition of the transaction is the second try; its end is the verdict.
                log.warning("phone %s cannot send: %s", self.username, error)

    def later(self, delay_s: float, action: Callable[[], object]) -> Timer:
        """Do something later under the phone's lock, if the phone still runs."""

        def run() -> None:
            with self.lock:
                if self.NSD and not timer.cancelled:
                    action()

        timer = self.loop.later(delay_s, run)
        return timer

    def recv(self) -> None:
        """Read what came; a datagram that is no SIP is logged and dropped."""
        for _ in range(64):
            try:
                data, source = self.s.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:
                if not self.NSD:
                    return  # closed by another thread between the wake-up and this read
                raise
            if source[0] not in self.server_addresses or not data.strip(b"\r\n\0 "):
                continue
            try:
                message = SipMessage(data)
            except SIPParseError as error:
                log.warning("phone %s: %s", self.username, error)
                continue
            with self.lock:
                if self.NSD:
                    self._dispatch(message, source)

    # -- who gets it -----------------------------------------------------------------------

    def _dispatch(self, message: SipMessage, source: tuple[str, int]) -> None:
        if message.type == SIPMessageType.RESPONSE:
            waiting = self.transactions.get((message.branch, message.method))
            if waiting is not None:
                waiting.received(message)
            return
        if message.method == "ACK":
            self._acknowledge(message)
            return
        key = (message.branch, message.method)
        known = self.served.get(key)
        if known is not None:
            known.repeat_answer()
            return
        transaction = ServerTransaction(self, message, source)
        self.served[key] = transaction
        try:
            self.phone.request_received(message, transaction)
        except (ValueError, IndexError, SIPParseError) as error:
            log.warning("phone %s: %s cannot be read: %s", self.username, message.method, error)
            transaction.respond(400)

    def _acknowledge(self, ack: SipMessage) -> None:
        same_branch = self.served.get((ack.branch, "INVITE"))
        if same_branch is not None:
            same_branch.ack_received()
            return
        for transaction in self.served.values():
            request = transaction.request
            if (
                request.method == "INVITE"
                and request.call_id == ack.call_id
                and request.cseq()[0] == ack.cseq()[0]
            ):
                transaction.ack_received()
                self.phone.ack_received(ack)
                return

    def invite_to_cancel(self, cancel: SipMessage) -> ServerTransaction | None:
        """The INVITE that a CANCEL means: it has the same branch (RFC 3261 section 9.2)."""
        return self.served.get((cancel.branch, "INVITE"))

    def request(
        self,
        dialog: Dialog,
        method: str,
        *,
        on_response: OnResponse,
        on_timeout: Callable[[], object],
        fields: Fields = (),
        body: bytes = b"",
    ) -> ClientTransaction:
        """Send a request, repeated and with the password where it is asked for."""
        return ClientTransaction(
            self,
            dialog,
            method,
            fields=fields,
            body=body,
            on_response=on_response,
            on_timeout=on_timeout,
        )

    def send_cancel(self, invite: ClientTransaction) -> None:
        """Take an INVITE back."""
        Cancellation(self, invite)

    def forget(self, key: tuple[str, str]) -> None:
        """No more answers are expected to a request."""
        self.transactions.pop(key, None)
        self.transaction_ended()

    def forget_served(self, transaction: ServerTransaction) -> None:
        """No more repetitions are expected of a request of the PBX."""
        self.served.pop((transaction.request.branch, transaction.request.method), None)

    def transaction_ended(self) -> None:
        """Wake who waits for all to be answered."""
        self.changed.notify_all()

    def wait_all_answered(self, timeout: float) -> bool:
        """Wait until every request has its final answer; False when some have not."""
        with self.lock:
            return self.changed.wait_for(
                lambda: all(one.final is not None for one in self.transactions.values()), timeout
            )

    # -- registration ----------------------------------------------------------------------

    def _new_register_dialog(self) -> Dialog:
        us = f"<sip:{self.username}@{self.server}>"
        registrar = f"sip:{self.server}:{self.port}"
        return Dialog(self.gen_call_id(), us, us, self.gen_tag(), registrar)

    def register(self) -> bool:
        """Ask the PBX to send our calls here; the outcome is told through ``changed``.

        Returns whether an earlier registration still holds.
        """
        self._send_register(self.default_expires, self._registered, self._register_timed_out)
        return self.registered

    def unregister(self, timeout: float) -> bool:
        """Take the registration back; False when the PBX did not answer in time."""
        done = False

        def finish(response: SipMessage | None = None) -> None:
            nonlocal done
            done = True
            self.registered = False
            self.changed.notify_all()

        with self.lock:
            if self._refresh is not None:
                self._refresh.cancel()
            self._send_register(0, finish, finish)
            return self.changed.wait_for(lambda: done, timeout)

    def _send_register(
        self, expires_s: int, on_response: OnResponse, on_timeout: Callable[[], object]
    ) -> None:
        self.request(
            self._register_dialog,
            "REGISTER",
            fields=[("Expires", str(expires_s))],
            on_response=on_response,
            on_timeout=on_timeout,
        )

    def _registered(self, response: SipMessage) -> None:
        if response.code < 200:
            return
        if response.code == 423:
            self.default_expires = int(response.first("Min-Expires") or self.default_expires * 2)
            self.register()
        elif response.code < 300:
            self.registration_error = None
            self.registered = True
            # Well before it runs out, so that a lost packet or two do no harm.
            self._refresh_in(max(self._granted_s(response) * 0.75, 1.0))
        else:
            self._not_registered(self._refusal(response))

    def _granted_s(self, response: SipMessage) -> float:
        for contact in response.every("Contact"):
            found = re.search(r">.*;\s*expires=(\d+)", contact)
            if found and self.own_address in contact:
                return float(found[1])
        return float(response.first("Expires") or self.default_expires)

    def _refusal(self, response: SipMessage) -> SoftphoneError:
        where = f"{self.server}:{self.port}"
        if response.code in (401, 403, 407):
            return RegistrationFailed(
                f"the PBX at {where} refuses phone {self.username}: "
                "the password is wrong or the extension is not known; check both"
            )
        if response.code == 404:
            return RegistrationFailed(
                f"the PBX at {where} knows no phone {self.username}; check the extension"
            )
        text = response.reason or phrase(response.code)
        return RegistrationFailed(
            f"the PBX at {where} answered {response.code} {text} to phone {self.username}"
        )

    def _register_timed_out(self) -> None:
        self._not_registered(self.no_answer())

    def no_answer(self) -> NoAnswerFromPbx:
        """What to say when nobody answers."""
        return NoAnswerFromPbx(
            f"no answer from {self.server}:{self.port} (UDP); "
            "check that the PBX runs and that address and port are right"
        )

    def _not_registered(self, error: SoftphoneError) -> None:
        if self.registered:  # else start() tells it
            log.warning("phone %s: %s", self.username, error.detail)
        self.registered = False
        self.registration_error = error
        self._refresh_in(REGISTER_AGAIN_AFTER_FAILURE_S)

    def _refresh_in(self, delay_s: float) -> None:
        self._refresh = self.later(delay_s, self.register)
        self.changed.notify_all()
