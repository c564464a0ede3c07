"""Framing, reading and writing of AMI packets: what real PBXs send, and what must never be sent."""

from __future__ import annotations

import itertools

import pytest
from asterisk.ami.action import Action
from asterisk.ami.event import Event as LibraryEvent
from asterisk.ami.response import Response as LibraryResponse
from hypothesis import given
from hypothesis import strategies as st

from telephony.ami.packets import (
    Event,
    PacketStream,
    PacketTooLong,
    Response,
    event_filter,
    parse_event,
    parse_packet,
    render_action,
    select_packets,
    split_packets,
)
from telephony.errors import InvalidValue


def whole(stream: bytes, *cuts: int) -> list[str]:
    """The packets of a stream that arrives in pieces cut at these positions."""
    packets = PacketStream()
    edges = [0, *sorted(cuts), len(stream)]
    received = b"".join(packets.feed(stream[start:end]) for start, end in itertools.pairwise(edges))
    return [text.lstrip("\r\n") for text in split_packets(received) if text.strip("\r\n")]


def names(stream: bytes, *cuts: int) -> list[str]:
    found = []
    for text in whole(stream, *cuts):
        packet = parse_packet(text)
        assert isinstance(packet, Event)
        found.append(packet.name)
    return found


A, B, C = (f"Event: {name}\r\nUniqueid: 1.{name}".encode() for name in "ABC")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (A + b"\r\n\r\n" + B + b"\r\n\r\n", ["A", "B"]),
        (b"\r\n" + A + b"\r\n\r\n\r\n" + B + b"\r\n\r\n", ["A", "B"]),
        (A + b"\r\n\r\n\r\n\r\n" + B + b"\r\n\r\n\r\n", ["A", "B"]),
        (A + b"\r\n\n" + B + b"\r\n\r\n", ["A", "B"]),
        (A + b"\r\n\r\n" + B + b"\r\n\n", ["A", "B"]),
        (A + b"\r\n\n" + B + b"\r\n\n\r\n" + C + b"\r\n\r\n", ["A", "B", "C"]),
    ],
    ids=["plain", "extra-crlf-first", "two-extra", "short-end", "short-end-last", "mixed"],
)
def test_every_cut_of_a_stream_gives_the_same_packets(stream: bytes, expected: list[str]) -> None:
    assert names(stream) == expected
    for cut in range(len(stream)):
        assert names(stream, cut) == expected, f"cut at {cut}"
    assert names(stream, *range(1, len(stream))) == expected, "byte by byte"


def test_a_packet_is_given_as_soon_as_its_short_end_is_there() -> None:
    stream = PacketStream()
    assert b"Uniqueid: 1.A" in stream.feed(A + b"\r\n\n")


def test_a_packet_without_end_is_given_up_at_the_limit() -> None:
    stream = PacketStream(limit=1000)
    stream.feed(b"Event: A\r\n" + b"x" * 900)
    with pytest.raises(PacketTooLong, match="1000 bytes"):
        stream.feed(b"x" * 100)


def test_many_whole_packets_may_exceed_the_limit() -> None:
    stream = PacketStream(limit=100)
    assert len(stream.feed((A + b"\r\n\r\n") * 100)) > 1000


def test_containers_are_the_library_s() -> None:
    event, response = parse_packet("Event: A\r\nK: v"), parse_packet("Response: Success")
    assert isinstance(event, LibraryEvent)
    assert isinstance(response, LibraryResponse)


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\n", "\r"])
def test_only_crlf_ends_a_line(char: str) -> None:
    text = f"Event: Newchannel\r\nCallerIDName: 王{char}小明\r\nUniqueid: 1.1"
    event = parse_event(text)
    assert event["CallerIDName"] == f"王{char}小明"
    assert event["Uniqueid"] == "1.1"


def test_bytes_that_are_no_utf8_do_not_hide_what_stands_beside_them() -> None:
    stream = b"Event: Newchannel\r\nCallerIDName: \xcd\xf5\xff\r\nUniqueid: 1.1\r\n\r\n"
    (text,) = whole(stream)
    event = parse_event(text)
    assert event["Uniqueid"] == "1.1"
    assert "\ufffd" in event["CallerIDName"]


def test_repeated_headers_are_all_kept_in_order() -> None:
    event = parse_event(
        "Event: OriginateResponse\r\nChanVariable: A=1\r\nUniqueid: 1.1\r\nChanVariable: B=2"
        "\r\nChanVariable: A=3"
    )
    assert event.getall("ChanVariable") == ["A=1", "B=2", "A=3"]
    assert event["ChanVariable"] == "A=1"
    assert event.getall("Uniqueid") == ["1.1"]
    assert event.getall("Other") == []


def test_values_keep_colons_and_spaces_and_may_be_empty() -> None:
    event = parse_event("Event: A\r\nAppData: a: b:  c \r\nEmpty: \r\nNoSpace:\r\nTight:x: y")
    assert event["AppData"] == "a: b:  c "
    assert event["Empty"] == ""
    assert event["NoSpace"] == ""
    assert event["Tight"] == "x: y"
    assert "Event" not in event
    assert list(event) == ["AppData", "Empty", "NoSpace", "Tight"]


def test_command_output_keeps_every_line() -> None:
    response = parse_packet(
        "Response: Success\r\nMessage: Command output follows\r\n"
        "Output: one: 1\r\nOutput: \r\nOutput:   two"
    )
    assert isinstance(response, Response)
    assert response.ok
    assert response.getall("Output") == ["one: 1", "", "  two"]


def test_the_filter_keeps_named_events_ours_and_replies() -> None:
    stream = (
        b"\r\nEvent: Hangup\r\nUniqueid: 1\r\n\r\n"
        b"Event: VarSet\r\nUniqueid: 2\r\n\r\n"
        b"Event: HangupRequest\r\nUniqueid: 3\r\n\r\n"
        b"Event: CoreShowChannel\r\nActionID: us-1-7\r\nUniqueid: 4\r\n\r\n"
        b"Event: CoreShowChannel\r\nActionID: them-1\r\nUniqueid: 5\r\n\r\n"
        b"Response: Success\r\nActionID: us-1-8\r\n\r\n"
        b"Event: Hangup\r\n\r\n"
        b"Event: VarSet\r\n\r\n"
    )
    kept = select_packets(stream, event_filter(frozenset({"Hangup"})), b"\r\nActionID: us-")
    assert [text.partition("\r\n")[0] for text in kept] == [
        "Event: Hangup",
        "Event: CoreShowChannel",
        "Response: Success",
        "Event: Hangup",
    ]


_HEADER = st.from_regex(r"[A-Za-z][A-Za-z0-9()-]{0,12}", fullmatch=True).filter(
    lambda name: name not in ("Event", "Response")
)
_VALUE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)
_PACKET = st.lists(st.tuples(_HEADER, _VALUE), max_size=8)


@given(
    st.lists(_PACKET, min_size=1, max_size=5),
    st.lists(st.integers(0, 400), max_size=4),
    st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n"]),
)
def test_whatever_a_pbx_sends_comes_back_whole(
    packets: list[list[tuple[str, str]]], cuts: list[int], end: bytes
) -> None:
    stream = b"".join(
        "".join(["Event: X\r\n", *(f"{key}: {value}\r\n" for key, value in packet)]).encode() + end
        for packet in packets
    )
    texts = whole(stream, *(cut for cut in cuts if cut < len(stream)))
    assert len(texts) == len(packets)
    for text, packet in zip(texts, packets, strict=True):
        event = parse_event(text)
        for key in {key for key, _ in packet}:
            assert event.getall(key) == [value for name, value in packet if name == key]


def test_an_action_is_written_with_repeated_headers_in_order() -> None:
    action = Action(
        "Originate", {"Channel": "PJSIP/110", "Priority": 1, "Variable": ["A=1", "B=2"]}
    )
    action["C"] = "3"
    assert render_action(action) == (
        b"Action: Originate\r\nChannel: PJSIP/110\r\nPriority: 1\r\n"
        b"Variable: A=1\r\nVariable: B=2\r\nVariable: C=3\r\n\r\n"
    )


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\r\n", "x\r\nAction: Originate"])
@pytest.mark.parametrize(
    "make",
    [
        lambda bad: Action(bad, {}),
        lambda bad: Action("Ping" + bad, {}),
        lambda bad: Action("Setvar", {"Value": bad}),
        lambda bad: Action("Setvar", {"Value": ["fine", bad]}),
        lambda bad: Action("Setvar", {"Va" + bad: "x"}),
        lambda bad: Action("Setvar", {}, {"A": bad}),
        lambda bad: Action("Setvar", {}, {bad: "1"}),
    ],
)
def test_what_would_break_out_of_its_line_is_refused(make: object, bad: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidValue):
        render_action(make(bad))


@pytest.mark.parametrize("name", ["", "Channel: x", "Chan nel", "Kanal\u00e4", ":"])
def test_a_header_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        render_action(Action("Setvar", {name: "x"}))


@pytest.mark.parametrize("value", [None, 1.5, {"a": "b"}, b"x", ["a", None]])
def test_a_value_that_is_neither_text_nor_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        render_action(Action("Setvar", {"Value": value}))


def test_the_error_does_not_repeat_a_secret() -> None:
    with pytest.raises(InvalidValue) as caught:
        render_action(Action("Login", {"Secret": "hunter2\r\n"}))
    assert "hunter2" not in caught.value.detail
    assert "Secret" in caught.value.detail


def test_half_a_surrogate_is_refused() -> None:
    with pytest.raises(InvalidValue, match="UTF-8"):
        render_action(Action("Setvar", {"Value": "\ud800"}))
