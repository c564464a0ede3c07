"""SIP messages as they really come: every method, every header, any body.

pyVoIP's own parser knows four methods (a NOTIFY or OPTIONS raises), breaks on ``": "`` or ``=``
inside a value, and keeps only the first of repeated headers. This one keeps pyVoIP's attributes.
Sources: RFC 3261 (messages, digest), RFC 4566 and 3264 (SDP), RFC 4733 (telephone-event).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http.client import responses as _http_phrases
from typing import Any
from urllib.parse import unquote

# First of all: pyVoIP's modules import each other in a circle that only this one opens.
import pyVoIP.VoIP  # noqa: F401
from pyVoIP.RTP import PayloadType
from pyVoIP.SIP import SIPMessage, SIPMessageType, SIPParseError, SIPStatus

from telephony.tones import PCMA, PCMU

METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "NOTIFY", "UPDATE", "INFO", "REFER")
ALLOW = ", ".join(METHODS)
USER_AGENT = "hotline-softphone"

Fields = Sequence[tuple[str, str]]

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact"} | {
    "l": "content-length",
    "c": "content-type",
    "s": "subject",
    "k": "supported",
    "r": "refer-to",
    "b": "referred-by",
    "o": "event",
}


class SipMessage(SIPMessage):
    """A request or a response; ``fields`` holds every header line in order."""

    def parse(self, data: bytes) -> None:
        """Take a datagram apart; raises pyVoIP's ``SIPParseError`` for what is no SIP."""
        head, _, self.payload = data.partition(b"\r\n\r\n")
        try:
            lines = re.sub(r"\r\n[ \t]+", " ", head.decode()).split("\r\n")
            self.fields = [_field(line) for line in lines[1:]]
            self._parse_first_line(lines[0])
            self._fill_headers()
        except (ValueError, IndexError, AttributeError) as error:
            raise SIPParseError(f"not a SIP message: {error}") from error

    def _parse_first_line(self, line: str) -> None:
        self.heading = line.encode()
        words = line.split(" ", 2)
        self.code = 0
        self.uri = self.reason = ""
        if words[0] == "SIP/2.0":
            self.type = SIPMessageType.RESPONSE
            self.version, self.code = words[0], int(words[1])
            self.reason = words[2] if len(words) > 2 else ""
            self.method = self.cseq()[1]
            self.status = _known_status(self.code)
        elif words[2] == "SIP/2.0":
            self.type = SIPMessageType.MESSAGE
            self.method, self.uri, self.version = words
        else:
            raise ValueError(f"first line {line[:60]!r}")

    def _fill_headers(self) -> None:
        self.headers: dict[str, Any] = {"Via": self.every("Via")}
        for name in ("From", "To"):
            address = self.address(name)
            self.headers[name] = {
                "raw": address.raw,
                "tag": address.tag,
                "address": address.uri.removeprefix("sip:"),
                "number": address.user,
                "caller": address.display,
                "host": address.host,
            }
        number, method = self.cseq()
        self.headers["CSeq"] = {"check": str(number), "method": method}
        self.headers["Call-ID"] = self.call_id
        self.headers["Contact"] = self.first("Contact") or ""

    def first(self, name: str) -> str | None:
        """The first header of this name (any case), or None."""
        wanted = name.lower()
        return next((value for key, value in self.fields if key == wanted), None)

    def every(self, name: str) -> list[str]:
        """All values of a header that may stand on several lines or in one with commas."""
        wanted = name.lower()
        return [part for key, value in self.fields if key == wanted for part in _split_list(value)]

    def address(self, name: str) -> Address:
        """A From, To, Contact, P-Asserted-Identity... taken apart; raises ValueError if absent."""
        value = self.first(name)
        if value is None:
            raise ValueError(f"no {name}")
        return parse_address(value)

    @property
    def call_id(self) -> str:
        """The Call-ID; raises ValueError for a message without one."""
        value = self.first("Call-ID")
        if not value:
            raise ValueError("no Call-ID")
        return value

    def cseq(self) -> tuple[int, str]:
        """Number and method of the CSeq header."""
        number, method = (self.first("CSeq") or "").split()
        return int(number), method

    @property
    def branch(self) -> str:
        """The branch of the topmost Via: which transaction this belongs to."""
        found = re.search(r";\s*branch=([^;,\s]+)", self.headers["Via"][0])
        return found[1] if found else ""

    @property
    def sdp(self) -> Sdp | None:
        """The session description in the body, if there is one."""
        kind = (self.first("Content-Type") or "").split(";")[0].strip().lower()
        return parse_sdp(self.payload.decode()) if kind == "application/sdp" else None


@dataclass(frozen=True, slots=True)
class Address:
    """``"Name" <sip:user@host;uri-params>;params``."""

    raw: str
    display: str
    uri: str
    params: dict[str, str]

    @property
    def tag(self) -> str:
        """The dialog tag, or nothing."""
        return self.params.get("tag", "")

    @property
    def user(self) -> str:
        """The number: what stands before the @, decoded."""
        rest = self.uri.partition(":")[2]
        return unquote(rest.partition("@")[0].partition(";")[0]) if "@" in rest else ""

    @property
    def host(self) -> str:
        """What stands after the @, without parameters."""
        return self.uri.rpartition("@")[2].partition(";")[0].removeprefix("sip:")


def parse_address(value: str) -> Address:
    """Take a name-addr or addr-spec apart (RFC 3261 section 20.10)."""
    match = re.match(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*?))\s*<([^>]*)>(.*)$', value, re.S)
    if match:
        display = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]
        uri, rest = match[3], match[4]
        raw = value[: len(value) - len(rest)]
    else:
        # Without angle brackets every parameter belongs to the header.
        uri, _, rest = value.strip().partition(";")
        display, raw = "", uri
    params = {}
    for part in rest.split(";"):
        key, _, text = part.strip().partition("=")
        if key:
            params[key.lower()] = text
    return Address(raw.strip(), display, uri.strip(), params)


@dataclass(frozen=True, slots=True)
class Sdp:
    """One side's sound: where to send it, in which codings, and in which direction."""

    address: str
    port: int
    codecs: tuple[int, ...]
    event_payload: int | None
    direction: str
    media: tuple[str, ...] = ()
    """All ``m=`` lines of an offer: an answer must have one for each (RFC 3264 section 6)."""
    audio_index: int = 0

    @property
    def on_hold(self) -> bool:
        """The other side wants no sound from us."""
        return self.direction in ("sendonly", "inactive") or self.address == "0.0.0.0"


@dataclass(slots=True)
class _SdpDraft:
    address: str = ""
    direction: str = ""
    media: list[str] = field(default_factory=list)
    attributes: list[list[str]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


def parse_sdp(text: str) -> Sdp:
    """Read a session description; raises ``SIPParseError`` when it has no telephone sound."""
    draft = _SdpDraft()
    for line in text.replace("\r", "").split("\n"):
        kind, _, value = line.partition("=")
        if kind == "m":
            draft.media.append(value)
            draft.attributes.append([])
            draft.addresses.append(draft.address)
        elif kind == "c" and draft.media:
            draft.addresses[-1] = value.split()[-1].partition("/")[0]
        elif kind == "c":
            draft.address = value.split()[-1].partition("/")[0]
        elif kind == "a" and draft.media:
            draft.attributes[-1].append(value)
        elif kind == "a" and value in _MIRROR:
            draft.direction = value
    for index, media in enumerate(draft.media):
        kind, port, protocol, *payloads = media.split()
        if kind == "audio" and protocol == "RTP/AVP" and int(port.partition("/")[0]):
            return _audio(draft, index, int(port.partition("/")[0]), payloads)
    raise SIPParseError("the session description offers no sound over RTP/AVP")


def _audio(draft: _SdpDraft, index: int, port: int, payloads: list[str]) -> Sdp:
    attributes = draft.attributes[index]
    events = [
        int(value.partition(":")[2].split()[0])
        for value in attributes
        if value.lower().startswith("rtpmap:") and "telephone-event/8000" in value.lower()
    ]
    direction = next((value for value in attributes if value in _MIRROR), draft.direction)
    return Sdp(
        address=draft.addresses[index],
        port=port,
        codecs=tuple(int(p) for p in payloads if p in (str(PCMU), str(PCMA))),
        event_payload=events[0] if events else None,
        direction=direction or "sendrecv",
        media=tuple(draft.media),
        audio_index=index,
    )


_MIRROR = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}


def build_sdp(
    ip: str,
    port: int,
    codecs: dict[int, PayloadType],
    session: tuple[int, int],
    offer: Sdp | None,
    *,
    hold: bool = False,
) -> bytes:
    """Describe our side; ``session`` is id and version, ``offer`` what we answer (or None).

    ``hold``: we want no sound from the other side (RFC 3264 section 8.4).
    """
    formats = " ".join(str(number) for number in codecs)
    ours = [f"m=audio {port} RTP/AVP {formats}"]
    for number, codec in codecs.items():
        ours.append(f"a=rtpmap:{number} {codec}/8000")
        if codec is PayloadType.EVENT:
            ours.append(f"a=fmtp:{number} 0-16")
    direction = _MIRROR[offer.direction] if offer else "sendrecv"
    if hold:
        direction = {"sendrecv": "sendonly", "recvonly": "inactive"}.get(direction, direction)
    ours += ["a=ptime:20", f"a={direction}"]
    lines = ["v=0", f"o=- {session[0]} {session[1]} IN IP4 {ip}", "s=-", f"c=IN IP4 {ip}", "t=0 0"]
    for index, media in enumerate(offer.media if offer else ("",)):
        if offer is None or index == offer.audio_index:
            lines += ours
        else:
            kind, _, *rest = media.split()
            lines.append(f"m={kind} 0 {' '.join(rest)}")
    return ("\r\n".join(lines) + "\r\n").encode()


def build_message(first_line: str, fields: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """Put a message together; the length is counted in bytes."""
    lines = [first_line, *(f"{name}: {value}" for name, value in fields)]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def phrase(code: int) -> str:
    """The usual words for a status code."""
    known = _known_status(code)
    return str(known.phrase) if int(known) == code else _http_phrases.get(code, "")


def _known_status(code: int) -> SIPStatus:
    """A code that is not known counts as the x00 of its class (RFC 3261 section 8.1.3.2)."""
    try:
        return SIPStatus(code)
    except ValueError:
        return SIPStatus({1: 100, 2: 200, 3: 300, 4: 400, 5: 500}.get(code // 100, 600))


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"header line {line[:60]!r}")
    key = name.strip().lower()
    return _COMPACT.get(key, key), value.strip()


def _split_list(value: str) -> list[str]:
    """Split at commas that stand outside quotes and angle brackets."""
    return [part.strip() for part in re.findall(r'(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<])+', value)]
