"""AMI on the wire: cutting the byte stream into packets, reading them, writing actions.

Asterisk's manager protocol is lines ``Name: value`` ended by CRLF, and an empty line after each
packet (https://docs.asterisk.org, "AMI v2 Specification"). Real ones also send extra CRLFs between
packets, end some packets with ``\\r\\n\\n`` (asterisk issue 761), repeat headers, and pass on
whatever bytes a phone put into a name. All of that is read here; nothing here does I/O.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from asterisk.ami.action import Action
from asterisk.ami.event import Event as LibraryEvent
from asterisk.ami.response import Response as LibraryResponse

from telephony.errors import InvalidValue

PACKET_LIMIT = 16 * 1024 * 1024
"""Bytes after which a packet without an end is taken for a fault of the link."""

_END = b"\r\n\r\n"
_SHORT_END = b"\r\n\n"
_FORBIDDEN = re.compile("[\r\n\0]")
_HEADER_NAME = re.compile("[!-9;-~]+")


class PacketTooLong(Exception):
    """A packet did not end within the limit; the link that sent it is of no more use."""


class _Headers:
    """Reading access to a packet's headers; of a repeated one, ``packet[name]`` is the first."""

    keys: dict[str, str]
    repeated: Mapping[str, list[str]] = {}

    def __getitem__(self, name: str) -> str:
        return self.keys[name]

    def __contains__(self, name: object) -> bool:
        return name in self.keys

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    def get(self, name: str, default: str = "") -> str:
        """The header's value, or ``default`` where the packet has no such header."""
        return self.keys.get(name, default)

    def getall(self, name: str) -> list[str]:
        """Every value of a header, in the order sent; empty where there is none."""
        if name in self.repeated:
            return list(self.repeated[name])
        return [self.keys[name]] if name in self.keys else []


class Event(_Headers, LibraryEvent):  # type: ignore[misc]
    """Something that happened on the PBX: ``name`` and the headers Asterisk sent with it."""

    def __init__(
        self, name: str, keys: dict[str, str], repeated: Mapping[str, list[str]] | None = None
    ) -> None:
        self.name = name
        self.keys = keys
        if repeated:
            self.repeated = repeated

    def __repr__(self) -> str:
        return f"Event({self.name!r}, {self.keys!r})"


class Response(_Headers, LibraryResponse):  # type: ignore[misc]
    """The PBX's answer to one action; the lines of a Command are ``getall("Output")``."""

    def __init__(
        self, status: str, keys: dict[str, str], repeated: Mapping[str, list[str]] | None = None
    ) -> None:
        super().__init__(status, keys, [])
        if repeated:
            self.repeated = repeated

    @property
    def ok(self) -> bool:
        """Whether the PBX accepted the action."""
        return str(self.status).lower() != "error"

    @property
    def message(self) -> str:
        """What the PBX says about it, in its own words."""
        return self.keys.get("Message", "")

    def __repr__(self) -> str:
        return f"Response({self.status!r}, {self.keys!r})"


class PacketStream:
    """Collects received bytes and gives back whole packets, each ended by CRLF CRLF."""

    def __init__(self, limit: int = PACKET_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """Take what was received; return all packets that are whole by now, in one piece.

        Raises :class:`PacketTooLong` when what is left has no end within the limit.
        """
        window = self._tail + data  # an end may have come in two pieces
        end = _last_end(window)
        if not end:
            self._keep(data)
            return b""
        received = b"".join((*self._parts, data))
        cut = len(received) - len(window) + end
        self._parts, self._size, self._tail = [], 0, b""
        if cut < len(received):
            self._keep(received[cut:])
        packets = received[:cut]
        if packets.rfind(_SHORT_END) >= 0:  # faster than "in"
            packets = packets.replace(_SHORT_END, _END)
        return packets

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        self._tail = (self._tail + data)[-3:]
        if self._size > self._limit:
            raise PacketTooLong(f"a packet of more than {self._limit} bytes has no end")


def _last_end(data: bytes) -> int:
    """The position after the last end of a packet, 0 where there is none."""
    end = data.rfind(_END)
    end = end + len(_END) if end >= 0 else 0
    short = data.rfind(_SHORT_END, end)
    return short + len(_SHORT_END) if short >= 0 else end


def split_packets(packets: bytes) -> list[str]:
    """The text of every packet; bytes that are no UTF-8 become U+FFFD."""
    # One by one: a single name in Chinese would make all the text of a big piece slow to cut.
    return [str(packet, "utf-8", "replace") for packet in packets.split(_END)]


def event_filter(names: frozenset[str]) -> frozenset[bytes]:
    """The first lines of the events with these names, as :func:`select_packets` wants them."""
    return frozenset(f"Event: {name}".encode() for name in names)


def select_packets(packets: bytes, wanted: frozenset[bytes], own_ids: bytes) -> list[str]:
    """The text of the packets that somebody waits for; the others are never decoded.

    Kept are events whose first line is in ``wanted``, packets that carry ``own_ids`` (the start of
    our ActionID header: list events and what belongs to our actions) and whatever is no event.
    """
    ours = own_ids in packets
    kept = []
    for packet in packets.split(_END):
        end = packet.find(b"\r\n")
        if end == 0:
            packet = packet.lstrip(b"\r\n")
            end = packet.find(b"\r\n")
        line = packet[:end] if end > 0 else packet
        if (
            line in wanted
            or (ours and own_ids in packet)
            or (line and not line.startswith(b"Event: "))
        ):
            kept.append(str(packet, "utf-8", "replace"))
    return kept


class _Shapes:
    """The sequences of header names that events were seen to have, each as one pattern.

    Asterisk writes the headers of an event always in the same order, so one match of a pattern
    reads them all; that is faster than cutting line by line, and what does not match exactly
    (a repeated header, a CR in a value) is read line by line as ever.
    """

    EACH = 4  # shapes of one event name; with and without a second channel, and so on
    NAMES = 500
    AFTER = 16  # packets, before a pattern is worth making

    def __init__(self) -> None:
        self.known: dict[str, list[tuple[Callable[[str], re.Match[str] | None], list[str]]]] = {}
        self._seen: Counter[str] = Counter()

    def learn(self, name: str, packet: str, keys: dict[str, str]) -> None:
        """Remember the shape of an event that was read line by line, if it comes often."""
        if len(self._seen) > self.NAMES or self._seen[name] >= self.AFTER * self.EACH:
            return
        self._seen[name] += 1
        if self._seen[name] % self.AFTER == 0:
            lines = "".join(f"\r\n{re.escape(key)}: ([^\r]*+)" for key in keys)
            pattern = re.compile(f"Event: {re.escape(name)}{lines}")
            if pattern.fullmatch(packet):
                self.known.setdefault(name, []).append((pattern.fullmatch, list(keys)))


_shapes = _Shapes()


def parse_event(packet: str) -> Event:
    """Read a packet that begins with ``Event: ``."""
    name = packet[7 : packet.find("\r\n")]
    for match, names in _shapes.known.get(name, ()):
        found = match(packet)
        if found is not None:
            return Event(name, dict(zip(names, found.groups(), strict=False)))
    keys, repeated = parse_headers(packet.split("\r\n"))
    name = keys.pop("Event")
    if not repeated:
        _shapes.learn(name, packet, keys)
    return Event(name, keys, repeated)


def parse_packet(packet: str) -> Event | Response | None:
    """Read any packet; None for one that is neither an event nor a response."""
    keys, repeated = parse_headers(packet.lstrip("\r\n").split("\r\n"))
    first = next(iter(keys), "")
    if first.lower() == "event":
        return Event(keys.pop(first), keys, repeated)
    if first.lower() == "response":
        return Response(keys.pop(first), keys, repeated)
    return None


def parse_headers(lines: list[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Read header lines with care: the first value of each name, and all of the repeated ones."""
    keys: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not colon:
            continue
        if name in keys:
            repeated.setdefault(name, [keys[name]]).append(value)
        else:
            keys[name] = value
    return keys, repeated


def render_action(action: Action) -> bytes:
    """An action as it travels; a list value becomes a repeated header, in order.

    Raises :class:`InvalidValue` for anything that would break out of its line (CR, LF, NUL).
    """
    lines = [f"Action: {_clean('the name of the action', action.name)}"]
    for name, value in action.keys.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidValue(f"{name!r} cannot be the name of an AMI header")
        values = value if isinstance(value, list | tuple) else [value]
        lines += [f"{name}: {_clean(name, item)}" for item in values]
    for name, value in action.variables.items():
        lines.append(f"Variable: {_clean('Variable', name)}={_clean('Variable', value)}")
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidValue(f"{action.name}: a value cannot be written as UTF-8") from None


def _clean(where: str, value: Any) -> str:
    """The value as text; the error does not repeat it, for it may be a secret."""
    if not isinstance(value, str | int):
        raise InvalidValue(f"{where}: a {type(value).__name__} cannot be sent to the PBX")
    text = str(value)
    if _FORBIDDEN.search(text):
        raise InvalidValue(f"{where}: a line break or NUL cannot be sent to the PBX")
    return text
