"""Dialogs and digests: what a request must say about the call it belongs to, and who we are.

Sources: RFC 3261 section 12 (dialogs), RFC 7616 (digest, with the MD5 of RFC 2617).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from telephony.sip.errors import SoftphoneError
from telephony.sip.message import SipMessage, build_message, parse_address


@dataclass(slots=True)
class Dialog:
    """One side's view of a call: the tags, the other side's Contact, the way there."""

    call_id: str
    local: str
    """Our From (or To) without a tag."""
    remote: str
    local_tag: str
    target: str
    """The Request-URI of what we send: at first the number, then the other side's Contact."""
    remote_tag: str = ""
    routes: list[str] = field(default_factory=list)
    cseq: int = field(default_factory=lambda: secrets.randbelow(10_000) + 1)

    def learn_from_response(self, response: SipMessage) -> None:
        """Take To-tag, Contact and route from a response to our INVITE (section 12.1.2)."""
        self.remote_tag = response.address("To").tag
        self.routes = list(reversed(response.every("Record-Route")))
        self.learn_target(response)

    def learn_target(self, message: SipMessage) -> None:
        """A 2xx or a re-INVITE may name a new Contact (section 12.2)."""
        contact = message.first("Contact")
        if contact:
            self.target = parse_address(contact).uri

    @classmethod
    def from_invite(cls, invite: SipMessage, local_tag: str) -> Dialog:
        """The dialog of a call that came to us (section 12.1.1)."""
        caller = invite.address("From")
        dialog = cls(
            call_id=invite.call_id,
            local=invite.address("To").raw,
            remote=caller.raw,
            local_tag=local_tag,
            target=caller.uri,
            remote_tag=caller.tag,
            routes=invite.every("Record-Route"),
        )
        dialog.learn_target(invite)
        return dialog

    def draft(self, method: str) -> SipMessage:
        """A request as it will look, before it has been sent."""
        first = f"{method} {self.target} SIP/2.0"
        via = ("Via", "SIP/2.0/UDP unsent")
        return SipMessage(build_message(first, [via, *self.identity(method, self.cseq)]))

    def identity(self, method: str, cseq: int) -> list[tuple[str, str]]:
        """The headers that make a request part of this dialog."""
        to_tag = f";tag={self.remote_tag}" if self.remote_tag else ""
        return [
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self.routes),
            ("From", f"{self.local};tag={self.local_tag}"),
            ("To", self.remote + to_tag),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
        ]


_HASHES = {"md5": hashlib.md5, "sha-256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a PBX asks for in a 401 or 407."""

    header: str
    """The header our answer goes into."""
    values: dict[str, str]

    @property
    def stale(self) -> bool:
        """Only the nonce was too old; the password was right."""
        return self.values.get("stale", "").lower() == "true"

    def answer(self, method: str, uri: str, user: str, password: str) -> str:
        """The value of the Authorization header."""
        algorithm = self.values.get("algorithm", "MD5")
        hash_name = _HASHES[algorithm.lower()]

        def digest(*parts: str) -> str:
            return hash_name(":".join(parts).encode()).hexdigest()

        realm, nonce = self.values.get("realm", ""), self.values.get("nonce", "")
        secret = digest(user, realm, password)
        request = digest(method, uri)
        fields = [
            f'username="{user}"',
            f'realm="{realm}"',
            f'nonce="{nonce}"',
            f'uri="{uri}"',
            f"algorithm={algorithm}",
        ]
        if "auth" in re.split(r"[,\s]+", self.values.get("qop", "")):
            count, ours = "00000001", secrets.token_hex(8)
            response = digest(secret, nonce, count, ours, "auth", request)
            fields += ["qop=auth", f"nc={count}", f'cnonce="{ours}"']
        else:
            response = digest(secret, nonce, request)
        fields.append(f'response="{response}"')
        if "opaque" in self.values:
            fields.append(f'opaque="{self.values["opaque"]}"')
        return "Digest " + ", ".join(fields)


def read_challenge(response: SipMessage) -> Challenge:
    """The first challenge we can answer; raises :class:`SoftphoneError` if there is none."""
    name, answer = (
        ("www-authenticate", "Authorization")
        if response.code == 401
        else ("proxy-authenticate", "Proxy-Authorization")
    )
    for key, value in response.fields:
        if key != name or not value.lower().startswith("digest "):
            continue
        pairs = re.findall(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))', value)
        values = {word.lower(): quoted or plain for word, quoted, plain in pairs}
        if values.get("algorithm", "MD5").lower() in _HASHES:
            return Challenge(answer, values)
    raise SoftphoneError("the PBX asks for a kind of password check this phone does not know")
