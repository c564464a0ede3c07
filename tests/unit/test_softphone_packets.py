"""Packets of the softphone: keys, odd sound, SDP."""

from __future__ import annotations

import re
import socket
import struct

from telephony.sip.message import build_sdp
from telephony.softphone import CallState, Softphone
from telephony.tones import silence_packet
from tests.unit.scripted_peer import Peer, peer, phone

__all__ = ["peer", "phone"]  # fixtures


def test_given_keys_when_sent_then_packets_are_as_rfc_4733_says(
    peer: Peer, phone: Softphone
) -> None:
    peer.asks("INVITE", body=peer.sdp())
    tag = peer.gets("180").address("To").tag
    call = phone.wait_for_call(1)
    call.answer()
    peer.asks("ACK", to_tag=tag, branch="z9hG4bKack")
    peer.media.recv(2000)
    call.send_dtmf("5#", tone_ms=100, gap_ms=60)
    packets = [(*struct.unpack("!BBHII", data[:12]), data[12:]) for data in _drain(peer.media)]
    sequences = [packet[2] for packet in packets]
    assert sequences == [(sequences[0] + n) & 0xFFFF for n in range(len(packets))]
    events = [packet for packet in packets if packet[1] & 0x7F == 101]
    for event, group in ((5, events[:7]), (11, events[7:])):
        bodies = [struct.unpack("!BBH", packet[5]) for packet in group]
        assert len({packet[3] for packet in group}) == 1  # one timestamp
        assert [packet[1] >> 7 for packet in group] == [1, 0, 0, 0, 0, 0, 0]
        assert [body[0] for body in bodies] == [event] * 7
        assert [body[1] >> 7 for body in bodies] == [0, 0, 0, 0, 1, 1, 1]
        assert [body[2] for body in bodies] == [160, 320, 480, 640, 800, 800, 800]
    sound = [packet for packet in packets if packet[1] & 0x7F == 0]
    assert all(packet[5] == silence_packet(0) for packet in sound)
    first_after = next(p for p in sound if p[2] == (events[6][2] + 1) & 0xFFFF)
    assert (first_after[3] - events[0][3]) & 0xFFFFFFFF == 5 * 160
    call.hangup()
    peer.answer(peer.gets("BYE"), 200)


def _drain(sock: socket.socket) -> list[bytes]:
    found = []
    sock.setblocking(False)
    try:
        while True:
            found.append(sock.recv(2000))
    except BlockingIOError:
        return found


def test_given_odd_packets_when_received_then_only_sound_is_heard(
    peer: Peer, phone: Softphone
) -> None:
    call = phone.call("110")
    invite = peer.gets("INVITE")
    peer.answer(invite, 200, ("Contact", f"<sip:x@127.0.0.1:{peer.port}>"), body=peer.sdp())
    call.wait_answered(1)
    offered = invite.sdp
    assert offered is not None
    sound = silence_packet(0)
    odd = [
        b"\x80",  # shorter than a header
        struct.pack("!BBHII", 0x40, 0, 1, 160, 9) + sound,  # version 1
        struct.pack("!BBHII", 0x80, 77, 1, 160, 9) + sound,  # a payload nobody offered
        struct.pack("!BBHII", 0x80, 101, 1, 160, 9) + b"\x63\x0a\x00\xa0",  # event 99
        struct.pack("!BBHII", 0x90, 0, 1, 160, 9) + b"\0\0\0\1abcd" + sound,  # an extension
        struct.pack("!BBHII", 0xA0, 0, 1, 160, 9) + sound + b"\0\2",  # padding
    ]
    for packet in odd:
        peer.media.sendto(packet, ("127.0.0.1", offered.port))
    assert call.stream.wait_until(lambda: 1.0 if call.packets_received == 2 else None, 2)
    assert [packet.payload for packet in call.stream.packets] == [sound, sound]
    assert call.dtmf.getvalue() == ""
    call.hangup()
    peer.answer(peer.gets("BYE"), 200)
    assert call.state is CallState.ENDED


def test_given_sdp_of_ours_when_built_then_it_has_a_line_end_everywhere() -> None:
    text = build_sdp("127.0.0.1", 6000, {}, (1, 1), None)
    assert re.fullmatch(rb"([^\r\n]+\r\n)+", text)
