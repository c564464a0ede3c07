"""A SIP phone for people without one, for demonstrations and for tests.

Built on pyVoIP 1.6.8, every class of which is subclassed here or in the neighbours:
``softphone_call`` (a call), ``softphone_sip`` (messages and registration),
``softphone_media`` (sound), ``softphone_loop`` (the one thread that serves all phones).

>>> with Softphone("127.0.0.1", 5060, "8001", "secret") as phone:   # doctest: +SKIP
...     call = phone.call("110")
...     call.wait_answered(20)
...     call.hangup()
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, Self
from urllib.parse import quote

from pyVoIP.VoIP import CallState, VoIPPhone
from pyVoIP.VoIP.status import PhoneStatus

from telephony.errors import InvalidValue
from telephony.sip.call import SoftCall
from telephony.sip.dialog import Dialog
from telephony.sip.errors import (
    CallStateError,
    NoAnswerFromPbx,
    RegistrationFailed,
    SoftphoneError,
)
from telephony.sip.link import SipLink
from telephony.sip.media import Heard, RtpStream, bind_rtp
from telephony.sip.message import SipMessage
from telephony.sip.signalling import CallSignalling
from telephony.sip.transaction import ServerTransaction

__all__ = [
    "AutoAnswer",
    "CallState",
    "CallStateError",
    "Heard",
    "NoAnswerFromPbx",
    "RegistrationFailed",
    "SoftCall",
    "Softphone",
    "SoftphoneError",
]

AutoAnswer = Literal["off", "answer", "busy", "decline"]
_REFUSALS = {"busy": 486, "decline": 603}
_CLOSING_S = 1.0


class Softphone(VoIPPhone):
    """A phone with one extension at one PBX.

    :param server: host of the PBX; ``port`` is its SIP port (UDP).
    :param username: the extension, which is also the name to sign in with.
    :param my_ip: the address of this machine that the PBX can reach.
    :param sip_port: our own port; 0 picks a free one.
    :param rtp_ports: first and last port for sound; None lets the machine pick free ones.
    :param display_name: the name shown to who is called.
    :param auto_answer: what happens to a call that comes: nothing, answered, busy (486), declined
        (603), after ``auto_answer_delay_s``.
    :param on_call: called for every call that comes, in a thread of its own.
    :param ring_timeout_s: how long a call of ours may ring before it is given up.
    :param expires_s: how long a registration lasts before it is renewed.
    """

    def __init__(
        self,
        server: str,
        port: int,
        username: str,
        password: str,
        *,
        my_ip: str = "127.0.0.1",
        sip_port: int = 0,
        rtp_ports: tuple[int, int] | None = None,
        display_name: str = "",
        auto_answer: AutoAnswer = "off",
        auto_answer_delay_s: float = 0.0,
        on_call: Callable[[SoftCall], None] | None = None,
        ring_timeout_s: float = 180.0,
        expires_s: int = 120,
    ) -> None:
        for value in (server, username, display_name):
            _one_line(value)
        low, high = rtp_ports or (10000, 20000)
        super().__init__(server, port, username, password, my_ip, None, sip_port, low, high)
        self.display_name = display_name
        self.auto_answer: AutoAnswer = auto_answer
        self.auto_answer_delay_s = auto_answer_delay_s
        self.on_call = on_call
        self.ring_timeout_s = ring_timeout_s
        self.messages_waiting: bool | None = None
        """What the PBX last said about voicemail (MWI); None as long as it has said nothing."""
        self.silence_check_s = 15.0
        """After so long without a packet of sound, the PBX is asked whether the call still is."""
        self.last_ended: SoftCall | None = None
        """The call that ended last."""
        self._sip_port = sip_port
        self._rtp_ports = rtp_ports
        self._lock = threading.RLock()
        self.sip: SipLink = SipLink(self, self._lock, expires_s=expires_s)
        self.changed = self.sip.changed
        """Notified whenever a call or the registration changes."""
        self._offered: deque[SoftCall] = deque()
        self._handlers: list[threading.Thread] = []

    # -- life ------------------------------------------------------------------------------

    def start(self, timeout: float = 5.0) -> None:
        """Register at the PBX; returns when it has accepted.

        Raises :class:`RegistrationFailed` (wrong password, unknown extension),
        :class:`NoAnswerFromPbx`, or another :class:`SoftphoneError`; then nothing is left running.
        """
        if self.sip.NSD:
            raise SoftphoneError(f"phone {self.username} runs already")
        self._status = PhoneStatus.REGISTERING
        self.sip.open(self._sip_port)
        self.NSD = True
        with self._lock:
            self.sip.registration_error = None
            self.sip.register()
            self.changed.wait_for(
                lambda: self.sip.registered or self.sip.registration_error, timeout
            )
            error = self.sip.registration_error or self.sip.no_answer()
            registered = self.sip.registered
        if not registered:
            self._close(PhoneStatus.FAILED)
            raise error
        self._status = PhoneStatus.REGISTERED

    def stop(self, failed: bool = False) -> None:
        """Hang up, unregister, and leave neither thread nor socket; harmless when stopped."""
        if not self.NSD:
            return
        self._status = PhoneStatus.DEREGISTERING
        for call in self.calls:
            call.hangup()
        self.sip.wait_all_answered(_CLOSING_S)
        if self.registered:
            self.sip.unregister(_CLOSING_S)
        self._close(PhoneStatus.FAILED if failed else PhoneStatus.INACTIVE)

    def vanish(self) -> None:
        """Be gone as when the power fails: no BYE, not signed off, no thread and no socket left."""
        self._close(PhoneStatus.FAILED)

    def _close(self, status: PhoneStatus) -> None:
        self.NSD = False
        with self._lock:
            for call in self.calls:
                call.abandon()
        self.sip.close()
        self._status = status
        with self._lock:
            self.changed.notify_all()
        for handler in self._handlers:
            if handler is not threading.current_thread():
                handler.join(_CLOSING_S)
        self._handlers.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def registered(self) -> bool:
        """The PBX sends our calls here."""
        return self.sip.registered

    # -- calls -----------------------------------------------------------------------------

    @property  # type: ignore[override]  # pyVoIP keeps its dictionary under this name
    def calls(self) -> list[SoftCall]:
        """The calls that have not ended."""
        with self._lock:
            return list(self._by_call_id.values())

    @calls.setter  # type: ignore[override]
    def calls(self, by_call_id: dict[str, SoftCall]) -> None:
        # pyVoIP's constructor sets its dictionary here.
        self._by_call_id = by_call_id

    def call(self, number: str, *, headers: Mapping[str, str] | None = None) -> SoftCall:
        """Dial; returns at once, with the INVITE sent.

        ``headers`` are added to the INVITE. Raises :class:`InvalidValue` for a value that cannot
        be sent, :class:`SoftphoneError` when the phone is not started or has no free port.
        """
        target = self.uri_of(number)
        fields = [(name, value) for name, value in (headers or {}).items()]
        for name, value in fields:
            if not re.fullmatch(r"[A-Za-z0-9-]+", name):
                raise InvalidValue(f"{name!r} is no name of a header")
            _one_line(value)
        if not self.NSD:
            raise SoftphoneError(f"phone {self.username} is not started")
        us = f"<{self.uri_of(self.username)}>"
        if self.display_name:
            us = f'"{_quoted(self.display_name)}" {us}'
        stream = self._new_stream()
        with self._lock:
            dialog = Dialog(self.sip.gen_call_id(), us, f"<{target}>", self.sip.gen_tag(), target)
            call = SoftCall(self, dialog.draft("INVITE"), dialog, stream)
            self._by_call_id[dialog.call_id] = call
            call.dial(fields, self.ring_timeout_s)
        return call

    def wait_for_call(self, timeout: float = 10.0) -> SoftCall:
        """The next call that came and has not ended; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while True:
                while self._offered:
                    call = self._offered.popleft()
                    if call.state is not CallState.ENDED:
                        return call
                if not self.changed.wait(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError(f"no call came to {self.username} within {timeout:g} s")

    def uri_of(self, number: str) -> str:
        """The SIP address of a number at this PBX; raises :class:`InvalidValue`."""
        if not re.fullmatch(r"[0-9A-Za-z*#+._-]{1,64}", number):
            raise InvalidValue(f"{number!r} is not a number that can be dialled")
        return f"sip:{quote(number, safe='*+')}@{self.server}:{self.port}"

    def new_session_id(self) -> int:
        """A number for a session description."""
        return secrets.randbelow(1 << 31)

    def _new_stream(self) -> RtpStream:
        sock = bind_rtp(self.myIP, self._rtp_ports)
        return RtpStream(self.sip.loop, sock)

    # -- what the link tells us (under the lock) -------------------------------------------

    def request_received(self, request: SipMessage, transaction: ServerTransaction) -> None:
        """A new request of the PBX."""
        call = self._by_call_id.get(request.call_id)
        method = request.method
        if method == "CANCEL":
            self._cancel_received(request, transaction)
        elif call is not None:
            call.request_received(request, transaction)
        elif request.address("To").tag and method != "NOTIFY":
            transaction.respond(481)
        elif method == "INVITE":
            self._call_came(request, transaction)
        elif method == "NOTIFY":
            transaction.respond(200)
            self._mailbox_notified(request)
        elif method == "OPTIONS":
            transaction.respond(200, fields=[("Accept", "application/sdp")])
        else:
            transaction.respond(405)

    def ack_received(self, ack: SipMessage) -> None:
        """The PBX has heard our 200."""
        call = self._by_call_id.get(ack.call_id)
        if call is not None:
            call.ack_received(ack)

    def call_ended(self, call: CallSignalling) -> None:
        """A call is over."""
        self.last_ended = self._by_call_id.pop(call.dialog.call_id, self.last_ended)

    def _cancel_received(self, cancel: SipMessage, transaction: ServerTransaction) -> None:
        invite = self.sip.invite_to_cancel(cancel)
        if invite is None:
            transaction.respond(481)
            return
        call = self._by_call_id.get(cancel.call_id)
        transaction.respond(200, to_tag=call.dialog.local_tag if call else "")
        if call is not None:
            call.cancelled(cancel)

    def _call_came(self, invite: SipMessage, transaction: ServerTransaction) -> None:
        dialog = Dialog.from_invite(invite, self.sip.gen_tag())
        offer = invite.sdp
        if offer is not None and not offer.codecs:
            transaction.respond(488, to_tag=dialog.local_tag)
            return
        try:
            stream = self._new_stream()
        except SoftphoneError:
            transaction.respond(480, to_tag=dialog.local_tag)
            return
        call = SoftCall(self, invite, dialog, stream, transaction)
        self._by_call_id[dialog.call_id] = call
        transaction.respond(180, to_tag=dialog.local_tag, fields=[("Contact", self.sip.contact)])
        if self.auto_answer != "off":
            self._answer_by_itself(call)
        waiting = [one for one in self._offered if one.state is not CallState.ENDED]
        self._offered = deque([*waiting, call])
        self.changed.notify_all()
        if self.on_call is not None:
            self._handlers = [thread for thread in self._handlers if thread.is_alive()]
            name = f"phone {self.username}: call from {call.caller_number}"
            handler = threading.Thread(target=self.on_call, args=(call,), name=name, daemon=True)
            self._handlers.append(handler)
            handler.start()

    def _answer_by_itself(self, call: SoftCall) -> None:
        def act() -> None:
            if call.state is not CallState.RINGING:
                return
            if self.auto_answer in _REFUSALS:
                call.deny(_REFUSALS[self.auto_answer])
            else:
                call.answer()

        if self.auto_answer_delay_s > 0:
            self.sip.later(self.auto_answer_delay_s, act)
        else:
            act()

    def _mailbox_notified(self, notify: SipMessage) -> None:
        found = re.search(rb"^Messages-Waiting:\s*(\w+)", notify.payload, re.I | re.M)
        if found:
            self.messages_waiting = found[1].lower() == b"yes"
            self.changed.notify_all()


def _one_line(value: str) -> None:
    if any(character in value for character in "\r\n\0"):
        raise InvalidValue("a value for the PBX must be one line without control characters")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
